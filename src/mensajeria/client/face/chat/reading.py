"""What is in a chat, and how far it was read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from mensajeria.client.api import ChatView, Message, Page, Version
from mensajeria.client.engine.hiding import shown, shown_page, shown_view
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.errors import InputError
from mensajeria.client.face.chat.base import ChatFace
from mensajeria.client.store import Tx
from mensajeria.client.store.changes import Target
from mensajeria.client.store.values import ORDER_SHIFT, PENDING_BASE
from mensajeria.protocol.ids import Mid

HISTORY_PAGE: Final = 200


class Reading(ChatFace):
    """The stored messages, in pages or all; needs no network."""

    __slots__ = ()

    async def view(self) -> ChatView:
        """The chat as a list shows it."""

        def read(tx: Tx) -> ChatView:
            self._stored(tx)
            view = tx.views.chat(self.chat_id)
            assert view is not None
            return shown_view(tx, view)

        return await self._context.store.read(read)

    async def page(self, *, before: int | None = None, after: int | None = None, limit: int = 100) -> Page:
        """Up to `limit` (1 to 1000) messages with order below `before` or above `after`, the newest by default."""

        def read(tx: Tx) -> Page:
            self._stored(tx)
            return shown_page(tx, tx.messages.page(self.chat_id, before=before, after=after, limit=limit))

        return await self._context.store.read(read)

    async def history(self) -> AsyncIterator[Message]:
        """Every stored message, newest last."""
        after = -1
        while True:
            page = await self.page(after=after, limit=HISTORY_PAGE)
            for message in page.messages:
                yield message
            if page.at_end or not page.messages:
                return
            after = page.messages[-1].order

    async def first_unread(self) -> Message | None:
        """The oldest message that counts as unread."""

        def read(tx: Tx) -> Message | None:
            self._stored(tx)
            message = tx.messages.first_unread(self.chat_id)
            return None if message is None else shown(tx, message)

        return await self._context.store.read(read)

    async def versions(self, mid: Mid) -> tuple[Version, ...]:
        """What a text has said so far, oldest first. Raises InputError (unknown_message, unknown_chat)."""

        def read(tx: Tx) -> tuple[Version, ...]:
            self._stored(tx)
            message = tx.messages.find(self.chat_id, mid)
            if message is None:
                raise InputError("unknown_message")
            return tx.changes.versions(Target(self.chat_id, message.sender.uid, mid))

        return await self._context.store.read(read)

    async def mark_read(self, order: int) -> None:
        """The person has seen everything up to this place; the authors are told if the chat was accepted."""

        def step(tx: Tx, out: Outcome) -> None:
            chat = self._stored(tx)
            seq = chat.cursor if order >= PENDING_BASE else min(order >> ORDER_SHIFT, chat.cursor)
            if tx.chats.mark_read(self.chat_id, seq):
                out.touched.add(self.chat_id)

        await self._context.commit(step)
        self._engine.reads_due()
