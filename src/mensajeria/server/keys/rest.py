"""REST endpoints of prekeys."""

from __future__ import annotations

import asyncio
from typing import Final

from fastapi import APIRouter
from sqlalchemy import Connection, select

from mensajeria.protocol.api import ClaimRequest, ClaimResponse, PrekeyState, PrekeyUpload, SignedModel
from mensajeria.protocol.auth import Prekeys
from mensajeria.protocol.errors import Code
from mensajeria.protocol.prekeys import SigningKey
from mensajeria.protocol.records import Signed
from mensajeria.server.caller import Caller, TheServer
from mensajeria.server.db.schema import device
from mensajeria.server.keys.claims import claim
from mensajeria.server.keys.prekeys import STATE, check_prekeys, replace_prekeys
from mensajeria.server.ratelimit.limits import Limit
from mensajeria.server.reference import CALLER_CODES, CHANGE_CODES, errors
from mensajeria.server.routing import Endpoint

router: Final = APIRouter(prefix="/v1", route_class=Endpoint)


@router.post("/prekeys/claim", tags=["keys"], responses=errors(*CALLER_CODES, *CHANGE_CODES))
async def claim_prekeys(body: ClaimRequest, login: Caller, server: TheServer) -> ClaimResponse:
    """Keys to open sessions with up to 64 devices. One-time keys are gone with the answer."""
    return ClaimResponse(keys=await claim(server.db, server.limiter, server.hub, login, body.dids))


@router.get("/devices/me/prekeys", tags=["keys"], responses=errors(*CALLER_CODES))
async def read_prekeys(login: Caller, server: TheServer) -> PrekeyState:
    """What the server has of the calling device."""
    (state,) = await server.db.rows(STATE, device=login.device_id)
    return state


@router.put("/devices/me/prekeys", tags=["keys"], responses=errors(*CALLER_CODES, *CHANGE_CODES, Code.STALE_PREKEY))
async def upload_prekeys(body: PrekeyUpload, login: Caller, server: TheServer) -> PrekeyState:
    """Publish keys of the calling device: one-time keys are added, fallback key and hybrid prekey replaced if given."""
    await server.limiter.check(Limit.PREKEY_UPLOAD_DEVICE, login.did)
    prekeys = Prekeys(tuple(map(_signed, body.one_time)), _signed_or_none(body.fallback), _signed_or_none(body.pq))
    now_ms = server.clock.now_ms()

    def read_signer(connection: Connection) -> SigningKey:
        query = select(device.c.did, device.c.ed25519).where(device.c.id == login.device_id)
        return SigningKey(*connection.execute(query).one())

    signer = await server.db.query(read_signer)
    checked = await asyncio.to_thread(check_prekeys, prekeys, uid=login.uid, signer=signer, now_ms=now_ms)

    def store(connection: Connection) -> PrekeyState:
        replace_prekeys(connection, login.device_id, checked, now_ms)
        (state,) = STATE.within(connection, device=login.device_id)
        return state

    return await server.db.write(store)


def _signed(model: SignedModel) -> Signed:
    return Signed(model.body, model.sig)


def _signed_or_none(model: SignedModel | None) -> Signed | None:
    return None if model is None else _signed(model)
