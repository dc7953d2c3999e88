"""Every failure of a REST call as an RFC 9457 problem document with a stable code."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException
from starlette.routing import Match

from mensajeria.protocol.api import Problem
from mensajeria.protocol.errors import MEANINGS, Code, ProtocolError
from mensajeria.server.db.failures import ConnectionBrokenError, LaneError
from mensajeria.server.findings import cause_of

METHODS: Final = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
MEDIA_TYPE: Final = "application/problem+json"
_BY_STATUS: Final = {
    400: Code.MALFORMED,
    401: Code.UNAUTHORIZED,
    403: Code.FORBIDDEN,
    404: Code.NOT_FOUND,
    405: Code.METHOD_NOT_ALLOWED,
    413: Code.TOO_LARGE,
    422: Code.MALFORMED,
    429: Code.RATE_LIMITED,
    503: Code.UNAVAILABLE,
}
_log = structlog.get_logger(__name__)


def problem_body(
    code: Code, detail: str, request_id: str, retry_after_ms: int = 0, status: int | None = None
) -> dict[str, Any]:
    """The document as JSON values."""
    meaning = MEANINGS[code]
    return Problem(
        type=f"urn:mensajeria:problem:{code}",
        title=meaning.text,
        status=status or meaning.status,
        code=code.value,
        detail=detail,
        request_id=request_id,
        retry_after_ms=retry_after_ms,
    ).model_dump()


def problem_headers(code: Code, retry_after_ms: int) -> dict[str, str]:
    """The headers that go with it."""
    headers = {"Cache-Control": "no-store"}
    if retry_after_ms:
        headers["Retry-After"] = str(-(-retry_after_ms // 1000))
    if MEANINGS[code].status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return headers


def _response(
    request: Request, code: Code, detail: str = "", retry_after_ms: int = 0, status: int | None = None
) -> JSONResponse:
    body = problem_body(code, detail, getattr(request.state, "request_id", ""), retry_after_ms, status)
    headers = problem_headers(code, retry_after_ms)
    return JSONResponse(body, body["status"], headers=headers, media_type=MEDIA_TYPE)


async def _on_protocol_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ProtocolError)
    return _response(request, error.code, error.detail, error.retry_after_ms)


async def _on_validation_error(request: Request, error: Exception) -> JSONResponse:
    """Names the field, never repeats the value: it may be a secret."""
    assert isinstance(error, RequestValidationError)
    places = [".".join(str(part) for part in item["loc"]) + ": " + str(item["msg"]) for item in error.errors()[:3]]
    return _response(request, Code.MALFORMED, "; ".join(places)[:500])


async def _on_http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    code = _BY_STATUS.get(error.status_code, Code.INTERNAL)
    answer = _response(request, code, "", status=error.status_code)
    answer.headers.update(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        answer.headers["Allow"] = ", ".join(_allowed(request))
    return answer


def _allowed(request: Request) -> list[str]:
    """The methods of this path: the framework names only those of the first route that has it."""
    routes = request.app.routes

    def has(method: str) -> bool:
        scope = {**request.scope, "method": method}
        return any(route.matches(scope)[0] is Match.FULL for route in routes)

    return [method for method in METHODS if has(method)]


async def _on_database_error(request: Request, error: Exception) -> JSONResponse:
    of_driver = error.__cause__ if isinstance(error, LaneError | ConnectionBrokenError) else None
    request_id = getattr(request.state, "request_id", "")
    _log.error("database_failed", error=cause_of(of_driver or error), request_id=request_id)
    return _response(request, Code.UNAVAILABLE)


async def _on_integrity_error(request: Request, error: Exception) -> JSONResponse:
    """Nothing can refer to an account that was deleted while it asked."""
    login = getattr(request.state, "login", None)
    if login is not None:
        try:
            await request.app.state.server.authenticator.by_device(login.did)
        except ProtocolError as gone:
            return await _on_protocol_error(request, gone)
    raise error  # a bug, not the database's failure: the outermost middleware logs it and answers


_HANDLERS: Final[dict[type[Exception], Callable[[Request, Exception], Awaitable[JSONResponse]]]] = {
    ProtocolError: _on_protocol_error,
    RequestValidationError: _on_validation_error,
    HTTPException: _on_http_error,
    IntegrityError: _on_integrity_error,
    DBAPIError: _on_database_error,
    LaneError: _on_database_error,
    ConnectionBrokenError: _on_database_error,
    sqlite3.Error: _on_database_error,
    PoolTimeoutError: _on_database_error,
    OSError: _on_database_error,
}


def install_problem_handlers(app: FastAPI) -> None:
    """Make every error of the application a problem document."""
    for kind, handler in _HANDLERS.items():
        app.add_exception_handler(kind, handler)
