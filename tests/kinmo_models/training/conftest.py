"""The toy model, as a module and as a program of its own."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

TOY = Path(__file__).with_name("toy.py")


@pytest.fixture(scope="session")
def toy() -> ModuleType:
    """Give tests/kinmo_models/training/toy.py as a module."""
    spec = importlib.util.spec_from_file_location("kinmo_toy", TOY)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["kinmo_toy"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def toy_process() -> Callable[..., subprocess.Popen[str]]:
    """Start toy.py as a program, by itself or over several processes."""

    def start(*arguments: object, processes: int = 1) -> subprocess.Popen[str]:
        launcher = [sys.executable]
        if processes > 1:
            launcher += ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_machines", "1"]
            launcher += ["--num_processes", str(processes), "--main_process_port", "0"]
            launcher += ["--mixed_precision", "no", "--dynamo_backend", "no"]
        return subprocess.Popen(
            [*launcher, str(TOY), *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )

    return start
