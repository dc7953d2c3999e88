"""What an operator's command, another process, tells the running servers: rows that each of them looks for each second.

A signal is a hint about what the command has committed: handling one twice does no harm. Rows live for ten minutes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from typing import Final

import msgspec
import structlog
from sqlalchemy import Connection, delete, insert, select

from mensajeria.kit.clock import Clock
from mensajeria.protocol.encoding import encode
from mensajeria.protocol.errors import Code
from mensajeria.server.accounts.ended import EndedLogins
from mensajeria.server.db.engine import AnyRow, Database
from mensajeria.server.db.failures import DATABASE_ERRORS
from mensajeria.server.db.reads import Read
from mensajeria.server.db.schema_access import server_signal
from mensajeria.server.facts import StateError
from mensajeria.server.push import Push

POLL_S: Final = 1.0
LIFE_MS: Final = 10 * 60 * 1000
BATCH: Final = 1000
"""Chats in one row."""
PAGE: Final = 200
"""Rows in one query."""
Chats = Sequence[tuple[bytes, Sequence[int]]]
_MOMENTS: Final[Read[tuple[int, int]]] = Read(
    select(server_signal.c.id, server_signal.c.ts), lambda signal, ts: (signal, ts)
)
"""When each row there is was made, by id: most are known, their bodies are not wanted again."""
_log = structlog.get_logger(__name__)


class Kind(StrEnum):
    """What a signal is about."""

    LOGINS_ENDED = "logins_ended"
    CHATS_CHANGED = "chats_changed"
    KEYS_ROTATED = "keys_rotated"


class _Ended(msgspec.Struct, array_like=True, frozen=True):
    devices: tuple[int, ...]
    code: str


class _Changed(msgspec.Struct, array_like=True, frozen=True):
    chats: tuple[tuple[bytes, tuple[int, ...]], ...]


def signal_ended(connection: Connection, devices: Sequence[int], code: Code, now_ms: int) -> None:
    """These devices' connections are to be closed."""
    _put(connection, Kind.LOGINS_ENDED, _Ended(tuple(devices), code), now_ms)


def signal_chats(connection: Connection, chats: Chats, now_ms: int) -> None:
    """Who is in these chats has changed; with the accounts that are in them now."""
    for start in range(0, len(chats), BATCH):
        part = tuple((chat_id, tuple(accounts)) for chat_id, accounts in chats[start : start + BATCH])
        _put(connection, Kind.CHATS_CHANGED, _Changed(part), now_ms)


def signal_keys(connection: Connection, now_ms: int) -> None:
    """The secret files have changed."""
    _put(connection, Kind.KEYS_ROTATED, _Changed(()), now_ms)


def _put(connection: Connection, kind: Kind, body: msgspec.Struct, now_ms: int) -> None:
    connection.execute(insert(server_signal).values(ts=now_ms, kind=kind.value, body=encode(body)))


class SignalWatch:
    """One for each process."""

    def __init__(
        self,
        *,
        clock: Clock,
        db: Database,
        ends: EndedLogins,
        hub: Push,
        reload_keys: Callable[[], Awaitable[None]],
    ) -> None:
        self._clock = clock
        self._db = db
        self._ends = ends
        self._hub = hub
        self._reload_keys = reload_keys
        self._seen: set[int] = set()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to watch. What was signalled before concerns nobody here: nothing is connected or remembered yet."""
        self._seen = {signal for signal, _ in await self._db.rows(_MOMENTS)}
        self._task = asyncio.create_task(self._watch(), name="signals")

    async def close(self) -> None:
        """Stop."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(POLL_S)
            try:
                await self.look()
            except DATABASE_ERRORS as error:
                _log.warning("signals_not_read", error=type(error).__name__)

    async def look(self) -> None:
        """Handle what is new. Ids are not compared by size: a lower one may be committed later."""
        moments = dict(await self._db.rows(_MOMENTS))
        new = sorted(moments.keys() - self._seen)
        for start in range(0, len(new), PAGE):
            for row in await self._db.query(lambda db, ids=new[start : start + PAGE]: _rows(db, ids)):  # type: ignore[misc]
                await self._try(row)
                self._seen.add(row.id)
        self._seen = set(moments)
        before = self._clock.now_ms() - LIFE_MS
        if any(ts < before for ts in moments.values()):
            await self._db.write(lambda connection: _forget(connection, before))

    async def _try(self, row: AnyRow) -> None:
        try:
            await self._handle(row)
        except (
            msgspec.MsgspecError,
            ValueError,
            StateError,
        ) as error:  # a command of another version, or bad key files
            _log.error("signal_not_handled", step=row.kind, error=type(error).__name__)

    async def _handle(self, row: AnyRow) -> None:
        match Kind(row.kind):
            case Kind.LOGINS_ENDED:
                ended = msgspec.msgpack.decode(row.body, type=_Ended)
                await self._ends.tell(ended.devices, Code(ended.code))
            case Kind.CHATS_CHANGED:
                for chat_id, accounts in msgspec.msgpack.decode(row.body, type=_Changed).chats:
                    await self._hub.chat_created(chat_id, accounts)
            case Kind.KEYS_ROTATED:
                await self._reload_keys()


def _rows(connection: Connection, ids: Sequence[int]) -> Sequence[AnyRow]:
    return connection.execute(
        select(server_signal).where(server_signal.c.id.in_(ids)).order_by(server_signal.c.id)
    ).all()


def _forget(connection: Connection, before_ms: int) -> None:
    connection.execute(delete(server_signal).where(server_signal.c.ts < before_ms))
