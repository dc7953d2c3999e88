"""Several people with several devices at a real server, to which everything happens that happens to devices.

The people are made once; each run works on its own copy of their profiles and of the server's folder. Every clock is
the machine's, moved by an offset that the run owns: the world's, and each device's own.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import shutil
import sqlite3
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from mensajeria.client import Client, ClientError
from mensajeria.client.api import (
    Cause,
    ConnectionPhase,
    HistoryRestored,
    Message,
    MessageKind,
    MessageState,
    MessageStateChanged,
)
from mensajeria.kit.clock import SystemClock
from mensajeria.protocol.errors import Code
from mensajeria.protocol.frames import Batch, BatchItem, Envelope, Event
from mensajeria.protocol.ids import ChatId, Mid
from mensajeria.protocol.records import MessageOuter
from mensajeria.server.admin.content import raise_restore_epoch
from mensajeria.server.db.engine import Database
from tests.attacks.evil import EvilServer, Rule
from tests.attacks.stage import Actor, _point_to

PASSWORDS: Final = {
    "ana": "girasol tranvía 47 niebla",
    "bruno": "cántaro brújula 93 ventisca",
    "carla": "marea linterna 28 avellana",
}
DEVICES: Final = (("ana", "laptop"), ("ana", "phone"), ("bruno", "laptop"), ("bruno", "phone"), ("carla", "laptop"))
COUPLES: Final = (("ana", "bruno"), ("ana", "carla"), ("bruno", "carla"))
CLUB: Final = frozenset(PASSWORDS)
"""The group of all three; Ana owns it, Carla comes and goes."""
CANARY: Final = "zarzaparrilla"
"""Stands in every text, and nowhere in what a server sees."""
CANNOT_WRITE: Final = {"unknown_chat", "not_a_member"}
"""A new device that was never online; somebody who was removed."""
CANNOT_CHANGE: Final = {"network", "unknown_chat", "login_ended", "already_member", "no_such_member", "rolled_back"}
GENUINE: Final = {MessageKind.TEXT, MessageKind.DELETED}
ENDINGS: Final = {Code.ROLLED_BACK, Code.LOGIN_REVOKED, "login_ended"}
DAY_S: Final = 24 * 3600.0
PATIENCE_S: Final = 120.0
"""How long anything may take: long enough for a machine that is busy with other things."""
ROUND_S: Final = 3.0
"""How long what is on its way is waited for, before the clocks move on to when it is asked for again."""


@dataclass
class MovedClock:
    """The machine's clock with an offset; a device's is moved by the world's offset too."""

    world: MovedClock | None = None
    offset_s: float = 0.0

    def _offset(self) -> float:
        return self.offset_s + (self.world.offset_s if self.world is not None else 0.0)

    def now_ms(self) -> int:
        return SystemClock().now_ms() + round(self._offset() * 1000)

    def monotonic(self) -> float:
        return time.monotonic() + (self.world.offset_s if self.world is not None else self.offset_s)


class BadWeather(Rule):
    """A network that loses and reorders what is pushed, as often as it was told to."""

    def __init__(self) -> None:
        self.lose = 0
        self.shuffle = 0
        self._chance = random.Random(1)

    def frame(self, to: bytes, frame: msgspec.Struct) -> Iterator[msgspec.Struct]:
        if isinstance(frame, Batch):
            items = list(self._left(frame.items))
            if self.shuffle and len(items) > 1:
                self.shuffle -= 1
                self._chance.shuffle(items)
            if items:
                yield Batch(tuple(items))
            return
        yield frame

    def _left(self, items: Iterable[BatchItem]) -> Iterator[BatchItem]:
        for item in items:
            if self.lose and isinstance(item, Event | Envelope):
                self.lose -= 1
            else:
                yield item


Row = tuple[str, str, bool, tuple[tuple[str, str], ...]]
"""Author, text, whether it was edited, and who put which emoji under it."""


