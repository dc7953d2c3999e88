"""uvicorn's HTTP protocol with bounds on what a caller can make it hold, and on how long it waits for one.

uvicorn keeps the headers of a request, however many, for as long as they take to come, and looks at no clock before an
answer. A proxy in front has such bounds; a server that is reached without one needs its own. What it relies on in
uvicorn 0.54 is checked by tests/server/watching/test_http_front.py over real sockets.
"""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus
from typing import Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from mensajeria.kit.ids import uuid7_str
from mensajeria.protocol.errors import Code
from mensajeria.server.problems import MEDIA_TYPE, problem_body, problem_headers

HEAD_MAX: Final = 64 << 10
"""Bytes of a head, or between two besides a body: what chunks and trailers add. Our clients' heads have 600."""
HEAD_S: Final = 10.0
"""Seconds for the head of a request, and for what still comes of one that is answered."""
STALLED_S: Final = 120.0
"""Seconds for a reader to take what waits for it: 256 KiB at most, so this is 2 KiB/s."""


class BoundedHttp(HttpToolsProtocol):
    """One connection. The body's own bounds are those of `middleware.body_limit` and of uploads."""

    _besides_body = 0
    _deadline: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None
    _handed_over = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A request must begin soon."""
        super().connection_made(transport)
        self._deadline = self.loop.call_later(HEAD_S, self._too_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        self._wait_no_more()
        self._flows_again()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what is no body; wait for the rest of a head, but not for ever."""
        self._besides_body += len(data)
        super().data_received(data)
        if self._handed_over:
            return
        if self._besides_body > HEAD_MAX:
            self._refuse(Code.TOO_LARGE, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        elif self._deadline is None and not self._is_answering:
            self._deadline = self.loop.call_later(HEAD_S, self._too_slow)

    def handle_websocket_upgrade(self) -> None:
        """The connection is another protocol's from here on, unless the method is none for that."""
        if self.scope["method"] != "GET":
            self._refuse(Code.MALFORMED, HTTPStatus.BAD_REQUEST)
            return
        self._handed_over = True
        super().handle_websocket_upgrade()

    def on_headers_complete(self) -> None:
        """The application, or the WebSocket's protocol, takes it from here."""
        self._wait_no_more()
        self._besides_body = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._besides_body -= len(body)
        super().on_body(body)

    def pause_writing(self) -> None:
        """The reader does not keep up."""
        if self._stalled is None:
            self._stalled = self.loop.call_later(STALLED_S, self.transport.abort)
        super().pause_writing()

    def resume_writing(self) -> None:
        """It does."""
        self._flows_again()
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's own words
        """Answer what is no HTTP as every other error is answered."""
        self._refuse(Code.MALFORMED, HTTPStatus.BAD_REQUEST)

    @property
    def _is_answering(self) -> bool:
        return not getattr(self.cycle, "response_complete", True)  # there is no cycle before the first request

    def _wait_no_more(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _flows_again(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _too_slow(self) -> None:
        self._deadline = None
        if self._is_answering:  # the next request has begun behind one that still gets its answer
            self._deadline = self.loop.call_later(HEAD_S, self._too_slow)
        elif not self._besides_body:  # nobody has asked
            self.transport.close()
        else:
            self._refuse(Code.UNAVAILABLE, HTTPStatus.REQUEST_TIMEOUT)

    def _refuse(self, code: Code, status: HTTPStatus) -> None:
        """Say why and close; without a word where an answer has begun."""
        self._wait_no_more()
        if self.transport.is_closing():
            return
        if self._is_answering:
            self.transport.abort()
            return
        request_id = uuid7_str()
        body = json.dumps(problem_body(code, "", request_id, status=int(status))).encode()
        headers = problem_headers(code, 0) | {
            "Content-Type": MEDIA_TYPE,
            "Content-Length": str(len(body)),
            "Connection": "close",
            "X-Request-Id": request_id,
        }
        lines = [f"{name}: {value}\r\n".encode() for name, value in headers.items()]
        self.transport.write(b"".join([STATUS_LINE[status], *lines, b"\r\n", body]))
        self.transport.close()
