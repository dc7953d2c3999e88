"""Rate limits and the network they are counted by."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mensajeria.kit.clock import FakeClock
from mensajeria.protocol.errors import Code, ProtocolError
from mensajeria.server.network import client_network
from mensajeria.server.ratelimit.limiter import Limiter, MemoryBuckets
from mensajeria.server.ratelimit.limits import Bucket, Limit

LOCAL = ("127.0.0.0/8", "::1/128")


async def test_burst_then_the_long_run() -> None:
    clock = FakeClock()
    limiter = Limiter(MemoryBuckets(clock))
    for _ in range(20):
        await limiter.check(Limit.REGISTER_NETWORK, "net")
    with pytest.raises(ProtocolError) as caught:
        await limiter.check(Limit.REGISTER_NETWORK, "net")

    assert caught.value.code is Code.RATE_LIMITED
    assert caught.value.detail == "register_network"
    assert caught.value.retry_after_ms == 180_000
    assert await limiter.allows(Limit.REGISTER_NETWORK, "other")
    clock.advance(180)
    assert await limiter.allows(Limit.REGISTER_NETWORK, "net")
    assert not await limiter.allows(Limit.REGISTER_NETWORK, "net")


async def test_refused_use_costs_nothing_and_a_bucket_never_overflows() -> None:
    clock = FakeClock()
    buckets = MemoryBuckets(clock)
    bucket = Bucket(2, 3600, fail_open=False)
    assert [await buckets.take("x", b"k", bucket, 1) for _ in range(4)] == [0, 0, 1, 1]
    clock.advance(1000)
    assert [await buckets.take("x", b"k", bucket, 1) for _ in range(3)] == [0, 0, 1]


async def test_memory_is_bounded() -> None:
    buckets = MemoryBuckets(FakeClock(), max_buckets=100)
    for number in range(1000):
        await buckets.take("x", number.to_bytes(4, "big"), Limit.REST_DEVICE.value, 1)
    assert len(buckets) == 100


async def test_store_away_opens_or_closes_as_the_table_says() -> None:
    class Away:
        async def take(self, name: str, key: bytes, bucket: Bucket, cost: int) -> float:
            raise ConnectionError

        async def close(self) -> None:
            pass

    limiter = Limiter(Away())
    assert await limiter.allows(Limit.REST_DEVICE, b"k")
    assert not await limiter.allows(Limit.LOGIN_HANDLE, b"k")
    with pytest.raises(ProtocolError) as refused:
        await limiter.check(Limit.LOGIN_HANDLE, b"k")
    assert (refused.value.code, refused.value.retry_after_ms) == (Code.UNAVAILABLE, 1000)  # not "too many tries"


def test_every_limit_has_its_own_name() -> None:
    assert len({limit.label for limit in Limit}) == len(Limit.__members__) == len(list(Limit))


@pytest.mark.parametrize(
    ("peer", "forwarded", "network"),
    [
        ("203.0.113.9", "", "203.0.113.0/24"),
        ("2001:db8:1:2ff::9", "", "2001:db8:1:200::/56"),
        ("::ffff:203.0.113.9", "", "203.0.113.0/24"),
        ("127.0.0.1", "", None),
        ("::1", "", None),
        ("127.0.0.1", "203.0.113.9", "203.0.113.0/24"),
        ("127.0.0.1", "198.51.100.1, 203.0.113.9", "203.0.113.0/24"),  # the left one is what the client wrote itself
        ("203.0.113.9", "198.51.100.1", "203.0.113.0/24"),  # not a proxy of ours
        ("127.0.0.1", "198.51.100.1, 127.0.0.1", "198.51.100.0/24"),
        ("127.0.0.1", "203.0.113.9:51000", "203.0.113.0/24"),
        ("127.0.0.1", "[2001:db8:1:2ff::9]:51000", "2001:db8:1:200::/56"),
        ("127.0.0.1", "garbage", "unknown"),
        ("127.0.0.1", "127.0.0.1, garbage", "unknown"),
        ("", "", "unknown"),
    ],
)
def test_network(peer: str, forwarded: str, network: str | None) -> None:
    assert client_network(peer, forwarded, LOCAL) == network


@given(st.text(), st.text())
def test_any_header_gives_a_network(peer: str, forwarded: str) -> None:
    found = client_network(peer, forwarded, LOCAL)
    assert found is None or isinstance(found, str)
