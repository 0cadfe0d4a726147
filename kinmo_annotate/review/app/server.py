"""A server of pages in the browser: an address that nobody else has, and nothing fetched from elsewhere."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import uvicorn
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse, Response
from nicegui import ui
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kinmo_annotate.review.app.motions import ShownMotion
from kinmo_annotate.schema.records import MotionError

HOST: Final = "127.0.0.1"
CSS: Final = Path(__file__).with_name("page.css")
ICON: Final = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><circle cx="8" cy="3" r="2.4"/>'
    '<path d="M8 6v5M8 11l-3 4M8 11l3 4M3 8h10" stroke="#22262b" stroke-width="1.6" fill="none"/></svg>'
)
# NiceGUI builds its pages with scripts in the page; everything must come from this server.
_HEADERS: Final = {
    "content-security-policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
        "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
        "font-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; "
        "base-uri 'none'; form-action 'none'; object-src 'none'"
    ),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


def run_pages(
    add_pages: Callable[[], None], host: str, port: int, ready: Callable[[str], Any] = lambda url: None
) -> None:
    """Serve pages until Ctrl-C.

    Args:
        add_pages: puts them into NiceGUI's app.
        host: address to bind.
        port: 0 for any that is free.
        ready: told the URL once the port is taken.

    Raises:
        MotionError: the address cannot be taken.
    """
    taken = _take(host, port)
    add_pages()
    outer = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    outer.add_middleware(_Headers)
    ui.run_with(
        outer, title="KinMo", tailwind=False, show_welcome_message=False, binding_refresh_interval=None
    )
    name = reachable(host)
    ready(f"http://{f'[{name}]' if ':' in name else name}:{taken.getsockname()[1]}")
    config = uvicorn.Config(outer, log_level="warning", access_log=False, timeout_graceful_shutdown=2)
    with suppress(KeyboardInterrupt):  # Ctrl-C is how it ends
        uvicorn.Server(config).run(sockets=[taken])


def joints_of(motions: Sequence[ShownMotion], number: str, keep_s: int) -> Response:
    """Answer with a motion's joints, which browsers may keep for so many seconds; 404 for no motion."""
    if not number.isascii() or not number.isdecimal() or int(number[:9]) >= len(motions):
        return PlainTextResponse("There is no such motion.", 404)
    headers = {"cache-control": f"private, max-age={keep_s}"}
    content = motions[int(number[:9])].joints
    return Response(content, media_type="application/octet-stream", headers=headers)


class _Headers:
    """Add headers to every answer: nothing from elsewhere, no address told to others."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)


def reachable(host: str) -> str:
    """Give the address that others use for a host; "all addresses" is none that a link could name."""
    anywhere = {"0.0.0.0": (socket.AF_INET, "192.0.2.1"), "::": (socket.AF_INET6, "2001:db8::1")}
    if host not in anywhere:
        return host
    family, elsewhere = anywhere[host]
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as asked:
            asked.connect((elsewhere, 9))  # chooses the way there and sends nothing
            return str(asked.getsockname()[0])
    except OSError:
        return socket.gethostname()


def _take(host: str, port: int) -> socket.socket:
    """Take an address, so that nobody else can."""
    taken = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind((host, port))
        taken.listen()  # who comes early waits
    except (OSError, OverflowError) as error:
        taken.close()
        remedy = "Is the page served already? Else give another --port, or --port 0 for any that is free."
        raise MotionError(f"{host}:{port}", f"cannot be used ({error})", remedy) from error
    return taken
