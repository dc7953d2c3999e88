"""REST endpoints of members' invites."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Path, Query, Response

from mensajeria.protocol.api import CreatedInviteInfo, InvitePage, InviteRequest
from mensajeria.protocol.errors import Code, ProtocolError
from mensajeria.server.accounts import member_invites
from mensajeria.server.caller import Caller, TheServer
from mensajeria.server.ratelimit.limits import Limit
from mensajeria.server.reference import CALLER_CODES, CHANGE_CODES, errors
from mensajeria.server.routing import Endpoint

router: Final = APIRouter(prefix="/v1/invites", tags=["invites"], route_class=Endpoint)
InviteId = Annotated[int, Path(ge=0, lt=1 << 53)]


@router.post("", status_code=201, responses=errors(*CALLER_CODES, *CHANGE_CODES, Code.FORBIDDEN, Code.QUOTA_EXCEEDED))
async def create(body: InviteRequest, login: Caller, server: TheServer) -> CreatedInviteInfo:
    """Make an invite, where members may. Its token is told once."""
    if not server.settings.member_invites:
        raise ProtocolError(Code.FORBIDDEN, "invites by members")
    await server.limiter.check(Limit.INVITE_CREATE_ACCOUNT, login.uid)
    now_ms = server.clock.now_ms()
    return await server.db.write(
        lambda connection: member_invites.make(connection, login, uses=body.uses, days=body.days, now_ms=now_ms)
    )


@router.get("", responses=errors(*CALLER_CODES, Code.MALFORMED))
async def read(
    login: Caller, server: TheServer, before: Annotated[int | None, Query(ge=0, lt=1 << 53)] = None
) -> InvitePage:
    """The caller's invites with an id below `before`, newest first, and who registered with them."""
    now_ms = server.clock.now_ms()
    return await server.db.query(lambda c: member_invites.page(c, login, before=before, now_ms=now_ms))


@router.delete("/{invite_id}", status_code=204, responses=errors(*CALLER_CODES, *CHANGE_CODES, Code.NOT_FOUND))
async def revoke(invite_id: InviteId, login: Caller, server: TheServer) -> Response:
    """End an invite of the caller's; who has registered with it stays."""
    now_ms = server.clock.now_ms()
    await server.db.write(lambda connection: member_invites.revoke(connection, login, invite_id, now_ms))
    return Response(status_code=204)
