"""Two people at an evil server: profiles that were made once and are copied for every test, and what the tests ask."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from mensajeria.client import Client
from mensajeria.client.api import (
    Cause,
    ChatView,
    ConnectionChanged,
    ConnectionPhase,
    Event,
    Message,
    MessageKind,
    MessageState,
    Person,
    SecurityWarning,
)
from mensajeria.client.i18n import LANGUAGES, catalogue
from mensajeria.client.store import Tx
from mensajeria.crypto.device import DeviceKeys
from mensajeria.kit.clock import Clock
from mensajeria.protocol.ids import ChatId, Mid
from tests.attacks.evil import EvilServer

T = TypeVar("T")
PASSWORDS: Final = {"ana": "girasol tranvía 47 niebla", "bruno": "cántaro brújula 93 ventisca"}
PATIENCE_S: Final = 60.0
_SENTENCES: Final = {language: catalogue(language) for language in LANGUAGES}
_CAUSES: Final = {
    Cause.WAITING: "unreadable.waiting",
    Cause.BEFORE_JOINED: "unreadable.before_joined",
    Cause.NOT_KEPT: "unreadable.not_kept",
    Cause.LOST: "unreadable.lost",
    Cause.BLOCKED: "unreadable.blocked",
    Cause.TAMPERED: "service.tampered",
    Cause.MISSING: "service.messages_missing.other",
    Cause.REMOVED_BY_SERVER: "service.removed_by_server.other",
    Cause.IDENTITY_CHANGED: "service.identity_changed",
    Cause.IDENTITY_RENEWED: "service.identity_renewed",
    Cause.NEW_DEVICE: "service.new_device",
    Cause.GROUP_CREATED: "service.group_created",
    Cause.MEMBER_ADDED: "service.member_added",
    Cause.MEMBER_REMOVED: "service.member_removed",
    Cause.MEMBER_LEFT: "service.member_left",
    Cause.HISTORY_SHARED: "service.history_shared",
    Cause.ROLE_CHANGED: "service.role_changed",
    Cause.GROUP_RENAMED: "service.group_renamed",
    Cause.TIMER_CHANGED: "service.timer_changed",
    Cause.GROUP_SUPERSEDED: "service.group_superseded",
    Cause.GROUP_FORKED: "service.group_forked",
    Cause.MEMBER_SKIPPED: "service.member_skipped",
    Cause.ACCOUNT_GONE: "service.account_gone",
}


@dataclass
class Actor:
    """An open client and everything it has told."""

    client: Client
    events: list[Event] = field(default_factory=list)
    retries: int = 0
    _task: asyncio.Task[None] | None = None

    @classmethod
    def watch(cls, client: Client, *, impatient: bool = True) -> Actor:
        """`impatient`: the person asks for a new connection at once, a few times."""
        actor = cls(client, retries=8 if impatient else 0)
        stream = client.events()

        async def listen() -> None:
            async for event in stream:
                actor.events.append(event)
                if isinstance(event, ConnectionChanged) and event.phase is ConnectionPhase.OFFLINE and actor.retries:
                    actor.retries -= 1
                    client.retry_now()

        actor._task = asyncio.create_task(listen())
        return actor

    @property
    def uid(self) -> bytes:
        return self.client.me.uid

    async def until(self, ready: Callable[[], Any], what: str = "") -> None:
        """Wait for something that events or time bring about."""
        end = time.monotonic() + PATIENCE_S
        while not ready():
            if time.monotonic() > end:
                raise AssertionError(f"did not happen: {what}; {self.events[-12:]}")
            await asyncio.sleep(0.004)

    async def online(self) -> Actor:
        await asyncio.wait_for(self.client.caught_up(), PATIENCE_S)
        return self

    async def phase(self, phase: ConnectionPhase) -> str | None:
        """Wait for a phase of the link; its code."""
        await self.until(lambda: self.client.phase is phase, phase.value)
        await self.until(lambda: any(isinstance(e, ConnectionChanged) and e.phase is phase for e in self.events))
        return next(e.code for e in reversed(self.events) if isinstance(e, ConnectionChanged) and e.phase is phase)

    def warnings(self) -> list[str]:
        """Codes of the security warnings so far."""
        return [event.code for event in self.events if isinstance(event, SecurityWarning)]

    async def warned(self, code: str) -> None:
        """Wait for a security warning."""
        await self.until(lambda: code in self.warnings(), f"warning {code}")

    async def timeline(self, chat_id: bytes) -> list[Message]:
        """Everything that stands in a chat, as the person sees it."""
        return [message async for message in self.client.chat(chat_id).history()]

    async def longer(self, chat_id: bytes, than: int) -> list[Message]:
        """The timeline once it has more places."""
        end = time.monotonic() + PATIENCE_S
        while len(found := await self.timeline(chat_id)) <= than:
            assert time.monotonic() < end, "nothing came"
            await asyncio.sleep(0.003)
        return found

    async def texts(self, chat_id: bytes) -> list[str]:
        """`name: text` of what is shown as genuine."""
        shown = await self.timeline(chat_id)
        return [f"{one.sender.handle}: {one.text}" for one in shown if one.kind is MessageKind.TEXT]

    async def places(self, chat_id: bytes) -> list[Cause]:
        """Causes of what is not shown as genuine: unreadable places and notices, in order."""
        return [one.cause for one in await self.timeline(chat_id) if one.cause is not None]

    async def shows(self, chat_id: bytes, *texts: str) -> None:
        """Wait until the last genuine texts are these."""
        end = time.monotonic() + PATIENCE_S
        while (found := (await self.texts(chat_id))[-len(texts) :]) != list(texts):
            assert time.monotonic() < end, f"shown: {found}, {await self.places(chat_id)}, {self.warnings()}"
            await asyncio.sleep(0.01)

    async def has_place(self, chat_id: bytes, cause: Cause, count: int = 1) -> None:
        """Wait until the timeline has places of this cause."""
        end = time.monotonic() + PATIENCE_S
        while (found := await self.places(chat_id)).count(cause) < count:
            assert time.monotonic() < end, f"places: {found}, texts: {await self.texts(chat_id)}"
            await asyncio.sleep(0.01)

    async def has_no_place(self, chat_id: bytes, *causes: Cause) -> None:
        """Wait until the timeline has no place of these causes."""
        end = time.monotonic() + PATIENCE_S
        while set(causes) & set(found := await self.places(chat_id)):
            assert time.monotonic() < end, f"places: {found}, texts: {await self.texts(chat_id)}"
            await asyncio.sleep(0.01)

    async def send(self, chat_id: bytes, text: str, *, wait: bool = True) -> Mid:
        """Write; by default until the server has acked."""
        sent = await self.client.chat(chat_id).send_text(text)
        if wait:
            await asyncio.wait_for(self.client.wait_sent(sent.mid), PATIENCE_S)
        return sent.mid

    async def state(self, chat_id: bytes, mid: Mid, state: MessageState) -> Message:
        """Wait for the state of an own message."""
        end = time.monotonic() + PATIENCE_S
        while True:
            message = next(one for one in await self.timeline(chat_id) if one.mid == mid)
            if message.state is state:
                return message
            assert time.monotonic() < end, message
            await asyncio.sleep(0.01)

    async def read(self, what: Callable[[Tx], T]) -> T:
        """Look into the store."""
        return await self.client._context.store.read(what)

    async def device(self) -> DeviceKeys:
        """The private keys of the actor's device."""
        state = await self.read(lambda tx: tx.own.device())
        assert state is not None
        return DeviceKeys.load(state)

    async def change(self, what: Callable[[Tx], T]) -> T:
        """Change the store."""
        return await self.client._context.store.run(what)

    def check(self) -> None:
        """What holds after every attack: the client lives, and has words for everything it has told."""
        task = self.client._engine._task
        assert task is None or not task.done(), f"the link has died: {task.exception()!r}"
        for event in self.events:
            if isinstance(event, SecurityWarning):
                for language, sentences in _SENTENCES.items():
                    assert f"error.{event.code}" in sentences, f"no sentence for {event.code} in {language}"

    async def close(self) -> None:
        await self.client.close()
        if self._task is not None:
            await self._task


