"""Which pages of other origins may call (CORS). A refusal is a problem document, like every other."""

from __future__ import annotations

from http import HTTPStatus

from fastapi.responses import JSONResponse
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from mensajeria.protocol.errors import Code
from mensajeria.server.problems import MEDIA_TYPE, problem_body


class Origins(CORSMiddleware):
    """ASGI middleware."""

    def preflight_response(self, request_headers: Headers) -> Response:
        """What a browser is told before it calls."""
        answer = super().preflight_response(request_headers)
        return answer if answer.status_code == HTTPStatus.OK else _Refusal(answer)


class _Refusal(Response):
    """The framework's, with our words: only when it is sent is it known which request it answers."""

    def __init__(self, answer: Response) -> None:
        super().__init__(status_code=answer.status_code)
        self._allowed = {name: value for name, value in answer.headers.items() if not name.startswith("content-")}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = scope.get("state", {}).get("request_id", "")
        body = problem_body(Code.FORBIDDEN, "origin, method or headers", request_id)
        await JSONResponse(body, body["status"], self._allowed, MEDIA_TYPE)(scope, receive, send)
