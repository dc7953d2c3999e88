"""Names and pictures of groups: shown when event and key are here, and only as they may be."""

from __future__ import annotations

import io
import os

import pytest
from PIL import Image

from mensajeria.crypto.group_profile import new_profile_key, seal_profile
from mensajeria.crypto.sender import decode_room_key
from mensajeria.kit.secrets import Secret
from mensajeria.protocol.ids import Uid
from mensajeria.protocol.records_groups import GroupProfile
from tests.client.engine.circle import GroupDesk, Log, show
from tests.client.engine.trio import Desks, desks, log, plan, trio

__all__ = ["desks", "log", "trio"]


# --- names


async def _name(desk: GroupDesk, log: Log) -> str:
    group = await desk.store.read(lambda tx: tx.groups.get(log.chat_id))
    assert group is not None
    return group.name


@pytest.mark.parametrize("key_first", [True, False], ids=["key first", "event first"])
async def test_a_name_shows_when_event_and_key_are_here(desks: Desks, log: Log, *, key_first: bool) -> None:
    ana, bruno, _ = desks
    key = new_profile_key()
    row = log.put(log.next(ana.who, "profile", profile_ver=1, profile=seal_profile(
        key, log.chat_id, 1, GroupProfile(name="Excursión"))))  # fmt: skip

    async def bring() -> None:
        await bruno.do(lambda tx, out: bruno.profiles.take_key(tx, out, log.chat_id, ana.me.uid, key))

    if key_first:
        await bring()
    await show(bruno, row)
    if not key_first:
        assert await _name(bruno, log) == ""
        await bring()
    assert await _name(bruno, log) == "Excursión"
    found = await plan(bruno, log, "la clave va también")
    assert {decode_room_key(letter.content).gpk for letter in found.letters} == {key.reveal()}


async def test_a_key_from_who_is_not_in_the_group_or_a_false_one_changes_nothing(desks: Desks, log: Log) -> None:
    ana, bruno, _ = desks
    key = new_profile_key()
    sealed = seal_profile(key, log.chat_id, 1, GroupProfile(name="Club"))
    await show(bruno, log.put(log.next(ana.who, "profile", profile_ver=1, profile=sealed)))
    stranger = Uid(os.urandom(16))
    await bruno.do(lambda tx, out: bruno.profiles.take_key(tx, out, log.chat_id, stranger, key))
    assert await _name(bruno, log) == ""
    for false in [new_profile_key() for _ in range(20)] + [Secret(b"short")]:
        await bruno.do(lambda tx, out, one=false: bruno.profiles.take_key(tx, out, log.chat_id, ana.me.uid, one))  # type: ignore[misc]
    assert len(await bruno.store.read(lambda tx: tx.groups.keys(log.chat_id))) == 8
    await bruno.do(lambda tx, out: bruno.profiles.take_key(tx, out, log.chat_id, ana.me.uid, key))
    assert await _name(bruno, log) == "Club"


def _jpeg(side: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (side, side), "teal").save(out, "JPEG")
    return out.getvalue()


@pytest.mark.parametrize(
    ("picture", "shown"),
    [(_jpeg(64), True), (_jpeg(600), False), (b"\x89PNG", False), (b"\xff\xd8\xff", False)],
    ids=["small", "too wide", "another format", "broken"],
)
async def test_a_group_s_picture_is_shown_if_it_is_a_small_jpeg(
    desks: Desks, log: Log, picture: bytes, *, shown: bool
) -> None:
    ana, bruno, _ = desks
    key = new_profile_key()
    sealed = seal_profile(key, log.chat_id, 1, GroupProfile(name="Club", picture=picture))
    await show(bruno, log.put(log.next(ana.who, "profile", profile_ver=1, profile=sealed)))
    await bruno.do(lambda tx, out: bruno.profiles.take_key(tx, out, log.chat_id, ana.me.uid, key))
    view = await bruno.store.read(lambda tx: tx.views.chat(log.chat_id))
    assert view is not None
    assert view.group is not None
    assert (view.name, view.group.picture) == ("Club", picture if shown else b"")
