"""The outermost layer: request id, security headers, a log line per request, the answer to an unexpected failure."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mensajeria.kit.clock import Clock
from mensajeria.kit.ids import uuid7_str
from mensajeria.protocol.errors import Code
from mensajeria.server.logs import failure
from mensajeria.server.problems import MEDIA_TYPE, problem_body, problem_headers
from mensajeria.server.tracing import Traces

HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"strict-transport-security", b"max-age=31536000"),  # a browser ignores it on plain http
)
METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
"""Others are a caller's own words: neither a label nor a log is to hold them."""
Observe = Callable[[str, str, int, float], None]
_log = structlog.get_logger("mensajeria.server.http")


class RequestContext:
    """ASGI middleware. The request id is ours: one that a caller sends would end up in the log."""

    def __init__(self, app: ASGIApp, clock: Clock, observe: Observe, traces: Traces | None = None) -> None:
        """`observe` gets method, route, status and seconds of each request."""
        self._traces = traces
        self._app = app
        self._clock = clock
        self._observe = observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = _Request(uuid7_str(), send)
        scope.setdefault("state", {})["request_id"] = request.id
        if self._traces is None:
            await self._answer(scope, receive, request)
            return
        with self._traces.span("request") as span:
            await self._answer(scope, receive, request)
            self._traces.request(span, _method(scope), _route(scope), request.status)

    async def _answer(self, scope: Scope, receive: Receive, request: _Request) -> None:
        started = self._clock.monotonic()
        try:
            await self._app(scope, receive, request.send)
        except Exception as error:  # noqa: BLE001 - the edge: whatever failed fails this request alone
            _log.error("request_failed", request_id=request.id, route=_route(scope), **failure(error))
            await request.fail()
        finally:
            self._log_line(scope, request, started)

    def _log_line(self, scope: Scope, request: _Request, started: float) -> None:
        seconds = self._clock.monotonic() - started
        method, route, status = _method(scope), _route(scope), request.status
        self._observe(method, route, status, seconds)
        _log.info(
            "request", request_id=request.id, method=method, route=route, status=status, ms=round(seconds * 1000, 1)
        )


class _Request:
    """One request's way out."""

    def __init__(self, request_id: str, send: Send) -> None:
        self.id = request_id
        self.status = 0
        self._send = send

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            own = list(message.get("headers", ()))
            set_already = {name.lower() for name, _ in own}  # a page for people has a policy of its own
            ours = (pair for pair in HEADERS if pair[0] not in set_already)
            headers = [*own, *ours, (b"x-request-id", self.id.encode())]
            message = {**message, "headers": headers}
        await self._send(message)

    async def fail(self) -> None:
        """Answer 500, unless an answer is under way: then the connection is cut by the server for the missing rest."""
        if self.status:
            return
        body = json.dumps(problem_body(Code.INTERNAL, "", self.id)).encode()
        headers = {**problem_headers(Code.INTERNAL, 0), "content-type": MEDIA_TYPE, "content-length": str(len(body))}
        raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await self.send({"type": "http.response.start", "status": 500, "headers": raw})
        await self.send({"type": "http.response.body", "body": body})


def _method(scope: Scope) -> str:
    return str(scope["method"]) if scope["method"] in METHODS else "-"


def _route(scope: Scope) -> str:
    """The route's template: a path would tell user names and ids."""
    route = scope.get("route")
    return str(getattr(route, "path", "-"))
