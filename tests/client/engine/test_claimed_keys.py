"""Claimed prekeys: what a server serves of another device."""

from __future__ import annotations

from pathlib import Path

from mensajeria.client.engine.letters import ROOM_KEY, Letter, PostOffice
from mensajeria.client.store import Tx
from mensajeria.protocol.api import ClaimedKeys, SignedModel
from mensajeria.protocol.ids import Did
from mensajeria.protocol.records import Signed
from tests.client.engine.world import NOW, Somebody, desk

WEEK_MS = 8 * 24 * 3600 * 1000


async def test_a_hybrid_key_older_than_one_already_seen_is_not_used(tmp_path: Path) -> None:
    ana, bruno = Somebody.make("ana"), Somebody.make("bruno")
    device = bruno.device
    old = device.first_prekeys(NOW).pq
    rotated = device.rotate(NOW + WEEK_MS)
    assert rotated is not None
    assert rotated.pq is not None
    did = Did(device.did)
    async with desk(ana, bruno, tmp_path) as reader:
        reader.clock.advance(WEEK_MS / 1000)
        post = PostOffice(reader.me, lambda _: 1000)

        def claim(tx: Tx, pq: Signed | None) -> bool:
            assert pq is not None
            answer = ClaimedKeys(did=did, pq=SignedModel(body=pq.body, sig=pq.sig), one_time=None, fallback=None)
            return did in post.verify_claimed(tx, [Letter(bruno.uid, did, ROOM_KEY, b"")], [answer])

        newer = rotated.pq
        assert await reader.store.run(lambda tx: claim(tx, old))
        assert await reader.store.run(lambda tx: claim(tx, newer))
        assert not await reader.store.run(lambda tx: claim(tx, old))
        assert await reader.store.run(lambda tx: claim(tx, newer))
