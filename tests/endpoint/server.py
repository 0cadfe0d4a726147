"""An OpenAI-compatible endpoint that goes wrong on purpose, for the tests of whatever talks to one.

    python tests/endpoint/server.py --port 0 --options '{"latency_s": 0.2, "faults": {"rate_limit": 0.15}}'

prints {"url": "http://127.0.0.1:PORT/v1", "pid": N} and serves until it is killed. Standard library alone,
one process, one thread. POST /control changes options while it runs, POST /control/reset forgets what was
counted, GET /control/stats gives the sums, GET /control/records what is known of each request.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from batches import OPTIONS as BATCH_OPTIONS
from batches import Batches
from checks import check_body
from faults import BROKEN, NAMES, Reply, chance, draw, error_body, error_reply, is_error, matches, spoil
from files import Files
from ledger import Ledger, Record
from limits import Limits
from sentences import completion_of, digest_of, tokens
from wire import Connection, Request, render

CHAT = "/v1/chat/completions"
OPTIONS: dict[str, Any] = {
    "seed": 0,
    "latency_s": 0.0,  # of every chat answer; a number, or [median, sigma] of a log-normal distribution
    "slow_s": 5.0,  # what the fault "slow" adds
    "retry_after_s": 1.0,  # what the 429 faults advise
    "faults": {},  # name -> probability, of chat requests
    "script": [],  # rules {conditions, "fault": name or null, "answers": {field: text}}: see faults.matches
    "key": None,  # the key that is expected; others get 401
    "models": ["gpt-4o-mini", "gpt-4o-mini-2024-07-18"],
    "fields": 21,  # properties that the schema must have; null: none needed
    "refuse_parameters": [],  # e.g. ["temperature"]
    "answers": {},  # field -> text, instead of made-up sentences
    "usage": None,  # {"prompt_tokens", "completion_tokens", "cached_tokens"} instead of counts
    "prices": {"input": 0.15, "cached": 0.075, "output": 0.6},  # USD for a million tokens
    "rpm": None,  # requests a minute
    "tpm": None,  # tokens a minute (prompt and max_tokens)
    "burst": None,  # requests that may come at once under rpm; default: a second's worth
    "rate_headers": False,  # x-ratelimit-* on good answers
    "quota_after": None,  # from chat request n + 1 on: insufficient_quota
    "api_latency_s": 0.0,  # of everything that is not the chat
    "batch": BATCH_OPTIONS,  # see batches.py
}


class App:
    """The endpoint: options, records, routes."""

    def __init__(self, options: dict[str, Any], log: Path | None = None) -> None:
        self.options = json.loads(json.dumps(OPTIONS))
        self.ledger = Ledger(log)
        self.seen: set[str] = set()
        self.files = Files()
        self.batches = Batches(self.files, self.line, lambda: self.options)
        self.change(options)

    def change(self, options: dict[str, Any]) -> None:
        """Replace some options (of `batch`, those named); limits start afresh when theirs are named.

        Raises:
            ValueError: an option or a fault that does not exist.
        """
        rules = options.get("script", [])
        batch = options.get("batch", {})
        named = {
            *options.get("faults", {}),
            *batch.get("faults", {}),
            *(r["fault"] for r in rules if r.get("fault")),
        }
        strange = (set(options) - set(OPTIONS)) | (set(batch) - set(BATCH_OPTIONS)) | (named - NAMES)
        if unknown := sorted(strange):
            raise ValueError(
                f"unknown: {', '.join(unknown)}; options: {sorted(OPTIONS)}; faults: {sorted(NAMES)}"
            )
        whole = {"batch": self.options["batch"] | batch} if batch else {}
        self.options |= json.loads(json.dumps(options | whole))
        for rule in self.options["script"]:
            rule.setdefault("times", math.inf)
        if not hasattr(self, "limits") or {"rpm", "tpm", "burst"} & set(options):
            self.limits = Limits(self.options["rpm"], self.options["tpm"], self.options["burst"])

    # ------------------------------------------------------------ routes

    async def handle(self, request: Request, connection: Connection) -> None:
        """Answer one request."""
        if request.path == CHAT and request.method == "POST":
            await self.chat(request, connection)
            return
        connection.last = None
        if request.path.startswith("/control"):
            connection.write(self.control(request))
            return
        await asyncio.sleep(self.options["api_latency_s"])
        await self.send(self.call(request), connection)

    def control(self, request: Request) -> bytes:
        """Change, reset or read the state of the test server itself."""
        sums: Any = None
        if (request.method, request.path) == ("POST", "/control"):
            try:
                self.change(json.loads(request.body or b"{}"))
            except ValueError as error:
                return render(400, json.dumps({"error": {"message": str(error)}}).encode())
            sums = {"changed": True}
        elif (request.method, request.path) == ("POST", "/control/reset"):
            self.ledger.reset()
            self.seen.clear()
            sums = {"reset": True}
        elif request.path == "/control/stats":
            sums = self.ledger.stats()
        elif request.path == "/control/records":
            first = int(request.query.get("after", 0))
            sums = [asdict(record) for record in self.ledger.records[first:]]
        status = 404 if sums is None else 200
        return render(status, json.dumps(sums).encode())

    def refused(self, request: Request) -> Reply | None:
        """A wrong key."""
        key = self.options["key"]
        if key is None or request.headers.get("authorization") == f"Bearer {key}":
            return None
        return error_reply("unauthorized", 0.0)

    def call(self, request: Request) -> Reply:
        """Answer what is not the chat, as the script says.

        An error comes instead of the work, a broken connection after it; a rule's "done" says otherwise.
        """
        fault, done = None, True
        for rule in self.options["script"]:
            place = {name: rule[name] for name in ("path", "method") if name in rule}
            if "path" in rule and matches(place, 1, 1, request.path, request.method, b""):
                rule["seen"] = rule.get("seen", 0) + 1
                if matches(rule, rule["seen"], 1, request.path, request.method, request.body):
                    rule["times"] -= 1
                    fault = rule["fault"]
                    done = rule.get("done", not is_error(fault))
                    break
        refused = self.refused(request)
        reply = refused or (self.api(request) if done else None)
        if refused is None and is_error(fault):
            return self.error(str(fault), request)
        assert reply is not None
        if fault in BROKEN:
            reply.how = str(fault)
        return reply

    def api(self, request: Request) -> Reply:
        """Everything but the chat, done right."""
        parts = request.path.strip("/").split("/")
        reply = None
        if parts[:2] == ["v1", "files"]:
            reply = self.files.route(request, parts[2:], self.options["batch"]["max_bytes"])
        elif parts[:2] == ["v1", "batches"]:
            reply = self.batches.route(request, parts[2:])
        if reply is not None:
            return reply
        if request.method == "GET" and request.path == "/v1/models":
            made = [
                {"id": m, "object": "model", "created": 0, "owned_by": "tests"}
                for m in self.options["models"]
            ]
            return Reply(200, json.dumps({"object": "list", "data": made}).encode(), "ok")
        said = f"Invalid URL ({request.method} {request.path})"
        return Reply(404, error_body(said, "invalid_request_error", None, None), "not_found")

    # ------------------------------------------------------------ chat

    async def chat(self, request: Request, connection: Connection) -> None:
        """Answer a chat request, late and wrong as asked."""
        started = time.monotonic()
        try:
            body = json.loads(request.body)
        except ValueError:
            body = None
        known = isinstance(body, dict)
        digest = digest_of(body) if known else ""
        record = self.open(request, digest, str(body.get("model", "")) if known else "")
        connection.last = record
        outcome, status, written = "client_gone", 0, False
        try:
            reply, extra = self.answer(request, body, record)
            wait = self.latency(record) + extra - (time.monotonic() - started)
            if wait > 0:
                await asyncio.sleep(wait)
            written = await self.send(reply, connection)
            outcome, status = reply.outcome, reply.status
            if reply.usage:
                self.ledger.bill(reply.usage, self.options["prices"], heard=written)
        except asyncio.CancelledError:
            outcome = "stall" if "reply" in locals() and reply.how == "stall" else "client_gone"
            raise
        finally:
            self.ledger.close(record, outcome, status, written)

    def open(self, request: Request, digest: str, model: str) -> Record:
        """Start the record of a chat request."""
        sent = request.headers.get("authorization", "")
        key = self.options["key"]
        key_ok = None if key is None else sent == f"Bearer {key}"
        return self.ledger.open(digest, model, len(request.body), bool(sent), key_ok)

    def latency(self, record: Record) -> float:
        """Seconds that the answer takes."""
        latency = self.options["latency_s"]
        if isinstance(latency, (int, float)):
            return float(latency)
        median, sigma = latency
        parts = (self.options["seed"], record.digest, record.attempt)
        a, b = chance("a", *parts), chance("b", *parts)
        normal = math.sqrt(-2 * math.log(a + 1e-12)) * math.cos(2 * math.pi * b)  # Box-Muller
        return float(median * math.exp(sigma * normal))

    def answer(self, request: Request, body: Any, record: Record) -> tuple[Reply, float]:
        """Decide what to say, and how many seconds later than usual."""
        options = self.options
        fault, fixed = self.fate(request, record)
        early = self.refused(request) or check_body(body, options["fields"], options["refuse_parameters"])
        if early is None and options["quota_after"] is not None and record.number > options["quota_after"]:
            early = self.error("quota", request)
        if early is None and is_error(fault):
            early = self.error(str(fault), request)
        if early is None and self.limits.buckets:
            length = body.get("max_completion_tokens") or body.get("max_tokens") or 0
            early = self.limits.take(tokens(request.body.decode("utf-8", "replace")) + length)
        if early is not None:
            return early, 0.0
        good = completion_of(body, record.digest, options["answers"] | fixed, options["usage"], self.seen)
        reply = spoil(fault, good)
        if options["rate_headers"]:
            reply.headers |= self.limits.headers()
        return reply, options["slow_s"] if fault == "slow" else 0.0

    def fate(self, request: Request, record: Record) -> tuple[str | None, dict[str, str]]:
        """The fault that meets this request, and texts that a rule of the script puts into its answer."""
        for rule in self.options["script"]:
            if matches(rule, record.number, record.attempt, request.path, request.method, request.body):
                rule["times"] -= 1
                return rule.get("fault"), rule.get("answers", {})
        faults = self.options["batch"]["faults"] if record.batch else self.options["faults"]
        return draw(faults, self.options["seed"], record.digest, record.attempt), {}

    def line(self, body: Any, batch: str) -> Reply:
        """Execute one line of a batch."""
        options = self.options
        digest = digest_of(body)
        record = self.ledger.line(digest, str(body.get("model", "")), batch)
        written = json.dumps(body, ensure_ascii=False).encode() if options["script"] else b""
        fault, fixed = self.fate(Request("POST", CHAT, {}, {}, written), record)
        reply = check_body(body, options["fields"], options["refuse_parameters"])
        if reply is None and is_error(fault):
            reply = error_reply(str(fault), options["retry_after_s"])
            if not reply.body.startswith(b"{"):
                reply.body = error_body("Bad gateway.", "server_error", None, None)
        if reply is None:
            good = completion_of(body, digest, options["answers"] | fixed, options["usage"], self.seen)
            reply = spoil(fault if fault not in (*BROKEN, "html") else None, good)
            self.ledger.bill(reply.usage or {}, options["prices"], 0.5)
        self.ledger.settle(record, reply.outcome, reply.status, True)
        return reply

    def error(self, name: str, request: Request) -> Reply:
        """One of the error answers."""
        return error_reply(name, self.options["retry_after_s"], request.headers.get("authorization", ""))

    async def send(self, reply: Reply, connection: Connection) -> bool:
        """Write a reply the way it says; True if the whole of it went out."""
        headers = {"x-request-id": f"req_{os.urandom(8).hex()}", **reply.headers}
        if reply.how == "stall":
            await asyncio.sleep(86400)
        if reply.how == "cut":
            connection.cut()
            return False
        if reply.how == "whole":
            return connection.write(render(reply.status, reply.body, headers))
        size = len(reply.body)
        length = {"too_long": size + 100, "too_short": size - 20}.get(reply.how, size)
        whole = render(reply.status, reply.body, headers, length)
        connection.write(whole[: -size // 2] if reply.how == "cut_body" else whole)
        connection.close()
        return False


async def main(app: App, port: int, parent: int | None) -> None:
    """Serve until killed, or until the process `parent` that started this one has ended."""
    loop = asyncio.get_running_loop()

    def unread(last: object) -> None:
        if isinstance(last, Record):
            app.ledger.unread(last)

    server = await loop.create_server(lambda: Connection(app.handle, unread), "127.0.0.1", port, backlog=1024)
    port = server.sockets[0].getsockname()[1]
    sys.stdout.write(json.dumps({"url": f"http://127.0.0.1:{port}/v1", "pid": os.getpid()}) + "\n")
    sys.stdout.flush()
    while parent in (None, os.getppid()):
        await asyncio.sleep(1.0)
    server.close()


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=int, default=0, help="0: any that is free")
    parser.add_argument(
        "--options", type=json.loads, default={}, help=f"JSON; defaults: {json.dumps(OPTIONS)}"
    )
    parser.add_argument("--log", type=Path, help="a JSONL file: a line for each request")
    parser.add_argument("--parent", type=int, help="end when this process, which started it, has ended")
    return parser.parse_args()


if __name__ == "__main__":
    given = arguments()
    try:
        asyncio.run(main(App(given.options, given.log), given.port, given.parent))
    except ValueError as error:
        sys.exit(f"{error}")
    except KeyboardInterrupt:
        pass
