"""Profiles: published, told to contacts alone, fetched, and shown only as their owners wrote them."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from PIL import Image

from mensajeria.client.api import Event, ProfileChanged, SecurityWarning, Trust, UserProfile
from mensajeria.client.engine.blocking import Blocking
from mensajeria.client.engine.envelopes import Mail
from mensajeria.client.engine.letters import Keys, Letter
from mensajeria.client.engine.own_lists import note_restore
from mensajeria.client.engine.people import Served
from mensajeria.client.engine.profile_letters import profile_letters
from mensajeria.client.engine.user_profiles import MAX_JUMP, PROFILE_BACK, UserProfiles
from mensajeria.client.errors import InputError, NetworkError, RefusedError
from mensajeria.client.store import Tx
from mensajeria.client.store.profiles import ProfileWish
from mensajeria.client.store.values import OutgoingEnvelope
from mensajeria.crypto.device import DeviceKeys
from mensajeria.crypto.message import TEXT, text_body
from mensajeria.crypto.user_profile import profile_hash, seal_user_profile
from mensajeria.kit.ids import random16
from mensajeria.kit.secrets import Secret
from mensajeria.protocol.decoding import decode_record
from mensajeria.protocol.encoding import encode
from mensajeria.protocol.errors import Code
from mensajeria.protocol.frames import PutOutcome
from mensajeria.protocol.ids import ChatId, Did, Mid, Uid
from mensajeria.protocol.membership import direct_chat_id
from mensajeria.protocol.records import OneTimeKey, PqPrekey, SenderAddress, ToDevice
from mensajeria.protocol.records_profiles import PROFILE_KEY, ProfileKey
from mensajeria.protocol.records_profiles import UserProfile as Record
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


# --- from one to the other ---


async def test_a_contact_sees_what_was_set(ana: Place, bruno: Place) -> None:
    await ana.set(name="Ana Pérez", status="De viaje", picture=jpeg())
    await bruno.told(ana)
    await bruno.work()
    shown = UserProfile("Ana Pérez", "De viaje", jpeg())
    assert await bruno.sees(ana) == shown
    assert [event.profile for event in bruno.events if isinstance(event, ProfileChanged)] == [shown]
    assert bruno.warned() == []


async def test_only_what_is_named_changes_and_what_is_empty_goes(ana: Place, bruno: Place) -> None:
    await ana.set(name="Ana Pérez", status="De viaje")
    await ana.set(status="")
    await bruno.told(ana)
    await bruno.work()
    assert await bruno.sees(ana) == UserProfile("Ana Pérez")


async def test_what_is_set_offline_is_published_later(ana: Place, bruno: Place, shelf: Shelf) -> None:
    await ana.profiles.change(ProfileWish(name="Ana"))
    await ana.profiles.change(ProfileWish(status="De viaje"))
    assert await ana.profiles.own() == UserProfile("Ana", "De viaje")
    assert shelf.kept == {}
    assert ana.own.context.profiles_due.is_set()
    await ana.work()
    assert ana.profiles.settled.is_set()
    await bruno.told(ana)
    await bruno.work()
    assert await bruno.sees(ana) == UserProfile("Ana", "De viaje")


async def test_telling_that_was_cut_off_goes_on_later(ana: Place, people: tuple[Person, ...]) -> None:
    async def cut_off(_letters: Sequence[Letter]) -> None:
        raise NetworkError("network")

    await ana.profiles.change(ProfileWish(name="Ana"))
    with pytest.raises(NetworkError):
        await ana.profiles._work(cut_off)
    assert not ana.profiles.settled.is_set()
    await ana.work()
    assert {letter.uid for letter in ana.sent} == {one.uid for one in people[1:]}
    assert ana.profiles.settled.is_set()


async def test_each_contact_s_device_is_told_once(ana: Place, bruno: Place, carla: Place) -> None:
    await ana.set(name="Ana")
    await ana.work()
    assert sorted(letter.uid for letter in ana.sent) == sorted([bruno.uid, carla.uid])


async def test_a_new_sender_key_for_a_contact_brings_the_profile_along(ana: Place, bruno: Place) -> None:
    """Of a chat that was just begun nobody has been told: the first letter there does it."""
    chat_id = chat_with(ana.own, bruno.uid)
    await ana.own.context.store.run(lambda tx: tx.chats._update(chat_id, "last_seq = 0"))
    await ana.set(name="Ana")
    assert all(letter.uid != bruno.uid for letter in ana.sent)
    plan = await planned(ana, bruno)
    assert sorted(letter.type for letter in plan) == ["profile_key", "room_key"]
    await ana.deliver([letter for letter in plan if letter.type == PROFILE_KEY])
    await bruno.told(ana)
    await bruno.work()
    assert await bruno.sees(ana) == UserProfile("Ana")
    assert [letter.type for letter in await planned(ana, bruno)] == ["room_key"]


async def planned(place: Place, to: Place) -> Sequence[Letter]:
    """The letters that the next message to somebody needs."""
    chat_id = chat_with(place.own, to.uid)

    def step(tx: Tx) -> Sequence[Letter]:
        tx.outbox.add(chat_id, Mid(random16()), TEXT, text_body("hola"), NOW)
        place.own.context.sealer._allowance = lambda _tx: 100
        return place.own.context.sealer.plan(tx, Mail(), chat_id, 8).letters

    return await place.own.context.store.run(step)


async def test_what_is_told_is_noted_with_the_envelope_and_forgotten_when_the_server_does_not_take_it(
    ana: Place, bruno: Place
) -> None:
    post, did = ana.own.context.post, bruno.own.context.me.did
    prekeys = bruno.own.person.prekeys
    assert prekeys.pq is not None
    pq = decode_record(PqPrekey, prekeys.pq.body)
    keys = Keys(pq, decode_record(OneTimeKey, prekeys.one_time[0].body).key)
    letter = Letter(bruno.uid, did, PROFILE_KEY, encode(ProfileKey(ver=3, key=bytes(32), hash=bytes(32))), idx=3)
    post._allowance = lambda _tx: 100

    def seal(tx: Tx) -> OutgoingEnvelope:
        assert post.seal(tx, [letter], {did: keys}) == 1
        [envelope] = tx.envelopes.outgoing()
        return envelope

    def told(tx: Tx) -> int:
        return tx.profiles.told(did)

    store = ana.own.context.store
    envelope = await store.run(seal)
    assert await store.read(told) == 3
    await store.run(lambda tx: post.settle(tx, envelope, PutOutcome.OK))
    assert await store.read(told) == 3
    await store.run(lambda tx: post.settle(tx, envelope, PutOutcome.REFUSED))
    assert await store.read(told) == 0


# --- nobody else ---


async def test_nothing_is_told_or_fetched_before_the_chat_is_accepted(ana: Place, bruno: Place, shelf: Shelf) -> None:
    chat_id = chat_with(bruno.own, ana.uid)
    await bruno.own.context.store.run(lambda tx: tx.chats.set_accepted(chat_id, accepted=False))
    await ana.set(name="Ana")
    await bruno.told(ana)
    await bruno.set(name="Bruno")
    assert ana.uid not in shelf.asked
    assert all(letter.uid != ana.uid for letter in bruno.sent)
    assert await bruno.sees(ana) is None

    await bruno.own.answer(chat_id, accepted=True)
    assert bruno.own.context.profiles_due.is_set()
    await bruno.work()
    assert await bruno.sees(ana) == UserProfile("Ana")


async def test_who_is_blocked_gets_neither_the_new_key_nor_what_follows(
    ana: Place, bruno: Place, carla: Place, shelf: Shelf
) -> None:
    await ana.set(name="Ana")
    for other in (bruno, carla):
        await other.told(ana)
        await other.work()
    old = shelf.kept[ana.uid]
    await Blocking(ana.own.context, cast("Directory", None)).block(bruno.uid)
    assert ana.own.context.profiles_due.is_set()
    await ana.work()
    await ana.set(status="De viaje")

    assert {letter.uid for letter in ana.sent} == {carla.uid}
    assert [letter.type for letter in await planned(ana, bruno)] == ["room_key"], "what was queued before"
    assert shelf.kept[ana.uid][0] == old[0] + 2
    known = await bruno.own.context.store.read(lambda tx: tx.profiles.get(ana.uid))
    mine = await ana.own.context.store.read(lambda tx: tx.profiles.get(ana.uid))
    assert known is not None
    assert mine is not None
    assert known.key.reveal() != mine.key.reveal()
    await carla.told(ana)
    await carla.work()
    assert await carla.sees(ana) == UserProfile("Ana", "De viaje")


@pytest.mark.parametrize("why", ["changed", "gone"])
async def test_who_may_be_somebody_else_or_is_gone_is_told_nothing(
    ana: Place, bruno: Place, carla: Place, why: str
) -> None:
    def change(tx: Tx) -> None:
        if why == "changed":
            tx.contacts.set_trust(bruno.uid, Trust.CHANGED, sending_blocked=True)
        else:
            tx.contacts.set_gone(bruno.uid, NOW)

    await ana.own.context.store.run(change)
    await ana.set(name="Ana")
    assert {letter.uid for letter in ana.sent} == {carla.uid}


async def test_own_devices_are_told_by_a_setting_and_not_by_letter(ana: Place, bruno: Place) -> None:
    await ana.set(name="Ana")
    chat_id, theirs, other = chat_with(ana.own, bruno.uid), Did(b"t" * 16), Did(b"o" * 16)

    def letters(tx: Tx) -> list[Letter]:
        chat = tx.chats.get(chat_id)
        assert chat is not None
        return profile_letters(tx, ana.own.context.me, chat, [(ana.uid, other), (bruno.uid, theirs)])

    assert [letter.did for letter in await ana.own.context.store.read(letters)] == [theirs]


async def test_of_somebody_blocked_nothing_is_taken(ana: Place, bruno: Place, shelf: Shelf) -> None:
    await Blocking(bruno.own.context, cast("Directory", None)).block(ana.uid)
    await ana.set(name="Ana")
    await bruno.told(ana)
    await bruno.work()
    assert await bruno.own.context.store.read(lambda tx: tx.profiles.get(ana.uid)) is None
    assert ana.uid not in shelf.asked


async def test_of_somebody_blocked_since_nothing_is_fetched(ana: Place, bruno: Place, shelf: Shelf) -> None:
    await ana.set(name="Ana")
    await bruno.told(ana)
    blocking = Blocking(bruno.own.context, cast("Directory", None))
    await blocking.block(ana.uid)
    await bruno.work()
    assert ana.uid not in shelf.asked
    await blocking.unblock(ana.uid)
    assert bruno.own.context.profiles_due.is_set()
    await bruno.work()
    assert await bruno.sees(ana) == UserProfile("Ana")


async def test_a_block_without_a_profile_publishes_none(ana: Place, bruno: Place, shelf: Shelf) -> None:
    await Blocking(ana.own.context, cast("Directory", None)).block(bruno.uid)
    await ana.work()
    assert shelf.kept == {}


async def test_every_version_has_a_key_of_its_own(ana: Place) -> None:
    keys = []
    for status in ("a", "b"):
        await ana.set(status=status)
        row = await ana.own.context.store.read(lambda tx: tx.profiles.get(ana.uid))
        assert row is not None
        keys.append(row.key.reveal())
    assert keys[0] != keys[1]


# --- own devices ---


@pytest.fixture
async def phone(people: tuple[Person, ...], shelf: Shelf, tmp_path: Path) -> AsyncIterator[Place]:
    """Another device of Ana's."""
    ana, bruno, carla = people
    async with opened(ana, DeviceKeys.create(ana.uid), tmp_path, Door(shelf, ana.uid)) as own:
        await befriend(own, [bruno, carla])
        yield Place(own, UserProfiles(own.context, cast("Directory", Lists())))


