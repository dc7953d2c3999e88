"""A chat's membership state as rows: reading it, and storing what one valid event changes in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from mensajeria.protocol.decoding import decode_record
from mensajeria.protocol.devices import VerifiedList, decode_device_list, device_list_hash
from mensajeria.protocol.membership import ChatKind, FormerMember, MembershipState, Role, Row, start_direct
from mensajeria.protocol.records import IdentityRecord
from mensajeria.server.chats.repository import KIND_DIRECT
from mensajeria.server.db.schema import account, device_list
from mensajeria.server.db.schema_chats import chat, chat_member
from mensajeria.server.db.schema_content import membership, membership_head


@dataclass(frozen=True, slots=True)
class StoredChat:
    """A chat's row and the state that its chain adds up to."""

    id: int
    state: MembershipState


def read_state(connection: Connection, chat_id: bytes, server_id: bytes) -> StoredChat | None:
    """The chat's membership as of its last event; None when there is no such chat."""
    row = connection.execute(select(chat).where(chat.c.chat_id == chat_id)).one_or_none()
    if row is None or row.departed:  # the id of a direct chat cannot be checked without both of its members
        return None
    if row.member_seq == 0 and row.kind == KIND_DIRECT:
        return StoredChat(row.id, _fresh_direct(connection, row.id, chat_id, server_id))
    head = connection.execute(select(membership_head).where(membership_head.c.chat == row.id)).one()
    members: dict[bytes, Row] = {}
    former: dict[bytes, FormerMember] = {}
    for one in connection.execute(select(membership).where(membership.c.chat == row.id)):
        if one.removed_seq is None:
            members[one.uid] = Row(one.uid, one.idfp, Role(one.role), one.dl_floor, one.dl_last, one.floor_seq)
        else:
            former[one.uid] = FormerMember(one.removed_seq, one.dl_floor, one.dl_last, one.floor_seq)
    state = MembershipState(
        chat_id,
        ChatKind.DIRECT if row.kind == KIND_DIRECT else ChatKind.GROUP,
        row.member_seq,
        row.member_hash,
        members,
        row.epoch,
        head.timer_s,
        head.profile_ver,
        head.profile,
        head.superseded_by,
        former,
    )
    return StoredChat(row.id, state)


def _fresh_direct(connection: Connection, chat_row: int, chat_id: bytes, server_id: bytes) -> MembershipState:
    query = (
        select(account.c.uid)
        .join(chat_member, chat_member.c.account == account.c.id)
        .where(chat_member.c.chat == chat_row)
    )
    uids = list(connection.execute(query).scalars())
    return start_direct(chat_id, server_id, uids[0], uids[-1])


def store_state(connection: Connection, chat_row: int, before: MembershipState | None, after: MembershipState) -> None:
    """Store what has changed. The chat's own row (number, hash, epoch) is the caller's, who holds its lock."""
    old_members = {} if before is None or before.seq == 0 else before.members
    old_former = {} if before is None else before.former
    rows = [_member(chat_row, row) for uid, row in after.members.items() if old_members.get(uid) != row]
    rows += [
        _former(chat_row, uid, gone)
        for uid, gone in after.former.items()
        if old_former.get(uid) != gone and uid not in after.members
    ]
    if rows:
        uids = [row["uid"] for row in rows]
        connection.execute(delete(membership).where(membership.c.chat == chat_row, membership.c.uid.in_(uids)))
        connection.execute(insert(membership), rows)
    head = _head(after)
    if before is None or before.seq == 0 or _head(before) != head:
        connection.execute(delete(membership_head).where(membership_head.c.chat == chat_row))
        connection.execute(insert(membership_head).values(chat=chat_row, **head))


def _head(state: MembershipState) -> dict[str, Any]:
    return {
        "timer_s": state.timer_s,
        "profile_ver": state.profile_ver,
        "profile": state.profile,
        "superseded_by": state.superseded_by,
    }


def _member(chat_row: int, row: Row) -> dict[str, Any]:
    return {
        "chat": chat_row,
        "uid": row.uid,
        "idfp": row.idfp,
        "role": row.role.value,
        "dl_floor": row.dl_floor,
        "dl_last": row.dl_last,
        "floor_seq": row.floor_seq,
        "removed_seq": None,
    }


def _former(chat_row: int, uid: bytes, gone: FormerMember) -> dict[str, Any]:
    return {
        "chat": chat_row,
        "uid": uid,
        "idfp": b"",
        "role": Role.MEMBER.value,
        "dl_floor": gone.dl_floor,
        "dl_last": gone.dl_last,
        "floor_seq": gone.floor_seq,
        "removed_seq": gone.removed_seq,
    }


def read_list(connection: Connection, uid: bytes) -> VerifiedList | None:
    """A user's newest device list. Its signature was checked before it was stored; None for an unknown user."""
    query = (
        select(account.c.identity, account.c.idfp, device_list.c.body)
        .join(device_list, device_list.c.account_id == account.c.id)
        .where(account.c.uid == uid, device_list.c.ver == account.c.list_ver)
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    current = decode_device_list(row.body)
    record = decode_record(IdentityRecord, row.identity)
    by_did = {listed.did: listed for listed in current.devices}
    return VerifiedList(record, row.idfp, current, row.body, device_list_hash(row.body), by_did)
