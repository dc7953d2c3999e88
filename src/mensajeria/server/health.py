"""Endpoints for whoever watches the server."""

from __future__ import annotations

from typing import Final, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel

from mensajeria.protocol import limits
from mensajeria.protocol.errors import Code, ProtocolError
from mensajeria.server.caller import TheServer
from mensajeria.server.readiness import Readiness
from mensajeria.server.reference import errors
from mensajeria.server.routing import Endpoint
from mensajeria.server.version import VERSION

router: Final = APIRouter(tags=["health"], route_class=Endpoint)


class Health(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Ready(BaseModel):
    """The process should be given work. `degraded`: not all of it is well, `detail` names what is away."""

    status: Literal["ok", "degraded"] = "ok"
    detail: str = ""


class Version(BaseModel):
    """Program and protocol."""

    version: str
    protocol: int


@router.get("/healthz")
async def is_alive() -> Health:
    """Liveness: the process handles requests. Says nothing about its database."""
    return Health()


@router.get("/readyz", responses=errors(Code.UNAVAILABLE))
async def is_ready(request: Request, _server: TheServer) -> Ready:
    """Readiness: whether this process should be given work.

    The database answers, takes writes and has the schema this program needs, the data folder has room, and the process
    is not about to end. Otherwise `detail` names what is wrong: draining, disk, database, schema or writer.

    Without Redis a process is ready, but degraded: messages are stored and acknowledged, and reach devices on other
    processes when it is back; logins are refused meanwhile.
    """
    readiness: Readiness = request.app.state.readiness
    if faults := await readiness.faults():
        raise ProtocolError(Code.UNAVAILABLE, ",".join(faults))
    away = readiness.lacks()
    return Ready(status="degraded" if away else "ok", detail=",".join(away))


for path, answer in (("/healthz", is_alive), ("/readyz", is_ready)):  # many monitors ask for the head alone
    router.add_api_route(path, answer, methods=["HEAD"], include_in_schema=False)


@router.get("/version")
async def read_version() -> Version:
    """Which program this is."""
    return Version(version=VERSION, protocol=limits.PROTOCOL_VERSION)
