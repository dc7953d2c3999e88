"""Membership events: judged by the rule that every client applies, then appended by compare-and-swap on the chain."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from mensajeria.protocol.encoding import MalformedError, NewerVersionError, encode
from mensajeria.protocol.errors import Code, ProtocolError
from mensajeria.protocol.frames import Event, EventKind
from mensajeria.protocol.membership import (
    ChatKind,
    MembershipState,
    NewerType,
    Pending,
    Valid,
    Verdict,
    Void,
    VoidReason,
    decode_member_event,
    event_hash,
    judge,
    lookup_in,
)
from mensajeria.protocol.records import MemberEvent, Signed
from mensajeria.server.accounts.sessions import Login
from mensajeria.server.chats.chain import StoredChat, read_list, read_state, store_state
from mensajeria.server.chats.repository import KIND_GROUP, last_that_fits
from mensajeria.server.chats.requests import admit
from mensajeria.server.db.engine import AnyRow
from mensajeria.server.db.schema import account, device
from mensajeria.server.db.schema_chats import chat, chat_member, device_cursor, event
from mensajeria.server.db.schema_content import chat_purge, member_event, membership
from mensajeria.server.state import Server

PAGE: Final = 200
_LATE: Final = frozenset({VoidReason.STALE, VoidReason.WRONG_PREV})
"""Another event came first."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An event in its place, and whom it concerns (account row ids)."""

    row: Event
    member_seq: int
    epoch: int
    joined: tuple[int, ...] = ()
    audience: tuple[int, ...] = ()
    is_new: bool = True


def decode(signed: Signed, login: Login, *, restored: bool) -> MemberEvent:
    """The event, signed by the calling device itself.

    After a declared restore any member may bring back what the backup lacks (`restored`): its author may be another.

    Raises:
        ProtocolError: MALFORMED, NEWER_VERSION or EVENT_INVALID.
    """
    try:
        found = decode_member_event(signed.body)
    except NewerVersionError as error:
        raise ProtocolError(Code.NEWER_VERSION) from error
    except MalformedError as error:
        raise ProtocolError(Code.MALFORMED, "event") from error
    if (found.by_uid, found.by_did) != (login.uid, login.did) and not restored:
        raise ProtocolError(Code.EVENT_INVALID, "signed by another device than the calling one")
    return found


async def create_group(server: Server, login: Login, signed: Signed) -> Stored:
    """Make the group of a create event. Idempotent: its id is the event's hash.

    Raises:
        ProtocolError: EVENT_INVALID, UNKNOWN_USER, REQUEST_LIMIT, MALFORMED or NEWER_VERSION.
    """
    created = decode(signed, login, restored=server.facts.restore_epoch > 1)
    verdict = await _judge(server, None, created, signed)
    valid = _valid(verdict)
    now_ms = server.clock.now_ms()

    def write(connection: Connection) -> Stored:
        chat_id = valid.state.chat_id
        known = _known(connection, chat_id, signed)
        if known is not None:
            return known
        row = connection.execute(
            insert(chat)
            .values(chat_id=chat_id, kind=KIND_GROUP, last_ms=now_ms, created_ms=now_ms)
            .returning(chat.c.id)
        ).scalar_one()
        return _append(connection, row, 0, None, valid, signed, now_ms)

    return await _write(server, write)


async def append_event(server: Server, login: Login, chat_id: bytes, signed: Signed) -> Stored:
    """Append the next event of a chain.

    Raises:
        ProtocolError: UNKNOWN_CHAT, EVENT_CONFLICT, EVENT_INVALID, UNKNOWN_USER, REQUEST_LIMIT, MALFORMED,
            NEWER_VERSION.
    """
    following = decode(signed, login, restored=server.facts.restore_epoch > 1)

    def read(connection: Connection) -> tuple[Stored | None, StoredChat]:
        known = _known(connection, chat_id, signed) if following.by_uid == login.uid else None
        stored = read_state(connection, chat_id, server.facts.server_id)
        if stored is None or not (known or _has_access(connection, stored.id, login.account_id)):
            raise ProtocolError(Code.UNKNOWN_CHAT)
        return known, stored

    known, before = await server.db.query(read)
    if known is not None:
        return known
    valid = _valid(await _judge(server, before.state, following, signed))
    now_ms = server.clock.now_ms()

    def write(connection: Connection) -> Stored:
        row = _lock(connection, before)
        return _append(connection, before.id, row.last_seq, before.state, valid, signed, now_ms)

    return await _write(server, write)


async def _write(server: Server, write: Any) -> Stored:
    try:
        stored: Stored = await server.db.write(write)
    except IntegrityError as error:  # the same event at the same moment, or a message that took its mid
        raise ProtocolError(Code.EVENT_CONFLICT) from error
    if stored.is_new:
        await server.hub.chat_rows(stored.row.chat_id, stored.joined, stored.audience, [stored.row])
    return stored


async def _judge(server: Server, state: MembershipState | None, found: MemberEvent, signed: Signed) -> Verdict:
    author = await server.db.query(lambda connection: read_list(connection, found.by_uid))
    lookup = lookup_in({} if author is None else {found.by_uid: author})
    return await asyncio.to_thread(judge, state, signed, lookup)


def _valid(verdict: Verdict) -> Valid:
    match verdict:
        case Valid():
            return verdict
        case Void(reason) if reason in _LATE:
            raise ProtocolError(Code.EVENT_CONFLICT)
        case Void(reason):
            raise ProtocolError(Code.EVENT_INVALID, reason.value)
        case Pending("device list"):
            raise ProtocolError(Code.EVENT_INVALID, "signed under a device list that is not published")
        case Pending():
            raise ProtocolError(Code.EVENT_CONFLICT)
        case NewerType():
            raise ProtocolError(Code.NEWER_VERSION)


