"""Whom the person has blocked: the server refuses what passes between the two, and all own devices know it.

The server's word is not asked for: a block is a shared setting that names the user's id, so it is known offline, and a
server that was restored from an older backup is told it again.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from mensajeria.client.api import Person
from mensajeria.client.engine.hiding import tell_again
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.engine.profile_letters import block_moved
from mensajeria.client.errors import InputError, NetworkError, RefusedError, StateError
from mensajeria.client.store import Tx
from mensajeria.client.store.blocks import BLOCKED, ON, blocked_uids, is_blocked, named_by
from mensajeria.client.store.values import Chat
from mensajeria.protocol.errors import Code
from mensajeria.protocol.ids import Uid

if TYPE_CHECKING:
    from mensajeria.client.engine.context import Context
    from mensajeria.client.engine.directory import Directory

_log = logging.getLogger(__name__)
BLOCKS_DUE: Final = "blocks_due"
"""The restore epoch of a server that has to be told the blocks again; 0 or absent: nothing is due."""


def require_not_blocked(tx: Tx, chat: Chat) -> None:
    """Nothing is written to somebody one has blocked. Raises StateError (person_blocked)."""
    if chat.peer is not None and is_blocked(tx, chat.peer):
        raise StateError("person_blocked", params={"handle": tx.contacts.person(chat.peer).handle})


class Blocking:
    """Over the running parts of one client."""

    def __init__(self, context: Context, directory: Directory) -> None:
        self._context = context
        self._directory = directory
        context.settings.on(BLOCKED, self._changed_elsewhere)

    async def blocked(self) -> tuple[Person, ...]:
        """Everybody who is blocked, by name."""

        def read(tx: Tx) -> tuple[Person, ...]:
            people = [tx.contacts.person(uid) for uid in blocked_uids(tx)]
            return tuple(sorted(people, key=lambda person: (person.handle, person.uid)))

        return await self._context.store.read(read)

    async def person(self, handle: str) -> Person:
        """Who has the name; of those known here whoever had it last. Raises as `Directory.by_handle`."""

        def read(tx: Tx) -> Person | None:
            contact = tx.contacts.by_handle(handle)
            return None if contact is None else tx.contacts.person(contact.uid)

        known = await self._context.store.read(read)
        if known is not None:
            return known
        contact = await self._directory.by_handle(handle)
        return Person(contact.uid, contact.handle, contact.trust)

    async def block(self, uid: Uid) -> None:
        """Block a user: on the server first, then for all own devices. Again is no error.

        Raises InputError (own_account), RefusedError (unknown_user, quota_exceeded), NetworkError.
        """
        if uid == self._context.me.uid:
            raise InputError("own_account")
        await self._context.rest.users.block(uid)
        await self._context.commit(lambda tx, out: self._set(tx, out, uid, blocked=True))

    async def unblock(self, uid: Uid) -> None:
        """Take a block back. None is no error, nor is a user who is gone. Raises RefusedError, NetworkError."""
        try:
            await self._context.rest.users.unblock(uid)
        except RefusedError as error:
            if error.code != Code.UNKNOWN_USER:
                raise
        await self._context.commit(lambda tx, out: self._set(tx, out, uid, blocked=False))

    async def run(self) -> None:
        """Once in a connection. What does not work now is tried again in the next one."""
        try:
            await self.bring_back()
        except (RefusedError, NetworkError) as error:
            _log.info("the server lacks blocks: %s", error.code)

    async def bring_back(self) -> None:
        """Tell a restored server every block, once: its backup may be older. Raises RefusedError, NetworkError."""
        due = await self._context.store.read(lambda tx: tx.meta.number(BLOCKS_DUE))
        if not due:
            return
        for uid in await self._context.store.read(blocked_uids):
            try:
                await self._context.rest.users.block(uid)
            except RefusedError as error:
                if error.code not in {Code.UNKNOWN_USER, Code.QUOTA_EXCEEDED}:
                    raise
        await self._context.store.run(lambda tx: _told(tx, due))

    def _set(self, tx: Tx, out: Outcome, uid: Uid, *, blocked: bool) -> None:
        if is_blocked(tx, uid) != blocked:
            self._context.settings.put(tx, out, BLOCKED + uid.hex(), ON if blocked else b"")
            tell_again(tx, out, uid)
            block_moved(tx, out, self._context.me, blocked=blocked)

    def _changed_elsewhere(self, tx: Tx, out: Outcome, key: str, _value: bytes) -> None:
        uid = named_by(key)
        if uid is not None:
            tell_again(tx, out, uid)


def _told(tx: Tx, due: int) -> None:
    if tx.meta.number(BLOCKS_DUE) == due:  # else the server was restored once more meanwhile
        tx.meta.remove(BLOCKS_DUE)
