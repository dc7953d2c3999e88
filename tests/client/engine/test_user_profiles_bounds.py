"""Profiles at their edges: the exact limits, what comes while something is fetched, and what is noted of it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from mensajeria.client.api import ProfileChanged, SecurityWarning, UserProfile
from mensajeria.client.core import backoff
from mensajeria.client.engine.blocking import Blocking
from mensajeria.client.engine.envelopes import Mail
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.engine.profile_letters import SHARED, is_contact
from mensajeria.client.engine.user_profiles import MAX_JUMP, PROFILE_BACK, TELL, _is_settled
from mensajeria.client.errors import NetworkError, RefusedError
from mensajeria.client.store import Tx
from mensajeria.client.store.profiles import ProfileRow, ProfileWish
from mensajeria.crypto.user_profile import profile_hash, seal_user_profile
from mensajeria.kit.secrets import Secret
from mensajeria.protocol import limits
from mensajeria.protocol.encoding import encode
from mensajeria.protocol.errors import Code
from mensajeria.protocol.ids import Did, Uid
from mensajeria.protocol.records_backup import SettingRecord
from mensajeria.protocol.records_profiles import PROFILE_KEY, ProfileKey
from mensajeria.protocol.records_profiles import UserProfile as Record
from tests.client.engine.own import direct
from tests.client.engine.profile_places import (
    Place,
    Shelf,
    ana,
    bruno,
    chat_with,
    jpeg,
    letter_of,
    people,
    placed,
    shelf,
)
from tests.crypto.people import Person

if TYPE_CHECKING:
    from mensajeria.client.engine.directory import Directory

__all__ = ["ana", "bruno", "people", "shelf"]

KEY = ProfileKey(ver=2, key=bytes(32), hash=bytes(32))


async def row_of(place: Place, uid: Uid) -> ProfileRow | None:
    return await place.own.context.store.read(lambda tx: tx.profiles.get(uid))


# --- what the person wants


@pytest.mark.parametrize(
    "wish",
    [
        ProfileWish(name="x" * limits.PROFILE_NAME_CHARS),
        ProfileWish(status="x" * limits.PROFILE_STATUS_CHARS),
        ProfileWish(picture=jpeg().ljust(limits.PROFILE_PICTURE_BYTES, b"\0")),
    ],
    ids=["name", "status", "picture"],
)
async def test_the_largest_ones_are_taken(ana: Place, wish: ProfileWish) -> None:
    await ana.profiles.change(wish)
    assert await ana.profiles.own() != UserProfile()


async def test_it_is_settled_once_it_is_published_and_told(ana: Place) -> None:
    store = ana.own.context.store
    assert await store.read(_is_settled)
    await store.run(lambda tx: tx.meta.raise_to(TELL, 3))
    assert not await store.read(_is_settled)


async def test_all_profiles_that_are_here_are_shown(ana: Place, bruno: Place) -> None:
    await ana.set(name="Ana")
    await bruno.told(ana)
    assert await bruno.profiles.shown() == {}
    await bruno.work()
    assert await bruno.profiles.shown() == {ana.uid: UserProfile("Ana")}
    assert [one.person.handle for one in bruno.events if isinstance(one, ProfileChanged)] == ["ana"]


# --- publishing


async def test_the_largest_jump_of_a_version_is_followed(ana: Place, shelf: Shelf) -> None:
    shelf.kept[ana.uid] = (MAX_JUMP, b"x" * 96)
    await ana.profiles.change(ProfileWish(name="Ana"))
    with pytest.raises(RefusedError, match="profile_conflict"):
        await ana.work()
    await ana.work()
    assert shelf.kept[ana.uid][0] == MAX_JUMP + 1


async def test_a_server_that_refuses_a_version_above_its_own_is_asked_again_later(ana: Place, shelf: Shelf) -> None:
    shelf.kept[ana.uid], shelf.stubborn = (5, b"x" * 96), True
    await ana.profiles.change(ProfileWish(name="Ana"))
    for _ in range(3):
        with pytest.raises(RefusedError, match="profile_conflict"):
            await ana.work()


async def test_after_an_error_it_goes_on_by_itself(ana: Place, shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "FIRST_S", 0)
    shelf.kept[ana.uid] = (1, b"x" * 96)  # refused once
    running = asyncio.create_task(ana.profiles.run(ana.deliver))
    await ana.profiles.change(ProfileWish(name="Ana"))
    await asyncio.wait_for(ana.profiles.published(), 5)
    assert shelf.kept[ana.uid][0] == 2
    running.cancel()
    await asyncio.wait({running})


async def test_a_wish_that_comes_while_another_is_published_is_published_at_once(ana: Place, shelf: Shelf) -> None:
    await ana.profiles.change(ProfileWish(name="Ana"))
    shelf.meanwhile = lambda: ana.profiles.change(ProfileWish(status="De viaje"))
    await ana.work()
    assert shelf.kept[ana.uid][0] == 2
    assert ana.profiles.settled.is_set()


@pytest.mark.parametrize(("code", "done"), [(Code.PROFILE_CONFLICT, True), (Code.TOO_LARGE, False)])
async def test_a_profile_is_brought_back_until_the_server_has_it_or_another_one(
    ana: Place, monkeypatch: pytest.MonkeyPatch, code: Code, *, done: bool
) -> None:
    async def refused(_ver: int, _sealed: bytes) -> None:
        raise RefusedError(code)

    await ana.set(name="Ana")
    await ana.own.context.store.run(lambda tx: tx.meta.raise_to(PROFILE_BACK, 2))
    monkeypatch.setattr(ana.own.context.rest.account, "put_profile", refused)
    if done:
        await ana.profiles._bring_back()
    else:
        with pytest.raises(RefusedError):
            await ana.profiles._bring_back()
    assert await ana.own.context.store.read(lambda tx: tx.meta.number(PROFILE_BACK)) == (0 if done else 2)


# --- telling


class SomeLists:
    """Device lists of which one cannot be had."""

    def __init__(self, refused: Uid, error: Exception) -> None:
        self.asked: list[Uid] = []
        self._refused, self._error = refused, error

    async def refresh(self, uid: Uid) -> None:
        self.asked.append(uid)
        if uid == self._refused:
            raise self._error


async def first_contact(ana: Place) -> Uid:
    return (await ana.own.context.store.read(ana.profiles._contacts))[0]


async def test_a_contact_whose_list_is_not_good_keeps_nobody_from_being_told(
    ana: Place, people: tuple[Person, ...]
) -> None:
    first = await first_contact(ana)
    lists = SomeLists(first, RefusedError(Code.UNKNOWN_USER))
    ana.profiles._directory = cast("Directory", lists)
    await ana.set(name="Ana")
    assert set(lists.asked) == {one.uid for one in people[1:]}
    assert {letter.uid for letter in ana.sent} == {one.uid for one in people[1:]} - {first}
    assert ana.profiles.settled.is_set()


async def test_without_a_network_everybody_is_told_later(ana: Place) -> None:
    ana.profiles._directory = cast("Directory", SomeLists(await first_contact(ana), NetworkError("network")))
    await ana.profiles.change(ProfileWish(name="Ana"))
    with pytest.raises(NetworkError):
        await ana.work()
    assert not await ana.own.context.store.read(_is_settled)


async def test_the_note_to_self_is_no_contact(ana: Place) -> None:
    chat_id = chat_with(ana.own, ana.uid)

    def step(tx: Tx) -> bool:
        tx.chats.ensure_direct(chat_id, ana.uid, accepted=True, note_to_self=True, now_ms=0)
        chat = tx.chats.get(chat_id)
        assert chat is not None
        return is_contact(tx, chat)

    assert not await ana.own.context.store.run(step)


async def test_whoever_has_no_list_here_is_told_nothing(ana: Place) -> None:
    await ana.set(name="Ana")
    other = Person("dora")

    def step(tx: Tx) -> Sequence[object]:
        direct(tx, chat_with(ana.own, other.uid), other, accepted=True)
        return ana.profiles._letters(tx, Uid(other.uid))

    assert await ana.own.context.store.run(step) == []


async def test_a_block_is_followed_at_once(ana: Place, bruno: Place) -> None:
    await ana.set(name="Ana")
    due = ana.own.context.profiles_due
    blocking = Blocking(ana.own.context, cast("Directory", None))
    for change in (blocking.block, blocking.unblock):
        due.clear()
        await change(bruno.uid)
        assert due.is_set()


# --- what is fetched


@pytest.mark.parametrize("withheld", ["ana", "carla"])
async def test_a_profile_that_is_withheld_keeps_no_other_one_back(
    people: tuple[Person, ...], bruno: Place, ana: Place, shelf: Shelf, withheld: str, tmp_path: Path
) -> None:
    async with placed(people, 2, shelf, tmp_path) as carla:
        for one in (ana, carla):
            await one.set(name=one.own.person.handle)
            await bruno.told(one)
        del shelf.kept[{"ana": ana, "carla": carla}[withheld].uid]
        await bruno.work()
        seen = [one.own.person.handle for one in (ana, carla) if await bruno.sees(one) is not None]
        assert seen == [{"ana": "carla", "carla": "ana"}[withheld]]


async def settle(bruno: Place, row: ProfileRow, *, already_due: bool = False) -> Outcome:
    """What was fetched for this row is here now, and opened."""
    out = Outcome(profiles=already_due)
    found = UserProfile("Ana")
    await bruno.own.context.store.run(lambda tx: bruno.profiles._settle(tx, out, row, row.ver, found, b"sealed"))
    return out


async def test_what_a_newer_letter_has_overtaken_is_not_shown_and_fetched_again(ana: Place, bruno: Place) -> None:
    await bruno.told(ana, ProfileKey(ver=1, key=bytes(32), hash=bytes(32)))
    row = await row_of(bruno, ana.uid)
    assert row is not None
    await bruno.told(ana, KEY)
    assert (await settle(bruno, row)).profiles
    assert await bruno.sees(ana) is None


@pytest.mark.parametrize("already_due", [True, False])
async def test_what_is_shown_meanwhile_is_not_shown_twice(ana: Place, bruno: Place, *, already_due: bool) -> None:
    await bruno.told(ana, KEY)
    row = await row_of(bruno, ana.uid)
    assert row is not None
    first = await settle(bruno, row)
    assert [type(event) for event in first.events if isinstance(event, ProfileChanged)] == [ProfileChanged]
    second = await settle(bruno, row, already_due=already_due)
    assert (second.events, second.profiles) == ([], already_due)


async def test_what_is_not_known_any_more_is_not_shown(ana: Place, bruno: Place) -> None:
    await bruno.told(ana, KEY)
    row = await row_of(bruno, ana.uid)
    assert row is not None
    await bruno.own.context.store.run(lambda tx: tx.profiles._db.execute("DELETE FROM user_profiles"))
    out = await settle(bruno, row)
    assert (out.events, out.profiles) == ([], False)


async def test_the_sealed_bytes_of_others_are_not_kept(ana: Place, bruno: Place) -> None:
    await ana.set(name="Ana")
    await bruno.told(ana)
    await bruno.work()
    assert await bruno.own.context.store.read(lambda tx: tx.profiles.sealed(ana.uid)) is None


async def test_a_profile_that_its_owner_spoilt_is_not_held_against_the_server(ana: Place, bruno: Place) -> None:
    sealed = seal_user_profile(Secret(bytes(32)), ana.uid, 1, Record(name="@bruno"))
    bruno_shelf = cast("Shelf", bruno.own.context.rest.shelf)  # type: ignore[attr-defined]
    bruno_shelf.kept[ana.uid] = (1, sealed)
    await bruno.told(ana, ProfileKey(ver=1, key=bytes(32), hash=profile_hash(sealed)))
    await bruno.work()
    row = await row_of(bruno, ana.uid)
    assert row is not None
    assert (row.refused, row.accused) == (True, False)


async def test_the_warning_names_whose_profile_it_is(ana: Place, bruno: Place) -> None:
    await ana.set(name="Ana")
    await bruno.told(ana, ProfileKey(ver=1, key=bytes(32), hash=bytes(32)))
    await bruno.work()
    assert SecurityWarning("profile_refused", None, {"handle": "ana"}) in bruno.events


# --- what devices name


@pytest.mark.parametrize(("ver", "already_due", "due"), [(1, False, False), (1, True, True), (3, False, True)])
async def test_only_a_newer_version_is_fetched(
    ana: Place, bruno: Place, ver: int, *, already_due: bool, due: bool
) -> None:
    await bruno.told(ana, KEY)
    letter = letter_of(ana, encode(ProfileKey(ver=ver, key=bytes(32), hash=bytes(32))))
    mail = Mail()
    mail.profiles = already_due
    handler = bruno.own.context.envelopes._handlers[PROFILE_KEY]
    await bruno.own.context.store.run(lambda tx: handler(tx, mail, ana.uid, ana.own.context.me.did, letter))
    assert mail.profiles is due


async def shared(place: Place, key: str, value: bytes, *, already_due: bool = False) -> Outcome:
    out = Outcome(profiles=already_due)
    setting = SettingRecord(key=key, value=value, counter=1, did=Did(os.urandom(16)))
    await place.own.context.store.run(lambda tx: place.own.context.settings.take(tx, out, setting))
    return out


@pytest.mark.parametrize(
    ("value", "already_due", "due"), [(encode(KEY), False, True), (b"", False, False), (b"", True, True)]
)
async def test_a_shared_setting_is_followed_if_it_is_a_record(
    ana: Place, bruno: Place, value: bytes, *, already_due: bool, due: bool
) -> None:
    out = await shared(bruno, SHARED + ana.uid.hex(), value, already_due=already_due)
    assert out.profiles is due


@pytest.mark.parametrize("name", ["ab" * 15, "ab" * 17, "AB" * 16, "ab " * 16, "no hex", ""])
async def test_a_setting_that_names_nobody_is_none(bruno: Place, name: str) -> None:
    assert not (await shared(bruno, SHARED + name, encode(KEY))).profiles
    assert await bruno.own.context.store.read(lambda tx: tx.profiles.wanted()) == ()