@dataclass
class Stage:
    """The evil server with its people. `open` a person's client; everything ends with the block."""

    folder: Path
    evil: EvilServer
    chat_id: ChatId
    clock: Clock | None = None
    actors: list[Actor] = field(default_factory=list)

    async def open(self, name: str, *, online: bool = True) -> Actor:
        """A person's client, level with the server."""
        profile = self.folder / name
        point_to(profile, self.evil.url)
        actor = Actor.watch(await Client.open(profile, offline=True, clock=self.clock), impatient=online)
        self.actors.append(actor)
        actor.client._engine.start()
        return await actor.online() if online else actor

    async def pair(self) -> tuple[Actor, Actor]:
        return await self.open("ana"), await self.open("bruno")

    async def restart(self) -> None:
        """The same server again, on the same port, with what is stored."""
        rule, network, seen = self.evil.rule, self.evil.network, self.evil.seen
        await self.evil.stop()
        self.evil = EvilServer(self.folder / "server", clock=self.clock, port=self.evil.port)
        self.evil.rule, self.evil.network, self.evil.seen = rule, network, seen
        await self.evil.start()

    async def close(self) -> None:
        for actor in self.actors:
            await actor.close()
        await self.evil.stop()

    def check(self) -> None:
        for actor in self.actors:
            if not actor.client.is_closed:
                actor.check()


