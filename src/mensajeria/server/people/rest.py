"""REST endpoints of blocks and of reports: about users, and about what could not be read."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query, Response
from sqlalchemy import Connection, insert, select

from mensajeria.protocol.api import B16, BlockPage, ReportReceipt, ReportRequest, UnreadableReport
from mensajeria.protocol.errors import Code, ProtocolError
from mensajeria.protocol.membership import direct_chat_id
from mensajeria.server.caller import Caller, TheServer
from mensajeria.server.chats.blocks import BLOCKS, PAGE, add_block, remove_block
from mensajeria.server.db.schema import account
from mensajeria.server.db.schema_content import report
from mensajeria.server.ratelimit.limits import Limit
from mensajeria.server.reference import CALLER_CODES, CHANGE_CODES, errors
from mensajeria.server.routing import Endpoint

router: Final = APIRouter(prefix="/v1", tags=["people"], route_class=Endpoint)


@router.get("/blocks", responses=errors(*CALLER_CODES, Code.MALFORMED))
async def list_blocks(login: Caller, server: TheServer, after: Annotated[B16 | None, Query()] = None) -> BlockPage:
    """Whom the caller has blocked, 200 after the user `after`."""
    blocks = await server.db.rows(BLOCKS, account=login.account_id, after=after or b"")
    return BlockPage(blocks=blocks[:PAGE], more=len(blocks) > PAGE)


@router.put(
    "/blocks/{uid}",
    status_code=204,
    responses=errors(*CALLER_CODES, *CHANGE_CODES, Code.UNKNOWN_USER, Code.QUOTA_EXCEEDED),
)
async def block_user(uid: B16, login: Caller, server: TheServer) -> Response:
    """Block a user: no message in the direct chat passes either way, nor anything to devices unless a group is shared.

    The blocked one is not told: messages are refused with `forbidden`, as in a chat whose other member is gone.
    """
    now_ms = server.clock.now_ms()

    def write(connection: Connection) -> int:
        other = _account(connection, uid)
        if other == login.account_id:
            raise ProtocolError(Code.MALFORMED, "uid is the caller's own")
        add_block(connection, login.account_id, other, now_ms)
        return other

    other = await server.db.write(write)
    await server.hub.blocked(direct_chat_id(server.facts.server_id, login.uid, uid), login.account_id, other)
    return Response(status_code=204)


@router.delete("/blocks/{uid}", status_code=204, responses=errors(*CALLER_CODES, *CHANGE_CODES, Code.UNKNOWN_USER))
async def unblock_user(uid: B16, login: Caller, server: TheServer) -> Response:
    """Take a block back; none is no error."""
    await server.db.write(lambda connection: remove_block(connection, login.account_id, _account(connection, uid)))
    await server.hub.chat_rows(direct_chat_id(server.facts.server_id, login.uid, uid), (), (), ())
    return Response(status_code=204)


@router.post("/reports", status_code=201, responses=errors(*CALLER_CODES, *CHANGE_CODES, Code.UNKNOWN_USER))
async def report_user(body: ReportRequest, login: Caller, server: TheServer) -> ReportReceipt:
    """Tell the operator about a user. A report is a claim: the server cannot read messages and proves nothing."""
    await server.limiter.check(Limit.REPORT_ACCOUNT, login.uid)
    values = {
        "reporter": login.account_id,
        "target": body.uid,
        "chat_id": body.chat_id,
        "text": body.text,
        "created_ms": server.clock.now_ms(),
    }

    def write(connection: Connection) -> int:
        _account(connection, body.uid)
        number: int = connection.execute(insert(report).values(values).returning(report.c.id)).scalar_one()
        return number

    return ReportReceipt(id=await server.db.write(write))


@router.post("/unreadable", status_code=204, responses=errors(*CALLER_CODES, *CHANGE_CODES))
async def report_unreadable(body: UnreadableReport, login: Caller, server: TheServer) -> Response:
    """Count messages that the caller's device could not read, for the operator's metrics.

    Only the sums of all callers are kept, in memory: neither who, nor which message, nor when.
    """
    await server.limiter.check(Limit.UNREADABLE_DEVICE, login.did)
    for cause, count in body.model_dump().items():
        if count:
            server.unreadable[cause] += count
    return Response(status_code=204)


def _account(connection: Connection, uid: bytes) -> int:
    found: int | None = connection.execute(select(account.c.id).where(account.c.uid == uid)).scalar_one_or_none()
    if found is None:
        raise ProtocolError(Code.UNKNOWN_USER)
    return found
