"""REST endpoints of profiles: sealed by their owners, opened by their contacts."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Response
from sqlalchemy.exc import IntegrityError

from mensajeria.protocol.api import B16, SealedProfile
from mensajeria.protocol.errors import Code
from mensajeria.server.caller import Caller, TheServer
from mensajeria.server.people.profiles import Reader, profile_for, put_profile
from mensajeria.server.ratelimit.limits import Limit
from mensajeria.server.reference import CALLER_CODES, CHANGE_CODES, errors
from mensajeria.server.routing import Endpoint

router: Final = APIRouter(prefix="/v1", tags=["people"], route_class=Endpoint)


@router.put("/profile", status_code=204, responses=errors(*CALLER_CODES, *CHANGE_CODES, Code.PROFILE_CONFLICT))
async def put_own_profile(body: SealedProfile, login: Caller, server: TheServer) -> Response:
    """Publish the caller's profile in place of an older version: name, status and picture that only contacts can open.

    Refused unless `ver` is above the stored one's, so that of two devices that change it at once one learns of it.
    """
    await server.limiter.check(Limit.PROFILE_ACCOUNT, login.uid)
    now_ms = server.clock.now_ms()

    async def store() -> None:
        await server.db.write(lambda db: put_profile(db, login.account_id, body.ver, body.sealed, now_ms))

    try:
        await store()
    except IntegrityError:  # the account's first two at the same moment
        await store()
    return Response(status_code=204)


@router.get("/users/{uid}/profile", responses=errors(*CALLER_CODES, Code.NOT_FOUND, Code.MALFORMED))
async def read_profile(uid: B16, login: Caller, server: TheServer) -> SealedProfile:
    """The newest sealed profile of oneself, or of somebody who has accepted the direct chat with the caller."""
    await server.limiter.check(Limit.PROFILE_READ_ACCOUNT, login.uid)
    reader = Reader(login.account_id, login.uid)
    row = await server.db.query(lambda db: profile_for(db, server.facts.server_id, reader, uid))
    return SealedProfile(ver=row.ver, sealed=row.sealed)
