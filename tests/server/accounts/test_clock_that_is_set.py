"""The machine's clock is set, forwards or backwards: logins and limits of a running server do not depend on it."""

from __future__ import annotations

import pytest

from mensajeria.kit.clock import FakeClock
from mensajeria.protocol.errors import Code, ProtocolError
from mensajeria.server.ratelimit.limiter import MemoryBuckets
from mensajeria.server.ratelimit.limits import Bucket
from mensajeria.server.state import Server
from tests.server.enrol import Person, register
from tests.server.fixtures import ON_SQLITE

pytestmark = ON_SQLITE
HOUR_MS = 3600 * 1000
JUMPS = pytest.mark.parametrize("hours", [-5, 5])
BUCKET = Bucket(3, 3600, fail_open=True)


@pytest.fixture
async def ana(server: Server) -> Person:
    return await register(server, "ana")


async def renewed(server: Server, ana: Person) -> str:
    """An access token by the refresh token, as a client gets one."""
    assert ana.tokens is not None
    login = await server.authenticator.by_device(ana.device.did)
    access, _, _ = await server.refresh.refresh(login, ana.tokens.refresh_token)
    return access


@JUMPS
async def test_a_login_is_renewed_whatever_the_clock_says(
    server: Server, clock: FakeClock, ana: Person, hours: int
) -> None:
    clock.set_wall(clock.now_ms() + hours * HOUR_MS)

    await server.authenticator.authenticate(await renewed(server, ana), ana.device.did)


async def test_a_token_that_a_jump_has_ended_is_asked_to_be_renewed(
    server: Server, clock: FakeClock, ana: Person
) -> None:
    assert ana.tokens is not None
    clock.set_wall(clock.now_ms() + 5 * HOUR_MS)

    with pytest.raises(ProtocolError) as refused:
        await server.authenticator.authenticate(ana.tokens.access_token, ana.device.did)
    assert refused.value.code is Code.TOKEN_EXPIRED


@JUMPS
async def test_a_limit_neither_fills_nor_stands_still(server: Server, clock: FakeClock, hours: int) -> None:
    del server
    buckets = MemoryBuckets(clock)
    for _ in range(3):
        assert await buckets.take("x", b"k", BUCKET, 1) == 0

    clock.set_wall(clock.now_ms() + hours * HOUR_MS)

    assert await buckets.take("x", b"k", BUCKET, 1) > 0
    clock.advance(1)
    assert await buckets.take("x", b"k", BUCKET, 1) == 0


async def test_a_former_refresh_token_is_no_longer_good_because_the_clock_was_set_back(
    server: Server, clock: FakeClock, ana: Person
) -> None:
    await renewed(server, ana)
    clock.set_wall(clock.now_ms() - 5 * HOUR_MS)

    with pytest.raises(ProtocolError) as refused:
        await renewed(server, ana)
    assert refused.value.code is Code.LOGIN_REVOKED


async def test_who_asks_again_while_the_clock_is_put_right_by_a_second_gets_the_same_answer(
    server: Server, clock: FakeClock, ana: Person
) -> None:
    await renewed(server, ana)
    clock.set_wall(clock.now_ms() - 1000)

    await renewed(server, ana)
