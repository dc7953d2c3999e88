"""What a group is called: which keys are taken, what is opened and told, and who can close a group."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mensajeria.client.api import Cause, Message, MessageKind, MessageReceived, MessageState
from mensajeria.client.engine.group_profiles import SHARED
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.store import Tx
from mensajeria.client.store.values import Group
from mensajeria.crypto.group_profile import new_profile_key, open_profile, seal_profile
from mensajeria.kit.secrets import Secret
from mensajeria.protocol.encoding import H, u64
from mensajeria.protocol.ids import ChatId, Did, Mid, Uid
from mensajeria.protocol.records import MemberEvent
from mensajeria.protocol.records_backup import SettingRecord
from mensajeria.protocol.records_groups import GroupProfile
from tests.client.engine.circle import GroupDesk, Log, seated, show
from tests.client.engine.world import NOW, Somebody, chat_of

CLUB, PARTY = GroupProfile(name="Club", description="los jueves"), GroupProfile(name="Fiesta")


@pytest.fixture(scope="module")
def pair() -> tuple[Somebody, Somebody]:
    return Somebody.make("ana"), Somebody.make("bruno")


@pytest.fixture
def log(pair: tuple[Somebody, Somebody]) -> Log:
    return Log.create(*pair)


@pytest.fixture
async def bruno(pair: tuple[Somebody, Somebody], log: Log, tmp_path: Path) -> AsyncIterator[GroupDesk]:
    async with seated(pair[1], [pair[0]], log, tmp_path) as desk:
        yield desk


@pytest.fixture
def ana(pair: tuple[Somebody, Somebody]) -> Somebody:
    return pair[0]


async def named(bruno: GroupDesk, by: Somebody, log: Log, profile: GroupProfile, ver: int, key: Secret) -> Outcome:
    """The event with a sealed profile arrives."""
    sealed = seal_profile(key, log.chat_id, ver, profile)
    return await show(bruno, log.put(log.next(by, "profile", profile_ver=ver, profile=sealed)))


async def brought(bruno: GroupDesk, chat_id: ChatId, by: Uid, key: Secret) -> Outcome:
    bruno.memberships.forget()
    await bruno.do(lambda tx, out: bruno.profiles.take_key(tx, out, chat_id, by, key))
    return bruno.last


async def group_of(bruno: GroupDesk, chat_id: ChatId) -> Group:
    group = await bruno.store.read(lambda tx: tx.groups.get(chat_id))
    assert group is not None
    return group


async def keys(bruno: GroupDesk, log: Log) -> list[bytes]:
    return [key.reveal() for key in await bruno.store.read(lambda tx: tx.groups.keys(log.chat_id))]


async def notices(bruno: GroupDesk, log: Log) -> list[Message]:
    page = await bruno.store.read(lambda tx: tx.messages.page(log.chat_id, limit=50))
    return [one for one in page.messages if one.cause is Cause.GROUP_RENAMED]


# --- keys


async def test_the_key_that_opens_the_profile_is_the_one_that_is_given_on(
    bruno: GroupDesk, ana: Somebody, log: Log
) -> None:
    key = new_profile_key()
    await named(bruno, ana, log, CLUB, 3, key)
    out = await brought(bruno, log.chat_id, ana.uid, key)
    group = await group_of(bruno, log.chat_id)
    assert (group.name, group.description, group.profile_ver) == ("Club", "los jueves", 3)
    in_use = await bruno.store.read(lambda tx: tx.groups.key(log.chat_id))
    assert in_use is not None
    assert in_use.reveal() == key.reveal()
    shared = await bruno.store.read(lambda tx: tx.settings.get(SHARED + log.chat_id.hex()))
    assert shared is not None
    assert shared.value == key.reveal()
    assert out.settings == [SHARED + log.chat_id.hex()]
    assert out.touched == {log.chat_id}


@pytest.mark.parametrize("size", [31, 33])
async def test_a_key_of_another_size_is_none(bruno: GroupDesk, ana: Somebody, log: Log, size: int) -> None:
    await brought(bruno, log.chat_id, ana.uid, Secret(bytes(size)))
    assert await keys(bruno, log) == []


async def test_a_key_of_an_unknown_group_is_none(bruno: GroupDesk, ana: Somebody) -> None:
    await brought(bruno, ChatId(os.urandom(32)), ana.uid, new_profile_key())
    assert bruno.last.touched == set()


async def test_what_is_shown_is_not_opened_again(bruno: GroupDesk, ana: Somebody, log: Log) -> None:
    key = new_profile_key()
    await named(bruno, ana, log, CLUB, 1, key)
    await brought(bruno, log.chat_id, ana.uid, key)

    async def refresh() -> bool:
        return await bruno.do(lambda tx, out: bruno.profiles.refresh(tx, out, log.chat_id))

    assert not await refresh()
    await bruno.store.run(lambda tx: tx.groups.set_profile(log.chat_id, name="", description="", ver=0))
    assert await refresh()
    assert bruno.last.touched == {log.chat_id}


async def test_where_there_is_no_profile_nothing_is_opened(bruno: GroupDesk, ana: Somebody, log: Log) -> None:
    direct = chat_of(ana, bruno.who)

    def refresh(tx: Tx, out: Outcome) -> list[bool]:
        tx.chats.ensure_direct(direct, ana.uid, accepted=True, note_to_self=False, now_ms=NOW)
        return [bruno.profiles.refresh(tx, out, chat_id) for chat_id in (direct, log.chat_id)]

    assert await bruno.do(refresh) == [False, False]


async def test_a_profile_that_no_key_opens_is_not_shown(bruno: GroupDesk, ana: Somebody, log: Log) -> None:
    await brought(bruno, log.chat_id, ana.uid, new_profile_key())
    out = await named(bruno, ana, log, CLUB, 1, new_profile_key())
    assert (await group_of(bruno, log.chat_id)).profile_ver == 0
    assert out.settings == []
    assert not await bruno.do(lambda tx, out: bruno.profiles.refresh(tx, out, log.chat_id))


async def test_a_false_key_before_the_true_one_keeps_nothing_closed(bruno: GroupDesk, ana: Somebody, log: Log) -> None:
    key = new_profile_key()
    for one in (key, new_profile_key()):
        await brought(bruno, log.chat_id, ana.uid, one)
    await named(bruno, ana, log, CLUB, 1, key)
    assert (await group_of(bruno, log.chat_id)).name == "Club"


# --- own devices


async def heard(bruno: GroupDesk, name: str, value: bytes) -> Outcome:
    setting = SettingRecord(key=name, value=value, counter=1, did=Did(os.urandom(16)))
    bruno.memberships.forget()
    await bruno.do(lambda tx, out: bruno.profiles._settings.take(tx, out, setting))
    return bruno.last


@pytest.mark.parametrize("event_first", [True, False])
async def test_a_key_that_an_own_device_has_shared_opens_the_name(
    bruno: GroupDesk, ana: Somebody, log: Log, *, event_first: bool
) -> None:
    key = new_profile_key()
    if event_first:
        await named(bruno, ana, log, CLUB, 1, key)
    await heard(bruno, SHARED + log.chat_id.hex(), key.reveal())
    if not event_first:
        await named(bruno, ana, log, CLUB, 1, key)
    assert (await group_of(bruno, log.chat_id)).name == "Club"


@pytest.mark.parametrize("value", [bytes(31), bytes(33), b""])
async def test_a_shared_value_of_another_size_is_no_key(
    bruno: GroupDesk, ana: Somebody, log: Log, value: bytes
) -> None:
    await named(bruno, ana, log, CLUB, 1, new_profile_key())
    await heard(bruno, SHARED + log.chat_id.hex(), value)
    assert await keys(bruno, log) == []


@pytest.mark.parametrize("name", ["no hex", "00" * 31, "00" * 33, "", "ab" * 32])
async def test_a_setting_of_no_known_group_does_nothing(bruno: GroupDesk, name: str) -> None:
    out = await heard(bruno, SHARED + name, bytes(32))
    assert out.touched == set()


# --- sealing


async def sealed(bruno: GroupDesk, log: Log, key: Secret | None) -> bytes:
    return await bruno.do(lambda tx, _: bruno.profiles.seal(tx, log.chat_id, CLUB, 7, key))


async def test_a_profile_is_sealed_under_the_given_key(bruno: GroupDesk, log: Log) -> None:
    key = new_profile_key()
    assert open_profile(key, log.chat_id, 7, await sealed(bruno, log, key)) == CLUB
    assert await keys(bruno, log) == []


async def test_or_under_the_one_in_use(bruno: GroupDesk, log: Log) -> None:
    key = new_profile_key()
    await bruno.store.run(lambda tx: tx.groups.add_key(log.chat_id, key, own=True))
    assert open_profile(key, log.chat_id, 7, await sealed(bruno, log, None)) == CLUB


async def test_or_under_a_new_one_that_is_kept(bruno: GroupDesk, log: Log) -> None:
    data = await sealed(bruno, log, None)
    (key,) = await keys(bruno, log)
    assert open_profile(Secret(key), log.chat_id, 7, data) == CLUB


# --- what is told


async def test_a_new_name_is_told_at_the_event_s_place(bruno: GroupDesk, ana: Somebody, log: Log) -> None:
    key = new_profile_key()
    await brought(bruno, log.chat_id, ana.uid, key)
    await named(bruno, ana, log, CLUB, 1, key)
    assert await notices(bruno, log) == [], "the first name is no news"
    out = await named(bruno, ana, log, PARTY, 2, key)
    (told,) = await notices(bruno, log)
    assert MessageReceived(told) in out.events
    assert told.mid == Mid(H("place", log.chat_id, u64(3), b"profile")[:16])
    assert (told.sender.handle, told.outgoing, told.seq, told.sent_ms) == ("ana", False, 3, NOW)
    assert (told.kind, told.state) == (MessageKind.NOTICE, MessageState.RECEIVED)
    assert dict(told.params) == {"title": "Fiesta"}
    sql = "SELECT server_ms FROM messages WHERE mid = ?"
    assert await bruno.store.read(lambda tx: tx.messages._db.value(sql, told.mid)) == NOW


async def test_the_same_name_under_another_key_is_not_told(bruno: GroupDesk, ana: Somebody, log: Log) -> None:
    for ver, key in enumerate((new_profile_key(), new_profile_key()), 1):
        await brought(bruno, log.chat_id, ana.uid, key)
        await named(bruno, ana, log, CLUB, ver, key)
    assert await notices(bruno, log) == []


async def test_a_name_after_one_that_cannot_be_read_is_told(bruno: GroupDesk, ana: Somebody, log: Log) -> None:
    await named(bruno, ana, log, CLUB, 1, new_profile_key())
    key = new_profile_key()
    await brought(bruno, log.chat_id, ana.uid, key)
    await named(bruno, ana, log, CLUB, 2, key)
    assert [told.params["title"] for told in await notices(bruno, log)] == ["Club"]


async def test_a_name_that_cannot_be_read_is_not_told(bruno: GroupDesk, ana: Somebody, log: Log) -> None:
    key = new_profile_key()
    await brought(bruno, log.chat_id, ana.uid, key)
    await named(bruno, ana, log, CLUB, 1, key)
    await named(bruno, ana, log, PARTY, 2, new_profile_key())
    assert await notices(bruno, log) == []


# --- the way out of a forked group


async def follows(
    bruno: GroupDesk,
    by: Uid,
    former: ChatId,
    *,
    forked: bool = True,
    kind: str = "create",
    new: ChatId | None = None,
) -> tuple[Group, Outcome]:
    """A group is made that follows another one, by an event of this kind. The new group, and what came of it."""
    new = new or ChatId(os.urandom(32))
    event = MemberEvent(
        chat_id=bytes(32), seq=1, prev=bytes(32), by_uid=by, by_did=bytes(16), dl_ver=1, ts=NOW, type=kind,
        supersedes=former,
    )  # fmt: skip

    def step(tx: Tx, out: Outcome) -> None:
        tx.chats.ensure_group(new, accepted=True, now_ms=NOW)
        if forked and tx.groups.get(former) is not None and not tx.groups.forks(former):
            tx.groups.add_fork(former, b"one", b"two", NOW)
        bruno.memberships.forget()
        bruno.profiles.applied(tx, out, new, event, 1, NOW)

    await bruno.do(step)
    return await group_of(bruno, new), bruno.last


async def test_a_member_leads_out_of_a_forked_group(bruno: GroupDesk, ana: Somebody, log: Log) -> None:
    new, out = await follows(bruno, ana.uid, log.chat_id)
    assert new.supersedes == log.chat_id
    assert (await group_of(bruno, log.chat_id)).superseded_by == new.chat_id
    assert out.touched == {log.chat_id}


@pytest.mark.parametrize("order", [(1, 2), (2, 1)], ids=["lower first", "lower last"])
async def test_of_several_ways_out_everybody_takes_the_same(
    bruno: GroupDesk, ana: Somebody, log: Log, order: tuple[int, int]
) -> None:
    for number in order:
        await follows(bruno, ana.uid, log.chat_id, new=ChatId(bytes([number]) * 32))
    assert (await group_of(bruno, log.chat_id)).superseded_by == bytes([1]) * 32


async def test_a_group_that_is_not_forked_stays_open(bruno: GroupDesk, ana: Somebody, log: Log) -> None:
    new, out = await follows(bruno, ana.uid, log.chat_id, forked=False)
    assert new.supersedes == log.chat_id
    assert (await group_of(bruno, log.chat_id)).superseded_by is None
    assert out.touched == set()


async def test_a_stranger_closes_no_group(bruno: GroupDesk, log: Log) -> None:
    new, _ = await follows(bruno, Uid(os.urandom(16)), log.chat_id)
    assert new.supersedes is None
    assert (await group_of(bruno, log.chat_id)).superseded_by is None


async def test_an_unknown_group_is_followed_by_none(bruno: GroupDesk, ana: Somebody) -> None:
    new, _ = await follows(bruno, ana.uid, ChatId(os.urandom(32)))
    assert new.supersedes is None


async def test_only_a_create_event_leads_out(bruno: GroupDesk, ana: Somebody, log: Log) -> None:
    new, _ = await follows(bruno, ana.uid, log.chat_id, kind="supersede")
    assert new.supersedes is None
    assert (await group_of(bruno, log.chat_id)).superseded_by is None
