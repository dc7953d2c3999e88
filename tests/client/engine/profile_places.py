"""Profiles without a server: one device of each of three people, and the shelf that their server keeps."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self, cast

import pytest
from PIL import Image

from mensajeria.client.api import Event, SecurityWarning, UserProfile
from mensajeria.client.engine.envelopes import Mail
from mensajeria.client.engine.letters import Letter
from mensajeria.client.engine.people import Served
from mensajeria.client.engine.user_profiles import UserProfiles
from mensajeria.client.errors import RefusedError
from mensajeria.client.store import Tx
from mensajeria.client.store.profiles import ProfileWish
from mensajeria.crypto.device import DeviceKeys
from mensajeria.crypto.message import TEXT, text_body
from mensajeria.kit.ids import random16
from mensajeria.protocol.encoding import encode
from mensajeria.protocol.errors import Code
from mensajeria.protocol.ids import ChatId, Mid, Uid
from mensajeria.protocol.membership import direct_chat_id
from mensajeria.protocol.records import SenderAddress, ToDevice
from mensajeria.protocol.records_profiles import PROFILE_KEY, ProfileKey
from tests.client.engine.own import Own, direct, opened
from tests.crypto.people import NOW, SERVER, Person

if TYPE_CHECKING:
    from mensajeria.client.engine.directory import Directory


@dataclass
class Shelf:
    """What the server keeps; `lie` changes what it serves."""

    kept: dict[bytes, tuple[int, bytes]] = field(default_factory=dict)
    asked: list[bytes] = field(default_factory=list)
    meanwhile: Callable[[], Awaitable[object]] | None = None
    """Happens while the next profile is on its way."""
    stubborn: bool = False
    """It refuses everything."""
    lie: Callable[[bytes, tuple[int, bytes]], tuple[int, bytes]] = lambda _uid, honest: honest


@dataclass(frozen=True)
class SealedProfile:
    ver: int
    sealed: bytes


@dataclass
class Door:
    """The server as one person's devices reach it."""

    shelf: Shelf
    uid: bytes

    @property
    def account(self) -> Self:
        return self

    @property
    def users(self) -> Self:
        return self

    async def put_profile(self, ver: int, sealed: bytes) -> None:
        meanwhile, self.shelf.meanwhile = self.shelf.meanwhile, None
        if meanwhile is not None:
            await meanwhile()
        known = self.shelf.kept.get(self.uid)
        if self.shelf.stubborn or (known is not None and known[0] >= ver and known != (ver, sealed)):
            raise RefusedError(Code.PROFILE_CONFLICT)
        self.shelf.kept[self.uid] = (ver, sealed)

    async def profile(self, uid: bytes) -> SealedProfile:
        self.shelf.asked.append(uid)
        if uid not in self.shelf.kept:
            raise RefusedError(Code.NOT_FOUND)
        return SealedProfile(*self.shelf.lie(uid, self.shelf.kept[uid]))

    async def block(self, uid: bytes) -> None:
        pass

    async def unblock(self, uid: bytes) -> None:
        pass


class Lists:
    """Device lists are as they were: a test of their own is elsewhere."""

    async def refresh(self, _uid: Uid) -> None:
        pass


@dataclass
class Place:
    """One device with its profiles, and the letters that left it."""

    own: Own
    profiles: UserProfiles
    sent: list[Letter] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    @property
    def uid(self) -> Uid:
        return self.own.context.me.uid

    async def deliver(self, letters: Sequence[Letter]) -> None:
        self.sent += letters
        for letter in letters:
            await self.own.context.store.run(lambda tx: tx.profiles.note_told(letter.did, letter.idx))  # noqa: B023

    async def work(self) -> None:
        """One round, as beside a connection."""
        stream = self.own.context.emitter.stream(100)
        await self.profiles._work(self.deliver)
        self.own.context.emitter.emit(SecurityWarning("end"))
        self.events += [one for one in await stream.next_batch() if one != SecurityWarning("end")]
        stream.close()

    async def set(self, **wish: object) -> None:
        await self.profiles.change(ProfileWish(**wish))  # type: ignore[arg-type]
        await self.work()

    async def told(self, by: Place, record: ProfileKey | None = None) -> Mail:
        """Take the letters that `by` has sent here, or one with this content."""
        mine = [letter for letter in by.sent if letter.uid == self.uid]
        by.sent = [letter for letter in by.sent if letter.uid != self.uid]
        contents = [letter.content for letter in mine] if record is None else [encode(record)]
        mail = Mail()
        handler = self.own.context.envelopes._handlers[PROFILE_KEY]
        for content in contents:
            letter = letter_of(by, content)
            await self.own.context.commit_with(
                mail,
                lambda tx, out: handler(tx, out, by.uid, by.own.context.me.did, letter),  # noqa: B023
            )
        return mail

    async def sees(self, other: Place) -> UserProfile | None:
        return await self.profiles.of(other.uid)

    def warned(self) -> list[str]:
        return [event.code for event in self.events if isinstance(event, SecurityWarning)]


