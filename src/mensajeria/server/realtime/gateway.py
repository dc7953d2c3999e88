"""The real-time part of one process, put together: hello and welcome, the services behind the frames, the drain."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

import msgspec
import structlog
from sqlalchemy.exc import IntegrityError

from mensajeria.protocol import frames
from mensajeria.protocol.errors import Close, Code, ProtocolError
from mensajeria.server.accounts import seen
from mensajeria.server.accounts.seen import Seen
from mensajeria.server.accounts.sessions import Login
from mensajeria.server.broker.broker import Broker, ChatNote, JoinNote, Listener
from mensajeria.server.broker.memory import MemoryBroker
from mensajeria.server.chats import cursors
from mensajeria.server.chats.cache import ChatCache
from mensajeria.server.chats.committer import EventCommitter
from mensajeria.server.chats.cursors import Step
from mensajeria.server.chats.group_commit import GroupCommit
from mensajeria.server.chats.heads import Viewer, head_for
from mensajeria.server.chats.log import EventLog
from mensajeria.server.chats.log_sqlite import SqliteEventLog
from mensajeria.server.db.engine import Database
from mensajeria.server.db.failures import DATABASE_ERRORS
from mensajeria.server.mailbox.service import Mailboxes
from mensajeria.server.metrics.numbers import Numbers
from mensajeria.server.realtime.connection import Connection
from mensajeria.server.realtime.dispatch import Dispatcher
from mensajeria.server.realtime.endings import Endings
from mensajeria.server.realtime.fanout import Fanout
from mensajeria.server.realtime.healing import Healing
from mensajeria.server.realtime.hub import Hub
from mensajeria.server.realtime.presence import Presence
from mensajeria.server.realtime.push import BrokerPush
from mensajeria.server.realtime.throttle import DEFAULT_SHARE, Share
from mensajeria.server.realtime.wire import Wire
from mensajeria.server.state import Server
from mensajeria.server.tracing import Traces

TICK_S: Final = 1.0
DRAIN_S: Final = 2.0
"""How long a drain waits for the sockets to close on both sides."""
SPREAD_MS: Final = 5000
"""Over how long clients spread their return after a drain."""
_log = structlog.get_logger(__name__)


class Talk(Protocol):
    """A conversation that a drain ends."""

    def stop(self, code: Close) -> None:
        """End it."""
        ...


def event_log(db: Database) -> EventLog:
    """The hot path's own way into the database."""
    if db.writer is not None:
        return SqliteEventLog(db.writer)
    from mensajeria.server.chats.log_postgres import PostgresEventLog  # noqa: PLC0415 - memory that SQLite does not need

    return PostgresEventLog(db.postgres_dsn, db.room)


def _both(one: Callable[[float], None], other: Callable[[float], None]) -> Callable[[float], None]:
    def observe(seconds: float) -> None:
        one(seconds)
        other(seconds)

    return observe


