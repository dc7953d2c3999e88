"""Who is here: told and heard only while the person's setting says so; nothing is stored."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from mensajeria.client.api import Person, PresenceChanged
from mensajeria.client.engine.privacy import privacy_of
from mensajeria.protocol import frames
from mensajeria.protocol.ids import Uid

if TYPE_CHECKING:
    from mensajeria.client.engine.emitter import Emitter
    from mensajeria.client.engine.session import Session
    from mensajeria.client.store import Store, Tx

_NOBODY: Final = bytes(16)
MAX_HERE: Final = 1000
"""As many contacts as the server tells of; a server that names more is not listened to."""


class Presence:
    """Lives as long as the client; `run` as long as a connection."""

    def __init__(self, store: Store, emitter: Emitter) -> None:
        self._store, self._emitter = store, emitter
        self._here: dict[Uid, Person] = {}
        self._shown = False
        self.due = asyncio.Event()
        """The setting may have changed."""

    @property
    def here(self) -> frozenset[Uid]:
        """The contacts that are here."""
        return frozenset(self._here)

    async def run(self, session: Session) -> None:
        """Show oneself or not, as the setting says, until the connection ends."""
        try:
            while True:
                self.due.clear()
                wanted = (await self._store.read(privacy_of)).presence
                if wanted != self._shown:
                    session.send(frames.Presence(_NOBODY, wanted))
                    self._shown = wanted
                    if not wanted:
                        self._forget()
                await self.due.wait()
        finally:
            self._shown = False
            self._forget()

    async def heard(self, frame: frames.Presence) -> None:
        """The server says that somebody is here or not: believed of contacts, while one shows oneself."""
        uid = Uid(frame.uid)
        if not frame.on:
            self._gone(uid)
            return

        def known(tx: Tx) -> Person | None:
            return None if tx.contacts.get(uid) is None else tx.contacts.person(uid)

        person = await self._store.read(known)
        if person is not None and self._shown and uid not in self._here and len(self._here) < MAX_HERE:
            self._here[uid] = person
            self._emitter.emit(PresenceChanged(person, here=True))

    def _gone(self, uid: Uid) -> None:
        person = self._here.pop(uid, None)
        if person is not None:
            self._emitter.emit(PresenceChanged(person, here=False))

    def _forget(self) -> None:
        for uid in tuple(self._here):
            self._gone(uid)