def letter_of(by: Place, content: bytes) -> ToDevice:
    sender = SenderAddress(uid=by.uid, did=by.own.context.me.did, idfp=by.own.person.idfp, dl_ver=1)
    return ToDevice(t=PROFILE_KEY, sender=sender, recipient=by.own.person.address, mid=random16(), ts=NOW, c=content)


@pytest.fixture(scope="module")
def people() -> tuple[Person, Person, Person]:
    return Person("ana"), Person("bruno"), Person("carla")


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@asynccontextmanager
async def placed(people: Sequence[Person], which: int, shelf: Shelf, folder: Path) -> AsyncIterator[Place]:
    """One of the people, with an accepted chat with both others."""
    one = people[which]
    async with opened(one, one.device, folder, Door(shelf, one.uid)) as own:
        await befriend(own, [other for other in people if other is not one])
        yield Place(own, UserProfiles(own.context, cast("Directory", Lists())))


@pytest.fixture
async def ana(people: tuple[Person, ...], shelf: Shelf, tmp_path: Path) -> AsyncIterator[Place]:
    async with placed(people, 0, shelf, tmp_path) as place:
        yield place


@pytest.fixture
async def bruno(people: tuple[Person, ...], shelf: Shelf, tmp_path: Path) -> AsyncIterator[Place]:
    async with placed(people, 1, shelf, tmp_path) as place:
        yield place


@pytest.fixture
async def carla(people: tuple[Person, ...], shelf: Shelf, tmp_path: Path) -> AsyncIterator[Place]:
    async with placed(people, 2, shelf, tmp_path) as place:
        yield place


async def befriend(own: Own, others: Sequence[Person]) -> None:
    for other in others:
        await own.meet(Served(other.uid, other.record, other.signed_list))
        chat_id = chat_with(own, other.uid)

        def add(tx: Tx, peer: Person = other, chat_id: ChatId = chat_id) -> None:
            direct(tx, chat_id, peer, accepted=True)
            tx.chats.set_head(chat_id, last_seq=1, epoch=0, member_seq=0)

        await own.context.store.run(add)


def chat_with(own: Own, uid: bytes) -> ChatId:
    return ChatId(direct_chat_id(SERVER, own.context.me.uid, uid))


def jpeg(side: int = 64, kind: str = "JPEG") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (side, side), "teal").save(out, kind)
    return out.getvalue()


async def planned(place: Place, to: Place) -> Sequence[Letter]:
    """The letters that the next message to somebody needs."""
    chat_id = chat_with(place.own, to.uid)

    def step(tx: Tx) -> Sequence[Letter]:
        tx.outbox.add(chat_id, Mid(random16()), TEXT, text_body("hola"), NOW)
        place.own.context.sealer._allowance = lambda _tx: 100
        return place.own.context.sealer.plan(tx, Mail(), chat_id, 8).letters

    return await place.own.context.store.run(step)


@pytest.fixture
async def phone(people: tuple[Person, ...], shelf: Shelf, tmp_path: Path) -> AsyncIterator[Place]:
    """Another device of Ana's."""
    ana, bruno, carla = people
    async with opened(ana, DeviceKeys.create(ana.uid), tmp_path, Door(shelf, ana.uid)) as own:
        await befriend(own, [bruno, carla])
        yield Place(own, UserProfiles(own.context, cast("Directory", Lists())))
