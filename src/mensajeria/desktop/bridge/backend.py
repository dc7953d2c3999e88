"""What the windows ask for, done with the client. Lives on the client's thread; answers are updates."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from mensajeria.client import ClientError
from mensajeria.client.api import DeviceLinked, EventsLost
from mensajeria.desktop.bridge import mapping, told
from mensajeria.desktop.bridge.answers import Answerer
from mensajeria.desktop.bridge.events import EventMapper
from mensajeria.desktop.bridge.message_desk import CONTEXT_ROWS, MessageDesk, notice_of
from mensajeria.desktop.bridge.updates import (
    AccountIs,
    Answered,
    ChatOpened,
    NewChatDone,
    NewerPut,
    Noticed,
    OlderPut,
    PhaseIs,
    ProfilesPut,
)
from mensajeria.desktop.viewmodels.asking import LinkUsed
from mensajeria.desktop.viewmodels.timeline import WINDOW_ROWS
from mensajeria.desktop.viewmodels.types import OpenedChat, Phase

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from mensajeria.client import Client
    from mensajeria.desktop.bridge.batch import Batcher

__all__ = ["CONTEXT_ROWS", "SignedIn", "notice_of"]


class SignedIn:
    """Everything the main window asks for, with an open client."""

    def __init__(self, client: Client, batcher: Batcher, own_title: str) -> None:
        self._client = client
        self._batcher = batcher
        self._events = EventMapper(client.server_url, own_title, client.me.uid)
        self._open_chat = ""
        self.answers = Answerer(client, batcher, self._put_chats)
        self._sending: dict[str, asyncio.Lock] = {}
        self.messages = MessageDesk(client, batcher, self._events, self._sending)

    async def run(self) -> None:
        """Show what is stored, then follow the client until it is closed."""
        stream = self._client.events()
        self._batcher.put(AccountIs(mapping.person(self._client.me)))
        self._batcher.put(self._events.chats(await self._client.chats()))
        await self._put_profiles()
        self._put_connection()
        self._batcher.put(PhaseIs(Phase.READY))
        self._batcher.flush()
        while batch := await stream.next_batch():
            for event in batch:
                if isinstance(event, EventsLost):
                    await self._reload()
                    continue
                if isinstance(event, DeviceLinked):
                    await self._linked(event)
                    continue
                for update in self._events.updates(event):
                    self._batcher.put(update)

    async def rename_own_chat(self, own_title: str) -> None:
        """The language has changed: the note to self has another name."""
        self._events.own_title = own_title
        self._batcher.put(self._events.chats(await self._client.chats()))

    async def open_chat(self, chat_id: str) -> None:
        """The first page: the newest rows, or those around the first unread one when it lies further back."""
        self._open_chat = chat_id
        chat = self._client.chat(bytes.fromhex(chat_id))
        async with self._reading(chat_id):
            page = await chat.page(limit=WINDOW_ROWS)
            unread = self._events.unread(bytes.fromhex(chat_id))
            first = await chat.first_unread() if unread else None
            if first is not None and page.messages and first.order < page.messages[0].order:
                page = await chat.page(after=first.order - 1, limit=WINDOW_ROWS - CONTEXT_ROWS)
            group = self._events.is_group(bytes.fromhex(chat_id))
            key = mapping.key_of(first) if first is not None else ""
            self._batcher.put(
                ChatOpened(
                    OpenedChat(mapping.page(chat_id, page, self._client.me.uid), key, unread if key else 0, group)
                )
            )
            self._batcher.flush()

    async def latest(self, chat_id: str) -> None:
        """The end of a chat, again."""
        async with self._reading(chat_id):
            page = await self._client.chat(bytes.fromhex(chat_id)).page(limit=WINDOW_ROWS)
            shown = mapping.page(chat_id, page, self._client.me.uid)
            group = self._events.is_group(bytes.fromhex(chat_id))
            self._batcher.put(ChatOpened(OpenedChat(shown, group=group)))

    async def older(self, chat_id: str, before: int, limit: int) -> None:
        """The page before a place."""
        async with self._reading(chat_id):
            page = await self._client.chat(bytes.fromhex(chat_id)).page(before=before, limit=limit)
            self._batcher.put(OlderPut(mapping.page(chat_id, page, self._client.me.uid)))

    async def newer(self, chat_id: str, after: int, limit: int) -> None:
        """The page after a place."""
        async with self._reading(chat_id):
            page = await self._client.chat(bytes.fromhex(chat_id)).page(after=after, limit=limit)
            self._batcher.put(NewerPut(mapping.page(chat_id, page, self._client.me.uid)))

    async def close_chat(self, chat_id: str) -> None:
        """The window shows another chat or none."""
        if self._open_chat == chat_id:
            self._open_chat = ""

    async def send(self, chat_id: str, text: str) -> None:
        """Queue a text; what was typed first stands first."""
        async with self._noticing(), self._sending.setdefault(chat_id, asyncio.Lock()):
            await self._client.chat(bytes.fromhex(chat_id)).send_text(text)

    async def retry(self, chat_id: str, key: str) -> None:
        """Try a failed message again."""
        async with self._noticing():
            await self._client.chat(bytes.fromhex(chat_id)).retry(mapping.mid_of(key))

    async def discard(self, chat_id: str, key: str) -> None:
        """Drop a failed message."""
        async with self._noticing():
            await self._client.chat(bytes.fromhex(chat_id)).discard(mapping.mid_of(key))

    async def accept(self, chat_id: str) -> None:
        """Accept a message request."""
        async with self._noticing():
            await self._client.chat(bytes.fromhex(chat_id)).accept()

    async def decline(self, chat_id: str) -> None:
        """Decline a message request; the chat goes from the list."""
        async with self._noticing():
            await self._client.chat(bytes.fromhex(chat_id)).decline()
            self._batcher.put(self._events.gone(bytes.fromhex(chat_id)))

    async def accept_identity(self, chat_id: str) -> None:
        """The person has seen that a contact's identity changed."""
        async with self._noticing():
            await self._client.chat(bytes.fromhex(chat_id)).accept_identity()

    async def typing(self, chat_id: str, typing: bool) -> None:
        """Tell the peer."""
        async with self._noticing():
            await self._client.chat(bytes.fromhex(chat_id)).set_typing(typing)

    async def mark_read(self, chat_id: str, order: int) -> None:
        """The person has seen a chat up to a place."""
        async with self._noticing():
            await self._client.chat(bytes.fromhex(chat_id)).mark_read(order)

    async def save_draft(self, chat_id: str, text: str) -> None:
        """Keep what stands in the composer."""
        async with self._noticing():
            await self._client.chat(bytes.fromhex(chat_id)).save_draft(text)

    async def new_direct_chat(self, handle: str) -> None:
        """Open (or find) the chat with a user, or the note to self."""
        try:
            chat = await self._client.direct_chat(handle.strip().lower().removeprefix("@"))
        except ClientError as error:
            self._batcher.put(NewChatDone("", error.code))
            return
        self._batcher.put(self._events.chats(await self._client.chats()))
        self._batcher.put(NewChatDone(chat.chat_id.hex()))

    async def reconnect(self) -> None:
        """Connect now."""
        self._client.retry_now()

    async def _put_chats(self) -> None:
        self._batcher.put(self._events.chats(await self._client.chats()))

    async def _put_profiles(self) -> None:
        known = await self._client.profiles()
        self._batcher.put(ProfilesPut(tuple(mapping.profile(uid, one) for uid, one in known.items())))

    async def _linked(self, event: DeviceLinked) -> None:
        """A device has read the code: by the name that only the server knows, if it can be asked."""
        device = event.device
        with contextlib.suppress(ClientError):
            rows = await self._client.devices()
            self._batcher.put(Answered(told.devices(rows)))
            device = next((row for row in rows if row.did == device.did), device)
        self._batcher.put(Answered(LinkUsed(device.name)))

    def _put_connection(self) -> None:
        """What was told before anybody listened here, as while the recovery code was looked at."""
        told = self._client.connection
        for update in () if told is None else self._events.updates(told):
            self._batcher.put(update)

    async def _reload(self) -> None:
        """Events were dropped here: read again what is shown."""
        self._put_connection()
        self._events.set_here(frozenset(self._client.here))
        await self._put_chats()
        await self._put_profiles()
        if self._open_chat:
            await self.latest(self._open_chat)

    @contextlib.asynccontextmanager
    async def _reading(self, chat_id: str) -> AsyncIterator[None]:
        """While a page is read: rows that arrive meanwhile come after it, and a failure is told."""
        async with self._noticing():
            with self._batcher.holding(chat_id):
                yield

    @contextlib.asynccontextmanager
    async def _noticing(self) -> AsyncIterator[None]:
        """Tell the person about a foreseeable failure that no row shows."""
        try:
            yield
        except ClientError as error:
            self._batcher.put(Noticed(notice_of(error)))
