"""What the gateway does with whoever breaks the rules, and with connections that end."""

from __future__ import annotations

import asyncio
import http.client
import json
import random
import secrets
import socket

import msgspec
import pytest
from picows import WSMsgType
from sqlalchemy import select, update

from mensajeria.kit.secrets import Secret
from mensajeria.protocol import frames, limits
from mensajeria.protocol.codec import HEADER, encode_plain
from mensajeria.protocol.errors import Close
from mensajeria.protocol.frames import Ack, Event, Fetch, Hello, Ping, Sync
from mensajeria.server.db.schema import device as device_table
from mensajeria.server.realtime.throttle import Share
from tests.server.people import Person
from tests.server.process import World
from tests.server.realtime.device import Closed, Device, outer

HANDSHAKE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}


@pytest.mark.slow
async def test_an_altered_frame_closes_with_bad_mac(world: World) -> None:
    (ana,) = await world.people(1)
    for position in (0, 31, 32, 33, 41, HEADER):
        a = await Device.online(world, ana)
        data = bytearray(a.channel.send(Ping(1)))
        data[position] ^= 1
        a.raw(bytes(data))
        assert (await a.closed()).code == Close.BAD_MAC


async def test_a_replayed_a_cut_and_a_reordered_frame_close_with_bad_mac(world: World) -> None:
    (ana,) = await world.people(1)
    a = await Device.online(world, ana)
    again = a.send(Ping(1))
    a.raw(again)
    assert (await a.closed()).code == Close.BAD_MAC
    a = await Device.online(world, ana)
    a.raw(a.channel.send(Ping(1))[:-1])
    assert (await a.closed()).code == Close.BAD_MAC
    a = await Device.online(world, ana)
    first, second = a.channel.send(Ping(1)), a.channel.send(Ping(2))
    a.raw(second)
    a.raw(first)
    assert (await a.closed()).code == Close.BAD_MAC


async def test_a_frame_of_another_connection_and_of_the_server_close_with_bad_mac(world: World) -> None:
    ana, bruno = await world.people(2)
    a, b = await Device.online(world, ana), await Device.online(world, bruno)
    a.raw(b.channel.send(Ping(1)))
    assert (await a.closed()).code == Close.BAD_MAC
    b = await Device.online(world, bruno)
    b.send(Ping(2))  # the server's own answer, sent back
    b.raw(await b.receive_raw())
    assert (await b.closed()).code == Close.BAD_MAC


async def test_a_frame_that_only_the_server_sends_is_malformed(world: World) -> None:
    (ana,) = await world.people(1)
    a = await Device.online(world, ana)
    a.send(frames.OtkLow(1))
    assert (await a.closed()).code == Close.MALFORMED


async def test_an_authentic_frame_with_a_body_that_is_not_one_is_malformed(world: World) -> None:
    (ana,) = await world.people(1)
    for body in (b"", b"\xc1", b"\x91\x01\x02", msgspec.msgpack.encode([1, -1])):
        a = await Device.online(world, ana)
        a.raw(a.channel.send_body(frames.TYPE_OF[Sync], body))
        assert (await a.closed()).code == Close.MALFORMED


async def test_garbage_instead_of_hello_is_malformed(world: World) -> None:
    generator = random.Random(1)
    (ana,) = await world.people(1)
    for size in (0, 1, HEADER - 1, HEADER, HEADER + 1, 5000):
        a = await Device.connect(world, ana)
        a.raw(generator.randbytes(size))
        assert (await a.closed()).code == Close.MALFORMED


async def test_text_and_fragments_are_malformed(world: World) -> None:
    (ana,) = await world.people(1)
    a = await Device.connect(world, ana)
    a.transport.send(WSMsgType.TEXT, b"hello")
    assert (await a.closed()).code == Close.MALFORMED
    a = await Device.connect(world, ana)
    a.transport.send(WSMsgType.BINARY, a.channel.hello(), False)
    assert (await a.closed()).code == Close.MALFORMED


async def test_a_huge_frame_is_too_big(world: World) -> None:
    (ana,) = await world.people(1)
    a = await Device.online(world, ana)
    a.raw(bytes(limits.MAX_FRAME + 1))
    assert (await a.closed()).code in {Close.TOO_BIG, 1006}


