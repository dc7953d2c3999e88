"""Metrics: on their own port, guarded, true, and cheap where messages pass."""

from __future__ import annotations

import asyncio
import re
import socket
import time
import timeit
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from mensajeria.kit.clock import FakeClock
from mensajeria.protocol import frames
from mensajeria.protocol.ids import b64
from mensajeria.server.main import create_app
from mensajeria.server.metrics.listener import MetricsPortError
from mensajeria.server.realtime.gateway import Gateway
from mensajeria.server.settings import Settings, SettingsError, load_settings
from mensajeria.server.state import Server
from tests.server.enrol import register
from tests.server.fixtures import ON_SQLITE
from tests.server.process import World, start_server_process, stopping
from tests.server.realtime.device import Device, outer

TOKEN = "a-token-of-twenty-signs"


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[tuple[httpx.AsyncClient, httpx.AsyncClient]]:
    """The application, and the metrics of it over a real socket."""
    app = create_app(settings, FakeClock())
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app, client=("127.0.0.1", 40000))
        async with (
            httpx.AsyncClient(transport=transport, base_url="http://server") as http,
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{app.state.metrics_port}") as metrics,
        ):
            http.app = app  # type: ignore[attr-defined]
            yield http, metrics


def value(text: str, sample: str) -> float:
    """A sample's value."""
    return float(next(line for line in text.splitlines() if line.startswith(sample + " ")).rsplit(" ", 1)[1])


async def test_numbers_are_those_of_what_has_happened(settings: Settings) -> None:
    watched = settings.model_copy(update={"metrics_port": 0})
    async with running(watched) as (http, metrics):
        await register(http.app.state.server, "ana")  # type: ignore[attr-defined]
        for _ in range(3):
            assert (await http.get("/version")).is_success
        assert (await http.get("/v1/users/by-handle/ana")).status_code == 401
        http.app.state.server.unreadable["lost"] += 7  # type: ignore[attr-defined]
        answer = await metrics.get("/metrics")

    assert answer.status_code == 200
    text = answer.text
    assert value(text, 'mensajeria_http_request_seconds_count{method="GET",route="/version",status="200"}') == 3
    handle = 'mensajeria_http_request_seconds_count{method="GET",route="/v1/users/by-handle/{handle}",status="401"}'
    assert value(text, handle) == 1
    assert value(text, "mensajeria_database_write_seconds_count") >= 1
    assert sum(value(text, f'mensajeria_prekey_devices{{left="{left}"}}') for left in ("none", "low", "enough")) == 1
    assert value(text, 'mensajeria_connections{kind="devices"}') == 0
    assert value(text, 'mensajeria_unreadable_total{cause="lost"}') == 7
    assert value(text, "mensajeria_broker_linked") == 1
    assert value(text, "process_resident_memory_bytes") > 1 << 20
    assert "ana" not in text


@ON_SQLITE
async def test_a_token_is_asked_for_when_there_is_one(settings: Settings) -> None:
    watched = Settings.model_validate({**settings.model_dump(), "metrics_port": 0, "metrics_token": TOKEN})
    async with running(watched) as (http, metrics):
        for wrong in ({}, {"Authorization": TOKEN}, {"Authorization": f"Bearer {TOKEN}x"}):
            refused = await metrics.get("/metrics", headers=wrong)
            assert refused.status_code == 401
            assert refused.json()["code"] == "unauthorized"
        assert (await metrics.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})).is_success
        assert (await metrics.get("/healthz")).status_code == 404
        assert (await http.get("/metrics")).status_code == 404


@ON_SQLITE
async def test_no_port_is_an_error_that_says_so(settings: Settings) -> None:
    taken = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    async with taken:
        watched = settings.model_copy(update={"metrics_port": taken.sockets[0].getsockname()[1]})
        with pytest.raises(MetricsPortError, match="listen_taken"):
            async with running(watched):
                pass


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.1", "metrics.example"])
def test_metrics_for_others_need_a_token(host: str) -> None:
    with pytest.raises(SettingsError, match="setting_needs_token"):
        load_settings(metrics_port=9420, metrics_host=host)
    assert load_settings(metrics_port=9420, metrics_host=host, metrics_token=TOKEN).metrics_host == host


@pytest.mark.slow
async def test_every_number_of_the_manual_is_there_and_moves(tmp_path: Path, valkey_url: str) -> None:
    port = free_port()
    watched = {"MENSAJERIA_REDIS_URL": valkey_url, "MENSAJERIA_METRICS_PORT": str(port)}
    server = await asyncio.to_thread(start_server_process, tmp_path, settings=watched)
    async with stopping(server), httpx.AsyncClient() as http:
        world = await World.of(server)
        ana, bruno, chat_id = await world.pair()
        a, b = await Device.online(world, ana), await Device.online(world, bruno)
        a.send(outer(chat_id, 1))
        await a.expect(frames.Ack)
        b.send(frames.Fetch(1, chat_id, 0, 10))
        await b.expect(frames.Events)
        before = (await http.get(f"http://127.0.0.1:{port}/metrics")).text
        refused = {"did": b64(bytes(16)), "refresh_token": b64(bytes(32))}
        from_afar = {"X-Forwarded-For": "203.0.113.9"}
        await http.post(f"http://127.0.0.1:{server.port}/v1/auth/refresh", json=refused, headers=from_afar)
        text = (await http.get(f"http://127.0.0.1:{port}/metrics")).text
        for device in (a, b):
            await device.disconnect()
            Device.opened.remove(device)

    manual = (Path(__file__).parents[3] / "docs" / "operating.md").read_text(encoding="utf-8")
    there = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE ")}
    assert set(re.findall(r"`(mensajeria_\w+)", manual)) <= there | {f"{name}_total" for name in there}
    for kind in ("MessageOuter", "Fetch"):
        assert value(text, f'mensajeria_frame_seconds_count{{kind="{kind}"}}') == 1
    for sample in ("event_commit_seconds_count", "fanout_seconds_count", "delivered_items_total"):
        assert value(text, f"mensajeria_{sample}") >= 1
    limits = 'mensajeria_redis_seconds_count{use="limit"}'
    assert value(text, limits) > value(before, limits)
    assert value(text, 'mensajeria_redis_seconds_count{use="publish"}') >= 1


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


@pytest.mark.quick
@ON_SQLITE
async def test_counting_a_frame_costs_next_to_nothing(server: Server) -> None:
    """What is done per message is one step in a table, below the 0.3 µs that a message may cost; in CPU time of this
    process, and the best of many short tries, so that others on the machine do not count."""
    counted = Gateway(server).dispatcher.frames

    def count() -> None:
        counted[frames.Ping] += 1

    def best(work: Callable[[], None]) -> float:
        return min(timeit.repeat(work, number=1000, repeat=200, timer=time.process_time)) / 1000

    assert best(count) - best(lambda: None) < 0.3e-6
