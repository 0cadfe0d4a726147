"""HTTP/1.1 on asyncio's raw protocol: whole requests in, bytes out, connections kept alive.

One request of a connection is answered at a time; what a client sends ahead waits in the buffer. A client
that goes away cancels its request. Bodies may come with a content-length or chunked.
"""

from __future__ import annotations

import asyncio
import json
import sys
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import parse_qsl, unquote

REASONS = {status.value: status.phrase for status in HTTPStatus}
LARGEST_BODY = 600 << 20


@dataclass(slots=True)
class Request:
    """One whole request; names of headers in lower case."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes = b""


class Garbled(ValueError):
    """Bytes that are no HTTP/1.1 request."""


def parse_head(head: bytes) -> Request:
    """Read request line and headers."""
    lines = head.decode("latin-1").split("\r\n")
    try:
        method, target, version = lines[0].split(" ")
    except ValueError:
        raise Garbled(lines[0][:80]) from None
    if not version.startswith("HTTP/1."):
        raise Garbled(version)
    headers = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    path, _, query = target.partition("?")
    return Request(method, unquote(path), dict(parse_qsl(query)), headers)


def take_chunked(buffer: bytearray) -> tuple[bytes, int] | None:
    """Read a chunked body from the start of `buffer`: the body and its bytes there; None if not whole."""
    parts, at = [], 0
    while (end := buffer.find(b"\r\n", at)) >= 0:
        size = int(bytes(buffer[at:end]).split(b";")[0], 16)
        at = end + 2
        if size == 0:
            close = buffer.find(b"\r\n", at)
            return None if close < 0 else (b"".join(parts), close + 2)
        if len(buffer) < at + size + 2:
            return None
        parts.append(bytes(buffer[at : at + size]))
        at += size + 2
    return None


def render(
    status: int, body: bytes, headers: dict[str, str] | None = None, length: int | None = None
) -> bytes:
    """Write an answer; `length` replaces the true content-length."""
    lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Unknown')}"]
    fields = {"content-type": "application/json", **(headers or {})}
    fields["content-length"] = str(len(body) if length is None else length)
    lines += [f"{name}: {value}" for name, value in fields.items()]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


class Connection(asyncio.Protocol):
    """One client connection.

    Attributes:
        last: what the handler keeps of the last answer; `on_reset` gets it when the client closed the
            connection with bytes unread (the kernel then sends RST instead of FIN).
    """

    def __init__(
        self, handle: Callable[[Request, Connection], Awaitable[None]], on_reset: Callable[[object], None]
    ) -> None:
        self.handle, self.on_reset = handle, on_reset
        self.buffer = bytearray()
        self.head: Request | None = None
        self.task: asyncio.Task[None] | None = None
        self.last: object = None
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        if self.task is not None:
            self.task.cancel()
        elif isinstance(exc, ConnectionResetError | BrokenPipeError) and self.last is not None:
            self.on_reset(self.last)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        self._next()

    def write(self, data: bytes) -> bool:
        """Send bytes; False if the client is gone."""
        if self.lost or self.transport.is_closing():
            return False
        self.transport.write(data)
        return True

    def close(self) -> None:
        """Close after what is written has been sent."""
        self.transport.close()

    def cut(self) -> None:
        """Close at once, with a reset."""
        self.transport.abort()

    def _next(self) -> None:
        if self.task is not None or self.lost:
            return
        try:
            request = self._take()
        except (Garbled, ValueError) as error:
            self.write(render(400, json.dumps({"error": {"message": f"garbled request: {error}"}}).encode()))
            self.close()
            return
        if request is not None:
            self.task = asyncio.get_running_loop().create_task(self._run(request))

    def _take(self) -> Request | None:
        if self.head is None:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return None
            self.head = parse_head(bytes(self.buffer[:end]))
            del self.buffer[: end + 4]
            if self.head.headers.get("expect", "").lower() == "100-continue":
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request = self.head
        if request.headers.get("transfer-encoding", "").lower() == "chunked":
            whole = take_chunked(self.buffer)
            if whole is None:
                return None
            request.body, used = whole
        else:
            used = int(request.headers.get("content-length", 0))
            if used > LARGEST_BODY:
                raise Garbled("body too large")
            if len(self.buffer) < used:
                return None
            request.body = bytes(self.buffer[:used])
        del self.buffer[:used]
        self.head = None
        return request

    async def _run(self, request: Request) -> None:
        try:
            await self.handle(request, self)
        except Exception:
            sys.stderr.write(traceback.format_exc())
            self.write(
                render(500, b'{"error": {"message": "a fault of the test server itself: see stderr"}}')
            )
            self.close()
        finally:
            self.task = None
        if request.headers.get("connection", "").lower() == "close":
            self.close()
        self._next()