async def test_a_second_message_without_a_mac_is_refused_before_the_welcome_and_after(world: World) -> None:
    (ana,) = await world.people(1)
    a = await Device.connect(world, ana)
    a.raw(a.channel.hello())
    a.raw(bytes(HEADER))
    assert (await a.closed()).code in {Close.MALFORMED, Close.BAD_MAC}


async def test_a_token_that_is_not_one_or_not_the_devices(world: World) -> None:
    ana, bruno = await world.people(2)
    for jwt in ("", "x.y.z", world.token(bruno), world.token(ana)[:-4] + "AAAA"):
        a = await Device.connect(world, ana, jwt=jwt)
        a.raw(a.channel.hello())
        closed = await a.closed()
        assert (closed.code, closed.reason) == (Close.LOGIN_ENDED, "unauthorized")


async def test_a_newer_version_is_told_so(world: World) -> None:
    (ana,) = await world.people(1)
    a = await Device.connect(world, ana)
    a.raw(encode_plain(Hello(2, ana.did, world.token(ana), bytes(32), 0)))
    assert (await a.closed()).code == Close.NEWER_VERSION


async def test_a_stolen_token_alone_has_no_effect(world: World) -> None:
    """Who has the token but not the channel key neither takes over the connection nor moves the device's `gen`."""
    (ana,) = await world.people(1)
    a = await Device.online(world, ana, gen=5)
    await until_gen(world, ana, 5)
    thief = Person(ana.account_id, ana.uid, ana.device_id, ana.did, Secret(secrets.token_bytes(32)))
    t = await Device.connect(world, thief, jwt=world.token(ana), gen=1000)
    t.raw(t.channel.hello())
    await t.receive_raw()  # a welcome whose proof the thief cannot check, nor answer
    t.raw(bytes(32) + b"\x12" + (1).to_bytes(8, "big") + (2).to_bytes(4, "big") + b"\x91\x01")
    assert (await t.closed()).code == Close.BAD_MAC
    await a.ping()
    await until_gen(world, ana, 5)


async def until_gen(world: World, person: Person, gen: int) -> None:
    """Wait until the device's `gen` is stored."""
    async with asyncio.timeout(5):
        while (stored := await stored_gen(world, person)) != gen:
            assert stored < gen


async def stored_gen(world: World, person: Person) -> int:
    statement = select(device_table.c.gen).where(device_table.c.id == person.device_id)
    return await world.server.db(lambda db: db.execute(statement).scalar_one(), write=False)


async def test_a_rolled_back_device_is_told_so(world: World) -> None:
    (ana,) = await world.people(1)
    a = await Device.online(world, ana, gen=10)
    await until_gen(world, ana, 10)
    await a.disconnect()
    older = await Device.connect(world, ana, gen=9)
    older.raw(older.channel.hello())
    assert (await older.closed()).code == Close.ROLLED_BACK
    await (await Device.online(world, ana, gen=10)).ping()


async def test_a_second_connection_of_a_device_replaces_the_first_once_it_has_proven_itself(world: World) -> None:
    ana, bruno, chat_id = await world.pair()
    first = await Device.online(world, ana)
    second = await Device.connect(world, ana)
    await second.welcome()
    await first.ping()  # a welcome alone changes nothing
    await second.ping()
    assert (await first.closed()).code == Close.REPLACED
    b = await Device.online(world, bruno)
    b.send(outer(chat_id, 1))
    assert (await second.expect(Event)).seq == 1


async def test_a_revoked_device_is_not_let_in(world: World) -> None:
    (ana,) = await world.people(1)
    revoke = update(device_table).where(device_table.c.id == ana.device_id).values(revoked_ms=1)

    def write(db: object) -> None:
        db.execute(revoke)  # type: ignore[attr-defined]

    await world.server.db(write)
    a = await Device.connect(world, ana)
    a.raw(a.channel.hello())
    closed = await a.closed()
    assert (closed.code, closed.reason) == (Close.LOGIN_ENDED, "login_revoked")


