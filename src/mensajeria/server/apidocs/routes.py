"""`/docs`: Redoc, at one version, from the package's own files. Nothing is loaded from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from fastapi import APIRouter, Response

from mensajeria.server.routing import Endpoint

ASSETS: Final = Path(__file__).with_name("assets")
REDOC: Final = "redoc-2.5.4.js.gz"
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; "
    "img-src 'self' data:; worker-src blob:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
"""Redoc writes its styles into the page and searches in a worker made from a blob."""
_HEADERS: Final = {"Content-Security-Policy": POLICY, "Cache-Control": "public, max-age=3600"}
_PACKED: Final = {"Content-Encoding": "gzip"}  # every browser unpacks it; it is not kept in two sizes


def docs_router() -> APIRouter:
    """The page and its two programs. Reads the files once, now."""
    router = APIRouter(prefix="/docs", include_in_schema=False, route_class=Endpoint)
    _add(router, "", (ASSETS / "index.html").read_bytes(), "text/html; charset=utf-8", {})
    _add(router, "/start.js", (ASSETS / "start.js").read_bytes(), "text/javascript; charset=utf-8", {})
    _add(router, "/redoc.js", (ASSETS / REDOC).read_bytes(), "text/javascript; charset=utf-8", _PACKED)
    return router


def _add(router: APIRouter, path: str, content: bytes, media_type: str, extra: dict[str, str]) -> None:
    async def answer() -> Response:
        return Response(content, media_type=media_type, headers={**_HEADERS, **extra})

    router.add_api_route(path, answer, methods=["GET"])
