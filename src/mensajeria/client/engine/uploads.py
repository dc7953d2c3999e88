"""Own files on their way: encrypted once, sent in steps that survive anything, then handed to the outbox.

A file takes its place in the chat's log when the server has all of it; what is written meanwhile is not held up. Until
then its message lies in `tx.uploads`, not in the outbox. Only the encrypted copy is ever sent, so that no key and nonce
meet a second content, whatever becomes of the original.
"""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path
from typing import Final

import msgspec

from mensajeria.client.api import Direction, Message, MessageKind, MessageState, MessageStateChanged, Transfer
from mensajeria.client.core.backoff import Backoff
from mensajeria.client.engine.blocking import require_not_blocked
from mensajeria.client.engine.context import Context
from mensajeria.client.engine.new_chats import carry_timer
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.engine.sending import Sending
from mensajeria.client.engine.timers import timer_of
from mensajeria.client.engine.transfers import Transfers
from mensajeria.client.errors import ClientError, InputError, NetworkError, RefusedError, SendBlockedError, StateError
from mensajeria.client.store import Tx
from mensajeria.client.store.files import NOT_YET, Upload, file_body
from mensajeria.client.store.values import Chat, NewMessage
from mensajeria.client.store.views import closed_of
from mensajeria.client.transfer.staging import Staged, read_staged, stage_file, stage_name, sweep
from mensajeria.kit.ids import random16
from mensajeria.protocol import limits
from mensajeria.protocol.encoding import encode
from mensajeria.protocol.errors import Code
from mensajeria.protocol.ids import ChatId, Mid
from mensajeria.protocol.records_files import FILE, FileBody

_log = logging.getLogger(__name__)
STEP_FIRST: Final = 512 << 10
STEP_MAX: Final = 4 << 20
FAST_S: Final = 0.5
"""A step that took less is followed by a larger one: a slow line must not run into the timeout of a request."""
_FOR_GOOD: Final = frozenset({Code.QUOTA_EXCEEDED, Code.TOO_LARGE, Code.FORBIDDEN, Code.MALFORMED})