async def test_own_devices_learn_of_the_own_profile_and_of_those_of_contacts(
    ana: Place, phone: Place, bruno: Place
) -> None:
    await ana.set(name="Ana")
    await bruno.set(name="Bruno")
    await ana.told(bruno)
    await ana.work()
    await phone.own.hear(ana.own)
    assert phone.own.context.profiles_due.is_set()
    await phone.work()
    assert (await phone.profiles.own(), await phone.sees(bruno)) == (UserProfile("Ana"), UserProfile("Bruno"))
    assert phone.sent == [], "the device that published tells"


async def test_settings_that_came_with_a_restore_are_followed(ana: Place, phone: Place) -> None:
    await ana.set(name="Ana")
    await phone.own.hear(ana.own)
    await phone.own.context.store.run(lambda tx: tx.profiles._db.execute("DELETE FROM user_profiles"))
    await phone.own.context.store.run(phone.profiles._adopt)
    await phone.work()
    assert await phone.profiles.own() == UserProfile("Ana")


async def test_two_devices_that_change_it_at_once_lose_neither_s_change(ana: Place, phone: Place) -> None:
    await ana.set(name="Ana")
    await phone.profiles.change(ProfileWish(status="De viaje"))
    with pytest.raises(RefusedError, match="profile_conflict"):  # the other one's setting is waited for
        await phone.work()
    await phone.own.hear(ana.own)
    await phone.work()
    assert await phone.profiles.own() == UserProfile("Ana", "De viaje")
    await ana.own.hear(phone.own)
    await ana.work()
    assert await ana.profiles.own() == UserProfile("Ana", "De viaje")


