"""What the server sends, in order: catching up after a connect, then everything that is pushed.

One worker per connection. It decides rows and envelopes through the store: nothing is shown, acked or told twice.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from mensajeria.client.api import TypingChanged
from mensajeria.client.core import chatlog
from mensajeria.client.engine.acks import acknowledge, delivered
from mensajeria.client.engine.chat_logs import ChatLogs, is_possible, joined
from mensajeria.client.engine.context import SLICE_PAUSE_S, Context
from mensajeria.client.engine.directory import Directory
from mensajeria.client.engine.envelopes import Mail
from mensajeria.client.engine.groups import GroupKeeper
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.engine.passed_rows import PassedRows
from mensajeria.client.engine.privacy import privacy_of
from mensajeria.client.engine.rewinding import Rewinding
from mensajeria.client.engine.sending import Sending
from mensajeria.client.engine.session import Session
from mensajeria.client.store import Tx
from mensajeria.client.store.values import MAX_SEQ
from mensajeria.protocol import frames
from mensajeria.protocol.frames import Ack, BatchItem, Envelope, Event, Head, Nack, NewChat, PeerCursor
from mensajeria.protocol.ids import ChatId, Mid, Uid
from mensajeria.protocol.membership import direct_chat_id

ENVELOPES_SLICE: Final = 16
LIST_PATIENCE_S: Final = 3.0
"""How long rows wait for the device list that their key's envelope needs."""


@dataclass(frozen=True, slots=True)
class _Level:
    """Somebody waits until a chat's log is up to date."""

    chat_id: ChatId
    done: asyncio.Future[None]


_Item = BatchItem | frames.Typing | frames.Presence | frames.ListChanged | frames.OtkLow | _Level


