"""Who shows that they are here. Off until a device says otherwise, and mutual: who shows nothing sees nobody.

Nothing is stored. Each process knows who shows themselves on its own connections; who begins asks their contacts, and
the processes that those are connected to answer. Losing the broker loses hints, nothing else; a process that falls
takes its people's presence with it when their devices come back and say it again.
"""

from __future__ import annotations

from typing import Final

import msgspec
from sqlalchemy import Connection as Database
from sqlalchemy import and_, exists, or_, select

from mensajeria.protocol import frames
from mensajeria.server.accounts.sessions import Login
from mensajeria.server.broker.broker import Broker, PartNote, PresenceNote
from mensajeria.server.chats.repository import KIND_DIRECT
from mensajeria.server.db.schema_chats import chat, chat_member
from mensajeria.server.db.schema_content import block
from mensajeria.server.realtime.connection import Connection

MAX_CONTACTS: Final = 1000
"""Presence goes to so many contacts at most: those whose chats were written in last."""
_KIND: Final = frames.TYPE_OF[frames.Presence]
_encode: Final = msgspec.msgpack.Encoder().encode


class Presence:
    """The part of one process."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._shown: dict[int, set[Connection]] = {}
        self._contacts: dict[int, tuple[int, ...]] = {}
        self.parted = 0
        """Counts the pairs that were parted: whoever read contacts before the count moved reads them again."""

    def __len__(self) -> int:
        """How many people show themselves here."""
        return len(self._shown)

    def show(self, connection: Connection, contacts: tuple[int, ...]) -> None:
        """The device's user shows themselves to these accounts, and hears which of them do."""
        login = connection.login
        if login is None or connection.closed:
            return
        self._contacts[login.account_id] = contacts
        self._shown.setdefault(login.account_id, set()).add(connection)
        self._tell(login, contacts, on=True, asks=True)

    def hide(self, connection: Connection) -> None:
        """The device shows nothing any more, or is gone."""
        login = connection.login
        shown: set[Connection] = set() if login is None else self._shown.get(login.account_id, set())
        if login is None or connection not in shown:
            return
        shown.discard(connection)
        if not shown:
            del self._shown[login.account_id]
            # The own account, too: another of the user's devices may be connected elsewhere, and says so.
            self._tell(login, (*self._contacts.pop(login.account_id), login.account_id), on=False)

    def deliver(self, note: PresenceNote | PartNote) -> None:
        """Tell those of the note's accounts that show themselves; answer for them when asked."""
        if isinstance(note, PartNote):
            self.parted += 1
            self._part(note.one, note.other)
            self._part(note.other, note.one)
            return
        body = _encode(frames.Presence(note.uid, note.on))
        for account in note.accounts:
            shown = self._shown.get(account)
            if not shown:
                continue
            login = next(iter(shown)).login
            assert login is not None
            if account == note.account:
                if not note.on:
                    self._tell(login, self._contacts[account], on=True)
                continue
            for connection in list(shown):
                connection.send_body(_KIND, body)
            if note.asks:
                self._tell(login, (note.account,), on=True)

    def _part(self, account: int, other: int) -> None:
        """To the other, who shows itself here is gone. Nobody hears anything of one that was not shown to them."""
        contacts = self._contacts.get(account, ())
        if other in contacts:
            self._contacts[account] = tuple(one for one in contacts if one != other)
            login = next(iter(self._shown[account])).login
            assert login is not None
            self._tell(login, (other,), on=False)

    def _tell(self, login: Login, accounts: tuple[int, ...], *, on: bool, asks: bool = False) -> None:
        self._broker.publish(PresenceNote(login.account_id, login.uid, accounts, on, asks))
        self._broker.flush()


def contacts_to_tell(db: Database, account_id: int) -> tuple[int, ...]:
    """The accounts of direct chats that both sides have accepted and neither has blocked."""
    mine, theirs = chat_member.alias("mine"), chat_member.alias("theirs")
    blocked = exists().where(
        or_(
            and_(block.c.account == mine.c.account, block.c.blocked == theirs.c.account),
            and_(block.c.account == theirs.c.account, block.c.blocked == mine.c.account),
        )
    )
    query = (
        select(theirs.c.account)
        .select_from(mine.join(theirs, mine.c.chat == theirs.c.chat).join(chat, chat.c.id == mine.c.chat))
        .where(mine.c.account == account_id, theirs.c.account != account_id, chat.c.kind == KIND_DIRECT)
        .where(mine.c.accepted, theirs.c.accepted, ~blocked)
        .order_by(chat.c.last_ms.desc())
        .limit(MAX_CONTACTS)
    )
    return tuple(db.execute(query).scalars())
