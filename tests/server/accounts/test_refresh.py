"""Refresh tokens: one successor, and the end of the login when a used one comes back."""

from __future__ import annotations

import asyncio
import os

import pytest
from sqlalchemy import select

from mensajeria.kit.clock import FakeClock
from mensajeria.protocol import limits
from mensajeria.protocol.errors import Code, ProtocolError
from mensajeria.server.accounts.sessions import Login
from mensajeria.server.db.schema import device, refresh_family
from mensajeria.server.push import Silent
from mensajeria.server.state import Server
from tests.server.enrol import Person, log_in, register, talk


class Recorder(Silent):
    """Remembers whose login was ended."""

    def __init__(self) -> None:
        self.ended: list[tuple[int, Code]] = []

    async def end_login(self, device_ids: object, code: Code) -> None:
        self.ended += [(number, code) for number in device_ids]  # type: ignore[attr-defined]


@pytest.fixture
def recorder(server: Server) -> Recorder:
    found = Recorder()
    server.hub.attach(found)
    return found


async def login_of(server: Server, person: Person) -> Login:
    return await server.authenticator.by_device(person.device.did)


def token_of(person: Person) -> bytes:
    assert person.tokens is not None
    return person.tokens.refresh_token


async def is_over(server: Server, person: Person) -> bool:
    try:
        await login_of(server, person)
    except ProtocolError as error:
        return error.code is Code.LOGIN_REVOKED
    return False


@pytest.mark.quick
async def test_rotation(server: Server, clock: FakeClock) -> None:
    ana = await register(server, "ana")
    login, token = await login_of(server, ana), token_of(ana)

    for _ in range(3):
        clock.advance(600)
        access, expires_ms, successor = await server.refresh.refresh(login, token)
        assert successor.reveal() != token
        assert expires_ms == clock.now_ms() + limits.ACCESS_TOKEN_S * 1000
        assert (await server.authenticator.authenticate(access)).did == ana.device.did
        token = successor.reveal()


async def test_lost_answer_gives_the_same_successor_for_fifteen_seconds(server: Server, clock: FakeClock) -> None:
    ana = await register(server, "ana")
    login = await login_of(server, ana)
    _, _, first = await server.refresh.refresh(login, token_of(ana))
    clock.advance(15)

    _, _, again = await server.refresh.refresh(login, token_of(ana))

    assert again == first
    assert not await is_over(server, ana)


async def test_twenty_at_once_give_one_successor(server: Server) -> None:
    ana = await register(server, "ana")
    login = await login_of(server, ana)

    answers = await asyncio.gather(*(server.refresh.refresh(login, token_of(ana)) for _ in range(20)))

    assert len({successor.reveal() for _, _, successor in answers}) == 1
    assert not await is_over(server, ana)


@pytest.mark.parametrize("generations", [1, 3])
async def test_used_token_ends_the_login(
    server: Server, clock: FakeClock, recorder: Recorder, generations: int
) -> None:
    ana = await register(server, "ana")
    login, token = await login_of(server, ana), token_of(ana)
    for _ in range(generations):
        _, _, successor = await server.refresh.refresh(login, token)
        token = successor.reveal()
    clock.advance(16)
    recorder.ended.clear()

    with pytest.raises(ProtocolError) as caught:
        await server.refresh.refresh(login, token_of(ana))

    assert caught.value.code is Code.LOGIN_REVOKED
    assert recorder.ended == [(login.device_id, Code.LOGIN_REVOKED)]
    assert await is_over(server, ana)
    with pytest.raises(ProtocolError):
        await server.refresh.refresh(login, token)  # whoever holds the newest one is out, too


async def test_expired_family(server: Server, clock: FakeClock) -> None:
    ana = await register(server, "ana")
    login = await login_of(server, ana)
    clock.advance(limits.REFRESH_TOKEN_S)

    with pytest.raises(ProtocolError) as caught:
        await server.refresh.refresh(login, token_of(ana))
    assert caught.value.code is Code.LOGIN_REVOKED
    await log_in(talk(server), ana)
    await server.refresh.refresh(await login_of(server, ana), token_of(ana))


async def test_logout(server: Server, recorder: Recorder) -> None:
    ana = await register(server, "ana")
    login = await login_of(server, ana)
    recorder.ended.clear()

    await server.refresh.logout(login)

    assert recorder.ended == [(login.device_id, Code.LOGIN_REVOKED)]
    assert await is_over(server, ana)
    assert ana.tokens is not None
    with pytest.raises(ProtocolError):
        await server.authenticator.authenticate(ana.tokens.access_token)


async def test_token_of_another_device_ends_only_the_callers_login(server: Server) -> None:
    ana = await register(server, "ana")
    bruno = await register(server, "bruno")

    with pytest.raises(ProtocolError):
        await server.refresh.refresh(await login_of(server, ana), token_of(bruno))

    assert await is_over(server, ana)
    assert not await is_over(server, bruno)


@pytest.mark.quick
async def test_database_keeps_hashes_only(server: Server) -> None:
    ana = await register(server, "ana")
    _, _, successor = await server.refresh.refresh(await login_of(server, ana), token_of(ana))
    assert ana.tokens is not None
    secrets = [token_of(ana), successor.reveal(), ana.tokens.known]
    async with server.db.read() as connection:
        rows = [*(await connection.execute(select(refresh_family))), *(await connection.execute(select(device)))]

    stored = [value for row in rows for value in row if isinstance(value, bytes)]
    assert not [value for value in stored if any(secret in value for secret in secrets)]


@pytest.mark.quick
async def test_invented_device(server: Server) -> None:
    with pytest.raises(ProtocolError) as caught:
        await server.authenticator.by_device(os.urandom(16))
    assert caught.value.code is Code.UNAUTHORIZED


async def test_late_request_under_an_earlier_login_does_not_end_the_one_that_followed(
    server: Server, recorder: Recorder
) -> None:
    ana = await register(server, "ana")
    earlier, token = await login_of(server, ana), token_of(ana)
    await log_in(talk(server), ana)
    recorder.ended.clear()

    with pytest.raises(ProtocolError) as caught:
        await server.refresh.refresh(earlier, token)

    assert caught.value.code is Code.LOGIN_REVOKED
    assert recorder.ended == []
    await server.refresh.refresh(await login_of(server, ana), token_of(ana))


async def test_nothing_is_kept_of_a_login_that_is_over(server: Server) -> None:
    ana = await register(server, "ana")
    for _ in range(3):
        await log_in(talk(server), ana)
    assert len(await server.db.query(lambda db: db.execute(select(refresh_family)).all())) == 1

    await server.refresh.logout(await login_of(server, ana))

    assert await server.db.query(lambda db: db.execute(select(refresh_family)).all()) == []


async def test_first_login_of_a_device_ends_none(server: Server, recorder: Recorder) -> None:
    ana = await register(server, "ana")
    assert recorder.ended == []
    await log_in(talk(server), ana)
    assert recorder.ended == [((await login_of(server, ana)).device_id, Code.LOGIN_REVOKED)]
