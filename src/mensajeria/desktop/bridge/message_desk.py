"""What the windows ask for about messages, done with the client. Lives on the client's thread; answers are updates."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mensajeria.client import ClientError
from mensajeria.desktop.bridge import mapping
from mensajeria.desktop.bridge.updates import ChatOpened, Noticed, TimerIs, TransferPut, VersionsAre
from mensajeria.desktop.viewmodels.parts import TransferRow, VersionRow
from mensajeria.desktop.viewmodels.timeline import WINDOW_ROWS
from mensajeria.desktop.viewmodels.types import ErrorNotice, OpenedChat
from mensajeria.protocol.ids import Mid, Uid

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from mensajeria.client import Chat, Client
    from mensajeria.desktop.bridge.batch import Batcher
    from mensajeria.desktop.bridge.events import EventMapper
    from mensajeria.desktop.viewmodels.parts import Outgoing

CONTEXT_ROWS: Final = 20
"""Rows shown above the one that a chat is opened at, when that is far from its end."""


def notice_of(error: ClientError) -> ErrorNotice:
    """A client's error as the windows tell it."""
    return ErrorNotice(str(error.code), error.params)


class MessageDesk:
    """Answers, edits, reactions, deletes, files and timers. `sending` keeps what is written in one chat in order."""

    def __init__(self, client: Client, batcher: Batcher, events: EventMapper, sending: dict[str, asyncio.Lock]) -> None:
        self._client, self._batcher, self._events, self._sending = client, batcher, events, sending
        self._downloads: dict[tuple[str, str], asyncio.Task[Path]] = {}

    async def reply(self, chat_id: str, text: str, to: str) -> None:
        """Queue an answer."""
        async with self._noticing(), self._in_order(chat_id):
            await self._chat(chat_id).send_text(text, reply_to=_mid(to))

    async def edit(self, chat_id: str, mid: str, text: str) -> None:
        """Give an own text another wording."""
        async with self._noticing():
            await self._chat(chat_id).edit(_mid(mid), text)

    async def react(self, chat_id: str, mid: str, emoji: str) -> None:
        """Put an emoji under a message; an empty one takes the own away."""
        async with self._noticing():
            await self._chat(chat_id).react(_mid(mid), emoji or None)

    async def delete(self, chat_id: str, mid: str, *, for_all: bool) -> None:
        """Delete a message."""
        async with self._noticing():
            await self._chat(chat_id).delete(_mid(mid), for_all=for_all)

    async def send_files(self, chat_id: str, files: Outgoing) -> None:
        """Queue files one after the other; one that cannot be sent is told and does not stop the others."""
        async with self._in_order(chat_id):
            for number, path in enumerate(files.paths, 1):
                async with self._noticing():
                    caption = files.caption if number == len(files.paths) else ""
                    await self._chat(chat_id).send_file(Path(path), caption)
                if path in files.temporary:
                    with contextlib.suppress(OSError):
                        await asyncio.to_thread(Path(path).unlink)

    async def download(self, chat_id: str, mid: str, author: str, folder: str) -> None:
        """Fetch a file into a folder, which is made if it must be; one download of a message at a time."""
        key = (chat_id, mid)
        if key in self._downloads:
            return
        self._batcher.put(TransferPut(chat_id, mid, TransferRow(upload=False, done=0, total=0)))
        task = asyncio.ensure_future(self._fetch(chat_id, mid, author, Path(folder)))
        self._downloads[key] = task
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            task.cancel()
            raise
        finally:
            del self._downloads[key]
        self._tell_end(chat_id, mid, task)

    async def _fetch(self, chat_id: str, mid: str, author: str, folder: Path) -> Path:
        with contextlib.suppress(OSError):  # said by the download itself: the target cannot be written
            await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
        return await self._chat(chat_id).download(_mid(mid), folder, author=Uid(bytes.fromhex(author)))

    def _tell_end(self, chat_id: str, mid: str, task: asyncio.Task[Path]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is None:
            self._batcher.put(TransferPut(chat_id, mid, None))
            return
        self._batcher.put(TransferPut(chat_id, mid, TransferRow(upload=False, done=0, total=0, failed=True)))
        if not isinstance(error, ClientError):
            raise error
        self._batcher.put(Noticed(notice_of(error)))

    async def cancel(self, chat_id: str, mid: str, *, upload: bool) -> None:
        """Stop a file on its way; what was to be sent is dropped."""
        if not upload:
            if (task := self._downloads.get((chat_id, mid))) is not None:
                task.cancel()
            return
        async with self._noticing():
            await self._chat(chat_id).discard(_mid(mid))
            self._batcher.put(TransferPut(chat_id, mid, None))

    async def set_timer(self, chat_id: str, seconds: int) -> None:
        """What is written from now on disappears so long after it was read."""
        async with self._noticing():
            await self._chat(chat_id).set_timer(seconds)
            await self.tell_timer(chat_id)

    async def tell_timer(self, chat_id: str) -> None:
        """Say what a chat's timer is."""
        async with self._noticing():
            self._batcher.put(TimerIs(chat_id, await self._chat(chat_id).timer()))

    async def versions(self, chat_id: str, mid: str) -> None:
        """Say what a text has said so far."""
        async with self._noticing():
            found = await self._chat(chat_id).versions(_mid(mid))
            self._batcher.put(VersionsAre(mid, tuple(VersionRow(each.text, each.at_ms) for each in found)))

    async def jump(self, chat_id: str, position: int) -> None:
        """A first page around a message, with some rows above it."""
        async with self._noticing():
            with self._batcher.holding(chat_id):
                chat, me = self._chat(chat_id), self._client.me.uid
                above = await chat.page(before=position, limit=CONTEXT_ROWS)
                below = await chat.page(after=position - 1, limit=WINDOW_ROWS - CONTEXT_ROWS)
                messages = (*above.messages, *below.messages)
                around = type(below)(messages, at_start=above.at_start, at_end=below.at_end)
                target = next((mapping.key_of(each) for each in below.messages if each.order == position), "")
                group, shown = self._events.is_group(chat.chat_id), mapping.page(chat_id, around, me)
                self._batcher.put(ChatOpened(OpenedChat(shown, group=group, target=target)))
                self._batcher.flush()

    def _chat(self, chat_id: str) -> Chat:
        return self._client.chat(bytes.fromhex(chat_id))

    def _in_order(self, chat_id: str) -> asyncio.Lock:
        return self._sending.setdefault(chat_id, asyncio.Lock())

    @contextlib.asynccontextmanager
    async def _noticing(self) -> AsyncIterator[None]:
        try:
            yield
        except ClientError as error:
            self._batcher.put(Noticed(notice_of(error)))


def _mid(text: str) -> Mid:
    return Mid(bytes.fromhex(text))
