"""What the OpenAPI document says beyond what FastAPI finds out by itself: error answers and authentication."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.openapi.utils import get_openapi
from starlette.responses import Response

from mensajeria.protocol.api import MAC_HEADER, Problem
from mensajeria.protocol.errors import MEANINGS, Code
from mensajeria.server.examples import add_examples
from mensajeria.server.problems import MEDIA_TYPE, problem_body

CALLER_CODES: Final = (
    Code.UNAUTHORIZED,
    Code.TOKEN_EXPIRED,
    Code.LOGIN_REVOKED,
    Code.ACCOUNT_SUSPENDED,
    Code.RATE_LIMITED,
    Code.UNAVAILABLE,
)
"""What every endpoint that needs a login may answer."""
CHANGE_CODES: Final = (Code.REPLAYED, Code.MALFORMED, Code.TOO_LARGE)
"""What every endpoint that changes something may answer besides."""
_EXAMPLE_REQUEST: Final = "01936f2e-7c1a-7f00-8000-000000000000"
_SECURITY: Final = {
    "accessToken": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "Access token (EdDSA), 10 minutes.",
    },
    "requestMac": {
        "type": "apiKey",
        "in": "header",
        "name": MAC_HEADER,
        "description": "<counter>.<base64url of HMAC-SHA256(HKDF(CK, info 'rest'), cat(method, path with query, "
        "SHA-256(body), counter u64))>. The counter of a device only grows.",
    },
}
_OPEN: Final[list[dict[str, list[str]]]] = []
_CALLER: Final[list[dict[str, list[str]]]] = [{"accessToken": [], "requestMac": []}]
_MAC_ONLY: Final[list[dict[str, list[str]]]] = [{"requestMac": []}]


def errors(*codes: Code) -> dict[int | str, dict[str, Any]]:
    """FastAPI's `responses` for these codes: one problem document per status, one example per code."""
    by_status: dict[int, list[Code]] = defaultdict(list)
    for code in codes:
        by_status[MEANINGS[code].status].append(code)
    return {status: _answer(found) for status, found in sorted(by_status.items())}


def _answer(codes: list[Code]) -> dict[str, Any]:
    examples = {code.value: {"value": problem_body(code, "", _EXAMPLE_REQUEST)} for code in codes}
    return {
        "description": " ".join(MEANINGS[code].text for code in codes),
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": examples}},
    }


def description_page(app: FastAPI) -> Callable[[Request], Awaitable[Response]]:
    """`/openapi.json`: made when somebody asks first, kept as the bytes that are sent."""
    made: list[bytes] = []

    def make() -> bytes:
        return json.dumps(describe(app), separators=(",", ":")).encode()

    async def read(_request: Request) -> Response:
        if not made:
            made.append(await asyncio.to_thread(make))
        return Response(made[0], media_type="application/json")

    return read


def describe(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI 3.1 document."""
    document = get_openapi(
        title=app.title,
        version=app.version,
        openapi_version="3.1.0",
        description=app.description,
        routes=app.routes,
    )
    components = document.setdefault("components", {})
    components["securitySchemes"] = _SECURITY
    schemas = components.setdefault("schemas", {})
    schemas["Problem"] = Problem.model_json_schema()
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for path, methods in document["paths"].items():
        for operation in methods.values():
            operation["security"] = _security_of(path)
            operation["responses"].pop("422", None)
    add_examples(document)
    return document


def _security_of(path: str) -> list[dict[str, list[str]]]:
    if not path.startswith("/v1/") or path == "/v1/server":
        return _OPEN
    return _MAC_ONLY if path == "/v1/auth/refresh" else _CALLER
