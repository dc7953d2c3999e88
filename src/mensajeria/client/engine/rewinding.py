"""The server was restored from a backup and says so: each chat goes back to the last row that the server still has.

Where the log parts from the one known here is found by what every row proves: its ciphertext was seen at its index, or
it is the membership event of that row. The server's word for its log's end is not enough: others may have written on.
Own messages behind that row are queued again under their ids, membership events are uploaded again.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from typing import Final

from mensajeria.client.api import MessageKind, MessageStateChanged
from mensajeria.client.engine.context import Context
from mensajeria.client.engine.log_gaps import forget_behind
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.engine.people import verified_list
from mensajeria.client.engine.session import Session
from mensajeria.client.errors import RefusedError
from mensajeria.client.store import Tx
from mensajeria.client.store.changes import ChangeKind
from mensajeria.client.store.restores import LostChange, LostMessage
from mensajeria.client.store.values import MAX_SEQ, Chat
from mensajeria.crypto.message import TEXT, decode_outer, text_body
from mensajeria.protocol import frames, limits
from mensajeria.protocol.decoding import decode_array
from mensajeria.protocol.encoding import MalformedError, NewerVersionError, encode
from mensajeria.protocol.frames import Event, EventKind, Head, Tombstone
from mensajeria.protocol.ids import ChatId, SessionId
from mensajeria.protocol.records import Signed
from mensajeria.protocol.records_files import FILE
from mensajeria.protocol.records_messages import DeleteBody, EditBody, ReactionBody

_log = logging.getLogger(__name__)
REWIND_DUE: Final = "rewind_due"
"""In the meta table while chats of a restored server are still to be compared."""


class Rewinding:
    """One connection's work after a declared restore."""

    def __init__(self, context: Context, session: Session) -> None:
        self._context = context
        self._session = session

    async def run(self, heads: Sequence[Head]) -> bool:
        """Compare every chat; whether there was something to do. Raises ConnectionLostError: then it begins anew."""
        if not await self._context.store.read(lambda tx: tx.meta.number(REWIND_DUE)):
            return False
        known = {ChatId(head.chat_id): head for head in heads}
        for chat in await self._context.store.read(lambda tx: tx.chats.all()):
            head = known.get(chat.chat_id)
            fork = 0 if head is None else await self._fork(chat, min(head.last_seq, MAX_SEQ))
            if fork < chat.cursor:
                await self._context.commit(lambda tx, out: self._rewind(tx, out, chat.chat_id, fork))  # noqa: B023
            try:
                await self._bring_back(chat, head)
            except RefusedError as error:  # somebody else may still have what is missing here
                _log.info("a chat could not be brought back: %s", error.code)
        await self._context.store.run(lambda tx: tx.meta.remove(REWIND_DUE))
        return True

    # --- where the logs part ---

    async def _fork(self, chat: Chat, last_seq: int) -> int:
        """The last row that is the same there and here."""
        upper = min(chat.cursor, last_seq)
        while upper:
            after = max(0, upper - limits.MAX_FETCH_EVENTS)
            rows = await self._rows(chat.chat_id, after, upper)
            found = await self._context.store.read(lambda tx: _last_known(tx, chat.chat_id, rows))  # noqa: B023
            if found or not after:
                return found or (rows[0].seq - 1 if rows else 0)
            upper = after
        return 0

    async def _rows(self, chat_id: ChatId, after: int, upto: int) -> list[Event]:
        rows: list[Event] = []
        while after < upto:
            try:
                page = await self._session.request(
                    lambda rid: frames.Fetch(rid, chat_id, after, limits.MAX_FETCH_EVENTS),  # noqa: B023
                    frames.Events,
                )
            except RefusedError:
                break
            following = [event for event in page.events if after < event.seq <= upto]
            if not following:
                break
            rows += following
            after = following[-1].seq
        return rows

    # --- going back ---

    def _rewind(self, tx: Tx, out: Outcome, chat_id: ChatId, fork: int) -> None:
        me, waiting = self._context.me, tx.outbox.pending(chat_id, limit=10_000)
        alone = _is_only_device(tx, self._context)
        changes = tx.restores.own_changes(chat_id, fork, me.uid) if alone else ()
        lost = tx.restores.own_messages(chat_id, fork, me.uid, me.did, edited=not alone)
        last = tx.restores.last_kept(chat_id, fork, me.uid, me.did)
        self._context.sealer.throw_away(tx, chat_id)
        tx.restores.set_previous(chat_id, last)
        tx.restores.rewind(chat_id, fork, [one.mid for one in lost])
        forget_behind(tx, chat_id, fork)
        self._context.memberships.forget()
        for one in lost:
            _queue(tx, chat_id, one)
            shown = tx.messages.find(chat_id, one.mid, me.uid)
            if shown is not None:
                out.events.append(MessageStateChanged(shown, shown.order))
        for change in changes:
            _queue_change(tx, chat_id, change)
        for item in waiting:  # what was sent earlier leaves earlier
            tx.outbox.to_end(chat_id, item.mid)
        out.touched.add(chat_id)

    # --- what the server lacks ---

    async def _bring_back(self, chat: Chat, head: Head | None) -> None:
        """The chat itself, the answer to its request, and the membership events that have no row any more."""
        if head is None and chat.peer is not None:
            await self._context.rest.chats.open_direct(chat.chat_id, chat.peer)
        events = await self._context.store.read(lambda tx: tx.chats.member_events(chat.chat_id))
        for event in events:
            if not event.chat_seq:
                signed = Signed(event.body, event.sig)
                if event.seq == 1 and chat.is_group:
                    await self._context.rest.chats.create_group(signed)
                else:
                    await self._context.rest.chats.append_event(chat.chat_id, signed)
        if chat.accepted and (head is None or not head.accepted):
            await self._context.rest.chats.answer(chat.chat_id, accept=True)


