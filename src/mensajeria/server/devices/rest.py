"""REST endpoint of the caller's own devices."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from sqlalchemy import select

from mensajeria.protocol.api import DeviceInfo, DeviceInfos
from mensajeria.server.caller import Caller, TheServer
from mensajeria.server.db.schema import device
from mensajeria.server.reference import CALLER_CODES, errors

router: Final = APIRouter(prefix="/v1")


@router.get("/devices", tags=["devices"], responses=errors(*CALLER_CODES))
async def own_devices(login: Caller, server: TheServer) -> DeviceInfos:
    """The caller's devices, oldest first. Names and times are what the server believes: display only."""
    query = (
        select(device.c.did, device.c.name, device.c.created_ms, device.c.last_seen_ms)
        .where(device.c.account_id == login.account_id, device.c.revoked_ms.is_(None))
        .order_by(device.c.id)
    )
    async with server.db.read() as connection:
        rows = (await connection.execute(query)).all()
    return DeviceInfos(
        devices=[
            DeviceInfo(
                did=row.did,
                name=row.name,
                created_ms=row.created_ms,
                last_seen_ms=row.last_seen_ms,
                current=row.did == login.did,
            )
            for row in rows
        ]
    )