def peer_of(chat: ChatView) -> Person:
    """The other member of a direct chat."""
    assert chat.peer is not None
    return chat.peer


def point_to(profile: Path, url: str) -> None:
    path = profile / "profile.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "server_url": url}))


def check_words() -> None:
    """Every cause of an unreadable place has a sentence in every language."""
    for cause in Cause:
        for language, sentences in _SENTENCES.items():
            assert _CAUSES[cause] in sentences, f"{cause} in {language}"


@asynccontextmanager
async def staged(snapshot: Path, folder: Path, *, clock: Clock | None = None) -> AsyncIterator[Stage]:
    """A copy of the snapshot at work. The invariants of every attack are checked at the end."""
    await asyncio.to_thread(shutil.copytree, snapshot, folder, dirs_exist_ok=True)
    evil = EvilServer(folder / "server", clock=clock)
    await evil.start()
    chat_id = ChatId(bytes.fromhex((folder / "chat").read_text()))
    stage = Stage(folder, evil, chat_id, clock)
    try:
        yield stage
        stage.check()
    finally:
        await stage.close()


async def make_snapshot(folder: Path) -> None:
    """Ana and Bruno register, meet and write to each other once."""
    evil = EvilServer(folder / "server")
    await evil.start()
    people = []
    for name, password in PASSWORDS.items():
        client = await Client.register(
            evil.url, name, password, profile=folder / name, insecure_key_file=True, device_name="laptop"
        )
        assert client.recovery_code is not None
        (folder / f"{name}.code").write_text(client.recovery_code.reveal_text())
        people.append(await Actor.watch(client).online())
    ana, bruno = people
    chat_id = (await ana.client.direct_chat("bruno")).chat_id
    await ana.send(chat_id, "hola")
    await bruno.shows(chat_id, "ana: hola")
    await bruno.client.accept(chat_id)
    await bruno.send(chat_id, "qué tal")
    await ana.shows(chat_id, "bruno: qué tal")
    (folder / "chat").write_text(chat_id.hex())
    for one in people:
        one.check()
        await one.close()
    await evil.stop()


async def add_phone(snapshot: Path, folder: Path) -> None:
    """The snapshot, with a second device of Bruno that Ana does not know yet."""
    async with staged(snapshot, folder) as stage:
        client = await Client.login(
            stage.evil.url, "bruno", PASSWORDS["bruno"], profile=folder / "phone", insecure_key_file=True
        )
        stage.actors.append(await Actor.watch(client).online())
