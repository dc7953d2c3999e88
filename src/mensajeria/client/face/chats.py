"""The chats of an account: all of them, one of them, a new one, and what is found in them."""

from __future__ import annotations

from collections.abc import Sequence

from mensajeria.client.account import check_handle_form
from mensajeria.client.api import ChatView, Message, Trust
from mensajeria.client.chat import Chat
from mensajeria.client.engine import new_chats
from mensajeria.client.engine.hiding import shown_found, shown_view
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.engine.trust import show_changed
from mensajeria.client.face.base import Face
from mensajeria.client.store import Tx
from mensajeria.protocol.ids import ChatId
from mensajeria.protocol.membership import direct_chat_id


class Chats(Face):
    """The account's chats; what is done in one is `Chat`'s."""

    async def chats(self) -> tuple[ChatView, ...]:
        """All chats that were not declined, latest activity first."""
        return await self._context.store.read(lambda tx: tuple(shown_view(tx, view) for view in tx.views.chats()))

    def chat(self, chat_id: bytes) -> Chat:
        """A chat by its id."""
        return Chat(ChatId(chat_id), self._context, self._engine)

    async def direct_chat(self, username: str) -> Chat:
        """The chat with a user, made when there is none; the own name gives the note to self.

        Offline it finds chats that exist. Raises InputError, RefusedError (unknown_user), NetworkError, SecurityError.
        """
        handle, me = check_handle_form(username), self._context.me
        known = await self._context.store.read(lambda tx: self._chat_with(tx, handle))
        if known is not None:
            return self.chat(known)
        peer = me.uid if handle == me.handle else (await self._engine.directory.by_handle(handle)).uid
        chat_id = ChatId(direct_chat_id(me.server_id, me.uid, peer))
        await self._context.rest.chats.open_direct(chat_id, peer)

        def step(tx: Tx, out: Outcome) -> None:
            now = self._running.clock.now_ms()
            tx.chats.ensure_direct(chat_id, peer, accepted=True, note_to_self=peer == me.uid, now_ms=now)
            chat, contact = tx.chats.get(chat_id), tx.contacts.get(peer)
            # The server's word of the new chat may have overtaken its answer: then it is there already, and empty.
            begun = chat is not None and chat.last_seq == 0
            if begun and peer != me.uid and (seconds := new_chats.timer_for_new(tx)):
                tx.timers.wish(chat_id, seconds)
            if begun and contact is not None and contact.trust is Trust.CHANGED:
                show_changed(tx, out, contact, now)
            out.touched.add(chat_id)

        await self._context.commit(step)
        return self.chat(chat_id)

    async def create_group(self, name: str, usernames: Sequence[str], *, description: str = "") -> Chat:
        """Make a group with these people, owned by oneself. Strangers get it as a request.

        Raises InputError (name_invalid, group_full, handle_invalid), RefusedError (unknown_user, request_limit),
        NetworkError, SecurityError.
        """
        handles = [check_handle_form(username) for username in usernames]
        return self.chat(await self._engine.groups.create(name, handles, description=description))

    async def recreate_group(self, chat_id: bytes) -> Chat:
        """The way out of a group that was forked, or whose owner began anew: a new one, owned by oneself.

        It has the same name and people, each with the identity of now: who changed it without proof is a plain member,
        is told of in the new group, and gets its keys as in any other (`MemberView.former_identity`). If another member
        has made it already, it is that one; of several that were made at once, the same for everybody.

        Raises InputError (unknown_chat, not_a_group), StateError (not_a_member), RefusedError, NetworkError.
        """
        return self.chat(await self._engine.groups.recreate(ChatId(chat_id)))

    def _chat_with(self, tx: Tx, handle: str) -> ChatId | None:
        contact = tx.contacts.by_handle(handle)
        if contact is None or tx.contacts.is_gone(contact.uid):
            return None  # whoever has the name now, if anybody, has another chat
        chat_id = ChatId(direct_chat_id(self._context.me.server_id, self._context.me.uid, contact.uid))
        chat = tx.chats.get(chat_id)
        return None if chat is None or chat.declined else chat_id

    async def accept(self, chat_id: bytes) -> None:
        """`Chat.accept`."""
        await self.chat(chat_id).accept()

    async def mark_read(self, chat_id: bytes, order: int) -> None:
        """`Chat.mark_read`."""
        await self.chat(chat_id).mark_read(order)

    async def search(self, text: str, *, chat_id: bytes | None = None, limit: int = 50) -> tuple[Message, ...]:
        """Messages in which every word of `text` begins a word, accents ignored, newest first."""
        within = None if chat_id is None else ChatId(chat_id)
        return await self._context.store.read(
            lambda tx: shown_found(tx, tx.views.search(text, chat_id=within, limit=limit))
        )
