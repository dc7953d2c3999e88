"""Profiles among people who may not see them, and what a server or a contact that lies achieves: nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from mensajeria.client.api import SecurityWarning, Trust, UserProfile
from mensajeria.client.engine.blocking import Blocking
from mensajeria.client.engine.envelopes import Mail
from mensajeria.client.engine.letters import Letter
from mensajeria.client.engine.own_lists import note_restore
from mensajeria.client.engine.profile_letters import profile_letters
from mensajeria.client.store import Tx
from mensajeria.crypto.user_profile import profile_hash, seal_user_profile
from mensajeria.kit.secrets import Secret
from mensajeria.protocol.encoding import encode
from mensajeria.protocol.ids import Did, Uid
from mensajeria.protocol.records import ToDevice
from mensajeria.protocol.records_profiles import ProfileKey
from mensajeria.protocol.records_profiles import UserProfile as Record
from tests.client.engine.profile_places import (
    Place,
    Shelf,
    ana,
    bruno,
    carla,
    chat_with,
    jpeg,
    letter_of,
    people,
    phone,
    planned,
    shelf,
)
from tests.crypto.people import NOW

if TYPE_CHECKING:
    from mensajeria.client.engine.directory import Directory

__all__ = ["ana", "bruno", "carla", "people", "phone", "shelf"]


# --- nobody else


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


# --- a server, or a contact, that lies


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