def _row(message: Message) -> Row:
    reactions = tuple(sorted((one.person.handle, one.emoji) for one in message.reactions))
    return message.sender.handle, message.text, message.edited, reactions


@dataclass
class Device:
    """One device of a person: its profile, and its client while it runs."""

    person: str
    name: str
    folder: Path
    clock: MovedClock
    actor: Actor | None = None
    copy: Path | None = None
    removed: bool = False
    doomed: bool = False
    """Its removal was begun; whether it was completed is not known."""
    mids: set[Mid] = field(default_factory=set)
    """What the running program was asked to send."""
    since: dict[ChatId, int] = field(default_factory=dict)
    """For a device that was added: the row of each chat after which it must be able to read everything."""

    def __str__(self) -> str:
        return f"{self.person}/{self.name}"

    @property
    def client(self) -> Client:
        assert self.actor is not None
        return self.actor.client


@dataclass
class World:
    """The server, the devices, and what must be true of them."""

    folder: Path
    clock: MovedClock
    evil: EvilServer
    devices: list[Device]
    chats: dict[frozenset[str], ChatId]
    weather: BadWeather = field(default_factory=BadWeather)
    written: dict[str, tuple[str, frozenset[str]]] = field(default_factory=dict)
    """text -> author and chat, of everything that `send_text` has taken."""
    forgotten: set[str] = field(default_factory=set)
    """Texts that stood in an outbox which was rolled back: they may be lost with it, never doubled."""
    mended: set[str] = field(default_factory=set)
    """Texts whose author has given them other words, or deleted them: they may be shown or not."""
    taking: str | None = None
    """The text that `send_text` is being asked to take."""
    count: int = 0

    # --- life

    @classmethod
    async def begin(cls, snapshot: Path, folder: Path) -> World:
        await asyncio.to_thread(shutil.copytree, snapshot, folder, dirs_exist_ok=True)
        clock = MovedClock()
        evil = EvilServer(folder / "server", clock=clock)
        await evil.start()
        devices = [Device(person, name, folder / f"{person}-{name}", MovedClock(clock)) for person, name in DEVICES]
        lines = (folder / "chats").read_text().splitlines()
        places = [*(frozenset(couple) for couple in COUPLES), CLUB]
        chats = {place: ChatId(bytes.fromhex(line)) for place, line in zip(places, lines, strict=True)}
        world = cls(folder, clock, evil, devices, chats)
        evil.rule = world.weather
        return world

    async def end(self) -> None:
        for device in self.devices:
            await self.stop(device)
        await self.evil.stop()

    # --- what happens to devices

    def device(self, person: str, name: str) -> Device:
        """A device by its owner and name."""
        return next(one for one in self.devices if (one.person, one.name) == (person, name))

    async def start(self, device: Device, then: Callable[[Actor], None] = lambda _: None) -> None:
        """Run the device's program, `then` before it connects. It goes on by itself; nobody waits for the server."""
        if device.actor is None and not device.removed:
            _point_to(device.folder, self.evil.url)
            client = await Client.open(device.folder, offline=True, clock=device.clock)
            device.actor = Actor.watch(client)
            then(device.actor)
            client._engine.start()

    async def stop(self, device: Device) -> None:
        """End the program in good order, whole also for a story that is cut off here."""
        if device.actor is not None:
            actor, device.actor = device.actor, None
            device.mids.clear()
            closing = asyncio.create_task(actor.close())
            try:
                await asyncio.shield(closing)
            except asyncio.CancelledError:
                await closing
                raise

    async def crash(self, device: Device) -> None:
        """What `kill -9` leaves: the files as they are after some transaction of the store, which was the last one.

        What still leaves for the server was stored before: the program may have been killed right behind it.
        """
        if device.actor is None:
            return
        store = device.client._context.store
        submit, store._submit = store._submit, _never  # type: ignore[method-assign]
        await submit(lambda _: None, writes=False)  # what shares a commit with others is stored behind them
        files = self._copy_name(device, "crashed")
        await submit(lambda _: self.copy_files(device.folder, files), writes=False)
        await device.client._engine.stop()
        store._submit = submit  # type: ignore[method-assign]
        await self.replace(device, files)

    async def replace(self, device: Device, files: Path) -> None:
        """End the program and put other files in the place of its profile."""
        await self.stop(device)
        await asyncio.to_thread(shutil.rmtree, device.folder, ignore_errors=True)
        if await asyncio.to_thread(files.exists):
            await asyncio.to_thread(files.rename, device.folder)

    async def keep_copy(self, device: Device) -> None:
        """Somebody makes a copy of the running profile, as a backup program would."""
        if device.actor is not None:
            if device.copy is not None:
                await asyncio.to_thread(shutil.rmtree, device.copy)
            device.copy = await self._copy(device, "kept")

    async def roll_back(self, device: Device) -> None:
        """The copy is put in the place of the profile."""
        if device.copy is None or device.removed:
            return
        self.forgotten |= await self._queued(device)
        copy, device.copy = device.copy, None
        await self.replace(device, copy)

    async def _copy(self, device: Device, what: str) -> Path:
        target = self._copy_name(device, what)
        await device.client._context.store.run(lambda _: self.copy_files(device.folder, target))
        return target

    def _copy_name(self, device: Device, what: str) -> Path:
        self.count += 1
        return self.folder / f"{device.folder.name}-{what}-{self.count}"

    @staticmethod
    def copy_files(profile: Path, target: Path) -> None:
        """To be called in the store's thread, so that no transaction is half in the copy."""
        shutil.copytree(profile, target, ignore=shutil.ignore_patterns("*.sock", "*.lock"))

    async def _queued(self, device: Device) -> set[str]:
        """Texts of the device that no server has yet."""
        if device.actor is None:
            await self.start(device)
        mine = {text for text, (who, _) in self.written.items() if who == device.person}
        shown = [message for chat in await self._timelines(device) for message in chat]
        self.forgotten |= {one.text for one in shown if one.state is MessageState.FAILED and self._may_fail(one)}
        return {one.text for one in shown if one.text in mine and one.state is MessageState.QUEUED}

    async def add_device(self, person: str) -> None:
        """Log in on a new device with the password."""
        device = self.new_device(person)
        await self.log_in(device)
        device.since = self._ends()

    def new_device(self, person: str) -> Device:
        """A machine with nothing on it yet."""
        self.count += 1
        name = f"new{self.count}"
        device = Device(person, name, self.folder / f"{person}-{name}", MovedClock(self.clock))
        self.devices.append(device)
        return device

    async def log_in(self, device: Device) -> None:
        """The first login on a device, or the first one that is not cut off."""
        client = await Client.login(
            self.evil.url,
            device.person,
            PASSWORDS[device.person],
            profile=device.folder,
            insecure_key_file=True,
            clock=device.clock,
            device_name=device.name,
        )
        device.actor = Actor.watch(client)

    async def lose(self, device: Device) -> None:
        """The device falls into the sea. Nobody knows, it stays in the list; its keys are in the backup."""
        await self._until(lambda: self._is_saved(device), f"{device} is not in the backup")
        await self._is_gone(device)

    async def _is_saved(self, device: Device) -> bool:
        store = device.client._context.store
        return not await store.read(lambda tx: tx.backup.count_pending() + tx.outbox.count())

    @staticmethod
    async def _until(ready: Callable[[], Awaitable[bool]], what: str) -> None:
        end = time.monotonic() + PATIENCE_S
        while not await ready():
            assert time.monotonic() < end, what
            await asyncio.sleep(0.02)

    def _ends(self) -> dict[ChatId, int]:
        with self.evil.database() as database:
            rows = database.execute("SELECT chat_id, last_seq FROM chat").fetchall()
        return {ChatId(chat_id): last for chat_id, last in rows}

    async def remove_device(self, by: Device, gone: Device) -> None:
        """The person removes another device of theirs."""
        if by.actor is None or by.removed or gone.removed or gone is by or gone.person != by.person:
            return
        did, gone.doomed = (await self._did(gone))[0], True
        try:
            async with asyncio.timeout(PATIENCE_S):
                await by.client.revoke_device(did, PASSWORDS[by.person])
        except ClientError as error:
            assert error.code in {"network", Code.APPROVAL_NEEDED, Code.UNKNOWN_DEVICE, "login_ended"}, error  # noqa: PT017
            return
        await self._is_gone(gone)

    async def _is_gone(self, device: Device) -> None:
        self.forgotten |= await self._queued(device)
        await self.stop(device)
        device.removed = True

    # --- what happens to the server

    async def back_up(self) -> Path:
        """What a careful operator does every night."""
        copy = self.folder / "yesterday.db"

        def write() -> None:
            with self.evil.database() as database, closing(sqlite3.connect(copy)) as target:
                database.backup(target)

        await asyncio.to_thread(write)
        return copy

    async def put_back(self, copy: Path) -> None:
        """The server's database is lost and restored from a backup, which its operator declares. Nobody is there."""
        for device in self.devices:
            await self.stop(device)
        rule, seen, port = self.evil.rule, self.evil.seen, self.evil.port
        await self.evil.stop()
        path = self.evil.data / "mensajeria.db"
        for end in ("-wal", "-shm"):
            path.with_name(path.name + end).unlink(missing_ok=True)
        await asyncio.to_thread(shutil.copyfile, copy, path)
        database = Database(f"sqlite:///{path}")
        await database.write(raise_restore_epoch)
        await database.close()
        self.evil = EvilServer(self.evil.data, clock=self.clock, port=port)
        self.evil.rule, self.evil.seen = rule, seen
        await self.evil.start()

    async def _did(self, device: Device) -> list[bytes]:
        if device.actor is None:
            await self.start(device)
        return [bytes(device.client._context.me.did)]

    # --- what people do

    async def write(self, device: Device, others: str, count: int) -> None:
        """Write into the direct chat with another person; to oneself means: into the club."""
        if device.actor is None:
            return
        couple = CLUB if others == device.person else frozenset((device.person, others))
        for _ in range(count):
            self.count += 1
            text = f"{CANARY} {device.person} {device.name} {self.count}"
            self.written[text] = (device.person, couple)
            self.taking = text
            try:
                device.mids.add((await device.client.chat(self.chats[couple]).send_text(text)).mid)
            except ClientError as error:
                assert error.code in CANNOT_WRITE, error  # noqa: PT017
                del self.written[text]
                return
            self.taking = None

    async def change_own(self, device: Device, what: str) -> None:
        """Edit, or delete for all, the newest own text on this device, or put an emoji under the newest text."""
        if device.actor is None:
            return
        for chat_id in self.chats.values():
            try:
                history = [one async for one in device.client.chat(chat_id).history() if CANARY in one.text]
                shown = [one for one in history if one.kind is MessageKind.TEXT]
                own = [one for one in shown if one.outgoing and one.seq is not None]
                if what == "react" and shown and shown[-1].seq is not None:
                    await device.client.chat(chat_id).react(shown[-1].mid, "👍")
                elif what == "edit" and own:
                    await self._edit(device, own[-1])
                elif what == "delete" and own:
                    self.mended.add(own[-1].text)
                    await device.client.chat(chat_id).delete(own[-1].mid, for_all=True)
            except ClientError as error:
                assert error.code in CANNOT_WRITE, error  # noqa: PT017

    async def _edit(self, device: Device, message: Message) -> None:
        self.count += 1
        text = f"{CANARY} {device.person} {device.name} {self.count} edited"
        self.written[text] = self.written[message.text]
        self.mended |= {message.text, text}
        await device.client.chat(message.chat_id).edit(message.mid, text)

    async def change_club(self, device: Device) -> None:
        """Ana removes Carla from the club, or takes her in again."""
        if device.actor is None or device.person != "ana":
            return
        club = device.client.chat(self.chats[CLUB])
        try:
            async with asyncio.timeout(PATIENCE_S):
                there = any(one.person.handle == "carla" for one in await club.members())
                await (club.remove("carla") if there else club.add(["carla"]))
        except ClientError as error:
            assert error.code in CANNOT_CHANGE, error  # noqa: PT017

    async def let_time_pass(self, seconds: float) -> None:
        """Give the running programs time, in which they do what they want."""
        await asyncio.sleep(seconds)

    async def connected(self, device: Device) -> None:
        """Wait until the device is level with the server."""
        await asyncio.wait_for(device.client.caught_up(), PATIENCE_S)

    async def sent(self, device: Device) -> None:
        """Wait until the server has everything that the device has written."""
        assert device.actor is not None
        actor = device.actor

        def is_sent() -> bool:
            changed = [event.message for event in actor.events if isinstance(event, MessageStateChanged)]
            return device.mids <= {one.mid for one in changed if one.state is not MessageState.QUEUED}

        await actor.until(is_sent, "sent")

    async def agreed(self) -> None:
        """Wait until everybody has everything."""
        await self._until_level(time.monotonic() + PATIENCE_S)
        assert not (left := await self._left(time.monotonic() + PATIENCE_S)), left

    async def restored(self, device: Device) -> None:
        """Wait until a new device has everything that it gets from the key backup, if it was not cut off before."""
        assert device.actor is not None
        actor = device.actor
        await actor.until(lambda: any(isinstance(event, HistoryRestored) for event in actor.events), "restored")

    def never_taken(self) -> None:
        """A call of `send_text` was cut off: its text may be there or not."""
        if self.taking is not None:
            self.forgotten.add(self.taking)

    # --- what must be true

    async def heal(self) -> None:
        """Honest weather, everybody connected, and time for whatever waits to be asked for again."""
        self.weather.lose = self.weather.shuffle = 0
        for device in self.devices:
            device.clock.offset_s = 0.0
            await self.start(device)
        end = time.monotonic() + PATIENCE_S
        await self._until_level(end)
        while left := await self._left(time.monotonic() + ROUND_S):
            assert time.monotonic() < end, left
            self.clock.offset_s += 3700.0
            self.evil.drop_connections()
            await self._until_level(end)

    async def _until_level(self, end: float) -> None:
        for device in self._living():
            await self.level(device, end)

    async def level(self, device: Device, end: float | None = None) -> None:
        """Wait until a device is level with the server, after a new login if it needs one."""
        end = end or time.monotonic() + PATIENCE_S
        while True:
            await self._come_back(device)
            if device.removed:
                return
            device.client.retry_now()
            try:
                async with asyncio.timeout(1.0):
                    await device.client.caught_up()
            except (TimeoutError, ClientError):
                assert time.monotonic() < end, (device.person, device.name, device.client.phase, device.actor)
            else:
                return

    async def _left(self, end: float) -> list[str]:
        """What is not as it must become; asked again until nothing is left or the time is over."""
        pause = 0.01
        while (found := await self._unhealed()) and time.monotonic() < end:
            await asyncio.sleep(pause)
            pause = min(2 * pause, 0.2)
        return found

    async def _come_back(self, device: Device) -> None:
        """A device that the server calls rolled back, or whose login ended, logs in again."""
        if device.client.phase in {ConnectionPhase.LOGIN_ENDED, ConnectionPhase.STOPPED}:
            assert device.client._engine.code in ENDINGS, device.client._engine.code
            try:
                await device.client.login_again(PASSWORDS[device.person])
            except ClientError as error:
                assert error.code == "device_removed" and device.doomed, error  # noqa: PT017, PT018
                await self._is_gone(device)

    def _living(self) -> list[Device]:
        return [device for device in self.devices if not device.removed]

    async def _timelines(self, device: Device) -> list[list[Message]]:
        return [
            [message async for message in device.client.chat(chat.chat_id).history()]
            for chat in await device.client.chats()
        ]

    async def _unhealed(self) -> list[str]:
        """Places that a device cannot read, rows that it lacks or shows otherwise, and texts that have not left."""
        found, members = [], await self._club_members()
        for device in self._living():
            for one in (one for timeline in await self._timelines(device) for one in timeline):
                if one.kind is MessageKind.UNREADABLE and self._may_read(device, one, members):
                    found.append(f"{device}: {one.seq} {one.cause} {dict(one.params)}")
                elif one.state is MessageState.FAILED and not self._may_fail(one):
                    found.append(f"{device}: refused for good: {one.text} {one.error}")
            found += [f"{device} still holds {text}" for text in await self._queued(device)]
        return found or [odd for place in self.chats for odd in await self._differences(place)]

    async def _differences(self, place: frozenset[str]) -> list[str]:
        """Rows of a chat that a device lacks, or shows otherwise than another."""
        chat_id, log, found = self.chats[place], dict[int, Row](), list[str]()
        devices = [device for device in self._living() if device.person in place]
        shown = [(device, await self._rows(device, chat_id)) for device in devices]
        for device, rows in shown:
            if device.person != "carla" and chat_id not in {chat.chat_id for chat in await device.client.chats()}:
                found.append(f"{device} does not know the chat of {set(place)}")
            for seq, row in rows.items():
                if log.setdefault(seq, row) != row:
                    found.append(f"{device} shows in row {seq} of {set(place)} {row}, another {log[seq]}")
        for device, rows in shown:
            if missing := set(self._entitled(device, place, log)) - set(rows):
                found.append(f"{device} lacks rows {missing} of {set(place)}")
        return found

    def _may_fail(self, message: Message) -> bool:
        """Carla may write into the club when she is removed already and has not heard of it."""
        return self.written.get(message.text) == ("carla", CLUB)

    async def _club_members(self) -> set[str]:
        """Who is in the club now, as its owner knows it."""
        owner = next(device for device in self._living() if device.person == "ana")
        return {one.person.handle for one in await owner.client.chat(self.chats[CLUB]).members()}

    def _may_read(self, device: Device, message: Message, members: set[str]) -> bool:
        """Whether somebody must be able to help: nobody answers who is no member, nor for what came before one was."""
        if message.chat_id == self.chats[CLUB] and device.person not in members:
            return False
        return message.cause is not Cause.BEFORE_JOINED and (message.seq or 0) > device.since.get(message.chat_id, 0)

    async def check(self) -> None:
        """The invariants, once everything has healed."""
        await self._check_timelines()
        self._check_wire()

    async def _check_timelines(self) -> None:
        for place, chat_id in self.chats.items():
            assert not (odd := await self._differences(place)), odd
            devices = [device for device in self._living() if device.person in place]
            rows = {seq: row for device in devices for seq, row in (await self._rows(device, chat_id)).items()}
            self._check_texts(place, [row for row in rows.values() if row[1]])

    def _entitled(self, device: Device, place: frozenset[str], log: dict[int, Row]) -> Iterator[int]:
        """The rows that the device must have: what came after it, while its person was a member."""
        for seq in log:
            if seq > device.since.get(self.chats[place], 0) and not (place == CLUB and device.person == "carla"):
                yield seq

    async def _rows(self, device: Device, chat_id: ChatId) -> dict[int, Row]:
        """What the device shows of the log, reactions and edits too."""
        if chat_id not in {chat.chat_id for chat in await device.client.chats()}:
            return {}
        history = [one async for one in device.client.chat(chat_id).history() if one.kind in GENUINE]
        placed = [one for one in history if one.seq is not None]
        assert [one.seq for one in placed] == sorted(one.seq or 0 for one in placed), "out of order"
        since = device.since.get(chat_id, 0)
        return {one.seq: _row(one) for one in placed if one.seq is not None and one.seq > since}

    def _check_texts(self, place: frozenset[str], log: list[Row]) -> None:
        """Everything that was written is there once, with its author."""
        times = Counter(row[1] for row in log if CANARY in row[1])
        assert [text for text, count in times.items() if count > 1] == [], "shown twice"
        assert all(self.written[row[1]] == (row[0], place) for row in log if CANARY in row[1]), "wrong author"
        wanted = {text for text, (_, where) in self.written.items() if where == place}
        assert (lost := wanted - set(times) - self.forgotten - self.mended) == set(), f"lost: {lost}"

    def _check_wire(self) -> None:
        """No index of a session is used for two ciphertexts, and nothing readable has passed."""
        made: dict[tuple[bytes, int], set[bytes]] = {}
        for _, frame in self.evil.seen.from_clients:
            if isinstance(frame, MessageOuter):
                digest = hashlib.sha256(frame.ct).digest()
                made.setdefault((bytes(frame.session_id), frame.idx), set()).add(digest)
        assert [key for key, ciphertexts in made.items() if len(ciphertexts) > 1] == []
        canary = CANARY.encode()
        assert not any(canary in data for data in (*self.evil.seen.wire, *self.evil.seen.rest))


