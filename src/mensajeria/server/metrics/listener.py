"""`/metrics` on a port of its own, so that it is never public by accident.

Each process has its own numbers and its own port: the first free one from `metrics_port` on, as many as there are
workers. Prometheus is given all of them; it tells them apart by their address.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from hmac import compare_digest
from typing import Final

import structlog
import uvicorn
from fastapi import Depends, FastAPI, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from mensajeria.protocol.errors import Code, ProtocolError
from mensajeria.server.db.failures import DATABASE_ERRORS
from mensajeria.server.findings import Finding, OperatorError
from mensajeria.server.http_front import BoundedHttp
from mensajeria.server.metrics.collect import PrekeyStock, RealTime, ServerCollector
from mensajeria.server.metrics.numbers import Numbers
from mensajeria.server.problems import install_problem_handlers
from mensajeria.server.settings import Settings
from mensajeria.server.state import Server

STOP_S: Final = 2
_log = structlog.get_logger(__name__)


class MetricsPortError(OperatorError):
    """No port is free for the metrics."""


def metrics_app(server: Server, real_time: RealTime, numbers: Numbers) -> FastAPI:
    """The application with the one endpoint."""
    stock = PrekeyStock()
    numbers.registry.register(ServerCollector(real_time, server.db, server.limiter, stock, server.unreadable))
    token = server.settings.metrics_token
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    install_problem_handlers(app)

    async def admit(request: Request) -> None:
        expected = b"" if token is None else b"Bearer " + token.get_secret_value().encode()
        given = request.headers.get("authorization", "").encode("latin-1")
        if expected and not compare_digest(expected, given):
            raise ProtocolError(Code.UNAUTHORIZED)

    @app.get("/metrics", dependencies=[Depends(admit)])
    async def read_metrics() -> Response:
        try:
            await stock.refresh(server.db, server.clock.monotonic())
        except DATABASE_ERRORS as error:  # the other numbers are wanted all the more
            _log.warning("prekeys_not_counted", error=type(error).__name__)
        text = await asyncio.to_thread(generate_latest, numbers.registry)  # reads files of the kernel
        return Response(text, media_type=CONTENT_TYPE_LATEST)

    return app


@asynccontextmanager
async def metrics_listener(server: Server, real_time: RealTime, numbers: Numbers) -> AsyncIterator[int | None]:
    """Serve the metrics meanwhile; gives the port, None when they are not wanted.

    Raises:
        MetricsPortError: see there.
    """
    settings = server.settings
    if settings.metrics_port is None:
        yield None
        return
    listening = _listen(settings, settings.metrics_port)
    port: int = listening.getsockname()[1]
    watching = asyncio.create_task(numbers.watch_loop(), name="loop-lag")
    inner = _Inner(_config(metrics_app(server, real_time, numbers)))
    serving = asyncio.create_task(inner.serve(sockets=[listening]), name="metrics")
    _log.info("metrics_listening", address=settings.metrics_host, port=port)
    try:
        yield port
    finally:
        watching.cancel()
        inner.should_exit = True
        await asyncio.gather(serving, watching, return_exceptions=True)
        listening.close()


def _listen(settings: Settings, first: int) -> socket.socket:
    for port in range(first, first + settings.workers if first else 1):
        with contextlib.suppress(OSError):
            return _bound(settings.metrics_host, port)
    raise MetricsPortError(Finding.LISTEN_TAKEN(host=settings.metrics_host, port=first))


def _bound(host: str, port: int) -> socket.socket:
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
    listening = socket.create_server((host, port), family=family)
    listening.set_inheritable(False)
    return listening


def _config(app: FastAPI) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=BoundedHttp,
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=16,
        timeout_graceful_shutdown=STOP_S,
    )


class _Inner(uvicorn.Server):
    """uvicorn's server inside of another one's event loop: signals are the outer one's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave them."""
        yield
