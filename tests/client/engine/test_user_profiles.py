"""Profiles: published, told to contacts alone, fetched, and shown only as their owners wrote them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from mensajeria.client.api import ProfileChanged, UserProfile
from mensajeria.client.engine.letters import Keys, Letter
from mensajeria.client.engine.own_lists import note_restore
from mensajeria.client.engine.user_profiles import MAX_JUMP, PROFILE_BACK
from mensajeria.client.errors import InputError, NetworkError, RefusedError
from mensajeria.client.store import Tx
from mensajeria.client.store.key_values import OutgoingEnvelope
from mensajeria.client.store.profiles import ProfileWish
from mensajeria.protocol.decoding import decode_record
from mensajeria.protocol.encoding import encode
from mensajeria.protocol.frames import PutOutcome
from mensajeria.protocol.records import OneTimeKey, PqPrekey
from mensajeria.protocol.records_profiles import PROFILE_KEY, ProfileKey
from tests.client.engine.profile_places import (
    Place,
    Shelf,
    ana,
    bruno,
    carla,
    chat_with,
    jpeg,
    people,
    phone,
    planned,
    shelf,
)
from tests.crypto.people import NOW, Person

__all__ = ["ana", "bruno", "carla", "people", "phone", "shelf"]


# --- from one to the other


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


# --- own devices


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


# --- what the person may write


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
