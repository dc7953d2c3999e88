"""Several people with several devices at a real server, to which everything happens that happens to devices.

The people are made once; each run works on its own copy of their profiles and of the server's folder. Every clock is
the machine's, moved by an offset that the run owns: the world's, and each device's own.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from mensajeria.client import Client, ClientError
from mensajeria.client.api import (
    ConnectionPhase,
    HistoryRestored,
    Message,
    MessageKind,
    MessageState,
    MessageStateChanged,
)
from mensajeria.protocol.errors import Code
from mensajeria.protocol.ids import ChatId
from mensajeria.server.admin.content import raise_restore_epoch
from mensajeria.server.db.engine import Database
from tests.attacks.evil import EvilServer
from tests.attacks.stage import Actor, point_to
from tests.chaos.people import CLUB, COUPLES, DEVICES, PASSWORDS, Device, MovedClock
from tests.chaos.truth import CANARY, Truth
from tests.chaos.weather import BadWeather

CANNOT_WRITE: Final = {"unknown_chat", "not_a_member"}
"""A new device that was never online; somebody who was removed."""
CANNOT_CHANGE: Final = {"network", "unknown_chat", "login_ended", "already_member", "no_such_member", "rolled_back"}
ENDINGS: Final = {Code.ROLLED_BACK, Code.LOGIN_REVOKED, "login_ended"}
PATIENCE_S: Final = 120.0
"""How long anything may take: long enough for a machine that is busy with other things."""
ROUND_S: Final = 3.0
"""How long what is on its way is waited for, before the clocks move on to when it is asked for again."""


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
            point_to(device.folder, self.evil.url)
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
        self.forgotten |= await self.queued(device)
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

    async def queued(self, device: Device) -> set[str]:
        """Texts of the device that no server has yet."""
        if device.actor is None:
            await self.start(device)
        mine = {text for text, (who, _) in self.written.items() if who == device.person}
        shown = [message for chat in await device.timelines() for message in chat]
        self.forgotten |= {one.text for one in shown if one.state is MessageState.FAILED and Truth(self).may_fail(one)}
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
        self.forgotten |= await self.queued(device)
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
        for device in self.living():
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
        while (found := await Truth(self).unhealed()) and time.monotonic() < end:
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

    def living(self) -> list[Device]:
        return [device for device in self.devices if not device.removed]

    async def check(self) -> None:
        """The invariants, once everything has healed."""
        await Truth(self).check()


async def _never(*_: Any, **__: Any) -> Any:
    """A store whose process is dead."""
    await asyncio.Event().wait()
