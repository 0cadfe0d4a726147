"""`python -m kinmo_cli`, which is how a launcher of several processes starts the program `kinmo`."""

from __future__ import annotations

from .main import run

if __name__ == "__main__":
    run()
