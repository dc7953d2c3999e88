"""What every side of a chat has: the stored chat, and whether something may be written in it now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from mensajeria.client.api import SentMessage
from mensajeria.client.engine.blocking import require_not_blocked
from mensajeria.client.engine.context import Context
from mensajeria.client.engine.engine import Engine
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.errors import InputError, SendBlockedError, StateError
from mensajeria.client.store import Tx
from mensajeria.client.store.values import Chat as StoredChat
from mensajeria.client.store.views import closed_of
from mensajeria.protocol.ids import ChatId, Mid
from mensajeria.protocol.membership import MembershipState

M = TypeVar("M", Mid, Mid | None)


@dataclass(frozen=True, slots=True)
class ChatFace:
    """One side of a chat of an open client."""

    chat_id: ChatId
    _context: Context
    _engine: Engine

    def _stored(self, tx: Tx) -> StoredChat:
        chat = tx.chats.get(self.chat_id)
        if chat is None:
            raise InputError("unknown_chat")
        return chat

    def _membership(self, tx: Tx) -> MembershipState:
        return self._context.memberships.of(tx, self.chat_id).now

    def _writable(self, tx: Tx, out: Outcome) -> StoredChat:
        """The chat, if something may be written in it now; writing accepts it.

        Raises InputError, SendBlockedError, StateError (person_blocked).
        """
        chat = self._stored(tx)
        contact = None if chat.peer is None else tx.contacts.get(chat.peer)
        if contact is not None and contact.sending_blocked:
            raise SendBlockedError(contact.handle)
        require_not_blocked(tx, chat)
        if chat.peer is not None and tx.contacts.is_gone(chat.peer):
            raise StateError("account_gone")
        group = tx.groups.get(self.chat_id)
        if group is not None and (closed := closed_of(group)) is not None:
            raise StateError(closed.value)
        if not chat.accepted:
            self._context.marks.answered(tx, out, self.chat_id, accepted=True)
        return chat

    async def _change(self, queue: Callable[[Tx, Outcome], M]) -> M:
        """Queue something that has no place of its own."""

        def add(tx: Tx, out: Outcome) -> M:
            self._writable(tx, out)
            return queue(tx, out)

        return await self._engine.sending.enqueue(self.chat_id, add)

    def _sent(self, mid: Mid) -> SentMessage:
        return SentMessage(self.chat_id, mid)
