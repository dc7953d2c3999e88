"""One chat: what a person does in it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeVar

from mensajeria.client.account import check_handle_form
from mensajeria.client.api import (
    ChatView,
    GroupRole,
    HistoryChoice,
    MemberView,
    Message,
    MessageDiscarded,
    MessageKind,
    MessageState,
    MessageStateChanged,
    Page,
    SecurityEntry,
    SentMessage,
    Version,
)
from mensajeria.client.engine.blocking import require_not_blocked
from mensajeria.client.engine.context import Context
from mensajeria.client.engine.engine import Engine
from mensajeria.client.engine.hiding import shown, shown_page, shown_view
from mensajeria.client.engine.identity_moves import under_former_identity
from mensajeria.client.engine.kinds import own
from mensajeria.client.engine.new_chats import carry_timer
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.engine.privacy import privacy_of
from mensajeria.client.engine.timers import timer_of
from mensajeria.client.errors import InputError, SendBlockedError, StateError
from mensajeria.client.security import Security
from mensajeria.client.store import Tx
from mensajeria.client.store.blocks import is_blocked
from mensajeria.client.store.changes import Target
from mensajeria.client.store.values import ORDER_SHIFT, PENDING_BASE, NewMessage
from mensajeria.client.store.values import Chat as StoredChat
from mensajeria.client.store.views import closed_of, members_of
from mensajeria.client.transfer.pictures import GROUP_SIDE, portrait
from mensajeria.crypto.message import TEXT, text_body
from mensajeria.kit.ids import random16
from mensajeria.protocol import limits
from mensajeria.protocol.frames import Typing
from mensajeria.protocol.ids import ChatId, Mid, Uid
from mensajeria.protocol.membership import ChatKind, MembershipState
from mensajeria.protocol.membership_state import Role

HISTORY_PAGE: Final = 200
_NOBODY: Final = bytes(16)
M = TypeVar("M", Mid, Mid | None)


@dataclass(frozen=True, slots=True)
class Chat:
    """A chat of an open client. Cheap to make; methods raise InputError (unknown_chat) when there is no such chat."""

    chat_id: ChatId
    _context: Context
    _engine: Engine

    # --- reading ---

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

    # --- writing ---

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

    async def send_file(self, path: Path, caption: str = "", *, as_image: bool | None = None) -> SentMessage:
        """Encrypt a copy of a file and queue it; return once that is stored. The original may go away then.

        Args:
            path: the file.
            caption: a text that goes with it; may be empty.
            as_image: a picture is turned upright, gets a thumbnail, and loses what it tells about its maker (EXIF,
                place, comments). None: every picture; False: the bytes as they are; True: it must be one.

        Raises:
            InputError: file_unreadable, not_a_file, file_changed, image_invalid, image_too_large, too_large,
                malformed_text, unknown_chat.
            ProfileError: disk_full, store_failed.
            SendBlockedError: the verified contact's identity changed: `accept_identity` first.
            StateError: person_blocked: `unblock` first.
        """
        mid = await self._engine.uploads.send(self.chat_id, Path(path), caption, as_image=as_image)
        return SentMessage(self.chat_id, mid)

    async def download(self, mid: Mid, to: Path, *, author: Uid | None = None) -> Path:
        """Fetch, verify and save a message's file; where it is then. Goes on where an earlier call was interrupted.

        Args:
            mid: the message.
            author: who wrote it; only needed where two members of a group claim one id.
            to: a folder (the file's name is made harmless and replaces nothing), or a path where nothing is yet.

        Raises:
            InputError: unknown_message, no_attachment, target_exists, target_unwritable.
            StateError: request_pending: nothing is fetched before the request is accepted.
            ProfileError: disk_full, store_failed.
            RefusedError: file_gone: the server does not have it any more.
            SecurityError: file_tampered: it is not what the message says; nothing of it was kept.
            NetworkError: what has arrived is kept for the next call.
        """
        return await self._engine.downloads.fetch(self.chat_id, mid, Path(to), author)

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

    async def set_timer(self, seconds: int) -> SentMessage | None:
        """What is written in this chat from now on disappears so long after it was read; 0 = never.

        In a direct chat it is queued like a text. In a group it is an event that an owner or admin signs: None then.

        Raises InputError (timer_invalid, unknown_chat), SendBlockedError; in a group also as `rename`.
        """
        me = self._context.me
        if await self._context.store.read(lambda tx: self._membership_of_stored(tx).kind is ChatKind.GROUP):
            await self._engine.groups.set_timer(self.chat_id, seconds)
            return None
        return self._sent(await self._change(lambda tx, out: own.set_timer(tx, out, me, self._membership(tx), seconds)))

    async def timer(self) -> int:
        """After how many seconds what is written now disappears; 0 = never."""

        def read(tx: Tx) -> int:
            self._stored(tx)
            return timer_of(tx, self.chat_id, self._membership(tx))

        return await self._context.store.read(read)

    async def mute(self, for_s: int | None = None) -> None:
        """Do not be told of new messages, on no own device: for so many seconds, or (None) until it is taken back.

        Raises InputError (timer_invalid, unknown_chat).
        """
        await self._engine.muting.mute(self.chat_id, for_s)

    async def unmute(self) -> None:
        """Be told again. Raises InputError (unknown_chat)."""
        await self._engine.muting.unmute(self.chat_id)

    async def versions(self, mid: Mid) -> tuple[Version, ...]:
        """What a text has said so far, oldest first. Raises InputError (unknown_message, unknown_chat)."""

        def read(tx: Tx) -> tuple[Version, ...]:
            self._stored(tx)
            message = tx.messages.find(self.chat_id, mid)
            if message is None:
                raise InputError("unknown_message")
            return tx.changes.versions(Target(self.chat_id, message.sender.uid, mid))

        return await self._context.store.read(read)

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

    async def mark_read(self, order: int) -> None:
        """The person has seen everything up to this place; the authors are told if the chat was accepted."""

        def step(tx: Tx, out: Outcome) -> None:
            chat = self._stored(tx)
            seq = chat.cursor if order >= PENDING_BASE else min(order >> ORDER_SHIFT, chat.cursor)
            if tx.chats.mark_read(self.chat_id, seq):
                out.touched.add(self.chat_id)

        await self._context.commit(step)
        self._engine.reads_due()

    # --- requests and identities ---

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

    # --- groups ---

    async def members(self) -> tuple[MemberView, ...]:
        """Who is in the chat, by role and name; in a direct chat everybody is a member."""

        def read(tx: Tx) -> tuple[MemberView, ...]:
            chat = self._stored(tx)
            members = members_of(tx, chat, self._context.me.uid)
            if not chat.is_group:
                return members
            former = under_former_identity(tx, self._context.memberships.of(tx, self.chat_id).now)
            return tuple(replace(one, former_identity=one.person.uid in former) for one in members)

        return await self._context.store.read(read)

    async def add(self, usernames: Sequence[str], *, history: HistoryChoice = HistoryChoice.NOTHING) -> None:
        """Add people to the group: they read what is written from now on, and what was before as `history` says.

        All members are told how much of the past the new ones may read. It is what this device can read itself.

        Raises InputError (already_member, group_full, not_a_group), StateError (not_allowed_in_group, not_a_member,
        group_busy), RefusedError (unknown_user, request_limit), NetworkError, SecurityError.
        """
        await self._engine.groups.add(self.chat_id, [check_handle_form(username) for username in usernames], history)

    async def remove(self, username: str) -> None:
        """Remove a member: what is written from now on they cannot read.

        Raises InputError (no_such_member, not_a_group), StateError (not_allowed_in_group, not_a_member, group_busy),
        RefusedError, NetworkError.
        """
        await self._engine.groups.remove(self.chat_id, check_handle_form(username))

    async def leave(self) -> None:
        """Leave the group. Nothing is sent into it from now on, even while the server cannot be told.

        Raises InputError (not_a_group), StateError (owner_stays: hand over first; not_a_member).
        """
        await self._engine.groups.leave(self.chat_id)

    async def set_role(self, username: str, role: GroupRole) -> None:
        """Give a member another role; `owner` hands the group over. Raises as `remove`."""
        await self._engine.groups.set_role(self.chat_id, check_handle_form(username), Role(role.value))

    async def rename(self, name: str | None = None, description: str | None = None) -> None:
        """Give the group another name, description or both. Raises as `remove`, and InputError (name_invalid)."""
        await self._engine.groups.rename(self.chat_id, name, description)

    async def set_picture(self, picture: Path | None) -> None:
        """Give the group a picture, of which the middle square is kept; None takes it away.

        Raises as `remove`, and InputError (image_invalid, image_too_large, file_unreadable).
        """
        data = (
            b""
            if picture is None
            else await asyncio.to_thread(portrait, picture, GROUP_SIDE, limits.GROUP_PICTURE_BYTES)
        )
        await self._engine.groups.rename(self.chat_id, None, None, data)

    # --- inside ---

    def _stored(self, tx: Tx) -> StoredChat:
        chat = tx.chats.get(self.chat_id)
        if chat is None:
            raise InputError("unknown_chat")
        return chat

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

    async def _peer(self) -> Uid:
        chat = await self._context.store.read(self._stored)
        if chat.peer is None or chat.note_to_self:
            raise InputError("no_person")
        return chat.peer

    def _membership_of_stored(self, tx: Tx) -> MembershipState:
        self._stored(tx)
        return self._membership(tx)

    def _membership(self, tx: Tx) -> MembershipState:
        return self._context.memberships.of(tx, self.chat_id).now

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

    async def _change(self, queue: Callable[[Tx, Outcome], M]) -> M:
        """Queue something that has no place of its own."""

        def add(tx: Tx, out: Outcome) -> M:
            self._writable(tx, out)
            return queue(tx, out)

        return await self._engine.sending.enqueue(self.chat_id, add)

    def _sent(self, mid: Mid) -> SentMessage:
        return SentMessage(self.chat_id, mid)

    async def _answer(self, *, accept: bool) -> None:
        await self._context.store.read(self._stored)
        await self._context.rest.chats.answer(self.chat_id, accept=accept)

        def step(tx: Tx, out: Outcome) -> None:
            self._context.marks.answered(tx, out, self.chat_id, accepted=accept)

        await self._context.commit(step)


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
