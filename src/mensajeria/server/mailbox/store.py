"""The rows of the mailboxes: put, page, ack, expire. Plain functions over a SQLAlchemy connection, for both databases.

An id is given under the lock of the device's row, so that ids follow the order of commits and a page never skips one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, and_, bindparam, delete, func, insert, select, tuple_, update

from mensajeria.protocol import limits
from mensajeria.protocol.frames import Envelope, PutOutcome
from mensajeria.server.chats.blocks import is_blocked
from mensajeria.server.chats.repository import KIND_GROUP, last_that_fits
from mensajeria.server.db.schema import device
from mensajeria.server.db.schema_chats import chat, chat_member, mailbox

EXPIRE_ROWS: Final = 2000
"""Rows removed in one transaction."""


@dataclass(slots=True)
class Put:
    """One envelope of one sender, and what became of it. `sender` is an account's row id; it is not stored.

    `by`: the sending device, and the count of encryptions that it shows with it (`frames.PutDevice`).
    """

    sender: int
    did: bytes
    prekey_id: int
    blob: bytes
    by: bytes = b""
    gen: int = 0
    rolled_back: bool = False
    """The device has shown a higher count before: it was put back from a copy, and nothing of it is stored."""
    outcome: PutOutcome = PutOutcome.STALE
    device: int = 0
    id: int = 0


@dataclass(slots=True)
class _Box:
    """A device's row, locked."""

    id: int
    account: int
    prekey_id: int | None
    seq: int
    bytes: int
    gen: int


def put(connection: Connection, puts: Sequence[Put], now_ms: int) -> None:
    """Store envelopes in order and fill in their outcomes; only OK ones are stored."""
    boxes = _lock_boxes(connection, {did for one in puts for did in (one.did, one.by)})
    changed: dict[int, _Box] = {}
    allowed: dict[tuple[int, int], bool] = {}
    rows = []
    for one in puts:
        one.outcome = PutOutcome.STALE
        if not _counts_on(one, boxes.get(one.by), changed):
            continue
        box = boxes.get(one.did)
        if box is None or box.prekey_id != one.prekey_id:
            continue
        one.device = box.id
        key = (one.sender, box.account)
        if key not in allowed:
            allowed[key] = may_put(connection, *key)
        if not allowed[key]:
            one.outcome = PutOutcome.REFUSED
        elif box.bytes + len(one.blob) > limits.MAILBOX_BYTES:
            one.outcome = PutOutcome.QUOTA
        else:
            rows.append(_place(one, box, now_ms))
            changed[box.id] = box
    if rows:
        connection.execute(insert(mailbox), rows)
    if changed:
        _store_boxes(connection, changed.values())


def _counts_on(one: Put, sending: _Box | None, changed: dict[int, _Box]) -> bool:
    """Whether the sending device shows at least what it has shown before; a higher count is kept."""
    if sending is None:
        return True
    one.rolled_back = one.gen < sending.gen
    if one.gen > sending.gen:
        sending.gen = one.gen
        changed[sending.id] = sending
    return not one.rolled_back


def _place(one: Put, box: _Box, now_ms: int) -> dict[str, object]:
    box.seq += 1
    box.bytes += len(one.blob)
    one.id, one.outcome = box.seq, PutOutcome.OK
    return {"device": box.id, "id": one.id, "prekey_id": one.prekey_id, "ts": now_ms, "blob": one.blob}


def _lock_boxes(connection: Connection, dids: set[bytes]) -> dict[bytes, _Box]:
    rows = connection.execute(
        select(
            device.c.did,
            device.c.id,
            device.c.account_id,
            device.c.pq_prekey_id,
            device.c.mail_seq,
            device.c.mail_bytes,
            device.c.gen,
        )
        .where(device.c.did.in_(dids), device.c.revoked_ms.is_(None))
        .order_by(device.c.id)
        .with_for_update(key_share=True)
    )
    return {
        row.did: _Box(row.id, row.account_id, row.pq_prekey_id, row.mail_seq, row.mail_bytes, row.gen) for row in rows
    }