async def test_a_change_that_comes_while_another_is_published_is_part_of_it(
    ana: Place, phone: Place, shelf: Shelf
) -> None:
    await ana.set(name="Ana")
    await phone.profiles.change(ProfileWish(status="De viaje"))
    shelf.meanwhile = lambda: phone.own.hear(ana.own)
    await phone.work()
    assert await phone.profiles.own() == UserProfile("Ana", "De viaje")
    assert shelf.kept[ana.uid][0] == 2


async def test_any_own_device_can_bring_the_profile_back(ana: Place, phone: Place, shelf: Shelf) -> None:
    await ana.set(name="Ana")
    await phone.own.hear(ana.own)
    await phone.work()
    published = shelf.kept.pop(ana.uid)
    await phone.own.context.store.run(lambda tx: tx.meta.raise_to(PROFILE_BACK, 2))
    await phone.work()
    assert shelf.kept[ana.uid] == published


async def test_a_device_whose_publication_was_cut_off_goes_on(ana: Place, shelf: Shelf) -> None:
    """The server took it, and the device was killed before it knew."""
    shelf.kept[ana.uid] = (1, b"x" * 96)
    await ana.profiles.change(ProfileWish(name="Ana"))
    with pytest.raises(RefusedError, match="profile_conflict"):
        await ana.work()
    await ana.work()
    assert shelf.kept[ana.uid][0] == 2
    assert await ana.profiles.own() == UserProfile("Ana")


