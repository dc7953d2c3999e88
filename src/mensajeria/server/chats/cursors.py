"""How far each device has stored each chat, and from that how far each member has: the "delivered" tick.

Many small steps are worth one write: only the newest per device and chat is kept until the next flush.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import ARRAY, BigInteger, Connection, bindparam, select, text

from mensajeria.server.db.engine import Database
from mensajeria.server.db.schema import device

FLUSH_PAUSE_S: Final = 0.25
"""How long steps gather at least: nobody waits for a tick, and each write costs one."""
MAX_STEPS: Final = 2000
"""Steps in one flush."""
PARTS: Final = 16
PART_MIN: Final = 25
PART_PAUSE_S: Final = 0.01
"""A flush is written in parts, with a pause between: messages must not wait behind a hundred ticks."""
_STORE: Final = """
WITH step AS (
  SELECT s.device, s.account, s.chat, least(s.seq, c.last_seq) AS seq
  FROM unnest({}, {}, {}, {}) AS s(device, account, chat, seq) JOIN chat c ON c.id = s.chat
), device_moved AS (
  INSERT INTO device_cursor (device, chat, seq) SELECT device, chat, seq FROM step ORDER BY chat, device
  ON CONFLICT (device, chat) DO UPDATE SET seq = excluded.seq WHERE device_cursor.seq < excluded.seq
), pointer AS (
  SELECT m.chat, m.account, s.seq
  FROM (SELECT chat, account, max(seq) AS seq FROM step GROUP BY chat, account) s
  JOIN chat_member m ON m.chat = s.chat AND m.account = s.account AND m.delivered < s.seq
  ORDER BY m.chat, m.account FOR NO KEY UPDATE OF m
)
UPDATE chat_member m SET delivered = p.seq FROM pointer p WHERE m.chat = p.chat AND m.account = p.account
RETURNING m.chat, m.account, m.delivered
"""
_NAMES: Final = ("devices", "accounts", "chats", "seqs")
_POSTGRES: Final = text(_STORE.format(*(f":{name}" for name in _NAMES))).bindparams(
    *(bindparam(name, type_=ARRAY(BigInteger)) for name in _NAMES)
)
_MARK: Final = _STORE.format(*(f"${number}::bigint[]" for number in range(1, 5)))
_SQLITE_DEVICE: Final = """INSERT INTO device_cursor (device, chat, seq)
SELECT ?, id, min(?, last_seq) FROM chat WHERE id = ?
ON CONFLICT (device, chat) DO UPDATE SET seq = excluded.seq WHERE device_cursor.seq < excluded.seq"""
_SQLITE_MEMBER: Final = """UPDATE chat_member AS m SET delivered = min(?, c.last_seq) FROM chat AS c
WHERE c.id = m.chat AND m.chat = ? AND m.account = ? AND m.delivered < min(?, c.last_seq) RETURNING delivered"""


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


def parts(steps: Sequence[Step]) -> list[Sequence[Step]]:
    """The steps of a flush as they are written: a few at a time, and all of them in a few times."""
    size = max(PART_MIN, -(-len(steps) // PARTS))
    return [steps[start : start + size] for start in range(0, len(steps), size)]


def of_living(connection: Connection, steps: Sequence[Step]) -> list[Step]:
    """The steps of devices that still exist: an account may be deleted while a step of it waits for its flush."""
    found = connection.execute(select(device.c.id).where(device.c.id.in_({step.device for step in steps})))
    living = set(found.scalars())
    return [step for step in steps if step.device in living]


async def move(db: Database, steps: Sequence[Step]) -> list[Step]:
    """As `store`, in a transaction of its own that does not wait for the disk."""
    if db.is_sqlite:
        return await db.write(lambda connection: store(connection, steps), durable=False)
    return _all_moved(steps, await db.mark(_MARK, *_columns(steps)))


def store(connection: Connection, steps: Sequence[Step]) -> list[Step]:
    """Store steps as `newest` gives them; return those that moved the member's own pointer, with the stored seq.

    A number beyond the log's end counts as the end.
    """
    if connection.dialect.name == "sqlite":
        return _store_sqlite(connection, steps)
    return _all_moved(steps, connection.execute(_POSTGRES, dict(zip(_NAMES, _columns(steps), strict=True))))


def _columns(steps: Sequence[Step]) -> list[list[int]]:
    return [
        [step.device for step in steps],
        [step.account for step in steps],
        [step.chat for step in steps],
        [step.seq for step in steps],
    ]


def _all_moved(steps: Sequence[Step], rows: Iterable[Any]) -> list[Step]:
    by_member = {(step.chat, step.account): step for step in steps}
    return [_moved(by_member[chat, account], delivered) for chat, account, delivered in rows]


def _store_sqlite(connection: Connection, steps: Sequence[Step]) -> list[Step]:
    connection.exec_driver_sql(_SQLITE_DEVICE, [(step.device, step.seq, step.chat) for step in steps])
    moved: dict[tuple[int, int], Step] = {}
    for step in steps:
        row = connection.exec_driver_sql(_SQLITE_MEMBER, (step.seq, step.chat, step.account, step.seq)).one_or_none()
        if row is not None:
            moved[step.chat, step.account] = _moved(step, row[0])
    return list(moved.values())


def _moved(step: Step, seq: int) -> Step:
    return Step(step.device, step.account, step.chat, step.chat_id, seq)
