"""REST endpoint of the caller's own devices."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Response
from sqlalchemy import Connection, bindparam, select, update

from mensajeria.protocol.api import B16, DeviceInfo, DeviceInfos, DeviceRename, ListsBroughtBack
from mensajeria.protocol.errors import Code, ProtocolError
from mensajeria.protocol.records import Signed
from mensajeria.server.caller import Caller, TheServer
from mensajeria.server.db.reads import Read
from mensajeria.server.db.schema import device
from mensajeria.server.devices.restored import bring_back
from mensajeria.server.ratelimit.limits import Limit
from mensajeria.server.reference import CALLER_CODES, CHANGE_CODES, errors
from mensajeria.server.routing import Endpoint

router: Final = APIRouter(prefix="/v1", route_class=Endpoint)
OWN: Final = Read(
    select(*(device.c.did, device.c.name, device.c.created_ms, device.c.last_seen_ms), device.c.did == bindparam("did"))
    .where(device.c.account_id == bindparam("account"), device.c.revoked_ms.is_(None))
    .order_by(device.c.id),
    lambda did, name, created_ms, last_seen_ms, current: DeviceInfo(
        did=did, name=name, created_ms=created_ms, last_seen_ms=last_seen_ms, current=bool(current)
    ),
)
"""The devices of `account`, oldest first; `did` is the one that asks."""


@router.get("/devices", tags=["devices"], responses=errors(*CALLER_CODES))
async def own_devices(login: Caller, server: TheServer) -> DeviceInfos:
    """The caller's devices, oldest first. Names and times are what the server believes: display only."""
    return DeviceInfos(devices=await server.db.rows(OWN, account=login.account_id, did=login.did))


@router.put(
    "/devices/{did}/name",
    tags=["devices"],
    status_code=204,
    responses=errors(*CALLER_CODES, *CHANGE_CODES, Code.UNKNOWN_DEVICE),
)
async def rename_device(did: B16, body: DeviceRename, login: Caller, server: TheServer) -> Response:
    """Give one of the caller's devices another name."""

    def write(connection: Connection) -> int:
        own = (device.c.did == did, device.c.account_id == login.account_id, device.c.revoked_ms.is_(None))
        return connection.execute(update(device).where(*own).values(name=body.name)).rowcount

    if not await server.db.write(write):
        raise ProtocolError(Code.UNKNOWN_DEVICE)
    return Response(status_code=204)


@router.put(
    "/devices/lists",
    tags=["devices"],
    status_code=204,
    responses=errors(*CALLER_CODES, *CHANGE_CODES, Code.FORBIDDEN, Code.LIST_CONFLICT, Code.LIST_INVALID),
)
async def bring_back_lists(body: ListsBroughtBack, login: Caller, server: TheServer) -> Response:
    """Store the caller's device lists that a restored server lacks: `newest`, and the bodies `between`, ascending.

    Only after a declared restore (restore_epoch above 1), and only what the account's identity has signed, as the
    continuation of the stored list. The caller's device must stand in the newest one.
    """
    await server.limiter.check(Limit.LIST_ACCOUNT, login.uid)
    if server.facts.restore_epoch <= 1:
        raise ProtocolError(Code.FORBIDDEN)
    newest = Signed(body.newest.body, body.newest.sig)
    now_ms = server.clock.now_ms()
    done = await server.db.write(lambda db: bring_back(db, login, body.between, newest, now_ms))
    await server.ends.tell(done.ended)
    await server.hub.notify_list_changed(done.audience, login.uid, done.ver)
    return Response(status_code=204)
