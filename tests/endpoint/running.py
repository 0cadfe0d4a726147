"""Start tests/endpoint/server.py as a process of its own, and talk to it.

Loaded by path (tests have no packages): the fixture `endpoint` in tests/conftest.py does so.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SERVER = Path(__file__).with_name("server.py")


class Endpoint:
    """A running endpoint.

    Attributes:
        url: what to give as base URL, with /v1.
        process: its process.
    """

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process, self.url = process, url

    def stats(self) -> dict[str, Any]:
        """Counts and sums so far; see ledger.Ledger.stats."""
        return self._call("/control/stats")

    def records(self, after: int = 0) -> list[dict[str, Any]]:
        """What is known of each chat request, in order of arrival; see ledger.Record."""
        return self._call(f"/control/records?after={after}")

    def control(self, **options: Any) -> None:
        """Change options while it runs; see OPTIONS in server.py.

        Raises:
            ValueError: an option or a fault that does not exist.
        """
        self._call("/control", options)

    def reset(self) -> None:
        """Forget all that was counted."""
        self._call("/control/reset", {})

    def stop(self) -> None:
        """End the process; a second call does nothing."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()

    def _call(self, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url.removesuffix("/v1") + path, data)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                raise ValueError(json.load(error)["error"]["message"]) from None


def start(log: Path | None = None, port: int = 0, **options: Any) -> Endpoint:
    """Start an endpoint and wait until it listens."""
    command = [sys.executable, str(SERVER), "--port", str(port), "--options", json.dumps(options)]
    command += ["--parent", str(os.getpid())]
    if log is not None:
        command += ["--log", str(log)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        process.wait(10)
        raise ValueError(
            f"the endpoint did not start (exit code {process.returncode}); its reason is on stderr"
        )
    return Endpoint(process, json.loads(line)["url"])


@contextmanager
def serve(log: Path | None = None, port: int = 0, **options: Any) -> Iterator[Endpoint]:
    """Run an endpoint for the length of a block."""
    endpoint = start(log, port, **options)
    try:
        yield endpoint
    finally:
        endpoint.stop()
