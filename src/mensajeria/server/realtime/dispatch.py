"""What each frame from a client does. One table; a frame that is missing in it fails a test."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import msgspec

from mensajeria.kit.clock import Clock
from mensajeria.protocol import frames, limits
from mensajeria.protocol.errors import Close, Code, ProtocolError
from mensajeria.protocol.records import SUITE_GROUP, MessageOuter
from mensajeria.server.broker.broker import Broker, FrameNote
from mensajeria.server.chats import repository
from mensajeria.server.chats.access import as_member, member_chat
from mensajeria.server.chats.cache import ChatCache, ChatInfo, Unread
from mensajeria.server.chats.committer import EventCommitter, Pending
from mensajeria.server.chats.cursors import Step
from mensajeria.server.chats.group_commit import GroupCommit
from mensajeria.server.chats.heads import Viewer, heads_page
from mensajeria.server.chats.log import NewEvent, due_ms
from mensajeria.server.db.engine import Database
from mensajeria.server.mailbox.service import Mailboxes
from mensajeria.server.metrics.numbers import Numbers
from mensajeria.server.ratelimit.limits import Limit
from mensajeria.server.realtime.connection import Connection, Request
from mensajeria.server.realtime.fanout import RETRY_MS, TICKS_UP_TO, settle
from mensajeria.server.realtime.items import encode_item
from mensajeria.server.realtime.presence import Presence, contacts_to_tell
from mensajeria.server.tracing import Traces

MAX_WAITING: Final = 50_000
"""Messages of all connections that wait for their commit; over it they are told to come back."""
_encoder: Final = msgspec.msgpack.Encoder()
_MESSAGE: Final = int(frames.EventKind.MESSAGE)
_TYPING: Final = frames.TYPE_OF[frames.Typing]
_UNREAD: Final = Unread.UNREAD


class Dispatcher:
    """The frame handlers, over the services that do the work."""

    def __init__(
        self,
        *,
        db: Database,
        clock: Clock,
        broker: Broker,
        cache: ChatCache,
        committer: EventCommitter,
        cursors: GroupCommit[Step],
        mailboxes: Mailboxes,
        presence: Presence,
        numbers: Numbers,
        traces: Traces | None = None,
    ) -> None:
        self._db = db
        self._now_ms = clock.now_ms
        self._broker = broker
        self._cache = cache
        self._committer = committer
        self._cursors = cursors
        self._mailboxes = mailboxes
        self._presence = presence
        self._numbers = numbers
        self._traces = traces
        self.draining = False
        self.table: Final[dict[type, Callable[[Connection, Any, bytes], None]]] = {
            MessageOuter: self._message,
            frames.Sync: self._sync,
            frames.Fetch: self._fetch,
            frames.PutDevice: self._put_device,
            frames.MailFetch: self._mail_fetch,
            frames.MailAck: self._mail_ack,
            frames.Cursor: self._cursor,
            frames.Typing: self._typing,
            frames.Ping: self._ping,
            frames.Pong: self._pong,
            frames.Presence: self._show,
        }
        self.frames: Final = dict.fromkeys(self.table, 0)
        """How many of each kind have come."""

    def handle(self, connection: Connection, frame: Any, body: bytes) -> None:
        """See `Host.handle`."""
        kind = type(frame)
        self.frames[kind] += 1
        self.table[kind](connection, frame, body)

    def _request(self, connection: Connection, frame: msgspec.Struct, rid: int, answer: Request) -> None:
        timed = self._numbers.frame(type(frame), answer)
        connection.request(rid, timed if self._traces is None else self._traces.frame(type(frame), timed))

    # --- messages

    def _message(self, connection: Connection, outer: MessageOuter, body: bytes) -> None:
        connection.throttle.send_begins()
        if outer.v != limits.PROTOCOL_VERSION or outer.suite != SUITE_GROUP:
            self._refuse(connection, outer, Code.NEWER_VERSION)
        elif self.draining or len(self._committer) > MAX_WAITING:
            self._refuse(connection, outer, Code.UNAVAILABLE, RETRY_MS)
        else:
            info = self._cache.get(outer.chat_id)
            if info is not None and not self._cache.is_loading(outer.chat_id):
                self._append(connection, outer, body, info)
            else:
                self._cache.when_loaded(outer.chat_id, lambda loaded: self._append(connection, outer, body, loaded))

    def _append(self, connection: Connection, outer: MessageOuter, body: bytes, info: ChatInfo | Unread | None) -> None:
        assert connection.login is not None
        account = connection.login.account_id
        if info is _UNREAD:
            self._refuse(connection, outer, Code.UNAVAILABLE, RETRY_MS)
            return
        if info is None or account not in info.members:
            self._refuse(connection, outer, Code.UNKNOWN_CHAT)
            return
        if info.blocked:
            self._refuse(connection, outer, Code.FORBIDDEN)
            return
        accepts = 0 if account in info.accepted else account
        now_ms = self._now_ms()
        due = due_ms(now_ms, outer.ttl_bucket) if outer.ttl_bucket else 0
        event = NewEvent(info.id, outer.mid, outer.epoch, _MESSAGE, now_ms, body, accepts, due)
        self._committer.submit(Pending(event, info, connection))

    @staticmethod
    def _refuse(connection: Connection, outer: MessageOuter, code: Code, retry_after_ms: int = 0) -> None:
        settle(connection, (encode_item(frames.Nack(outer.chat_id, outer.mid, code, retry_after_ms)),))
        # No commit follows that would send it.
        asyncio.get_running_loop().call_soon(connection.flush)

    # --- catching up

    def _sync(self, connection: Connection, frame: frames.Sync, _body: bytes) -> None:
        viewer = _viewer(connection)

        async def answer() -> msgspec.Struct:
            heads, more = await heads_page(self._db, viewer, frame.after, limits.MAX_SYNC_HEADS)
            return frames.SyncPage(frame.rid, tuple(heads), more)

        self._request(connection, frame, frame.rid, answer)

    def _fetch(self, connection: Connection, frame: frames.Fetch, _body: bytes) -> None:
        account = _viewer(connection).account_id

        async def answer() -> msgspec.Struct:
            info = await member_chat(self._cache, account, frame.chat_id)
            last_seq, events = await self._db.query(
                lambda db: repository.events_after(db, info.id, info.chat_id, frame.after, frame.limit)
            )
            return frames.Events(frame.rid, info.chat_id, last_seq, events)

        self._request(connection, frame, frame.rid, answer)

    def _cursor(self, connection: Connection, frame: frames.Cursor, _body: bytes) -> None:
        viewer = _viewer(connection)
        self._with_member_chat(
            connection,
            frame.chat_id,
            lambda info: self._note_cursor(viewer, info, frame.seq),
        )

    def _note_cursor(self, viewer: Viewer, info: ChatInfo, seq: int) -> None:
        """Where nobody is shown "delivered", a write for each of a hundred receivers would be for nobody."""
        if len(info.members) <= TICKS_UP_TO:
            self._cursors.submit(Step(viewer.device_id, viewer.account_id, info.id, info.chat_id, seq))

    def _with_member_chat(self, connection: Connection, chat_id: bytes, then: Callable[[ChatInfo], None]) -> None:
        """Call `then` with the chat, now or when it is loaded; a stranger gets an `error`."""
        account = _viewer(connection).account_id

        def check(info: ChatInfo | Unread | None) -> None:
            connection.throttle.send_ends()
            try:
                if info is _UNREAD:
                    raise ProtocolError(Code.UNAVAILABLE, retry_after_ms=RETRY_MS)  # noqa: TRY301 - told like the others
                then(as_member(info, account))
            except ProtocolError as error:
                connection.send(frames.Error(0, error.code))

        connection.throttle.send_begins()
        info = self._cache.get(chat_id)
        if info is not None:
            check(info)
        else:
            self._cache.when_loaded(chat_id, check)

    # --- mailbox

    def _put_device(self, connection: Connection, frame: frames.PutDevice, _body: bytes) -> None:
        assert connection.login is not None
        sender, by = connection.login.account_id, connection.login.did

        async def answer() -> msgspec.Struct:
            if self.draining:
                raise ProtocolError(Code.UNAVAILABLE, retry_after_ms=RETRY_MS)
            try:
                outcomes = await self._mailboxes.put(sender, by, frame.gen, frame.targets)
            except ProtocolError as error:
                if error.code is Code.ROLLED_BACK:
                    connection.close(Close.ROLLED_BACK, error.code)
                raise
            return frames.PutResult(frame.rid, outcomes)

        self._request(connection, frame, frame.rid, answer)

    def _mail_fetch(self, connection: Connection, frame: frames.MailFetch, _body: bytes) -> None:
        device = connection.device_id

        async def answer() -> msgspec.Struct:
            return frames.MailPage(frame.rid, await self._mailboxes.page(device, frame.after))

        self._request(connection, frame, frame.rid, answer)

    def _mail_ack(self, connection: Connection, frame: frames.MailAck, _body: bytes) -> None:
        if not self.draining:
            self._mailboxes.ack(connection.device_id, frame.ids)

    # --- hints

    def _typing(self, connection: Connection, frame: frames.Typing, _body: bytes) -> None:
        if not _may_type(connection):
            return
        self._with_member_chat(connection, frame.chat_id, lambda info: self._relay_typing(connection, frame, info))

    def _show(self, connection: Connection, frame: frames.Presence, _body: bytes) -> None:
        """Showing oneself is limited like typing; hiding is not. In the order of the requests: the last word counts."""
        account = _viewer(connection).account_id
        if frame.on and not _may_type(connection):
            return

        async def obey() -> None:
            if frame.on:
                contacts: tuple[int, ...] = ()
                parted = -1
                while parted != self._presence.parted:
                    parted = self._presence.parted
                    contacts = await self._db.query(lambda db: contacts_to_tell(db, account))
                self._presence.show(connection, contacts)
            else:
                self._presence.hide(connection)

        self._request(connection, frame, 0, obey)

    def _relay_typing(self, connection: Connection, frame: frames.Typing, info: ChatInfo) -> None:
        """Only between people who have both accepted: before, neither learns that the other is there."""
        assert connection.login is not None
        own = connection.login.account_id
        if own in info.accepted:
            others = tuple(account for account in info.accepted if account != own)
            typing = frames.Typing(info.chat_id, connection.login.uid, frame.on)
            self._broker.publish(FrameNote(others, _TYPING, _encoder.encode(typing)))
            self._broker.flush()

    @staticmethod
    def _ping(connection: Connection, frame: frames.Ping, _body: bytes) -> None:
        connection.send(frames.Pong(frame.n))

    @staticmethod
    def _pong(_connection: Connection, _frame: frames.Pong, _body: bytes) -> None:
        """Having been heard is all."""


def _viewer(connection: Connection) -> Viewer:
    assert connection.login is not None
    return Viewer(connection.login.account_id, connection.device_id)


def _may_type(connection: Connection) -> bool:
    """The connection's own bucket: over it, typing is silently not relayed."""
    bucket = Limit.TYPING_CONNECTION.value
    now = asyncio.get_running_loop().time()
    tokens, then = connection.typing_tokens or (float(bucket.burst), now)
    tokens = min(float(bucket.burst), tokens + (now - then) * bucket.per_hour / 3600)
    allowed = tokens >= 1
    connection.typing_tokens = (tokens - 1 if allowed else tokens, now)
    return allowed
