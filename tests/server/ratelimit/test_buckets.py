"""One contract for the buckets in memory and in Valkey; and what a limiter does while the latter is away."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import time
from collections.abc import AsyncIterator

import pytest

from mensajeria.kit.clock import SystemClock
from mensajeria.protocol.errors import Code, ProtocolError
from mensajeria.server.ratelimit.limiter import BucketStore, Limiter, MemoryBuckets
from mensajeria.server.ratelimit.limits import Bucket, Limit
from mensajeria.server.ratelimit.redis import PAUSE_S, RedisBuckets
from tests.support.valkey import ValkeyServer

FAST = Bucket(3, 20 * 3600, fail_open=True)
"""Three at once, one every 50 ms."""
SLOW = Bucket(3, 3600, fail_open=True)


@pytest.fixture(params=["memory", "valkey"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[BucketStore]:
    made: BucketStore
    if request.param == "memory":
        made = MemoryBuckets(SystemClock())
    else:
        made = RedisBuckets(request.getfixturevalue("valkey_url"), f"test:{secrets.token_hex(8)}:")
    yield made
    await made.close()


async def test_a_full_bucket_gives_its_burst_and_then_says_how_long(store: BucketStore) -> None:
    assert [await store.take("x", b"k", SLOW, 1) for _ in range(3)] == [0, 0, 0]
    assert 0.5 < await store.take("x", b"k", SLOW, 1) <= 1
    assert 1.5 < await store.take("x", b"k", SLOW, 2) <= 2


async def test_a_refusal_takes_nothing(store: BucketStore) -> None:
    assert await store.take("x", b"k", SLOW, 2) == 0
    for _ in range(5):
        assert await store.take("x", b"k", SLOW, 2) > 0
    assert await store.take("x", b"k", SLOW, 1) == 0


async def test_after_the_wait_it_is_there(store: BucketStore) -> None:
    for _ in range(3):
        await store.take("x", b"k", FAST, 1)
    wait = await store.take("x", b"k", FAST, 1)
    assert wait > 0
    await asyncio.sleep(wait + 0.01)
    assert await store.take("x", b"k", FAST, 1) == 0


async def test_it_never_holds_more_than_its_burst(store: BucketStore) -> None:
    await store.take("x", b"k", FAST, 1)
    await asyncio.sleep(0.3)
    assert await store.take("x", b"k", FAST, 3) == 0
    assert await store.take("x", b"k", FAST, 1) > 0


async def test_names_and_keys_are_apart(store: BucketStore) -> None:
    assert await store.take("x", b"k", SLOW, 3) == 0
    assert await store.take("y", b"k", SLOW, 3) == 0
    assert await store.take("x", b"l", SLOW, 3) == 0
    assert await store.take("x", b"\xff\x00", SLOW, 3) == 0
    assert await store.take("x", b"k", SLOW, 1) > 0


async def test_who_comes_at_once_gets_no_more_than_there_is(store: BucketStore) -> None:
    waits = await asyncio.gather(*(store.take("x", b"k", SLOW, 1) for _ in range(50)))
    assert sum(wait == 0 for wait in waits) == 3


async def test_processes_count_together_and_a_bucket_that_is_full_is_forgotten(
    valkey_url: str, valkey_server: ValkeyServer
) -> None:
    prefix = f"test:{secrets.token_hex(8)}:"
    one, other = RedisBuckets(valkey_url, prefix), RedisBuckets(valkey_url, prefix)
    bucket = Bucket(2, 3600 * 5, fail_open=False)  # a fifth of a second for each: a slow machine is still in time
    assert await one.take("x", b"k", bucket, 2) == 0
    assert await other.take("x", b"k", bucket, 1) > 0
    ttl = await one._client.pttl(f"{prefix}limit:x:{b'k'.hex()}")
    assert 1000 < ttl <= 1420
    await one.close()
    await other.close()


@pytest.mark.slow
async def test_while_valkey_is_away_each_limit_does_what_its_row_says_at_once_and_it_heals(
    valkey_url: str, valkey_server: ValkeyServer
) -> None:
    buckets = RedisBuckets(valkey_url, f"test:{secrets.token_hex(8)}:")
    limiter = Limiter(buckets)
    await limiter.check(Limit.LOGIN_NETWORK, b"k")
    pid = await asyncio.to_thread(valkey_server.pid)
    os.kill(pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        for limit in Limit:
            if limit.value.fail_open:
                await limiter.check(limit, b"k")
                assert await limiter.allows(limit, b"k")
            else:
                with pytest.raises(ProtocolError) as caught:
                    await limiter.check(limit, b"k")
                assert (caught.value.code, caught.value.detail) == (Code.UNAVAILABLE, limit.label)
                assert not await limiter.allows(limit, b"k")
        assert time.monotonic() - began < 2
    finally:
        os.kill(pid, signal.SIGCONT)
    await asyncio.sleep(PAUSE_S + 0.1)
    await limiter.check(Limit.LOGIN_NETWORK, b"k")
    await limiter.close()
