"""The key log as served: what a client can prove with it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mensajeria.kit.clock import FakeClock
from mensajeria.kit.merkle import leaf_hash, root_hash, verify_consistency, verify_inclusion
from mensajeria.protocol.ids import b64, unb64
from mensajeria.protocol.records import Signed, TreeHead
from mensajeria.protocol.transparency import (
    decode_leaf,
    handle_label,
    handle_value,
    uid_label,
    verify_tree_head,
)
from mensajeria.server.admin.content import raise_restore_epoch
from mensajeria.server.facts import read_facts
from mensajeria.server.state import Server
from mensajeria.server.transparency import tree
from mensajeria.server.transparency.tree import KeyLog
from tests.server.enrol import Person, add_device, register, talk
from tests.server.groups import problem

LOG = "/v1/transparency"


@pytest.fixture
async def ana(app_server: Server) -> Person:
    return await register(app_server, "ana")


def log_key(server: Server) -> bytes:
    return Ed25519PrivateKey.from_private_bytes(server.keys.log.reveal()).public_key().public_bytes_raw()


async def head(http: httpx.AsyncClient, server: Server, by: Person) -> TreeHead:
    served = (await by.call(http, "GET", f"{LOG}/head")).json()
    return verify_tree_head(Signed(unb64(served["body"]), unb64(served["sig"])), log_key=log_key(server))


async def get(http: httpx.AsyncClient, by: Person, path: str) -> Any:
    response = await by.call(http, "GET", f"{LOG}/{path}")
    assert response.status_code == 200, response.text
    return response.json()


def hashes(proof: dict[str, Any]) -> list[bytes]:
    return [unb64(one) for one in proof["hashes"]]


@pytest.mark.quick
async def test_heads_grow_and_everything_in_them_is_proven(
    http: httpx.AsyncClient, app_server: Server, ana: Person
) -> None:
    old = await head(http, app_server, ana)
    for name in ("bruno", "carla", "dario"):
        await register(app_server, name)
    await add_device(talk(app_server), ana, now_ms=app_server.clock.now_ms())
    new = await head(http, app_server, ana)
    leaves = [unb64(one) for one in (await get(http, ana, "leaves"))["leaves"]]

    assert (old.size, new.size, len(leaves)) == (2, 9, 9)
    assert new.root == root_hash([leaf_hash(leaf) for leaf in leaves])
    grown = await get(http, ana, f"consistency?old={old.size}&size={new.size}")
    assert verify_consistency(old.size, old.root, new.size, new.root, hashes(grown))
    for index, leaf in enumerate(leaves):
        path = await get(http, ana, f"inclusion?index={index}&size={new.size}")
        assert verify_inclusion(leaf_hash(leaf), index, new.size, hashes(path), new.root)
    assert (await get(http, ana, "leaves?after=7"))["size"] == 9


async def test_newest_leaf_of_a_label(http: httpx.AsyncClient, app_server: Server, ana: Person) -> None:
    await register(app_server, "bruno")
    await add_device(talk(app_server), ana, now_ms=app_server.clock.now_ms())
    place = await get(http, ana, f"labels/{b64(uid_label(ana.uid))}")
    handle = await get(http, ana, f"labels/{b64(handle_label(app_server.facts.server_id, 'ana'))}")

    leaf = decode_leaf(unb64(place["leaf"]))
    assert (leaf.ver, place["index"]) == (2, 4)
    assert leaf.prev_idx >= 0
    assert decode_leaf(unb64(handle["leaf"])).value_hash == handle_value(ana.uid)
    problem(await ana.call(http, "GET", f"{LOG}/labels/{b64(bytes(32))}"), 404, "not_found")


@pytest.mark.parametrize(
    "path", ["inclusion?index=2&size=2", "inclusion?index=0&size=99", "consistency?old=3&size=2", "leaves?after=-1"]
)
async def test_impossible_proofs(http: httpx.AsyncClient, ana: Person, path: str) -> None:
    problem(await ana.call(http, "GET", f"{LOG}/{path}"), 400, "malformed")


async def test_head_is_signed_again_when_it_is_old(
    http: httpx.AsyncClient, app_server: Server, ana: Person, clock: FakeClock
) -> None:
    first, same = await head(http, app_server, ana), await head(http, app_server, ana)
    clock.advance(2 * 3600)
    ana.tokens = None
    later = await app_server.key_log.head()

    assert first == same
    assert verify_tree_head(later, log_key=log_key(app_server)).ts > first.ts


@pytest.mark.quick
async def test_tree_is_read_in_pages_and_by_many_at_once(
    app_server: Server, ana: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("bruno", "carla"):
        await register(app_server, name)
    monkeypatch.setattr(tree, "READ_LEAVES", 4)
    log = KeyLog(app_server.db, app_server.clock, app_server.keys.log, 1)
    heads = await asyncio.gather(*[log.head() for _ in range(5)])

    assert {verify_tree_head(one, log_key=log_key(app_server)).size for one in heads} == {6}


@pytest.mark.quick
async def test_declared_restore_is_in_the_head(app_server: Server, ana: Person) -> None:
    epoch = await app_server.db.write(raise_restore_epoch)
    facts = await app_server.db.query(read_facts)
    assert facts is not None
    assert (epoch, facts.restore_epoch) == (2, 2)
    log = KeyLog(app_server.db, app_server.clock, app_server.keys.log, facts.restore_epoch)
    assert verify_tree_head(await log.head(), log_key=log_key(app_server)).restore_epoch == 2
    assert replace(facts, restore_epoch=1) == app_server.facts