class Gateway:
    """Everything behind `/ws`. `start` it in the event loop before the first connection, `drain` it at the end."""

    def __init__(
        self,
        server: Server,
        *,
        broker: Broker | None = None,
        share: Share = DEFAULT_SHARE,
        numbers: Numbers | None = None,
        traces: Traces | None = None,
    ) -> None:
        self.server = server
        self.share = share
        self.closes: Counter[str] = Counter()
        numbers = numbers or Numbers()
        server.db.observe_write = numbers.write if traces is None else _both(numbers.write, traces.write)
        if server.settings.redis_url is not None:
            server.limiter.observe = numbers.redis("limit")
        self.draining = False
        self.cache = ChatCache(server.db)
        self.hub = Hub(self._chat_changed, Endings(server.authenticator).told)
        self.broker: Broker = broker or MemoryBroker()
        self.healing = Healing(self.hub, self.broker, server.db, self._forget_all)
        fanout = Fanout(self.hub, self.broker, self.cache)
        self._fanout = fanout
        log, hand_out = numbers.event_log(event_log(server.db), server.clock.now_ms), numbers.fanout(fanout.events)
        if traces is not None:
            log, hand_out = traces.event_log(log), traces.fanout(hand_out)
        self.committer = EventCommitter(log, hand_out)
        self.mailboxes = Mailboxes(server.db, server.clock, fanout.envelopes)
        self.cursors: GroupCommit[Step] = GroupCommit(
            "cursors", self._store_cursors, max_items=cursors.MAX_STEPS, pause_s=cursors.FLUSH_PAUSE_S
        )
        self.presence = Presence(self.broker)
        self.hub.presence = self.presence.deliver
        self._seen: GroupCommit[Seen] = GroupCommit(
            "seen", self._store_seen, max_items=seen.MAX_SEEN, pause_s=seen.FLUSH_PAUSE_S
        )
        self.dispatcher = Dispatcher(
            presence=self.presence,
            numbers=numbers,
            traces=traces,
            db=server.db,
            clock=server.clock,
            broker=self.broker,
            cache=self.cache,
            committer=self.committer,
            cursors=self.cursors,
            mailboxes=self.mailboxes,
        )
        self.handle = self.dispatcher.handle
        self.sockets: set[object] = set()
        """Sockets of `/ws`, until they are closed on both sides."""
        self._all_gone = asyncio.Event()
        self.talks: set[Talk] = set()
        """Conversations on `/auth/ws`."""
        self._ticker: asyncio.Task[None] | None = None

    # --- life

    async def start(self) -> None:
        """Begin to serve."""
        await self.broker.start(Listener(self.hub.deliver, self.hub.flush, self.healing.missed))
        self.healing.start()
        self.committer.start()
        self.mailboxes.start()
        self.cursors.start()
        self._seen.start()
        self._ticker = asyncio.create_task(self._tick(), name="connections")
        self.server.hub.attach(BrokerPush(self.broker, self.cache))

    async def drain(self) -> None:
        """Commit and ack what was accepted, tell everybody to come back later, close every connection."""
        self.draining = self.dispatcher.draining = True
        await self.healing.close()
        await asyncio.gather(self.committer.close(), self.mailboxes.close(), self.cursors.close(), self._seen.close())
        for connection in list(self.hub.all):
            if connection.device_id:
                connection.send(frames.Drain(secrets.randbelow(SPREAD_MS)))
            connection.close(Close.DRAIN)
        for talk in list(self.talks):
            talk.stop(Close.DRAIN)
        if self._ticker is not None:
            self._ticker.cancel()
        if self.sockets:  # acks and closes on their way to slower readers
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._all_gone.wait(), DRAIN_S)
        await self.broker.close()

    def socket_gone(self, socket: object) -> None:
        """A socket of `/ws` is closed on both sides."""
        self.sockets.discard(socket)
        if self.draining and not self.sockets:
            self._all_gone.set()

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(TICK_S)
            now = loop.time()
            for connection in list(self.hub.all):
                connection.tick(now)

    # --- connections (see `connection.Host`)

    def connection(self, wire: Wire) -> Connection:
        """A socket has been opened."""
        connection = Connection(self, wire, self.hub.dirty)
        self.hub.all.add(connection)
        return connection

    async def admit(self, connection: Connection, hello: frames.Hello) -> tuple[Login, bytes]:
        """See `Host.admit`.

        Raises:
            ProtocolError: the token's error, or ROLLED_BACK; any when the connection is closed meanwhile.
        """
        while True:
            before = self.hub.ended.now
            login = await self.server.authenticator.authenticate_fresh(hello.jwt, hello.did)
            if not self.hub.ended.since(before, login.device_id):
                break
        if hello.gen < login.gen:
            raise ProtocolError(Code.ROLLED_BACK)
        if connection.closed:  # what came behind its hello has ended its channel: there is nobody to welcome
            raise ProtocolError(Code.MALFORMED)
        facts = self.server.facts
        welcome = connection.channel.welcome(
            login.ck, server_id=facts.server_id, restore_epoch=facts.restore_epoch, nonce=secrets.token_bytes(32)
        )
        # From here on an ended login finds this connection.
        connection.login = Login(login.account_id, login.uid, login.device_id, login.did, login.ck, hello.gen)
        if not connection.closed:
            await self.broker.announce(login.account_id, login.device_id)
        return connection.login, welcome

    def joined(self, connection: Connection) -> None:
        """See `Host.joined`."""
        self.hub.join(connection)
        assert connection.login is not None
        self.broker.publish(JoinNote(connection.device_id, self.hub.origin))
        self.broker.flush()
        login = connection.login
        self._seen.submit(Seen(login.device_id, login.did, self.server.clock.now_ms(), login.gen))

    def left(self, connection: Connection) -> None:
        """See `Host.left`."""
        self.presence.hide(connection)
        self.hub.leave(connection)
        if (login := connection.login) is not None:
            self.broker.withdraw(login.account_id, login.device_id)

    async def _store_seen(self, devices: list[Seen]) -> None:
        try:
            await seen.store(self.server.db, devices)
        except DATABASE_ERRORS as error:
            _log.warning("devices_not_noted", error=type(error).__name__, batch=len(devices))
            return
        for one in devices:
            self.server.authenticator.forget(one.did)

    # --- after commits

    async def _store_cursors(self, steps: list[Step]) -> None:
        parts = cursors.parts(cursors.newest(steps))
        for number, part in enumerate(parts):
            if number:
                await asyncio.sleep(cursors.PART_PAUSE_S)
            await self._store_part(part)

    async def _store_part(self, steps: Sequence[Step]) -> None:
        # Not waiting for the disk: a pointer that a falling machine forgets, its device tells again when it is back.
        try:
            try:
                moved = await cursors.move(self.server.db, steps)
            except IntegrityError:  # a device in it was deleted: the others' steps count
                living = await self.server.db.query(lambda db: cursors.of_living(db, steps))
                moved = await cursors.move(self.server.db, living)
            await self._fanout.cursors(moved)
        except DATABASE_ERRORS as error:
            # The next step of the device says the same and more.
            _log.warning("cursors_not_stored", error=type(error).__name__, batch=len(steps))

    def _forget_all(self) -> None:
        self.cache.clear()
        self.hub.ended.add_unknown()
        self.server.authenticator.forget_all()

    def _chat_changed(self, note: ChatNote, connections: Iterable[Connection]) -> None:
        self.cache.forget(note.chat_id)
        for connection in connections:
            self._tell_head(connection, note.chat_id)

    def _tell_head(self, connection: Connection, chat_id: bytes) -> None:
        assert connection.login is not None
        viewer = Viewer(connection.login.account_id, connection.device_id)

        async def answer() -> msgspec.Struct | None:
            head = await head_for(self.server.db, viewer, chat_id)
            return None if head is None else frames.Batch((frames.NewChat(head),))

        connection.request(0, answer)