def _last_known(tx: Tx, chat_id: ChatId, rows: Sequence[Event]) -> int:
    """The last of these rows that this device has decided before."""
    events = {(event.chat_seq, event.body, event.sig) for event in tx.chats.member_events(chat_id)}
    for row in reversed(rows):
        if _is_known(tx, chat_id, row, events):
            return row.seq
    return 0


def _is_known(tx: Tx, chat_id: ChatId, row: Event, events: set[tuple[int, bytes, bytes]]) -> bool:
    body = bytes(row.body)
    kept = tx.rows.get(chat_id, row.seq)
    if kept is not None and kept.body == body:
        return True
    try:
        if row.kind == EventKind.MEMBER:
            signed = decode_array(Signed, body, max_size=limits.MAX_FRAME)
            return (row.seq, signed.body, signed.sig) in events
        if row.kind == EventKind.TOMBSTONE:
            erased = decode_array(Tombstone, body, max_size=limits.MAX_FRAME)
            return tx.replays.ciphertext_hash(SessionId(erased.session_id), erased.idx) is not None
        outer = decode_outer(body)
    except (MalformedError, NewerVersionError):
        return False
    return tx.replays.ciphertext_hash(outer.session_id, outer.idx) == hashlib.sha256(outer.ct).digest()


def _is_only_device(tx: Tx, context: Context) -> bool:
    """Only then is it certain that an own change was made here; two devices must not send the same again."""
    return len(verified_list(context.me.contact(tx)).list.devices) == 1


def _queue(tx: Tx, chat_id: ChatId, lost: LostMessage) -> None:
    refs = () if lost.reply is None else (lost.reply,)
    if lost.kind is MessageKind.FILE:
        assert lost.file is not None, "a file has its body"
        tx.outbox.add(chat_id, lost.mid, FILE, lost.file, lost.created_ms, refs=refs, expire_s=lost.expire_s)
    else:
        body = text_body(lost.text)
        tx.outbox.add(chat_id, lost.mid, TEXT, body, lost.created_ms, refs=refs, expire_s=lost.expire_s)


def _queue_change(tx: Tx, chat_id: ChatId, change: LostChange) -> None:
    match change.kind:
        case ChangeKind.EDIT.value:
            body = encode(EditBody(text=change.value))
        case ChangeKind.REACTION.value:
            body = encode(ReactionBody(emoji=change.value))
        case _:
            body = encode(DeleteBody())
    tx.outbox.add(chat_id, change.mid, change.kind, body, change.created_ms, refs=(change.about,))
