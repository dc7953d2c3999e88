"""Which devices are connected to this process, and delivering to them what the broker brings."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Final

import structlog

from mensajeria.protocol.errors import Close
from mensajeria.server.broker.broker import (
    ChatNote,
    DeviceItemNote,
    EndNote,
    FrameNote,
    ItemNote,
    JoinNote,
    Note,
    PartNote,
    PresenceNote,
)
from mensajeria.server.realtime.connection import Connection
from mensajeria.server.realtime.ended_lately import EndedLately
from mensajeria.server.realtime.items import batch_bodies

_NONE: Final[tuple[Connection, ...]] = ()
_log = structlog.get_logger(__name__)


class Hub:
    """The connections of this process. A device is connected once; an account with any number of devices."""

    def __init__(
        self,
        chat_changed: Callable[[ChatNote, Iterable[Connection]], None],
        logins_ended: Callable[[EndNote, Iterable[Connection]], None],
    ) -> None:
        """What else notes do.

        `chat_changed` gets every ChatNote, with the connections of its accounts; `logins_ended` every EndNote, with the
        connections of its devices.
        """
        self._chat_changed = chat_changed
        self._logins_ended = logins_ended
        self.presence: Callable[[PresenceNote | PartNote], None] = lambda _note: None
        """What gets every PresenceNote and PartNote."""
        self.origin: Final = secrets.token_bytes(8)
        """Tells this process from the others in a JoinNote."""
        self.all: set[Connection] = set()
        self.dirty: list[Connection] = []
        self.delivered = 0
        """Items given to connections since the start."""
        self.ended: Final = EndedLately()
        """Whoever reads a login to let its device in looks afterwards whether it has ended meanwhile."""
        self._devices: dict[int, Connection] = {}
        self._accounts: dict[int, tuple[Connection, ...]] = {}

    def __len__(self) -> int:
        return len(self._devices)

    def join(self, connection: Connection) -> None:
        """The device is here now; its older connection, if any, is closed."""
        assert connection.login is not None
        older = self._devices.get(connection.device_id)
        if older is not None:
            older.close(Close.REPLACED)
        self._devices[connection.device_id] = connection
        account = connection.login.account_id
        self._accounts[account] = (*self._accounts.get(account, _NONE), connection)

    def leave(self, connection: Connection) -> None:
        """The connection is over. One that never joined is not missed."""
        self.all.discard(connection)
        if connection.login is None or self._devices.get(connection.device_id) is not connection:
            return
        del self._devices[connection.device_id]
        account = connection.login.account_id
        left = tuple(other for other in self._accounts[account] if other is not connection)
        if left:
            self._accounts[account] = left
        else:
            del self._accounts[account]

    def of_accounts(self, accounts: Iterable[int]) -> Iterator[Connection]:
        """The connections of these accounts."""
        return chain.from_iterable([self._accounts.get(account, _NONE) for account in accounts])

    def of_device(self, device: int) -> tuple[Connection, ...]:
        """The device's connection, if it is here."""
        one = self._devices.get(device)
        return _NONE if one is None else (one,)

    def deliver(self, note: Note) -> None:  # noqa: C901 - one table: a line or two for each kind
        """Give a note to the connections it concerns."""
        match note:
            case ItemNote():
                get, items, skip = self._accounts.get, note.items, note.skip
                for account in note.accounts:
                    for connection in get(account, _NONE):
                        if connection.device_id != skip:
                            connection.queue(items)
            case DeviceItemNote():
                for connection in self.of_device(note.device):
                    connection.queue((note.item,))
            case FrameNote():
                self._deliver_frame(note)
            case ChatNote():
                self._chat_changed(note, list(self.of_accounts(note.accounts)))
            case EndNote():
                self.end(note)
            case JoinNote():
                self._replace(note)
            case PresenceNote() | PartNote():
                self.presence(note)

    def flush(self) -> None:
        """Send everything that was queued."""
        dirty = self.dirty[:]
        self.dirty.clear()
        delivered = 0
        last: list[bytes] = []
        bodies: list[bytes] = []
        for connection in dirty:
            items = connection.take_items()
            if items != last:  # in a group nearly all get the same: joined once
                last, bodies = items, list(batch_bodies(items)) if items else []
            connection.send_batches(bodies)
            delivered += len(items)
        self.delivered += delivered

    def _deliver_frame(self, note: FrameNote) -> None:
        if note.device:
            for connection in self.of_device(note.device):
                connection.send_body(note.kind, note.body)
            return
        for connection in list(self.of_accounts(note.accounts)):
            if connection.login is not None and connection.login.account_id != note.skip:
                connection.send_body(note.kind, note.body)

    def _replace(self, note: JoinNote) -> None:
        if note.origin != self.origin:
            for connection in self.of_device(note.device):
                connection.close(Close.REPLACED)

    def admitted(self) -> list[Connection]:
        """All connections with a proven login, also those that have not answered their welcome yet."""
        return [connection for connection in self.all if connection.login is not None]

    def end(self, note: EndNote) -> None:
        """Logins of these devices are over."""
        self.ended.add(note.devices)
        self._logins_ended(note, [c for c in self.all if c.login is not None and c.login.device_id in note.devices])
