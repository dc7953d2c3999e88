"""Files that the person asks for: fetched in parts that survive anything, verified, and only then given their name.

Nothing is fetched by itself. What a message says of its file is its sender's claim: the size bounds what is taken from
the server, and a server that has another size is not asked for a byte.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mensajeria.client.api import Direction, MessageChanged, Transfer
from mensajeria.client.core.backoff import Backoff
from mensajeria.client.engine.context import Context
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.engine.transfers import Transfers
from mensajeria.client.errors import InputError, NetworkError, RefusedError, SecurityError, StateError
from mensajeria.client.store import Tx
from mensajeria.client.store.files import file_body
from mensajeria.client.transfer import saving, staging
from mensajeria.crypto.files import FileSealError, sealed_size
from mensajeria.protocol.errors import Code
from mensajeria.protocol.ids import ChatId, Mid, Uid
from mensajeria.protocol.records_files import FileBody

if TYPE_CHECKING:
    import httpx

_log = logging.getLogger(__name__)
WRITE_BYTES: Final = 1 << 20
TRIES: Final = 5
"""Broken connections in a row that brought nothing new."""
_CONTENT_RANGE: Final = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})")
_OK: Final = 200
_PARTIAL: Final = 206


class Downloads:
    """Fetches what is asked for, one call at a time for each file."""

    def __init__(self, context: Context, transfers: Transfers) -> None:
        self._context = context
        self._transfers = transfers
        self._locks: dict[bytes, asyncio.Lock] = {}

    async def fetch(self, chat_id: ChatId, mid: Mid, to: Path, author: Uid | None) -> Path:
        """Save a message's file; raises as `Chat.download`."""
        sender, body, stage = await self._context.store.read(lambda tx: self._wanted(tx, chat_id, mid, author))
        await asyncio.to_thread(saving.check_target, to)
        lock = self._locks.setdefault(body.sha256, asyncio.Lock())
        try:
            async with lock:
                path = await self._save(chat_id, mid, body, stage, to)
        finally:
            self._transfers.over(chat_id, mid, Direction.DOWNLOAD)
            if not lock.locked():
                self._locks.pop(body.sha256, None)
        await self._context.commit(lambda tx, out: self._saved(tx, out, chat_id, mid, sender, path))
        return path

    async def sweep(self) -> None:
        """Remove parts that nobody goes on with."""
        await asyncio.to_thread(saving.sweep_parts, self._context.folder)

    def _wanted(self, tx: Tx, chat_id: ChatId, mid: Mid, author: Uid | None) -> tuple[Uid, FileBody, str | None]:
        """The author, the file, and the own encrypted copy if there still is one."""
        chat = tx.chats.get(chat_id)
        if chat is None:
            raise InputError("unknown_chat")
        if tx.messages.find(chat_id, mid, author) is None:
            raise InputError("unknown_message")
        authors = tx.attachments.authors(chat_id, mid)
        senders = authors if author is None else tuple({author}.intersection(authors))
        if not senders:
            raise InputError("no_attachment")
        if len(senders) > 1:
            raise InputError("unknown_message", "several members claim this id: name the author")
        if not chat.accepted:
            raise StateError("request_pending")
        body = tx.attachments.body(chat_id, mid, senders[0])
        assert body is not None, "it was just found"
        upload = tx.uploads.get(chat_id, mid) if senders[0] == self._context.me.uid else None
        return senders[0], file_body(body), None if upload is None else upload.stage

    async def _save(self, chat_id: ChatId, mid: Mid, body: FileBody, stage: str | None, to: Path) -> Path:
        if stage is not None:
            copy = self._context.folder / staging.FOLDER / stage
            if await asyncio.to_thread(copy.exists):  # it goes when the message is acked
                return await self._open(chat_id, copy, body, to)
        part = await asyncio.to_thread(saving.part_of, self._context.folder, body)
        have = await asyncio.to_thread(saving.part_size, part, body)
        await asyncio.to_thread(saving.check_room, part, have, body, to)
        await self._fetch_all(chat_id, mid, body, part, have)
        path = await self._open(chat_id, part, body, to)
        await asyncio.to_thread(part.unlink, missing_ok=True)
        return path

    async def _fetch_all(self, chat_id: ChatId, mid: Mid, body: FileBody, part: Path, have: int) -> None:
        """Until the part is as long as it must be, going on after broken connections."""
        backoff, failures, total = Backoff(), 0, sealed_size(body.size)
        while have < total:
            try:
                async for there in self._fetch(body, part, have):
                    self._transfers.at(Transfer(chat_id, mid, Direction.DOWNLOAD, there, total))
                have = total
            except NetworkError as error:
                now = await asyncio.to_thread(saving.part_size, part, body)
                failures, have = (failures + 1 if now <= have else 1), now
                if failures > TRIES:
                    raise
                _log.info("a download goes on later: %s", error.code)
                await asyncio.sleep(backoff.next_delay(self._context.chance()))
            except RefusedError as error:
                if error.code == Code.NOT_FOUND:
                    raise RefusedError("file_gone") from error
                raise
            except SecurityError as error:
                await self._warn(chat_id, error.code)
                raise

    async def _fetch(self, body: FileBody, part: Path, offset: int) -> AsyncIterator[int]:
        """One request's bytes into the part; yields how much of it is there."""
        total = sealed_size(body.size)
        async with self._context.rest.files.download(body.blob, offset) as response:
            have = _checked_start(response, offset, total)
            waiting = bytearray()
            async for chunk in response.aiter_raw():
                waiting += chunk
                if have + len(waiting) > total:
                    raise SecurityError("file_tampered", "more bytes than the message says")
                if len(waiting) >= WRITE_BYTES:
                    have = await self._write(part, have, waiting)
                    yield have
            if waiting:
                have = await self._write(part, have, waiting)
                yield have
            if have < total:
                raise NetworkError("network", "the answer ended early")

    @staticmethod
    async def _write(part: Path, have: int, waiting: bytearray) -> int:
        data = bytes(waiting)
        waiting.clear()
        await asyncio.to_thread(saving.append, part, have, data)
        return have + len(data)

    async def _open(self, chat_id: ChatId, sealed: Path, body: FileBody, to: Path) -> Path:
        try:
            return await asyncio.to_thread(saving.save, sealed, body, to)
        except FileSealError as error:
            await asyncio.to_thread(sealed.unlink, missing_ok=True)
            await self._warn(chat_id, "file_tampered")
            raise SecurityError("file_tampered", str(error)) from error

    async def _warn(self, chat_id: ChatId, code: str) -> None:
        def step(tx: Tx, out: Outcome) -> None:
            out.warn(tx, code, self._context.me.clock.now_ms(), chat_id)

        await self._context.commit(step)

    def _saved(self, tx: Tx, out: Outcome, chat_id: ChatId, mid: Mid, sender: Uid, path: Path) -> None:
        tx.attachments.set_saved(chat_id, mid, sender, str(path))
        message = tx.messages.find(chat_id, mid, sender)
        if message is not None:  # it may have been deleted meanwhile
            out.events.append(MessageChanged(message, message.order))


def _checked_start(response: httpx.Response, offset: int, total: int) -> int:
    """Where the answer's bytes begin. Raises SecurityError when the file has another size than the message says."""
    if response.status_code == _OK:
        length = response.headers.get("content-length", "")
        if length.isascii() and length.isdigit() and int(length) != total:
            raise SecurityError("file_tampered", "another size than the message says")
        return 0
    found = _CONTENT_RANGE.fullmatch(response.headers.get("content-range", ""))
    if response.status_code != _PARTIAL or found is None:
        raise NetworkError("not_a_server", "no such part")
    start, last, size = map(int, found.groups())
    if size != total:
        raise SecurityError("file_tampered", "another size than the message says")
    if start != offset or last != total - 1:
        raise NetworkError("not_a_server", "another part than was asked for")
    return start