async def test_a_server_cannot_use_up_the_numbers(ana: Place, shelf: Shelf) -> None:
    shelf.kept[ana.uid] = (MAX_JUMP + 1, b"x" * 96)
    await ana.profiles.change(ProfileWish(name="Ana"))
    for _ in range(3):
        with pytest.raises(RefusedError, match="profile_conflict"):
            await ana.work()


async def test_a_server_that_refuses_everything_is_not_asked_in_a_circle(ana: Place, shelf: Shelf) -> None:
    await ana.set(name="Ana")
    shelf.stubborn = True
    await ana.profiles.change(ProfileWish(status="De viaje"))
    with pytest.raises(RefusedError, match="again and again"):
        await ana.work()
    shelf.stubborn = False
    await ana.work()
    assert await ana.profiles.own() == UserProfile("Ana", "De viaje")
    assert ana.profiles.settled.is_set()


async def test_a_restored_server_gets_the_very_bytes_back(ana: Place, bruno: Place, shelf: Shelf) -> None:
    await ana.set(name="Ana")
    published = shelf.kept.pop(ana.uid)
    await bruno.told(ana)
    await bruno.own.context.store.run(lambda tx: note_restore(tx, 2, NOW))
    await bruno.work()
    await ana.own.context.store.run(lambda tx: tx.meta.raise_to(PROFILE_BACK, 2))
    await ana.work()
    assert shelf.kept[ana.uid] == published
    await bruno.work()
    assert await bruno.sees(ana) == UserProfile("Ana")
    assert bruno.warned() == []


