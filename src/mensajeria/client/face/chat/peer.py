"""Whom one is dealing with in a chat: requests, blocks, identities."""

from __future__ import annotations

from mensajeria.client.api import SecurityEntry
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.errors import InputError
from mensajeria.client.face.chat.base import ChatFace
from mensajeria.client.security import Security
from mensajeria.client.store import Tx
from mensajeria.protocol.ids import Uid


class Peer(ChatFace):
    """What a person decides about who writes to them."""

    __slots__ = ()

    async def accept(self) -> None:
        """Accept the message request. Raises RefusedError, NetworkError."""
        await self._answer(accept=True)
        self._context.earlier_due.set()
        self._engine.reads_due()

    async def decline(self) -> None:
        """Decline the message request: the chat leaves the list. Raises RefusedError, NetworkError."""
        await self._answer(accept=False)

    async def block(self) -> None:
        """Block the other member of a direct chat: `Client.block`. Raises InputError (no_person) for other chats."""
        await self._engine.blocking.block(await self._peer())

    async def unblock(self) -> None:
        """Take the block back: `Client.unblock`. Raises InputError (no_person) for other chats."""
        await self._engine.blocking.unblock(await self._peer())

    async def accept_identity(self) -> None:
        """The person has been told that the contact's identity changed, and goes on with the new one."""

        def step(tx: Tx, out: Outcome) -> None:
            chat = self._stored(tx)
            if chat.peer is None:
                return
            self._context.marks.accept(tx, out, chat.peer)

        await self._context.commit(step)
        self._engine.sending.wake(self.chat_id)

    async def security_timeline(self) -> tuple[SecurityEntry, ...]:
        """What happened to the security of this chat and its people, oldest first."""
        return await Security(self._context, self._engine).timeline(self.chat_id)

    async def _peer(self) -> Uid:
        chat = await self._context.store.read(self._stored)
        if chat.peer is None or chat.note_to_self:
            raise InputError("no_person")
        return chat.peer

    async def _answer(self, *, accept: bool) -> None:
        await self._context.store.read(self._stored)
        await self._context.rest.chats.answer(self.chat_id, accept=accept)

        def step(tx: Tx, out: Outcome) -> None:
            self._context.marks.answered(tx, out, self.chat_id, accepted=accept)

        await self._context.commit(step)
