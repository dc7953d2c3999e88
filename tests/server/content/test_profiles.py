"""Sealed profiles: who may put and read which, and of two versions which one stays."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from mensajeria.protocol import limits
from mensajeria.protocol.ids import b64
from mensajeria.protocol.membership import direct_chat_id
from mensajeria.server.accounts.deletion import delete_account
from mensajeria.server.db.schema import account
from mensajeria.server.db.schema_content import user_profile
from mensajeria.server.state import Server
from tests.server.enrol import Person, add_device, register, talk
from tests.server.fixtures import ON_SQLITE
from tests.server.groups import Group, befriend, problem

FIRST, SECOND = b"1" * 96, b"2" * 160


@pytest.fixture
async def pair(http: httpx.AsyncClient, app_server: Server) -> tuple[Person, Person]:
    ana, bruno = [await register(app_server, name) for name in ("ana", "bruno")]
    await befriend(http, app_server, ana, bruno)
    return ana, bruno


async def put(http: httpx.AsyncClient, by: Person, ver: int, sealed: bytes) -> httpx.Response:
    return await by.call(http, "PUT", "/v1/profile", {"ver": ver, "sealed": b64(sealed)})


async def get(http: httpx.AsyncClient, by: Person, of: Person) -> httpx.Response:
    return await by.call(http, "GET", f"/v1/users/{b64(of.uid)}/profile")


@pytest.mark.quick
async def test_an_accepted_contact_reads_what_was_put(http: httpx.AsyncClient, pair: tuple[Person, Person]) -> None:
    ana, bruno = pair
    problem(await get(http, bruno, ana), 404, "not_found")
    assert (await put(http, ana, 3, FIRST)).status_code == 204
    for reader in (ana, bruno):
        assert (await get(http, reader, ana)).json() == {"ver": 3, "sealed": b64(FIRST)}


async def test_only_a_higher_version_takes_the_place(http: httpx.AsyncClient, pair: tuple[Person, Person]) -> None:
    ana, _ = pair
    assert (await put(http, ana, 3, FIRST)).status_code == 204
    assert (await put(http, ana, 3, FIRST)).status_code == 204  # a retry
    for ver in (3, 2):
        refused = problem(await put(http, ana, ver, SECOND), 409, "profile_conflict")
        assert refused["detail"] == "the stored version is 3"
    assert (await put(http, ana, 4, SECOND)).status_code == 204
    assert (await get(http, ana, ana)).json() == {"ver": 4, "sealed": b64(SECOND)}


async def test_of_two_first_ones_at_once_one_is_told(
    http: httpx.AsyncClient, app_server: Server, pair: tuple[Person, Person]
) -> None:
    ana, _ = pair
    phone = await add_device(talk(app_server), ana, now_ms=app_server.clock.now_ms())  # with numbers of its own
    answers = await asyncio.gather(put(http, ana, 1, FIRST), put(http, phone, 1, SECOND))
    assert sorted(answer.status_code for answer in answers) == [204, 409]


@ON_SQLITE
async def test_whoever_is_no_accepted_contact_learns_nothing(
    http: httpx.AsyncClient, app_server: Server, pair: tuple[Person, Person]
) -> None:
    ana, bruno = pair
    stranger, member = [await register(app_server, name) for name in ("carla", "dario")]
    await Group.create(http, ana, member)
    chat_id = b64(direct_chat_id(app_server.facts.server_id, ana.uid, stranger.uid))
    await stranger.call(http, "PUT", f"/v1/chats/direct/{chat_id}", {"peer_uid": b64(ana.uid)})
    await put(http, ana, 1, FIRST)
    await put(http, stranger, 1, SECOND)

    for reader in (stranger, member):  # a request that waits is no contact, nor is a group in common
        problem(await get(http, reader, ana), 404, "not_found")
    problem(await bruno.call(http, "GET", f"/v1/users/{b64(bytes(16))}/profile"), 404, "not_found")
    assert (await get(http, ana, stranger)).is_success  # who asks for the chat has accepted it


@ON_SQLITE
@pytest.mark.parametrize("by", [0, 1])
async def test_a_block_closes_the_door_both_ways(http: httpx.AsyncClient, pair: tuple[Person, Person], by: int) -> None:
    for person in pair:
        await put(http, person, 1, FIRST)
    await pair[by].call(http, "PUT", f"/v1/blocks/{b64(pair[1 - by].uid)}")
    problem(await get(http, pair[0], pair[1]), 404, "not_found")
    problem(await get(http, pair[1], pair[0]), 404, "not_found")


@ON_SQLITE
async def test_sizes_and_numbers_are_bounded(http: httpx.AsyncClient, pair: tuple[Person, Person]) -> None:
    ana, _ = pair
    assert (await put(http, ana, 1, bytes(limits.PROFILE_SEALED_MAX))).status_code == 204
    for ver, sealed in ((0, FIRST), (1 << 53, FIRST), (2, b"x"), (2, bytes(limits.PROFILE_SEALED_MAX + 1))):
        problem(await put(http, ana, ver, sealed), 400, "malformed")


@ON_SQLITE
async def test_changes_are_limited(http: httpx.AsyncClient, pair: tuple[Person, Person]) -> None:
    ana, bruno = pair
    codes = [(await put(http, ana, ver, FIRST)).status_code for ver in range(1, 17)]
    assert codes == [204] * 15 + [429]
    assert (await put(http, bruno, 1, FIRST)).status_code == 204


async def test_it_goes_with_the_account(
    http: httpx.AsyncClient, app_server: Server, pair: tuple[Person, Person]
) -> None:
    ana, bruno = pair
    await put(http, ana, 1, FIRST)

    def write(db: Any) -> None:
        delete_account(db, db.execute(select(account.c.id).where(account.c.uid == ana.uid)).scalar_one(), 1)

    await app_server.db.write(write)
    assert await app_server.db.query(lambda db: db.execute(select(user_profile)).all()) == []
    problem(await get(http, bruno, ana), 404, "not_found")
