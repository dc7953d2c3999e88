"""The whole process: ending it kindly, ending it by force, and starting it wrongly."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from mensajeria.protocol.errors import Close, Code
from mensajeria.protocol.frames import Ack, Drain, Events, Fetch, Nack
from mensajeria.protocol.records import MessageOuter
from mensajeria.server.serve import ServeError, listen
from tests.server.people import Person
from tests.server.process import ServerProcess, World, start_server_process
from tests.server.realtime.device import Closed, Device, outer

Start = Callable[[], ServerProcess]


@pytest.fixture(params=["sqlite", "postgresql"])
def start(request: pytest.FixtureRequest, data: Path) -> Iterator[Start]:
    """Start a server on the test's own data, as often as wanted."""
    url = None
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_database")(None)
    started: list[ServerProcess] = []

    def begin() -> ServerProcess:
        started.append(start_server_process(data, url))
        return started[-1]

    yield begin
    for server in started:
        server.kill()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_drains_what_was_sent_is_acked_or_refused(start: Start, number: signal.Signals) -> None:
    server = await asyncio.to_thread(start)
    world = await World.of(server)
    ana, _, chat_id = await world.pair()
    a = await Device.online(world, ana)
    for mid in range(500):
        a.send(outer(chat_id, mid))
    first = await a.expect(Ack)  # now it is in the middle of them
    server.process.send_signal(number)
    answered: dict[int, int | str] = {int.from_bytes(first.mid, "big"): first.seq}
    closed = await collect_answers(a, answered)
    assert closed.code == Close.DRAIN
    assert await asyncio.to_thread(server.process.wait, 10) == 0
    assert {code for code in answered.values() if isinstance(code, str)} <= {Code.UNAVAILABLE}
    acked = sorted(seq for seq in answered.values() if isinstance(seq, int))
    assert acked == list(range(1, len(acked) + 1))
    server = await asyncio.to_thread(start)
    world = await World.of(server)
    a = await Device.online(world, ana)
    a.send(Fetch(1, chat_id, 0, 500))
    stored = [one.seq for one in (await a.expect(Events)).events]
    assert stored == acked


@pytest.mark.slow
async def test_nothing_acked_is_lost_when_the_server_is_killed(start: Start) -> None:
    """Kill -9 at random moments of a busy exchange; after each start everything acked is there, once, gapless."""
    server = await asyncio.to_thread(start)
    world = await World.of(server)
    ana, bruno, chat_id = await world.pair()
    acked: dict[bytes, int] = {}
    sent = 0

    async def talk(device: Device, mids: range) -> None:
        with contextlib.suppress(Closed):
            for mid in mids:
                device.send(outer(chat_id, mid))
                ack = await device.expect(Ack)
                acked[ack.mid] = ack.seq

    for _ in range(3):
        devices = [await Device.online(world, ana), await Device.online(world, bruno)]
        talks = [talk(device, range(sent + n * 5000, sent + n * 5000 + 5000)) for n, device in enumerate(devices)]
        sent += 10_000
        killer = asyncio.to_thread(_kill_later, server, random.uniform(0.1, 0.6))
        await asyncio.gather(*talks, killer)
        server = await asyncio.to_thread(start)
        world = await World.of(server)
        stored = await _everything(world, ana, chat_id)
        assert [seq for seq, _ in stored] == list(range(1, len(stored) + 1))
        by_mid = {mid: seq for seq, mid in stored}
        assert len(by_mid) == len(stored)
        assert {mid: by_mid.get(mid) for mid in acked} == acked
    assert len(acked) > 10


async def collect_answers(device: Device, answered: dict[int, int | str]) -> Closed:
    """Note what became of each message until the connection closes."""
    try:
        while True:
            one = await device.expect(object)
            if isinstance(one, Ack):
                answered[int.from_bytes(one.mid, "big")] = one.seq
            elif isinstance(one, Nack):
                answered[int.from_bytes(one.mid, "big")] = one.code
            else:
                assert isinstance(one, Drain)
    except Closed as closed:
        return closed


def _kill_later(server: ServerProcess, seconds: float) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        server.process.wait(seconds)
    server.kill()


async def _everything(world: World, person: Person, chat_id: bytes) -> list[tuple[int, bytes]]:
    device = await Device.online(world, person)
    found: list[tuple[int, bytes]] = []
    while True:
        device.send(Fetch(1, chat_id, len(found), 500))
        page = await device.expect(Events)
        if not page.events:
            return found
        found += [(one.seq, msgspec.msgpack.decode(one.body, type=MessageOuter).mid) for one in page.events]


def test_a_taken_port_has_its_code(data: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServeError, match=f"listen_taken .*port={port}"):
            listen("127.0.0.1", port)


@pytest.mark.slow
def test_a_database_without_its_secrets_is_refused(data: Path) -> None:
    server = start_server_process(data)
    assert server.stop() == 0
    (data / "secrets").rename(data / "elsewhere")
    program = (
        "from mensajeria.server.serve import serve\n"
        "from mensajeria.server.settings import load_settings\n"
        f"serve(load_settings(data_dir={str(data)!r}, port=0))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)
    assert result.returncode == 1
    assert "StateError" in result.stderr
    assert "listening" not in result.stdout