class Inbound:
    """The worker of one connection. `deliver` may be called at any time, `run` once."""

    def __init__(
        self,
        context: Context,
        directory: Directory,
        sending: Sending,
        groups: GroupKeeper,
        session: Session,
        keys_low: Callable[[], None],
        before_logs: Callable[[], Awaitable[None]],
    ) -> None:
        self._context = context
        self._directory = directory
        self._groups = groups
        self._sending = sending
        self._session = session
        self._keys_low = keys_low
        self._before_logs = before_logs
        self._passed = PassedRows(context, session, groups.events)
        self._queue: deque[_Item] = deque()
        self._filled = asyncio.Event()
        self._logs = ChatLogs(context, groups.events, session)

    def close(self) -> None:
        """The connection is about to end."""
        self._logs.close()

    # --- from the connection ---

    def deliver(self, frame: frames.ServerFrame) -> None:
        """Keep what has arrived, in order. A row number that no log reaches is a mistake or a lie: ignored."""
        if isinstance(frame, frames.Batch):
            self._queue.extend(item for item in frame.items if is_possible(item))
        elif isinstance(frame, frames.Typing | frames.Presence | frames.ListChanged | frames.OtkLow):
            self._queue.append(frame)
        self._filled.set()

    async def level(self, chat_id: ChatId) -> None:
        """Wait until the chat's log was fetched to its end."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(_Level(chat_id, done))
        self._filled.set()
        await done

    # --- catching up ---

    async def catch_up(self) -> None:
        """Bring mailbox and logs level with the server. Raises ConnectionLostError, RefusedError."""
        heads = await self._heads()
        if await Rewinding(self._context, self._session).run(heads):
            heads = await self._heads()  # what was brought back is there now
        await self._logs.begin()
        await self._take_heads(heads)
        await self._groups.announcements.unlisted({ChatId(head.chat_id) for head in heads})
        await self._drain_mailbox()
        await self._before_logs()
        for head in heads:
            log = await self._logs.find(ChatId(head.chat_id))
            if log is not None:
                await self._logs.perform(log.head(min(head.last_seq, MAX_SEQ)))
                await self._logs.tell_delivered(log, head.cursor)
        await self._passed.ask([ChatId(head.chat_id) for head in heads])

    async def _heads(self) -> list[Head]:
        heads: list[Head] = []
        after = b""
        while True:
            page = await self._session.request(lambda rid: frames.Sync(rid, after), frames.SyncPage)  # noqa: B023
            heads.extend(page.heads)
            last = max((head.chat_id for head in page.heads), default=b"")
            if not page.more or last <= after:  # a server that does not get on would have us ask for ever
                return heads
            after = last

    async def _take_heads(self, heads: Sequence[Head]) -> None:
        unknown: set[Uid] = set()

        def step(tx: Tx, out: Outcome) -> None:
            for head in heads:
                if head.members:
                    self._take_head(tx, out, head, unknown)

        for head in heads:
            if not head.members and await self._groups.announcements.announced(
                ChatId(head.chat_id), accepted=head.accepted
            ):
                self._logs.forget(ChatId(head.chat_id))  # it goes on from where one came in
        await self._context.commit(step)
        await self._directory.refresh_all(unknown)

    def _take_head(self, tx: Tx, out: Outcome, head: Head, unknown: set[Uid]) -> None:
        """Believe that a chat exists only if its id is that of these two people."""
        chat_id, me = ChatId(head.chat_id), self._context.me.uid
        others = [Uid(uid) for uid in head.members if uid != me]
        peer = others[0] if others else me
        if me not in head.members or chat_id != direct_chat_id(self._context.me.server_id, me, peer):
            out.warn(tx, "chat_tampered", self._context.me.clock.now_ms(), chat_id)
            return
        known = tx.chats.get(chat_id)
        if known is None:
            now = self._context.me.clock.now_ms()
            tx.chats.ensure_direct(chat_id, peer, accepted=head.accepted, note_to_self=peer == me, now_ms=now)
            self._context.marks.chat_met(tx, out, chat_id)
            out.touched.add(chat_id)
        elif head.accepted and not known.accepted and self._context.marks.answer(tx, chat_id) is not False:
            tx.chats.set_accepted(chat_id, accepted=True)
            out.profiles = True
            out.touched.add(chat_id)
        if tx.contacts.get(peer) is None:
            unknown.add(peer)
        delivered(tx, out, chat_id, head.delivered)

    async def _drain_mailbox(self) -> None:
        """Everything, by pages; drained when a read from the very start finds nothing new."""
        after = 0
        while True:
            page = await self._session.request(lambda rid: frames.MailFetch(rid, after), frames.MailPage)  # noqa: B023
            if page.envelopes:
                await self._envelopes(page.envelopes)
                after = page.envelopes[-1].id
            elif after == 0:
                return
            else:
                after = 0

    # --- what is pushed ---

    async def run(self) -> None:
        """Work off what arrives. Ends only by an error (ConnectionLostError mostly)."""
        while True:
            await self._filled.wait()
            self._filled.clear()
            while self._queue:
                items = list(self._queue)
                self._queue.clear()
                for kind, group in groupby(items, key=type):
                    await self._take(kind, list(group))

    async def _take(self, kind: type[_Item], items: list[_Item]) -> None:
        """A run of items of one kind: together, so that they share a transaction."""
        if kind is Event:
            await self._events([item for item in items if isinstance(item, Event)])
        elif kind is Envelope:
            await self._envelopes([item for item in items if isinstance(item, Envelope)])
        elif kind is Ack:
            await self._acks([item for item in items if isinstance(item, Ack)])
        else:
            for item in items:
                await self._take_one(item)

    async def _take_one(self, item: _Item) -> None:
        match item:
            case Nack():
                await self._sending.nacked(ChatId(item.chat_id), Mid(item.mid), item.code, item.retry_after_ms)
            case PeerCursor():
                await self._peer_cursor(item)
            case NewChat():
                await self._take_heads([item.head])
                await self._head_changed(item.head)
            case frames.Typing():
                await self._typing(item)
            case frames.Presence():
                await self._context.presence.heard(item)
            case frames.ListChanged():
                await self._list_changed(item)
            case frames.OtkLow():
                self._keys_low()
            case _Level():
                await self._level(item)
            case _:
                raise AssertionError("runs of these kinds are taken together")

    async def _events(self, events: Sequence[Event]) -> None:
        effects: list[chatlog.Effect] = []
        for event in events:
            log = await self._logs.find(ChatId(event.chat_id))
            if log is not None:  # a chat that was not announced comes with its head at the next connect
                effects.extend(log.pushed(event))
        await self._logs.perform(joined(effects))

    async def _acks(self, acks: Sequence[Ack]) -> None:
        effects: list[chatlog.Effect] = []
        for ack in acks:
            log = await self._logs.find(ChatId(ack.chat_id))
            if log is not None:
                effects.extend(log.own_acked(ack.seq))
        applied = {effect.chat_id for effect in effects if isinstance(effect, chatlog.Apply)}

        def step(tx: Tx, out: Outcome) -> None:
            for ack in acks:
                acknowledge(tx, out, self._context.me, ChatId(ack.chat_id), Mid(ack.mid), ack.seq, ack.ts)
            for chat_id in {ChatId(ack.chat_id) for ack in acks} - applied:
                self._logs.move_cursor(tx, chat_id)

        await self._context.commit(step)
        for ack in acks:
            self._sending.acked(ChatId(ack.chat_id), Mid(ack.mid))
        await self._logs.perform(joined(effects))

    async def _envelopes(self, envelopes: Sequence[Envelope]) -> None:
        for start in range(0, len(envelopes), ENVELOPES_SLICE):
            part = envelopes[start : start + ENVELOPES_SLICE]
            mail = Mail()
            await self._context.commit_with(mail, lambda tx, out: self._context.envelopes.receive(tx, out, part))  # noqa: B023
            self._session.send(frames.MailAck(tuple(envelope.id for envelope in part)))
            await self._fetch_lists(mail.wanted_lists)
            if len(envelopes) > ENVELOPES_SLICE:
                await asyncio.sleep(SLICE_PAUSE_S)

    async def _fetch_lists(self, uids: set[Uid]) -> None:
        """Rows that come next may need what is parked; but a server that does not answer holds up nothing for long."""
        if uids:
            try:
                async with asyncio.timeout(LIST_PATIENCE_S):
                    await self._directory.refresh_all(uids)
            except TimeoutError:
                self._context.lists_wanted.set()

    async def _peer_cursor(self, item: PeerCursor) -> None:
        def step(tx: Tx, out: Outcome) -> None:
            chat = tx.chats.get(ChatId(item.chat_id))
            if chat is not None and chat.peer == item.uid:  # in a group nobody's delivery is shown
                delivered(tx, out, chat.chat_id, item.seq)

        await self._context.commit(step)

    async def _head_changed(self, head: Head) -> None:
        log = await self._logs.find(ChatId(head.chat_id))
        if log is not None:
            await self._logs.perform(log.head(max(min(head.last_seq, MAX_SEQ), log.position)))

    async def _typing(self, item: frames.Typing) -> None:
        def person(tx: Tx) -> TypingChanged | None:
            chat = tx.chats.get(ChatId(item.chat_id))
            if chat is None or not chat.accepted or item.uid == self._context.me.uid:
                return None
            if item.on and not privacy_of(tx).typing:
                return None
            if not self._context.memberships.is_member(tx, chat.chat_id, item.uid):
                return None
            return TypingChanged(chat.chat_id, tx.contacts.person(Uid(item.uid)), item.on)

        event = await self._context.store.read(person)
        if event is not None:
            self._context.emitter.emit(event)

    async def _list_changed(self, item: frames.ListChanged) -> None:
        if await self._context.store.run(lambda tx: tx.contacts.announce(Uid(item.uid), item.ver)):
            self._context.lists_wanted.set()

    async def _level(self, item: _Level) -> None:
        await self._logs.level(item.chat_id)
        if not item.done.done():
            item.done.set_result(None)
