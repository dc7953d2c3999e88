"""The composition root: an ASGI application from settings."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from fastapi import FastAPI

from mensajeria.kit.clock import Clock, SystemClock
from mensajeria.protocol.api import MAC_HEADER
from mensajeria.server import health
from mensajeria.server.accounts import invites_rest
from mensajeria.server.accounts import rest as accounts_rest
from mensajeria.server.apidocs.routes import docs_router
from mensajeria.server.backup import rest as backup_rest
from mensajeria.server.broker.broker import Broker
from mensajeria.server.broker.memory import MemoryBroker
from mensajeria.server.chats import groups_rest
from mensajeria.server.chats import rest as chats_rest
from mensajeria.server.devices import rest as devices_rest
from mensajeria.server.facts import Facts
from mensajeria.server.files import rest as files_rest
from mensajeria.server.keys import rest as keys_rest
from mensajeria.server.metrics.listener import metrics_listener
from mensajeria.server.metrics.numbers import Numbers
from mensajeria.server.middleware.body_limit import BodyLimit
from mensajeria.server.middleware.context import RequestContext
from mensajeria.server.middleware.origins import Origins
from mensajeria.server.people import profiles_rest
from mensajeria.server.people import rest as people_rest
from mensajeria.server.problems import install_problem_handlers
from mensajeria.server.readiness import Readiness
from mensajeria.server.realtime.figures import Figures
from mensajeria.server.realtime.gateway import Gateway
from mensajeria.server.reference import description_page
from mensajeria.server.routing import all_routes
from mensajeria.server.settings import Settings
from mensajeria.server.startup import start_server
from mensajeria.server.tracing import Traces, traces_for
from mensajeria.server.transparency import rest as transparency_rest
from mensajeria.server.version import VERSION

ROUTES: Final = (
    health,
    accounts_rest,
    invites_rest,
    devices_rest,
    keys_rest,
    chats_rest,
    groups_rest,
    people_rest,
    profiles_rest,
    files_rest,
    backup_rest,
    transparency_rest,
)
DESCRIPTION: Final = (
    "Everything a client needs besides the two WebSockets `/auth/ws` (registration and login) and `/ws` (messages). "
    "Byte strings are base64url without padding. Every error is a problem document (RFC 9457) with a stable `code`."
)


def create_app(settings: Settings, clock: Clock | None = None) -> FastAPI:
    """The application. Its start opens (for SQLite also migrates) the database. Raises as `traces_for`.

    `state.server` holds the services, `state.gateway` the real-time part, to which WebSocket upgrades go (see `serve`).
    """
    clock = clock or SystemClock()
    numbers, traces = Numbers(), traces_for(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        try:
            server = await start_server(settings, clock)
        except Exception as failure:
            app.state.start_failure = failure  # uvicorn would only log it: `serve` tells the operator
            raise
        app.state.server = server
        app.state.gateway = gateway = Gateway(
            server, broker=broker_for(settings, server.facts, numbers), numbers=numbers, traces=traces
        )
        app.state.readiness = Readiness(server, lambda: gateway.draining, lambda: gateway.broker.is_linked)
        try:
            await gateway.start()
            server.files.start()
            server.retention.start()
            await server.signals.start()
            server.audit.start()
            async with metrics_listener(server, Figures(gateway), numbers) as app.state.metrics_port:
                yield
                await gateway.drain()
        except Exception as failure:
            app.state.start_failure = failure
            raise
        finally:
            await server.close()
            if traces is not None:
                await traces.close()

    app = FastAPI(
        title="MensajeriaApp",
        version=VERSION,
        description=DESCRIPTION,
        lifespan=lifespan,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    routers = [module.router for module in ROUTES]
    app.router.routes += all_routes([*routers, docs_router()] if settings.api_docs else routers)
    install_problem_handlers(app)
    _add_middleware(app, settings, clock, numbers, traces)
    app.router.add_route("/openapi.json", description_page(app), include_in_schema=False)
    return app


def broker_for(settings: Settings, facts: Facts, numbers: Numbers) -> Broker:
    """Between processes when there is a Redis, else inside of this one."""
    if settings.redis_url is None:
        return MemoryBroker()
    from mensajeria.server.broker.redis import RedisBroker  # noqa: PLC0415 - 6 MB that most servers never use

    return RedisBroker(settings.redis_url.get_secret_value(), facts.redis_prefix, numbers.redis("publish"))


def _add_middleware(app: FastAPI, settings: Settings, clock: Clock, numbers: Numbers, traces: Traces | None) -> None:
    """The last one added is the outermost."""
    app.add_middleware(BodyLimit)
    if settings.allowed_origins:
        app.add_middleware(
            Origins,
            allow_origins=list(settings.allowed_origins),
            allow_methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "Range", "If-Range", "Upload-Offset", MAC_HEADER],
            expose_headers=["Upload-Offset", "ETag", "Content-Range", "Retry-After", "X-Request-Id"],
            max_age=600,
        )
    app.add_middleware(RequestContext, clock=clock, observe=numbers.request, traces=traces)
