"""How far each device has stored each chat, and from that how far each member has: the "delivered" tick.

Many small steps are worth one write: only the newest per device and chat is kept until the next flush.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from sqlalchemy import Connection, bindparam, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite

from mensajeria.server.db.schema import device
from mensajeria.server.db.schema_chats import chat, chat_member, device_cursor

FLUSH_PAUSE_S: Final = 0.02
"""How long steps gather at least."""
MAX_STEPS: Final = 400
"""Steps in one flush: bounded by how many parameters a statement may have."""


class Step(msgspec.Struct, gc=False):
    """A device has stored a chat up to `seq`. `chat` is the row id."""

    device: int
    account: int
    chat: int
    chat_id: bytes
    seq: int


def newest(steps: Sequence[Step]) -> list[Step]:
    """One step for each device and chat, in the order of their locks."""
    best: dict[tuple[int, int], Step] = {}
    for step in steps:
        key = (step.chat, step.device)
        known = best.get(key)
        if known is None or known.seq < step.seq:
            best[key] = step
    return [best[key] for key in sorted(best)]


def of_living(connection: Connection, steps: Sequence[Step]) -> list[Step]:
    """The steps of devices that still exist: an account may be deleted while a step of it waits for its flush."""
    found = connection.execute(select(device.c.id).where(device.c.id.in_({step.device for step in steps})))
    living = set(found.scalars())
    return [step for step in steps if step.device in living]


def store(connection: Connection, steps: Sequence[Step]) -> list[Step]:
    """Store steps as `newest` gives them; return those that moved the member's own pointer, with the stored seq.

    A number beyond the log's end counts as the end.
    """
    chats = {step.chat for step in steps}
    heads = connection.execute(select(chat.c.id, chat.c.last_seq).where(chat.c.id.in_(chats)))
    ends = {row.id: row.last_seq for row in heads}
    for step in steps:
        step.seq = min(step.seq, ends.get(step.chat, 0))
    _store_devices(connection, steps)
    pointers = _locked_pointers(connection, steps)
    moved: dict[tuple[int, int], Step] = {}
    for step in steps:
        key = (step.chat, step.account)
        if pointers.get(key, step.seq) < step.seq:
            pointers[key] = step.seq
            moved[key] = step
    if moved:
        connection.execute(
            update(chat_member)
            .where(chat_member.c.chat == bindparam("p_chat"), chat_member.c.account == bindparam("p_account"))
            .values(delivered=bindparam("p_seq")),
            [{"p_chat": step.chat, "p_account": step.account, "p_seq": step.seq} for step in moved.values()],
        )
    return list(moved.values())


def _locked_pointers(connection: Connection, steps: Sequence[Step]) -> dict[tuple[int, int], int]:
    keys = sorted({(step.chat, step.account) for step in steps})
    rows = connection.execute(
        select(chat_member.c.chat, chat_member.c.account, chat_member.c.delivered)
        .where(tuple_(chat_member.c.chat, chat_member.c.account).in_(keys))
        .order_by(chat_member.c.chat, chat_member.c.account)
        .with_for_update()
    )
    return {(row.chat, row.account): row.delivered for row in rows}


def _store_devices(connection: Connection, steps: Sequence[Step]) -> None:
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    statement = insert(device_cursor)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[device_cursor.c.device, device_cursor.c.chat],
            set_={"seq": statement.excluded.seq},
            where=device_cursor.c.seq < statement.excluded.seq,
        ),
        [{"device": step.device, "chat": step.chat, "seq": step.seq} for step in steps],
    )
