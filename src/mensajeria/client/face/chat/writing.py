"""What is written in a chat: texts, changes to messages, and what becomes of failed ones."""

from __future__ import annotations

from typing import Final

from mensajeria.client.api import Message, MessageDiscarded, MessageKind, MessageState, MessageStateChanged, SentMessage
from mensajeria.client.engine.kinds import own
from mensajeria.client.engine.new_chats import carry_timer
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.engine.privacy import privacy_of
from mensajeria.client.engine.timers import timer_of
from mensajeria.client.errors import InputError
from mensajeria.client.face.chat.base import ChatFace
from mensajeria.client.store import Tx
from mensajeria.client.store.blocks import is_blocked
from mensajeria.client.store.values import NewMessage
from mensajeria.crypto.message import TEXT, text_body
from mensajeria.kit.ids import random16
from mensajeria.protocol import limits
from mensajeria.protocol.frames import Typing
from mensajeria.protocol.ids import Mid, Uid

_NOBODY: Final = bytes(16)


class Writing(ChatFace):
    """Everything that is queued is stored first, and sent when there is a connection."""

    __slots__ = ()

    async def send_text(self, text: str, *, reply_to: Mid | None = None) -> SentMessage:
        """Queue a text and return once it is stored; it is sent when there is a connection. Accepts a request.

        `reply_to` is the message that it answers; only its id is sent, everybody's device shows its own copy.

        Raises:
            InputError: empty_text, too_large, unknown_chat, unknown_message.
            SendBlockedError: the verified contact's identity changed: `accept_identity` first.
            StateError: person_blocked: `unblock` first.
            StateError: a group's `Closed` says why nothing can be written into it.
        """
        body, mid = _checked(text), Mid(random16())

        def add(tx: Tx, out: Outcome) -> Message:
            return self._add(tx, out, mid, text, body, reply_to)

        await self._engine.sending.enqueue(self.chat_id, add)
        return SentMessage(self.chat_id, mid)

    async def edit(self, mid: Mid, text: str) -> SentMessage:
        """Give an own text another wording; everybody sees that it was changed. Queued like a text.

        Raises InputError (unknown_message, not_editable, empty_text, too_large, unknown_chat), SendBlockedError.
        """
        _checked(text)
        me = self._context.me
        return self._sent(await self._change(lambda tx, out: own.edit(tx, out, me, self.chat_id, mid, text)))

    async def react(self, mid: Mid, emoji: str | None) -> SentMessage:
        """Put the own emoji under a message, instead of the one before; None takes it away. Queued like a text.

        Raises InputError (unknown_message, not_an_emoji, unknown_chat), SendBlockedError.
        """
        me = self._context.me
        return self._sent(await self._change(lambda tx, out: own.react(tx, out, me, self.chat_id, mid, emoji)))

    async def delete(self, mid: Mid, *, for_all: bool) -> SentMessage | None:
        """Delete a message: on this device only, or (an own one; any as a group's admin) for everybody.

        None when nothing had to be queued. The server erases the ciphertext once the delete is in the log.

        Raises InputError (unknown_message, not_deletable, unknown_chat), SendBlockedError.
        """
        me = self._context.me
        if for_all:
            change = await self._change(lambda tx, out: own.delete_for_all(tx, out, me, self._membership(tx), mid))
            return None if change is None else self._sent(change)

        def step(tx: Tx, out: Outcome) -> None:
            self._stored(tx)
            own.delete_here(tx, out, self.chat_id, mid)

        await self._context.commit(step)
        return None

    async def retry(self, mid: Mid) -> None:
        """Queue a failed message again, behind the others. Raises InputError (unknown_message)."""

        def step(tx: Tx, out: Outcome) -> None:
            self._stored(tx)
            if not (self._engine.uploads.retry(tx, out, self.chat_id, mid) or tx.outbox.requeue(self.chat_id, mid)):
                raise InputError("unknown_message")
            change = tx.own_messages.to_end(self.chat_id, mid, self._context.me.uid)
            out.events.append(MessageStateChanged(change.message, change.previous_order))
            out.touched.add(self.chat_id)

        await self._context.commit(step)
        self._engine.sending.wake(self.chat_id)

    async def discard(self, mid: Mid) -> None:
        """Drop a failed message, or one whose file is on its way. Raises InputError (unknown_message)."""

        def step(tx: Tx, out: Outcome) -> None:
            self._stored(tx)
            if not self._engine.uploads.give_up(tx, out, self.chat_id, mid):
                item = tx.outbox.get(self.chat_id, mid)
                if item is None or item.failed is None:
                    raise InputError("unknown_message")
                tx.outbox.remove(self.chat_id, mid)
                out.uploads = tx.uploads.remove(self.chat_id, mid)
            order = tx.own_messages.discard(self.chat_id, mid, self._context.me.uid)
            if order is not None:
                out.events.append(MessageDiscarded(self.chat_id, mid, order))
            out.touched.add(self.chat_id)

        await self._context.commit(step)

    async def save_draft(self, text: str) -> None:
        """Keep what is typed and not sent."""

        def step(tx: Tx, out: Outcome) -> None:
            if self._stored(tx).draft != text:
                tx.chats.set_draft(self.chat_id, text)
                out.touched.add(self.chat_id)

        await self._context.commit(step)

    async def set_typing(self, typing: bool) -> None:  # noqa: FBT001 - the one thing it says
        """Tell the others, if they are there: not before the request is accepted, nor against the setting."""

        def told(tx: Tx) -> bool:
            chat = self._stored(tx)
            return chat.accepted and privacy_of(tx).typing and not (chat.peer and is_blocked(tx, chat.peer))

        if await self._context.store.read(told):
            self._engine.send_hint(Typing(self.chat_id, _NOBODY, typing))

    def _add(self, tx: Tx, out: Outcome, mid: Mid, text: str, body: bytes, reply_to: Mid | None) -> Message:
        self._writable(tx, out)
        carry_timer(self._context, tx, out, self.chat_id)
        now, me = self._context.me.clock.now_ms(), self._context.me.uid
        timer_s = timer_of(tx, self.chat_id, self._membership(tx))
        reply = None if reply_to is None else self._about(tx, reply_to)
        message = tx.messages.add(
            NewMessage(
                self.chat_id,
                mid,
                me,
                outgoing=True,
                kind=MessageKind.TEXT,
                state=MessageState.QUEUED,
                sent_ms=now,
                text=text,
                reply=reply,
                expire_s=timer_s,
            )
        )
        refs = () if reply is None else (reply,)
        tx.outbox.add(self.chat_id, mid, TEXT, body, now, refs=refs, expire_s=timer_s)
        out.events.append(MessageStateChanged(message, message.order))
        out.touched.add(self.chat_id)
        return message

    def _about(self, tx: Tx, mid: Mid) -> tuple[Uid, Mid]:
        message = tx.messages.find(self.chat_id, mid)
        if message is None or message.kind in {MessageKind.NOTICE, MessageKind.UNREADABLE}:
            raise InputError("unknown_message")
        return message.sender.uid, mid


def _checked(text: str) -> bytes:
    """The body of a text. Raises InputError (empty_text, too_large, malformed_text)."""
    if not text.strip():
        raise InputError("empty_text")
    if len(text.encode("utf-8", "surrogatepass")) > limits.TEXT_MAX_BYTES:
        raise InputError("too_large")
    try:
        return text_body(text)
    except ValueError as error:
        raise InputError("malformed_text") from error