def _store_boxes(connection: Connection, boxes: Iterable[_Box]) -> None:
    connection.execute(
        update(device)
        .where(device.c.id == bindparam("p_id"))
        .values(mail_seq=bindparam("p_seq"), mail_bytes=bindparam("p_bytes"), gen=bindparam("p_gen")),
        [{"p_id": box.id, "p_seq": box.seq, "p_bytes": box.bytes, "p_gen": box.gen} for box in boxes],
    )


def may_put(connection: Connection, sender: int, receiver: int) -> bool:
    """To the own devices, and to members of a chat in which the sender accepted and the receiver did not decline.

    If one has blocked the other, only a group still counts: its keys must reach every member.
    """
    if sender == receiver:
        return True
    mine, theirs = chat_member.alias(), chat_member.alias()
    shared = (
        select(mine.c.chat)
        .join(theirs, and_(theirs.c.chat == mine.c.chat, theirs.c.account == receiver))
        .where(mine.c.account == sender, mine.c.accepted.is_(True), theirs.c.declined.is_(False))
        .limit(1)
    )
    if is_blocked(connection, sender, receiver):
        shared = shared.join(chat, chat.c.id == mine.c.chat).where(chat.c.kind == KIND_GROUP)
    return connection.execute(shared).first() is not None


def page(connection: Connection, device_id: int, after: int) -> tuple[Envelope, ...]:
    """Envelopes with id > after, oldest first: one page, bounded in rows and bytes."""
    behind = and_(mailbox.c.device == device_id, mailbox.c.id > after)
    sizes = connection.execute(
        select(mailbox.c.id, func.length(mailbox.c.blob).label("size"))
        .where(behind)
        .order_by(mailbox.c.id)
        .limit(limits.MAX_MAIL_PAGE)
    )
    until = last_that_fits((row.id, row.size) for row in sizes)
    if until is None:
        return ()
    rows = connection.execute(
        select(mailbox.c.id, mailbox.c.prekey_id, mailbox.c.blob)
        .where(behind, mailbox.c.id <= until)
        .order_by(mailbox.c.id)
    )
    return tuple(Envelope(row.id, row.prekey_id, row.blob) for row in rows)


def ack(connection: Connection, device_id: int, ids: Iterable[int]) -> None:
    """Remove envelopes that the device has stored; ids that are not there are ignored."""
    gone = connection.execute(
        delete(mailbox)
        .where(mailbox.c.device == device_id, mailbox.c.id.in_(set(ids)))
        .returning(func.length(mailbox.c.blob))
    ).scalars()
    _shrink(connection, {device_id: sum(gone)})


def expire(connection: Connection, before_ms: int) -> int:
    """Remove envelopes put before `before_ms`, a bounded number at a time; return how many.

    Several processes may do it at once, and devices ack meanwhile: what counts as freed is what was removed here.
    """
    old = select(mailbox.c.device, mailbox.c.id).where(mailbox.c.ts < before_ms).limit(EXPIRE_ROWS)
    gone = connection.execute(
        delete(mailbox)
        .where(tuple_(mailbox.c.device, mailbox.c.id).in_(old.with_for_update(skip_locked=True)))
        .returning(mailbox.c.device, func.length(mailbox.c.blob).label("size"))
    ).all()
    freed: dict[int, int] = {}
    for row in gone:
        freed[row.device] = freed.get(row.device, 0) + row.size
    _shrink(connection, freed)
    return len(gone)


def _shrink(connection: Connection, freed: dict[int, int]) -> None:
    steps = [{"p_id": box, "p_bytes": size} for box, size in sorted(freed.items()) if size]
    if steps:
        connection.execute(
            update(device)
            .where(device.c.id == bindparam("p_id"))
            .values(mail_bytes=device.c.mail_bytes - bindparam("p_bytes")),
            steps,
        )
