"""Traces: only when asked for, of requests, frames, commits and fan-out, and without a word of anybody's."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from fastapi import FastAPI
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from mensajeria.protocol.frames import Ack, Events, Fetch
from mensajeria.server import main, tracing
from mensajeria.server.facts import StateError
from mensajeria.server.main import create_app
from mensajeria.server.settings import Settings, SettingsError, load_settings
from mensajeria.server.tracing import Traces, traces_for
from tests.server.fixtures import ON_SQLITE
from tests.server.process import World, start_server_process, stopping
from tests.server.realtime.device import Device, outer

ALLOWED = {
    "http.request.method", "http.route", "http.response.status_code", "messages", "error.type",
}  # fmt: skip


@dataclass
class Collector:
    """An address that takes spans, and what was posted there."""

    url: str = ""
    status: int = 200
    posted: list[bytes] = field(default_factory=list)


def http_of(app: FastAPI) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=app, client=("127.0.0.1", 40000))
    return httpx.AsyncClient(transport=transport, base_url="http://server")


async def finished(traces: Traces, exporter: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    await asyncio.to_thread(traces._provider.force_flush)
    return {span.name: span for span in exporter.get_finished_spans()}


@ON_SQLITE
def test_without_a_collector_nothing_is_traced_and_no_sdk_is_needed(settings: Settings) -> None:
    assert traces_for(settings) is None


@ON_SQLITE
def test_a_missing_extra_ends_the_start_with_its_code(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(StateError, match="traces_not_installed"):
        create_app(settings.model_copy(update={"otlp_endpoint": "http://127.0.0.1:4318"}))


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def traces(exporter: InMemorySpanExporter) -> Traces:
    """Made outside of the event loop, as `create_app` is."""
    return Traces(exporter)


@pytest.mark.parametrize("bad", ["collector:4318", "ftp://host", "http://user:password@host", "http://host/?a=b"])
def test_an_address_that_is_none_is_refused(bad: str) -> None:
    with pytest.raises(SettingsError, match="MENSAJERIA_OTLP_ENDPOINT"):
        load_settings(otlp_endpoint=bad)


async def test_a_request_is_named_by_its_route_and_an_error_by_its_type_alone(
    traces: Traces, exporter: InMemorySpanExporter
) -> None:
    with traces.span("request") as span:
        traces.write(0.25)
        traces.request(span, "GET", "/v1/users/by-handle/{handle}", 503)
    with pytest.raises(ValueError, match="hunter2"), traces.span("broken"):
        raise ValueError("hunter2")

    spans = await finished(traces, exporter)
    request, write, broken = spans["GET /v1/users/by-handle/{handle}"], spans["database write"], spans["broken"]
    assert request.status.status_code is broken.status.status_code is StatusCode.ERROR
    assert request.attributes is not None
    assert request.attributes["http.response.status_code"] == 503
    assert write.parent is not None
    assert write.parent.span_id == request.context.span_id
    assert write.end_time is not None
    assert write.start_time is not None
    assert write.end_time - write.start_time == 250_000_000
    assert broken.attributes is not None
    assert dict(broken.attributes) == {"error.type": "ValueError"}
    assert not broken.events
    assert "hunter2" not in broken.to_json()
    await traces.close()


@ON_SQLITE
async def test_a_running_application_traces_requests_by_route(
    settings: Settings, traces: Traces, exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(main, "traces_for", lambda _settings: traces)
    app = create_app(settings)
    async with app.router.lifespan_context(app), http_of(app) as http:
        await http.get("/v1/users/by-handle/secretname", headers={"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"})
        await http.get("/secretname/nothing-here")
        spans = await finished(traces, exporter)

    assert set(spans) >= {"GET /v1/users/by-handle/{handle}", "GET -"}
    assert all(span.parent is None for name, span in spans.items() if name.startswith("GET"))
    assert all(set(span.attributes or ()) <= ALLOWED for span in spans.values())
    assert "secretname" not in "".join(span.to_json() for span in spans.values())


@pytest.mark.slow
async def test_a_collector_gets_the_spans_of_messages_and_none_of_their_words(
    tmp_path: Path, collector: Collector
) -> None:
    server = await asyncio.to_thread(
        start_server_process, tmp_path, settings={"MENSAJERIA_OTLP_ENDPOINT": collector.url}
    )
    async with stopping(server):
        world = await World.of(server)
        ana, bruno, chat_id = await world.pair()
        a, b = await Device.online(world, ana), await Device.online(world, bruno)
        a.send(outer(chat_id, 1, b"canary-of-this-test" * 5))
        await a.expect(Ack)
        b.send(Fetch(1, chat_id, 0, 10))
        await b.expect(Events)
        for device in (a, b):
            await device.disconnect()
            Device.opened.remove(device)

    sent = [ExportTraceServiceRequest.FromString(body) for body in collector.posted]
    spans = {
        span.name: span
        for one in sent
        for resource in one.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    }
    assert set(spans) >= {"messages commit", "messages fan-out", "frame Fetch"}
    commit, fanout = spans["messages commit"], spans["messages fan-out"]
    assert fanout.parent_span_id == commit.span_id
    assert [(one.key, one.value.int_value) for one in commit.attributes] == [("messages", 1)]
    everything = b"".join(collector.posted)
    secrets = (b"canary", chat_id, chat_id.hex().encode(), ana.uid, ana.did, world.token(ana).encode()[:20])
    assert not [secret for secret in secrets if secret in everything]


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/v1/traces":
                collector.posted.append(body)
            self.send_response(collector.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            """Quietly."""

    with HTTPServer(("127.0.0.1", 0), Handler) as listener:
        collector.url = f"http://127.0.0.1:{listener.server_port}"
        thread = threading.Thread(target=listener.serve_forever, args=(0.01,))
        thread.start()
        yield collector
        listener.shutdown()
        thread.join()


def test_a_collector_that_refuses_is_told_of_once_and_when_it_takes_again(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(tracing, "_log", SimpleNamespace(warning=lambda event, **_fields: told.append(event)))
    exporter = tracing._exporter(f"{collector.url}/v1/traces")
    for status in (400, 400, 200):
        collector.status = status
        exporter.export(())
    exporter.shutdown()
    assert len(collector.posted) == 3
    assert told == ["traces_refused", "traces_sent_again"]