class Uploads:
    """One file at a time, oldest first, while there is a connection."""

    def __init__(self, context: Context, sending: Sending, transfers: Transfers) -> None:
        self._context = context
        self._sending = sending
        self._transfers = transfers
        self._making: set[str] = set()
        """Copies that are being made: the store does not know of them yet."""
        self._sweeping = asyncio.Lock()
        """Held while the folder is looked through: a copy that begins then would be taken for a forgotten one."""

    # --- what a person does ---

    async def send(self, chat_id: ChatId, path: Path, caption: str, *, as_image: bool | None) -> Mid:
        """Encrypt a copy and queue its message; raises as `Chat.send_file`."""
        _check_caption(caption)
        await self._context.store.read(lambda tx: self._check(tx, chat_id))
        mid, stage, folder = Mid(random16()), stage_name(), self._context.folder
        async with self._sweeping:
            self._making.add(stage)
        try:
            staged = await asyncio.to_thread(stage_file, folder, stage, path, as_image=as_image)
            body = encode(_body(staged, caption))
            await self._context.commit(lambda tx, out: self._add(tx, out, chat_id, mid, staged, caption, body))
        finally:
            self._making.discard(stage)
        return mid

    def retry(self, tx: Tx, out: Outcome, chat_id: ChatId, mid: Mid) -> bool:
        """Begin a failed upload anew; whether there was one."""
        out.uploads = found = tx.uploads.requeue(chat_id, mid)
        return found

    def give_up(self, tx: Tx, out: Outcome, chat_id: ChatId, mid: Mid) -> bool:
        """The person does not want the file sent any more; whether it was not sent yet."""
        upload = tx.uploads.get(chat_id, mid)
        if upload is None or upload.done:
            return False
        tx.uploads.remove(chat_id, mid)
        out.uploads = True
        return True

    def _check(self, tx: Tx, chat_id: ChatId) -> Chat:
        """Before anything is encrypted, and again when it is."""
        chat = tx.chats.get(chat_id)
        if chat is None:
            raise InputError("unknown_chat")
        contact = None if chat.peer is None else tx.contacts.get(chat.peer)
        if contact is not None and contact.sending_blocked:
            raise SendBlockedError(contact.handle)
        require_not_blocked(tx, chat)
        if chat.peer is not None and tx.contacts.is_gone(chat.peer):
            raise StateError("account_gone")
        group = tx.groups.get(chat_id)
        if group is not None and (closed := closed_of(group)) is not None:
            raise StateError(closed.value)
        return chat

    def _add(
        self, tx: Tx, out: Outcome, chat_id: ChatId, mid: Mid, staged: Staged, caption: str, body: bytes
    ) -> Message:
        if not self._check(tx, chat_id).accepted:
            self._context.marks.answered(tx, out, chat_id, accepted=True)
        carry_timer(self._context, tx, out, chat_id)
        me, now = self._context.me, self._context.me.clock.now_ms()
        timer_s = timer_of(tx, chat_id, self._context.memberships.of(tx, chat_id).now)
        queued = MessageState.QUEUED
        new = NewMessage(
            chat_id,
            mid,
            me.uid,
            outgoing=True,
            kind=MessageKind.FILE,
            state=queued,
            sent_ms=now,
            text=caption,
            file=body,
            expire_s=timer_s,
        )
        message = tx.messages.add(new)
        tx.uploads.add(Upload(chat_id, mid, staged.stage, staged.sealed, body, expire_s=timer_s))
        out.events.append(MessageStateChanged(message, message.order))
        out.touched.add(chat_id)
        out.uploads = True
        return message

    # --- the worker ---

    async def run(self) -> None:
        """Upload what there is, and what comes, until the connection ends. What is half done goes on with the next."""
        due, backoff = self._context.uploads_due, Backoff()
        due.set()
        while True:
            await due.wait()
            due.clear()
            try:
                await self.sweep()
                await self._delete_unwanted()
                while (upload := await self._context.store.read(lambda tx: tx.uploads.next())) is not None:
                    await self._upload(upload)
                    backoff.reset()
            except ClientError as error:
                _log.info("an upload waits: %s", error.code)
                retry_s = error.retry_after_ms / 1000 if isinstance(error, RefusedError) else 0.0
                await asyncio.sleep(max(retry_s, backoff.next_delay(self._context.chance())))
                due.set()

    async def sweep(self) -> None:
        """Remove the copies that nobody needs."""
        async with self._sweeping:
            making = frozenset(self._making)  # first: what leaves this set is in the store by then
            needed = await self._context.store.read(lambda tx: tx.uploads.stages())
            await asyncio.to_thread(sweep, self._context.folder, needed | making)

    async def _delete_unwanted(self) -> None:
        """Files of messages that were deleted for all."""
        for change, file_id in await self._context.store.read(lambda tx: tx.uploads.unwanted()):
            try:
                await self._context.rest.files.delete(file_id)
            except RefusedError as error:
                if error.code != Code.NOT_FOUND:
                    raise
            await self._context.store.run(lambda tx, change=change: tx.uploads.keep(change))  # type: ignore[misc]

    async def _upload(self, upload: Upload) -> None:
        try:
            await self._send_all(upload)
        except RefusedError as error:
            if error.code not in _FOR_GOOD:
                raise
            await self._fail(upload, Code(error.code))
        except OSError as error:
            _log.warning("an encrypted copy is lost: %s", error)
            await self._fail(upload, Code.NOT_FOUND)
        finally:
            self._transfers.over(upload.chat_id, upload.mid, Direction.UPLOAD)

    async def _send_all(self, upload: Upload) -> None:
        file_id, offset = await self._begin(upload)
        step = STEP_FIRST
        while offset < upload.sealed:
            if not await self._is_wanted(upload):
                await self._withdraw(file_id)
                return
            self._tell(upload, offset)
            offset, step = await self._step(upload, file_id, offset, step)
        if await self._complete(upload, file_id):
            self._tell(upload, offset)
            self._sending.wake(upload.chat_id)

    async def _begin(self, upload: Upload) -> tuple[bytes, int]:
        """The server's id of the file and how much of it is there; the id is stored before a byte leaves."""
        if upload.file_id is not None:
            try:
                return upload.file_id, await self._offset(upload, upload.file_id)
            except RefusedError as error:
                if error.code != Code.NOT_FOUND:  # it forgets what is unfinished after a day
                    raise
        state = await self._context.rest.files.create(upload.sealed)

        def step(tx: Tx, _: Outcome) -> None:
            if tx.uploads.get(upload.chat_id, upload.mid) is not None:
                tx.uploads.set_file(upload.chat_id, upload.mid, state.file_id)

        await self._context.commit(step)
        return state.file_id, 0

    async def _offset(self, upload: Upload, file_id: bytes) -> int:
        state = await self._context.rest.files.state(file_id)
        if state.size != upload.sealed or state.received > state.size:
            raise NetworkError("not_a_server", "an upload has another size than it was begun with")
        return state.received

    async def _step(self, upload: Upload, file_id: bytes, offset: int, step: int) -> tuple[int, int]:
        """Send one step; where the upload is then, and how large the next step should be."""
        length = min(step, upload.sealed - offset)
        data = await asyncio.to_thread(read_staged, self._context.folder, upload.stage, offset, length)
        began = time.monotonic()
        try:
            await self._context.rest.files.upload(file_id, offset, data)
        except RefusedError as error:
            if error.code not in {Code.UPLOAD_CONFLICT, Code.REPLAYED}:
                raise
            # An answer was lost, or another request overtook this one: the server knows where it is.
            there = await self._offset(upload, file_id)
            if there == offset and step == limits.FILE_CHUNK_MIN:
                raise
            return there, limits.FILE_CHUNK_MIN
        fast = time.monotonic() - began < FAST_S
        return offset + length, min(step * 2, STEP_MAX) if fast else max(step // 2, limits.FILE_CHUNK_MIN)

    async def _is_wanted(self, upload: Upload) -> bool:
        return await self._context.store.read(lambda tx: tx.uploads.get(upload.chat_id, upload.mid)) is not None

    async def _withdraw(self, file_id: bytes) -> None:
        """Give the room back at once; the server would by itself after a day."""
        try:
            await self._context.rest.files.delete(file_id)
        except ClientError as error:
            _log.info("an upload is left to expire: %s", error.code)

    async def _complete(self, upload: Upload, file_id: bytes) -> bool:
        """The message can leave: to the outbox with it. False when it was discarded meanwhile."""
        body = encode(msgspec.structs.replace(file_body(upload.body), blob=file_id))
        chat_id, mid, me = upload.chat_id, upload.mid, self._context.me

        def step(tx: Tx, out: Outcome) -> bool:
            known = tx.uploads.get(chat_id, mid)
            if known is None or known.done:
                return False
            tx.uploads.complete(chat_id, mid, body)
            tx.attachments.set_body(chat_id, mid, me.uid, body)
            tx.outbox.add(chat_id, mid, FILE, body, me.clock.now_ms(), expire_s=known.expire_s)
            change = tx.own_messages.set_state(chat_id, mid, me.uid, MessageState.QUEUED)
            out.events.append(MessageStateChanged(change.message, change.previous_order))
            out.touched.add(chat_id)
            return True

        return await self._context.commit(step)

    async def _fail(self, upload: Upload, code: Code) -> None:
        def step(tx: Tx, out: Outcome) -> None:
            if tx.uploads.get(upload.chat_id, upload.mid) is None:
                return
            tx.uploads.fail(upload.chat_id, upload.mid, code)
            me = self._context.me.uid
            change = tx.own_messages.set_state(upload.chat_id, upload.mid, me, MessageState.FAILED, code)
            out.events.append(MessageStateChanged(change.message, change.previous_order))
            out.touched.add(upload.chat_id)

        await self._context.commit(step)

    def _tell(self, upload: Upload, offset: int) -> None:
        self._transfers.at(Transfer(upload.chat_id, upload.mid, Direction.UPLOAD, offset, upload.sealed))


def _check_caption(caption: str) -> None:
    try:
        size = len(caption.encode())
    except UnicodeEncodeError as error:
        raise InputError("malformed_text") from error
    if size > limits.TEXT_MAX_BYTES:
        raise InputError("too_large")


def _body(staged: Staged, caption: str) -> FileBody:
    """What the message will say; the blob's id is not known yet."""
    picture = staged.picture
    return FileBody(
        blob=NOT_YET,
        key=staged.key.reveal(),
        sha256=staged.sha256,
        size=staged.size,
        name=staged.name,
        media=staged.media,
        width=0 if picture is None else picture.width,
        height=0 if picture is None else picture.height,
        blurhash="" if picture is None else picture.blurhash,
        thumb=b"" if picture is None else picture.thumb,
        caption=caption,
    )