# --- a server, or a contact, that lies ---


async def test_an_older_version_is_a_rollback(ana: Place, bruno: Place, shelf: Shelf) -> None:
    await ana.set(name="Ana", status="De viaje")
    await bruno.told(ana)
    await bruno.work()
    old = shelf.kept[ana.uid]
    await ana.set(status="En casa")
    await bruno.told(ana)
    shelf.lie = lambda uid, honest: old if uid == ana.uid else honest
    await bruno.work()
    await bruno.work()
    assert bruno.warned() == ["profile_refused"], "told once"
    assert await bruno.sees(ana) == UserProfile("Ana", "De viaje"), "what was shown stays"


async def test_an_older_version_after_a_declared_restore_is_waited_for(ana: Place, bruno: Place, shelf: Shelf) -> None:
    await ana.set(name="Ana")
    old = shelf.kept[ana.uid]
    await ana.set(name="Ana Pérez")
    await bruno.told(ana)
    await bruno.own.context.store.run(lambda tx: note_restore(tx, 2, NOW))
    shelf.lie = lambda _uid, _honest: old
    await bruno.work()
    assert bruno.warned() == []
    shelf.lie = lambda _uid, honest: honest
    await bruno.work()
    assert await bruno.sees(ana) == UserProfile("Ana Pérez")


@pytest.mark.parametrize("what", ["another user's", "one byte", "cut off", "nothing", "a contact's forgery"])
async def test_whatever_else_is_served_has_no_effect(
    ana: Place, bruno: Place, carla: Place, shelf: Shelf, what: str
) -> None:
    await carla.set(name="Carla")
    await ana.set(name="Ana")
    await bruno.told(ana)
    row = await bruno.own.context.store.read(lambda tx: tx.profiles.get(ana.uid))
    assert row is not None
    ver, sealed = shelf.kept[ana.uid]
    lies = {
        "another user's": shelf.kept[carla.uid][1],
        "one byte": sealed[:-1] + bytes([sealed[-1] ^ 1]),
        "cut off": sealed[:40],
        "nothing": b"",
        "a contact's forgery": seal_user_profile(row.key, ana.uid, ver, Record(name="Ana, de verdad")),
    }
    shelf.lie = lambda _uid, _honest: (ver, lies[what])
    await bruno.work()
    assert await bruno.sees(ana) is None
    assert bruno.warned() == ["profile_refused"]
    shelf.lie = lambda _uid, honest: honest
    await ana.set(status="De viaje")
    await bruno.told(ana)
    await bruno.work()
    assert await bruno.sees(ana) == UserProfile("Ana", "De viaje"), "the next version is taken again"


async def test_a_version_whose_letter_is_under_way_is_waited_for(ana: Place, bruno: Place) -> None:
    await ana.set(name="Ana")
    first, ana.sent = ana.sent, []
    await ana.set(name="Ana Pérez")
    second, ana.sent = ana.sent, first
    await bruno.told(ana)
    await bruno.work()
    assert (await bruno.sees(ana), bruno.warned()) == (None, [])
    ana.sent = second
    await bruno.told(ana)
    await bruno.work()
    assert await bruno.sees(ana) == UserProfile("Ana Pérez")


