"""A new sender session for a group, and its key for every device: what a removal costs the next who writes.

The whole way of the client: encrypted store, chain, letters in slices, one pairwise ratchet for each device.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from mensajeria.client.engine.letters import Keys, Letter, PostOffice
from mensajeria.client.engine.mailer import SEAL_SLICE
from mensajeria.client.engine.people import verified_list
from mensajeria.client.store import Tx
from mensajeria.protocol.encoding import encode
from mensajeria.protocol.ids import Did
from mensajeria.protocol.prekeys import verify_one_time_key, verify_pq_prekey
from tests.client.engine.circle import GroupDesk, Log, member, seated
from tests.client.engine.world import NOW, Somebody

COLUMNS: Final = ["devices", "ms", "bar_ms", "longest_step_ms", "ok"]
DEVICES: Final = 300
BAR_MS: Final = 250.0
ROUNDS: Final = 3


def run() -> list[dict[str, Any]]:
    """One row: the best of some rounds, each with a session of its own."""
    return asyncio.run(_run())


async def _run() -> list[dict[str, Any]]:
    owner, others = Somebody.make("ana"), [Somebody.make(f"user{number}") for number in range(DEVICES)]
    log = Log.create(owner, *others[:255])
    for start in range(255, DEVICES, 255):
        log.put(log.next(owner, "add", members=_members(others[start : start + 255])))
    with tempfile.TemporaryDirectory() as folder:
        async with seated(owner, others, log, Path(folder)) as desk:
            await desk.do(lambda tx, out: desk.rows.apply(tx, out, log.chat_id, log.rows[1:], len(log.rows)))
            keys = {Did(one.device.did): _keys(one) for one in others}
            await desk.store.run(lambda tx: _cache(tx, others))
            await _share(desk, log, keys)  # the first letters open the pairwise sessions
            best = min([await _share(desk, log, {}) for _ in range(ROUNDS)])
    total, longest = best
    return [
        {
            "devices": DEVICES,
            "ms": round(total, 1),
            "bar_ms": BAR_MS,
            "longest_step_ms": round(longest, 1),
            "ok": total <= BAR_MS,
        }
    ]


async def _share(desk: GroupDesk, log: Log, keys: dict[Did, Keys]) -> tuple[float, float]:
    """Milliseconds for a new session and all its letters, and for the longest step among them."""
    post = PostOffice(desk.me, lambda _: 1_000_000)
    await desk.store.run(lambda tx: tx.outbound.drop(log.chat_id))
    start = time.perf_counter()
    _, letters = await desk.store.run(lambda tx: desk.sealer.introduce(tx, log.chat_id))
    assert len(letters) == DEVICES
    longest = time.perf_counter() - start
    for at in range(0, len(letters), SEAL_SLICE):
        began = time.perf_counter()
        part: tuple[Letter, ...] = letters[at : at + SEAL_SLICE]
        assert await desk.store.run(lambda tx: post.seal(tx, part, keys)) == len(part)  # noqa: B023 - run at once
        longest = max(longest, time.perf_counter() - began)
    total = time.perf_counter() - start
    assert await desk.do(lambda tx, _out: _queued(tx)) == DEVICES
    return total * 1000, longest * 1000


def _queued(tx: Tx) -> int:
    """Take the envelopes away again, as if the server had confirmed them."""
    count = 0
    while batch := tx.envelopes.outgoing():
        for envelope in batch:
            tx.envelopes.confirmed(envelope.id)
        count += len(batch)
    return count


def _members(people: list[Somebody]) -> tuple[Any, ...]:
    return tuple(sorted((member(one) for one in people), key=lambda one: one.uid))


def _keys(who: Somebody) -> Keys:
    listed = verified_list(who.contact).find(who.device.did)
    assert listed is not None
    signed = who.device._signed_pq()  # noqa: SLF001 - what the device has published
    pq = verify_pq_prekey(signed, uid=who.uid, device=listed, now_ms=NOW)
    one_time = who.device.new_one_time_keys(1)[0]
    return Keys(pq, verify_one_time_key(one_time, uid=who.uid, device=listed).key)


def _cache(tx: Tx, people: list[Somebody]) -> None:
    for one in people:
        tx.meta.set(f"pq:{one.device.did.hex()}", encode(one.device._signed_pq()))  # noqa: SLF001