async def _never(*_: Any, **__: Any) -> Any:
    """A store whose process is dead."""
    await asyncio.Event().wait()


async def make_people(folder: Path) -> None:
    """Three people, five devices, three chats that both have accepted; three days ago."""
    clock = MovedClock(offset_s=-3 * DAY_S)
    evil = EvilServer(folder / "server", clock=clock)
    await evil.start()
    actors: dict[tuple[str, str], Actor] = {}
    for person, name in DEVICES:
        make = Client.login if (person, "laptop") in actors else Client.register
        client = await make(
            evil.url,
            person,
            PASSWORDS[person],
            profile=folder / f"{person}-{name}",
            insecure_key_file=True,
            device_name=name,
            clock=clock,
        )
        actors[person, name] = await Actor.watch(client).online()
    lines = []
    for one, two in COUPLES:
        chat_id = (await actors[one, "laptop"].client.direct_chat(two)).chat_id
        await actors[one, "laptop"].send(chat_id, f"hola {two}")
        await actors[two, "laptop"].shows(chat_id, f"{one}: hola {two}")
        await actors[two, "laptop"].client.accept(chat_id)
        await actors[two, "laptop"].send(chat_id, f"hola {one}")
        await actors[one, "laptop"].shows(chat_id, f"{two}: hola {one}")
        for person, name in DEVICES:
            if person in {one, two}:
                await actors[person, name].shows(chat_id, f"{two}: hola {one}")
        lines.append(chat_id.hex())
    lines.append(await _found_club(actors))
    (folder / "chats").write_text("\n".join(lines))
    for actor in actors.values():
        await actor.close()
    await evil.stop()


async def _found_club(actors: dict[tuple[str, str], Actor]) -> str:
    """Ana makes the group, the others accept and write in it."""
    club = (await actors["ana", "laptop"].client.create_group("Club", ["bruno", "carla"])).chat_id
    await actors["ana", "laptop"].send(club, "hola club")
    for person, newest in (("bruno", "ana: hola club"), ("carla", "bruno: hola de bruno")):
        await actors[person, "laptop"].shows(club, newest)
        await actors[person, "laptop"].client.accept(club)
        await actors[person, "laptop"].send(club, f"hola de {person}")
    for actor in actors.values():
        await actor.shows(club, "bruno: hola de bruno", "carla: hola de carla")
    return club.hex()