@pytest.mark.slow
async def test_no_hello_in_time(world: World) -> None:
    (ana,) = await world.people(1)
    silent = await Device.connect(world, ana)
    half = await Device.connect(world, ana)
    await half.welcome()
    closed = await asyncio.wait_for(asyncio.gather(wait(silent), wait(half)), limits.HELLO_TIMEOUT_S + 5)
    assert [one.code for one in closed] == [Close.HELLO_TIMEOUT] * 2


async def wait(device: Device) -> Closed:
    while True:
        try:
            await asyncio.wait_for(device.receive_raw(), limits.HELLO_TIMEOUT_S + 5)
        except TimeoutError:
            continue
        except Closed as closed:
            return closed


async def test_a_slow_reader_is_cut_off_and_catches_up(world: World) -> None:
    ana, bruno, chat_id = await world.pair()
    a, b = await Device.online(world, ana), await Device.online(world, bruno)
    b.transport.underlying_transport.pause_reading()
    count = 60
    for number in range(count):
        a.send(outer(chat_id, number, b"x" * (250 << 10)))
        await a.expect(Ack)
    b.transport.underlying_transport.resume_reading()
    assert (await b.closed()).code in {Close.SLOW_READER, 1006}
    b = await Device.online(world, bruno)
    seen = 0
    while seen < count:
        b.send(Fetch(1, chat_id, seen, 500))
        for event in (await b.expect(frames.Events)).events:
            seen += 1
            assert event.seq == seen


@pytest.mark.slow
async def test_a_flood_is_slowed_down_and_hurts_nobody(world: World) -> None:
    _, bruno, chat_id = await world.pair()
    (ana,) = await world.people(1)
    flooder, b = await Device.online(world, ana), await Device.online(world, bruno)
    share = Share()
    flood = share.frames_burst + round(3 * share.frames_per_s)
    for number in range(flood):
        flooder.send(Ping(number))
    loop = asyncio.get_running_loop()
    begun = loop.time()
    b.send(outer(chat_id, 1))
    await b.expect(Ack)
    assert loop.time() - begun < 2
    for number in range(flood):
        assert flooder.channel.receive(await flooder.receive_raw()) == frames.Pong(number)
    assert loop.time() - begun > 1.5


@pytest.mark.parametrize("connection", ["Upgrade", "upgrade", "keep-alive, Upgrade", "keep-alive,upgrade"])
def test_what_browsers_and_proxies_write_is_an_upgrade(world: World, connection: str) -> None:
    client = http.client.HTTPConnection("127.0.0.1", world.server.port, timeout=5)
    client.request("GET", "/ws", headers={**HANDSHAKE, "Connection": connection})
    assert client.getresponse().status == 101
    client.close()


def test_upgrades_elsewhere_and_from_web_pages_are_refused(world: World) -> None:
    for method, path, headers, status, code in (
        ("GET", "/other", {}, 404, "not_found"),
        ("GET", "/ws", {"Origin": "https://evil.example"}, 403, "forbidden"),
        ("GET", "/auth/ws", {"Origin": "https://evil.example"}, 403, "forbidden"),
        ("GET", "/ws", {"Sec-WebSocket-Version": "99"}, 400, "malformed"),
        ("GET", "/ws", {"Sec-WebSocket-Key": "short"}, 400, "malformed"),
        ("GET", "/ws", {"Connection": "close"}, 400, "malformed"),
        ("POST", "/ws", {}, 400, "malformed"),
    ):
        connection = http.client.HTTPConnection("127.0.0.1", world.server.port, timeout=5)
        connection.request(method, path, headers={**HANDSHAKE, **headers})
        answer = connection.getresponse()
        document = json.loads(answer.read())
        assert (answer.status, document["status"], document["code"]) == (status, status, code)
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["x-request-id"] == document["request_id"]
        connection.close()


def test_garbage_on_the_port_does_not_disturb_others(world: World) -> None:
    for data in (b"\x00" * 100, b"GET / HTTP/9.9\r\n\r\n", secrets.token_bytes(2000), b"GET /ws HTTP/1.1\r\n"):
        with socket.create_connection(("127.0.0.1", world.server.port), 5) as raw:
            raw.sendall(data)
