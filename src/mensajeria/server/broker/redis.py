"""The broker between processes, over Redis or Valkey. Each process has a channel of its own; one is common to all.

Every process knows which devices are connected to which other (see `roster`), so that a note goes only where it is
wanted: what was published since the last flush travels as one packet for each process that wants some of it.

Redis keeps nothing. Whatever may have lost a note (Redis away, a process away or killed, a reader too slow for Redis)
ends in a call of `missed` wherever the note may have been wanted. After a failure a process comes back under a new
name, with its whole roster. docs/decisions/0007-broker-over-redis.md tells why it is built like this.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import secrets
from collections.abc import Callable
from time import perf_counter
from typing import Final, NoReturn

import structlog

from mensajeria.server.broker.broker import (
    ChatNote,
    DeviceItemNote,
    EndNote,
    FrameNote,
    ItemNote,
    JoinNote,
    Listener,
    Note,
    PartNote,
    PresenceNote,
)
from mensajeria.server.broker.link import REDIS_ERRORS, Link
from mensajeria.server.broker.packet import (
    Beat,
    Bye,
    Confirm,
    Gone,
    Hello,
    Here,
    Lost,
    Message,
    PacketError,
    Stranger,
    Word,
    decode_packet,
    encode_packet,
)
from mensajeria.server.broker.packet import Roster as RosterWord
from mensajeria.server.broker.roster import Own, Roster

BEAT_S: Final = 1.0
SILENCE_S: Final = 3.5
"""After this long without a sign of life a process, or Redis itself, is away."""
GREET_S: Final = 2.0
"""How long the others may take to answer a hello."""
START_S: Final = 5.0
"""How long the start waits for Redis; then the server serves without, as if it had lost it."""
RETRY_S: Final = (0.05, 0.1, 0.2, 0.4, 0.5)
CLOSE_S: Final = 2.0
_ALL: Final = b""
_log = structlog.get_logger(__name__)


def _nobody(_seconds: float) -> None:
    """Watches."""


class _StrangerError(Exception):
    """Another process has given this one up."""


class RedisBroker:
    """See `Broker`."""

    def __init__(self, url: str, prefix: str, observe: Callable[[float], None] = _nobody) -> None:
        """`prefix` keeps servers that share a Redis apart. `observe` gets the seconds of each publishing."""
        self._url = url
        self._observe = observe
        self._prefix = prefix
        self._name = b""
        self._before = b""
        self._own = Own()
        self._roster = Roster()
        self._heard: dict[bytes, float] = {}
        self._out: dict[bytes, list[Message]] = {}
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._met = asyncio.Event()
        self._linked = asyncio.Event()
        self._lost = False
        self._may_miss = False
        self._failure = "-"
        self._tickets: dict[int, tuple[set[bytes], asyncio.Future[None]]] = {}
        self._numbers = itertools.count(1)
        self._listener: Listener | None = None
        self._task: asyncio.Task[None] | None = None

    # --- Broker

    @property
    def is_linked(self) -> bool:
        """See `Broker.is_linked`."""
        return self._linked.is_set()

    async def start(self, listener: Listener) -> None:
        """See `Broker.start`."""
        self._listener = listener
        self._task = asyncio.create_task(self._run(), name="broker")
        try:
            async with asyncio.timeout(START_S):
                await self._linked.wait()
        except TimeoutError:
            _log.warning("redis_away", error=self._failure)
            self._may_miss = True

    async def announce(self, account: int, device: int) -> None:
        """See `Broker.announce`. Waits for every other process; while Redis is away it does not: see `missed`."""
        self._own.add(device, account)
        if not self.is_linked or not self._roster.peers:
            self._say_if_linked(Here(device, account, 0))
            return
        ticket = next(self._numbers)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tickets[ticket] = (set(self._roster.peers), done)
        self._say_if_linked(Here(device, account, ticket))
        try:
            await done
        finally:
            self._tickets.pop(ticket, None)

    def withdraw(self, account: int, device: int) -> None:  # noqa: ARG002 - the roster knows the account
        """See `Broker.withdraw`."""
        if self._own.remove(device):
            self._say_if_linked(Gone(device))

    def publish(self, note: Note) -> None:
        """See `Broker.publish`."""
        assert self._listener is not None
        self._listener.deliver(note)
        if not self.is_linked:
            self._lost = True
        elif self._roster.peers:
            self._route(note)

    def flush(self) -> None:
        """See `Broker.flush`."""
        assert self._listener is not None
        self._listener.delivered()
        if self._out:
            self._wake.set()

    async def close(self) -> None:
        """See `Broker.close`."""
        if self._task is None:
            return
        if self.is_linked:
            self._say(_ALL, Bye())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_S):
                    await self._idle.wait()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    # --- where a note goes

    def _route(self, note: Note) -> None:  # noqa: C901 - one table
        match note:
            case ItemNote():
                for peer, accounts in self._roster.of_accounts(note.accounts).items():
                    self._put(peer, ItemNote(tuple(accounts), note.items, note.skip))
            case DeviceItemNote() | JoinNote():
                for peer in self._roster.of_device(note.device):
                    self._put(peer, note)
            case FrameNote() if note.device:
                for peer in self._roster.of_device(note.device):
                    self._put(peer, note)
            case FrameNote():
                for peer, accounts in self._roster.of_accounts(note.accounts).items():
                    self._put(peer, FrameNote(tuple(accounts), note.kind, note.body, note.skip))
            case PresenceNote():
                for peer, accounts in self._roster.of_accounts(note.accounts).items():
                    self._put(peer, PresenceNote(note.account, note.uid, tuple(accounts), note.on, note.asks))
            case ChatNote() | EndNote() | PartNote():  # everybody may have cached the chat, the login or the contacts
                for peer in self._roster.peers:
                    self._put(peer, note)

    def _put(self, peer: bytes, message: Message) -> None:
        self._out.setdefault(peer, []).append(message)

    def _say(self, to: bytes, word: Word) -> None:
        self._put(to, word)
        self._idle.clear()
        self._wake.set()

    def _say_if_linked(self, word: Word) -> None:
        """To all. While Redis is away, or before all have answered our hello, the roster of the next one says it."""
        if self._name:
            self._say(_ALL, word)

    # --- sessions

    async def _run(self) -> NoReturn:
        tries = 0
        while True:
            linked = False
            try:
                await self._session()
            except* REDIS_ERRORS as group:
                linked = self._unlink("redis_away", group)
            except* _StrangerError as group:
                linked = self._unlink("redis_stranger", group)
            except* Exception as group:  # noqa: BLE001 - a fault of ours costs a session, not the broker
                _log.exception("broker_failed", exc_info=group.exceptions[0])
                linked = self._unlink("redis_away", group)
            tries = 0 if linked else min(tries + 1, len(RETRY_S) - 1)
            await asyncio.sleep(RETRY_S[tries])

    def _unlink(self, event: str, group: BaseExceptionGroup[BaseException]) -> bool:
        """Forget the session; true when it was a working one."""
        was_linked = self.is_linked
        self._failure = type(group.exceptions[0]).__name__
        if was_linked:
            _log.warning(event, error=self._failure)
            self._may_miss = True
            # Also of what has arrived: who stood still was given up, and what it then said went by an old roster.
            self._lost = True
        self._linked.clear()
        self._before, self._name = self._name or self._before, b""
        self._roster.clear()
        self._out.clear()
        self._heard.clear()
        for _, done in self._tickets.values():
            if not done.done():
                done.set_result(None)
        return was_linked

    async def _session(self) -> None:
        link, name = Link(self._url), secrets.token_bytes(8)
        try:
            await link.open([self._channel(name), self._channel(_ALL)])
            async with asyncio.TaskGroup() as group:
                group.create_task(self._read(link, name))
                others = await self._greet(link, name)
                group.create_task(self._write(link))
                await self._meet(others)
                group.create_task(self._beat())
        finally:
            await link.close()

    def _channel(self, name: bytes) -> str:
        return f"{self._prefix}w:{name.hex()}" if name else f"{self._prefix}all"

    async def _greet(self, link: Link, name: bytes) -> int:
        """Say hello; how many others heard it."""
        hello = Hello(self._own.pairs(), self._before, self._lost)
        self._name = name  # from here on, what changes is said to all
        (heard_by,) = await link.send([(self._channel(_ALL), encode_packet(name, [hello]))])
        self._lost = False
        return heard_by - 1

    async def _meet(self, others: int) -> None:
        """Wait for the others' rosters; a late one is told that it missed something, see `_on_roster`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GREET_S):
                while len(self._roster.peers) < others:
                    self._met.clear()
                    await self._met.wait()
        self._linked.set()
        _log.info("redis_linked", count=len(self._roster.peers))
        if self._lost:
            self._lost = False
            self._say(_ALL, Lost())
        if self._may_miss:
            self._may_miss = False
            self._miss()

    def _miss(self) -> None:
        assert self._listener is not None
        self._listener.missed()

    async def _write(self, link: Link) -> None:
        while not _is_cancelled():
            await self._wake.wait()
            self._wake.clear()
            out, self._out = self._out, {}
            self._idle.clear()
            if out:
                packets = [(self._channel(to), encode_packet(self._name, said)) for to, said in out.items()]
                began = perf_counter()
                receivers = await link.send(packets)
                self._observe(perf_counter() - began)
                for to, heard_by in zip(out, receivers, strict=True):
                    if heard_by == 0 and to:
                        self._drop(to)
            if not self._out:
                self._idle.set()

    async def _beat(self) -> None:
        now = asyncio.get_running_loop().time
        while True:
            for peer in (*self._roster.peers, _ALL):  # all: whoever has given us up, and we it, asks who we are
                self._say(peer, Beat())
            await asyncio.sleep(BEAT_S)
            silent = [peer for peer in self._roster.peers if now() - self._heard.get(peer, 0) > SILENCE_S]
            for peer in silent:
                self._drop(peer)

    def _drop(self, peer: bytes, *, said_all: bool = False) -> None:
        """A process is away. Unless it said so itself, it may have committed what it never published."""
        if not self._roster.drop(peer):
            return
        self._heard.pop(peer, None)
        for waiting, done in self._tickets.values():
            _tick_off(waiting, done, peer)
        if not said_all:
            _log.warning("broker_peer_away", count=len(self._roster.peers))
            self._miss()

    # --- what comes

    async def _read(self, link: Link, name: bytes) -> None:
        now = asyncio.get_running_loop().time
        while not _is_cancelled():
            data = await link.read(SILENCE_S)
            try:
                sender, messages = decode_packet(data)
            except PacketError:
                _log.warning("broker_packet_refused", bytes=len(data))
                self._miss()
                continue
            if sender != name:
                self._heard[sender] = now()
                self._take(sender, messages)

    def _take(self, sender: bytes, messages: list[Message]) -> None:
        assert self._listener is not None
        deliver, delivered = self._listener.deliver, False
        for message in messages:
            if isinstance(message, Note):
                deliver(message)
                delivered = True
            else:
                self._hear(sender, message)
        if delivered:
            self._listener.delivered()

    def _hear(self, sender: bytes, word: Word) -> None:  # noqa: C901 - one table
        known = sender in self._roster.peers
        match word:
            case Hello():
                self._on_hello(sender, word)
            case RosterWord():
                self._on_roster(sender, word)
            case Here() if known:
                self._roster.add(sender, word.device, word.account)
                if word.ticket:
                    self._say(sender, Confirm(word.ticket))
            case Gone() if known:
                self._roster.remove(sender, word.device)
            case Confirm():
                if (found := self._tickets.get(word.ticket)) is not None:
                    _tick_off(*found, sender)
            case Lost():
                self._miss()
            case Bye():
                self._drop(sender, said_all=True)
            case Beat() if not known and self.is_linked:  # until then it may just not have answered our hello yet
                self._say(sender, Stranger())
            case Stranger():
                raise _StrangerError
            case Here() | Gone() | Beat():
                pass

    def _on_hello(self, sender: bytes, hello: Hello) -> None:
        self._drop(hello.before, said_all=True)  # what it had not said, `lost` tells
        self._roster.put(sender, hello.devices)
        self._say(sender, RosterWord(self._own.pairs()))
        self._met.set()
        if hello.lost:
            self._miss()

    def _on_roster(self, sender: bytes, roster: RosterWord) -> None:
        known = sender in self._roster.peers
        self._roster.put(sender, roster.devices)
        self._met.set()
        if self.is_linked and not known:  # what it should have got until now went elsewhere
            self._say(sender, Lost())


def _tick_off(waiting: set[bytes], done: asyncio.Future[None], peer: bytes) -> None:
    waiting.discard(peer)
    if not waiting and not done.done():
        done.set_result(None)


def _is_cancelled() -> bool:
    """Asked after each visit to the library, which may have dropped the cancellation: the session would never end.

    It waits by `asyncio.wait_for`, which does that up to Python 3.11 when what it waits for comes at the same moment.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