async def test_an_earlier_letter_that_comes_late_changes_nothing(ana: Place, bruno: Place) -> None:
    await ana.set(name="Ana")
    first, ana.sent = ana.sent, []
    await ana.set(name="Ana Pérez")
    await bruno.told(ana)
    ana.sent = first
    await bruno.told(ana)
    await bruno.work()
    assert await bruno.sees(ana) == UserProfile("Ana Pérez")


@pytest.mark.parametrize(
    "record",
    [
        Record(name="@bruno"),
        Record(name="on\u202eurb"),
        Record(status="a\nb"),
        Record(picture=b"\xff\xd8\xff\xe0 no picture"),
        Record(picture=jpeg(kind="PNG")),
        Record(picture=jpeg(600)),
    ],
)
async def test_a_contact_cannot_show_what_must_not_be_shown(
    ana: Place, bruno: Place, shelf: Shelf, record: Record
) -> None:
    sealed = seal_user_profile(Secret(bytes(32)), ana.uid, 1, record)
    shelf.kept[ana.uid] = (1, sealed)
    await bruno.told(ana, ProfileKey(ver=1, key=bytes(32), hash=profile_hash(sealed)))
    await bruno.work()
    assert (await bruno.sees(ana), bruno.warned()) == (None, []), "the server has done nothing wrong"
    await bruno.work()
    assert shelf.asked == [ana.uid], "asked once"


async def test_whoever_names_again_and_again_what_is_not_there_is_told_of_once(ana: Place, bruno: Place) -> None:
    await ana.set(name="Ana")
    for ver in (2, 3, 4):
        await bruno.told(ana, ProfileKey(ver=ver, key=bytes(32), hash=bytes(32)))
        await bruno.work()
    assert bruno.warned() == ["profile_refused"]


async def test_a_letter_that_is_no_record_is_refused_and_said(ana: Place, bruno: Place) -> None:
    context = bruno.own.context
    for uid, content in ((ana.uid, b"\x80"), (bruno.uid, encode(ProfileKey(ver=1, key=bytes(32), hash=bytes(32))))):
        mail = Mail()
        letter = letter_of(ana, content)

        def apply(tx: Tx, out: Mail, uid: Uid = uid, letter: ToDevice = letter) -> None:
            context.envelopes._apply(tx, out, uid, Did(bytes(16)), letter)

        await context.commit_with(mail, apply)
        assert [event.code for event in mail.events if isinstance(event, SecurityWarning)] == ["key_refused"]
    assert await context.store.read(lambda tx: tx.profiles.wanted()) == ()


# --- what the person may write ---


@pytest.mark.parametrize(
    ("wish", "code"),
    [
        (ProfileWish(name="@ana"), "profile_name_invalid"),
        (ProfileWish(name="x" * 65), "profile_name_invalid"),
        (ProfileWish(status="a\nb"), "profile_status_invalid"),
        (ProfileWish(status="x" * 141), "profile_status_invalid"),
        (ProfileWish(picture=b"GIF89a"), "image_invalid"),
        (ProfileWish(picture=jpeg() + bytes(32 << 10)), "image_invalid"),
    ],
)
async def test_nothing_is_published_that_contacts_would_refuse(ana: Place, wish: ProfileWish, code: str) -> None:
    with pytest.raises(InputError, match=code):
        await ana.profiles.change(wish)
    assert await ana.profiles.own() == UserProfile()


async def test_run_publishes_by_itself_and_says_when(ana: Place, shelf: Shelf) -> None:
    running = asyncio.create_task(ana.profiles.run(ana.deliver))
    await ana.profiles.change(ProfileWish(name="Ana"))
    await asyncio.wait_for(ana.profiles.published(), 30)
    assert shelf.kept[ana.uid][0] == 1
    assert len(ana.sent) == 2, "both contacts are told before anybody closes the program"
    running.cancel()
    await asyncio.wait({running})
