"""REST endpoints of membership chains: groups, events, and erasing messages."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Query
from sqlalchemy import Connection

from mensajeria.protocol.api import (
    B32,
    EraseRequest,
    EraseResponse,
    GroupRequest,
    MemberEventPage,
    MemberEventRequest,
    MemberEventStored,
    SignedModel,
    StoredMemberEvent,
)
from mensajeria.protocol.errors import Code
from mensajeria.protocol.frames import Event
from mensajeria.protocol.records import Signed
from mensajeria.server.caller import Caller, TheServer
from mensajeria.server.chats.access import as_member
from mensajeria.server.chats.cache import ChatInfo, read_chat
from mensajeria.server.chats.erase import Wish, erase
from mensajeria.server.chats.membership import Stored, append_event, create_group, events_of_chain, removed_at
from mensajeria.server.ratelimit.limits import Limit
from mensajeria.server.reference import CALLER_CODES, CHANGE_CODES, errors
from mensajeria.server.routing import Endpoint

router: Final = APIRouter(prefix="/v1/chats", tags=["chats"], route_class=Endpoint)
_EVENT_CODES: Final = (
    Code.EVENT_INVALID,
    Code.EVENT_CONFLICT,
    Code.UNKNOWN_USER,
    Code.REQUEST_LIMIT,
    Code.NEWER_VERSION,
)
_signed: Final = msgspec.msgpack.Decoder(Signed)


@router.post("", status_code=201, responses=errors(*CALLER_CODES, *CHANGE_CODES, *_EVENT_CODES))
async def create(body: GroupRequest, login: Caller, server: TheServer) -> MemberEventStored:
    """Make a group from its signed create event. Its id is the event's hash; strangers get it as a request."""
    await server.limiter.check(Limit.CHAT_CREATE_ACCOUNT, login.uid)
    return _answer(await create_group(server, login, Signed(body.create.body, body.create.sig)))


@router.post(
    "/{chat_id}/events",
    status_code=201,
    responses=errors(*CALLER_CODES, *CHANGE_CODES, *_EVENT_CODES, Code.UNKNOWN_CHAT),
)
async def append(chat_id: B32, body: MemberEventRequest, login: Caller, server: TheServer) -> MemberEventStored:
    """Append the next event of the chat's membership chain, if it follows the rule and no other event came first.

    The same event again gives the same answer. In a direct chat only `device` and `identity` events are possible. When
    the last member leaves a group, its log is erased.
    """
    await server.limiter.check(Limit.MEMBER_EVENT_ACCOUNT, login.uid)
    return _answer(await append_event(server, login, chat_id, Signed(body.event.body, body.event.sig)))


@router.get("/{chat_id}/members-events", responses=errors(*CALLER_CODES, Code.MALFORMED, Code.UNKNOWN_CHAT))
async def read_events(
    chat_id: B32, login: Caller, server: TheServer, after: Annotated[int, Query(ge=0, lt=1 << 53)] = 0
) -> MemberEventPage:
    """The chain's signed events with a membership number above `after`, ascending: everything to compute who is in.

    Who was removed while they were away gets the chain up to their removal, which proves it, and nothing beyond.
    """

    def read(connection: Connection) -> MemberEventPage:
        info = read_chat(connection, chat_id)
        until = None if info is None or login.account_id in info.members else removed_at(connection, info.id, login.uid)
        if info is None or until is None:
            info = as_member(info, login.account_id)
        rows, more = events_of_chain(connection, info.id, after, until)
        return MemberEventPage(events=[_stored(row.seq, row.ts, row.body) for row in rows], more=more)

    return await server.db.query(read)


@router.post("/{chat_id}/erase", responses=errors(*CALLER_CODES, *CHANGE_CODES, Code.UNKNOWN_CHAT))
async def erase_messages(chat_id: B32, body: EraseRequest, login: Caller, server: TheServer) -> EraseResponse:
    """Erase messages for everybody: with the token whose SHA-256 the message carries, or as an admin of the group.

    What is left is a tombstone with the same number, pushed to the members as an event.
    """
    await server.limiter.check(Limit.ERASE_ACCOUNT, login.uid, cost=len(body.items))
    wishes = [Wish(item.mid, item.token) for item in body.items]

    def write(connection: Connection) -> tuple[list[str], list[Event], ChatInfo]:
        info = as_member(read_chat(connection, chat_id), login.account_id)
        return *erase(connection, info, login.uid, wishes), info

    results, changed, info = await server.db.write(write)
    if changed:
        await server.hub.chat_rows(chat_id, (), info.audience, changed)
    return EraseResponse.model_validate({"results": results})


def _answer(stored: Stored) -> MemberEventStored:
    return MemberEventStored(
        chat_id=stored.row.chat_id,
        seq=stored.row.seq,
        ts=stored.row.ts,
        member_seq=stored.member_seq,
        epoch=stored.epoch,
    )


def _stored(seq: int, ts: int, body: bytes) -> StoredMemberEvent:
    signed = _signed.decode(body)
    return StoredMemberEvent(seq=seq, ts=ts, event=SignedModel(body=signed.body, sig=signed.sig))
