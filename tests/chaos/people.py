"""Three people with five devices, who know each other: made once, copied for each run."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from mensajeria.client import Client
from mensajeria.client.api import (
    Message,
)
from mensajeria.kit.clock import SystemClock
from mensajeria.protocol.ids import ChatId, Mid
from tests.attacks.evil import EvilServer
from tests.attacks.stage import Actor

PASSWORDS: Final = {
    "ana": "girasol tranvía 47 niebla",
    "bruno": "cántaro brújula 93 ventisca",
    "carla": "marea linterna 28 avellana",
}
DEVICES: Final = (("ana", "laptop"), ("ana", "phone"), ("bruno", "laptop"), ("bruno", "phone"), ("carla", "laptop"))
COUPLES: Final = (("ana", "bruno"), ("ana", "carla"), ("bruno", "carla"))
CLUB: Final = frozenset(PASSWORDS)
"""The group of all three; Ana owns it, Carla comes and goes."""
DAY_S: Final = 24 * 3600.0


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

    async def timelines(self) -> list[list[Message]]:
        """Everything that its chats show."""
        chats = await self.client.chats()
        return [[message async for message in self.client.chat(chat.chat_id).history()] for chat in chats]


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
