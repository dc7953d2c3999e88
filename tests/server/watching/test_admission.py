"""Letting a device in while logins end: never one whose login is over, and nobody reads anew for the sake of others."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable

import pytest
from sqlalchemy import Connection as Db
from sqlalchemy import update

from mensajeria.protocol.connection import ClientConnection
from mensajeria.protocol.errors import Close, Code, ProtocolError
from mensajeria.protocol.frames import Hello
from mensajeria.server.accounts.sessions import Login
from mensajeria.server.broker.broker import EndNote
from mensajeria.server.db.schema import device
from mensajeria.server.realtime.connection import Connection
from mensajeria.server.realtime.gateway import Gateway
from mensajeria.server.state import Server
from tests.server.enrol import Person, register
from tests.server.fixtures import ON_SQLITE, void

pytestmark = ON_SQLITE


class Socket:
    """A wire that nobody reads."""

    def __init__(self) -> None:
        self.closed: Close | None = None

    def send(self, _data: bytes) -> int:
        return 0

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def close(self, code: Close, reason: str = "") -> None:
        del reason
        self.closed = code

    def abort(self) -> None: ...


class Reading:
    """The real authenticator; `then` happens after each read, while the device is still being let in."""

    def __init__(self, gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reads = 0
        self._real = gateway.server.authenticator.authenticate_fresh
        self._steps: list[Callable[[], object]] = []
        monkeypatch.setattr(gateway.server.authenticator, "authenticate_fresh", self._read)

    def then(self, *steps: Callable[[], object]) -> None:
        self._steps = list(steps)

    async def _read(self, token: str, did: bytes) -> Login:
        self.reads += 1
        login = await self._real(token, did)
        if self._steps:
            self._steps.pop(0)()
        return login


@pytest.fixture
async def gateway(server: Server) -> AsyncIterator[Gateway]:
    made = Gateway(server)
    await made.start()
    yield made
    await made.drain()


@pytest.fixture
async def ana(server: Server) -> Person:
    return await register(server, "ana")


@pytest.fixture
def reading(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> Reading:
    return Reading(gateway, monkeypatch)


def hello_of(gateway: Gateway, person: Person) -> tuple[Connection, Hello]:
    assert person.ck is not None
    assert person.tokens is not None
    channel = ClientConnection(
        person.ck,
        did=person.device.did,
        jwt=person.tokens.access_token,
        nonce=secrets.token_bytes(32),
        gen=0,
        server_id=gateway.server.facts.server_id,
    )
    connection = gateway.connection(Socket())
    hello = connection.channel.receive(channel.hello())
    assert isinstance(hello, Hello)
    return connection, hello


async def end_login(server: Server, did: bytes) -> None:
    def end(db: Db) -> None:
        void(db.execute(update(device).where(device.c.did == did).values(ck_id=None, ck_sealed=None)))

    await server.db.write(end)


async def test_logins_of_others_that_end_make_nobody_read_again(
    gateway: Gateway, ana: Person, reading: Reading
) -> None:
    connection, hello = hello_of(gateway, ana)
    reading.then(lambda: gateway.hub.deliver(EndNote(tuple(range(1000, 2000)), Code.ACCOUNT_SUSPENDED)))

    await gateway.admit(connection, hello)

    assert reading.reads == 1


async def test_its_own_login_that_may_have_ended_meanwhile_is_read_again(
    gateway: Gateway, ana: Person, reading: Reading
) -> None:
    own = (await gateway.server.authenticator.by_device(ana.device.did)).device_id
    connection, hello = hello_of(gateway, ana)
    reading.then(lambda: gateway.hub.deliver(EndNote((5000, own), Code.LOGIN_REVOKED)))

    await gateway.admit(connection, hello)

    assert reading.reads == 2


async def test_a_login_that_ends_between_reading_and_letting_in_does_not_get_in(
    gateway: Gateway, ana: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = gateway.server.authenticator.authenticate_fresh

    async def read_and_end(token: str, did: bytes) -> Login:
        login = await real(token, did)
        await end_login(gateway.server, did)
        gateway.hub.deliver(EndNote((login.device_id,), Code.LOGIN_REVOKED))
        return login

    monkeypatch.setattr(gateway.server.authenticator, "authenticate_fresh", read_and_end)
    connection, hello = hello_of(gateway, ana)

    with pytest.raises(ProtocolError) as refused:
        await gateway.admit(connection, hello)

    assert refused.value.code is Code.LOGIN_REVOKED
    assert connection.login is None


async def test_when_news_may_have_been_lost_whoever_is_being_let_in_is_read_again(
    gateway: Gateway, ana: Person, reading: Reading
) -> None:
    connection, hello = hello_of(gateway, ana)
    reading.then(gateway.healing.missed)

    await gateway.admit(connection, hello)

    assert reading.reads == 2


async def test_when_news_may_have_been_lost_those_who_have_not_answered_the_welcome_come_back_too(
    gateway: Gateway, ana: Person
) -> None:
    connection, hello = hello_of(gateway, ana)
    await gateway.admit(connection, hello)

    await gateway.healing._send_back(gateway.hub.admitted())

    assert isinstance(connection.wire, Socket)
    assert connection.wire.closed is Close.DRAIN