def _has_access(connection: Connection, chat_row: int, account_id: int) -> bool:
    query = select(chat_member.c.account).where(chat_member.c.chat == chat_row, chat_member.c.account == account_id)
    return connection.execute(query).first() is not None


def _lock(connection: Connection, before: StoredChat) -> AnyRow:
    """The chat's row, locked, if its chain still stands where the event was judged."""
    query = (
        select(chat.c.last_seq, chat.c.member_seq, chat.c.member_hash)
        .where(chat.c.id == before.id)
        .with_for_update(key_share=True)
    )
    row = connection.execute(query).one()
    if (row.member_seq, row.member_hash or before.state.chat_id) != (before.state.seq, before.state.hash):
        raise ProtocolError(Code.EVENT_CONFLICT)
    return row


def _known(connection: Connection, chat_id: bytes, signed: Signed) -> Stored | None:
    """The event if it is stored already."""
    query = (
        select(
            event.c.seq, event.c.ts, event.c.kind, event.c.body, chat.c.epoch, member_event.c.seq.label("member_seq")
        )
        .join(chat, chat.c.id == event.c.chat)
        .join(member_event, (member_event.c.chat == event.c.chat) & (member_event.c.log_seq == event.c.seq))
        .where(chat.c.chat_id == chat_id, event.c.mid == _mid(signed))
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    return Stored(Event(chat_id, row.seq, row.ts, EventKind.MEMBER, row.body), row.member_seq, row.epoch, is_new=False)


def _mid(signed: Signed) -> bytes:
    return event_hash(signed.body)[:16]


def _append(
    connection: Connection,
    chat_row: int,
    last_seq: int,
    before: MembershipState | None,
    valid: Valid,
    signed: Signed,
    now_ms: int,
) -> Stored:
    """Everything an event changes, under the lock of the chat's row: the log, the chain, the state, who has access."""
    state, seq, body = valid.state, last_seq + 1, encode(signed)
    old = frozenset() if before is None else frozenset(before.members)
    told = _told(connection, chat_row)
    row = {"chat": chat_row, "seq": seq, "mid": _mid(signed), "ts": now_ms, "kind": EventKind.MEMBER, "body": body}
    connection.execute(insert(event).values(row))
    connection.execute(insert(member_event).values(chat=chat_row, seq=state.seq, log_seq=seq))
    connection.execute(
        update(chat)
        .where(chat.c.id == chat_row)
        .values(last_seq=seq, last_ms=now_ms, epoch=state.epoch, member_seq=state.seq, member_hash=state.hash)
    )
    store_state(connection, chat_row, before, state)
    joined: tuple[int, ...] = ()
    if added := [state.members[uid] for uid in state.members if uid not in old]:
        joined = admit(connection, chat_row, added, valid.event.by_uid, now_ms)
    if gone := old - frozenset(state.members):
        _shut_out(connection, chat_row, sorted(gone))
    if state.kind is ChatKind.GROUP and not state.members:
        connection.execute(insert(chat_purge).values(chat=chat_row, since_ms=now_ms))
    stored_row = Event(state.chat_id, seq, now_ms, EventKind.MEMBER, body)
    return Stored(stored_row, state.seq, state.epoch, joined, tuple(sorted({*told, *joined})))


def _told(connection: Connection, chat_row: int) -> Sequence[int]:
    """Who is told about rows of the chat. Who is just being removed is among them, for the last time."""
    query = select(chat_member.c.account).where(chat_member.c.chat == chat_row, chat_member.c.declined.is_(False))
    return connection.execute(query).scalars().all()


def _shut_out(connection: Connection, chat_row: int, uids: Sequence[bytes]) -> None:
    accounts = select(account.c.id).where(account.c.uid.in_(uids))
    connection.execute(delete(chat_member).where(chat_member.c.chat == chat_row, chat_member.c.account.in_(accounts)))
    devices = select(device.c.id).where(device.c.account_id.in_(accounts))
    connection.execute(
        delete(device_cursor).where(device_cursor.c.chat == chat_row, device_cursor.c.device.in_(devices))
    )


def removed_at(connection: Connection, chat_row: int, uid: bytes) -> int | None:
    """The membership event by which somebody went out, None for who was never in."""
    query = select(membership.c.removed_seq).where(membership.c.chat == chat_row, membership.c.uid == uid)
    seq: int | None = connection.execute(query).scalar()
    return seq


def events_of_chain(
    connection: Connection, chat_row: int, after: int, until: int | None = None
) -> tuple[list[AnyRow], bool]:
    """(log seq, ts, body) of the membership events after `after` (up to `until`), ascending, one page of them."""
    chain = member_event.join(event, (event.c.chat == member_event.c.chat) & (event.c.seq == member_event.c.log_seq))
    query = (
        select(event.c.seq, event.c.ts, event.c.body)
        .select_from(chain)
        .where(member_event.c.chat == chat_row, member_event.c.seq > after)
        .order_by(member_event.c.seq)
        .limit(PAGE + 1)
    )
    if until is not None:
        query = query.where(member_event.c.seq <= until)
    rows = list(connection.execute(query))
    until = last_that_fits((index, len(row.body)) for index, row in enumerate(rows[:PAGE]))
    fitting = rows[: 0 if until is None else until + 1]
    return fitting, len(fitting) < len(rows)
