"""REST endpoints of chats: registering a direct chat, answering a request, listing."""

from __future__ import annotations

from operator import attrgetter
from typing import Annotated, Final

from fastapi import APIRouter, Query, Response
from sqlalchemy import Connection, select
from sqlalchemy.exc import IntegrityError

from mensajeria.protocol.api import B32, ChatAnswer, ChatPage, ChatState, DirectChatRequest
from mensajeria.protocol.errors import Code, ProtocolError
from mensajeria.protocol.frames import Head
from mensajeria.protocol.membership import direct_chat_id
from mensajeria.server.accounts.sessions import Login
from mensajeria.server.caller import Caller, TheServer
from mensajeria.server.chats.access import as_member
from mensajeria.server.chats.cache import read_chat
from mensajeria.server.chats.heads import Viewer, heads_page, one_head
from mensajeria.server.chats.repository import answer, create_direct
from mensajeria.server.db.schema import ACTIVE, account
from mensajeria.server.ratelimit.limits import Limit
from mensajeria.server.reference import CALLER_CODES, CHANGE_CODES, errors
from mensajeria.server.routing import Endpoint

router: Final = APIRouter(prefix="/v1/chats", tags=["chats"], route_class=Endpoint)
PAGE: Final = 100


@router.get("", responses=errors(*CALLER_CODES, Code.MALFORMED))
async def list_chats(login: Caller, server: TheServer, after: Annotated[B32 | None, Query()] = None) -> ChatPage:
    """The caller's chats by their ids, the next 100 after the chat `after`."""
    heads, more = await heads_page(server.db, _viewer(login), after or b"", PAGE)
    return ChatPage(chats=[_state(head) for head in sorted(heads, key=attrgetter("chat_id"))], more=more)


@router.put("/direct/{chat_id}", responses=errors(*CALLER_CODES, *CHANGE_CODES, Code.UNKNOWN_USER, Code.REQUEST_LIMIT))
async def register_direct(chat_id: B32, body: DirectChatRequest, login: Caller, server: TheServer) -> ChatState:
    """Register the direct chat with `peer_uid`, or the note to self. For the peer it is a request until it accepts."""
    if chat_id != direct_chat_id(server.facts.server_id, login.uid, body.peer_uid):
        raise ProtocolError(Code.MALFORMED, "chat_id is not the hash of this server and these two users")
    await server.limiter.check(Limit.CHAT_CREATE_ACCOUNT, login.uid)
    now_ms = server.clock.now_ms()

    def register(connection: Connection) -> tuple[bool, int, Head | None]:
        peer = _active_account(connection, body.peer_uid)
        created = create_direct(connection, chat_id, login.account_id, peer, now_ms)
        head = one_head(connection, _viewer(login), chat_id)
        if head is None:  # declined before: whoever registers it now wants it
            _answer(connection, chat_id, login.account_id, accept=True)
            head = one_head(connection, _viewer(login), chat_id)
        return created, peer, head

    try:
        created, peer, head = await server.db.write(register)
    except IntegrityError:  # the peer registered it at the same moment: now it is there
        created, peer, head = await server.db.write(register)
    if created:
        await server.hub.chat_created(chat_id, sorted({login.account_id, peer}))
    elif head is not None and head.accepted:
        await server.hub.chat_answered(chat_id, login.account_id, accepted=True)
    return _state(_required(head))


@router.put("/{chat_id}/answer", status_code=204, responses=errors(*CALLER_CODES, *CHANGE_CODES, Code.UNKNOWN_CHAT))
async def answer_chat(chat_id: B32, body: ChatAnswer, login: Caller, server: TheServer) -> Response:
    """Accept or decline a message request. Until it is accepted, the other side learns nothing about this one."""
    await server.db.write(lambda connection: _answer(connection, chat_id, login.account_id, accept=body.accept))
    await server.hub.chat_answered(chat_id, login.account_id, accepted=body.accept)
    return Response(status_code=204)


def _answer(connection: Connection, chat_id: bytes, account_id: int, *, accept: bool) -> None:
    info = as_member(read_chat(connection, chat_id), account_id)
    answer(connection, info.id, account_id, accept=accept)


def _active_account(connection: Connection, uid: bytes) -> int:
    query = select(account.c.id).where(account.c.uid == uid, account.c.status == ACTIVE)
    account_id: int | None = connection.execute(query).scalar_one_or_none()
    if account_id is None:
        raise ProtocolError(Code.UNKNOWN_USER)
    return account_id


def _viewer(login: Login) -> Viewer:
    return Viewer(login.account_id, login.device_id)


def _required(head: Head | None) -> Head:
    if head is None:
        raise ProtocolError(Code.UNKNOWN_CHAT)
    return head


def _state(head: Head) -> ChatState:
    return ChatState(
        chat_id=head.chat_id,
        members=list(head.members),
        last_seq=head.last_seq,
        epoch=head.epoch,
        accepted=head.accepted,
    )
