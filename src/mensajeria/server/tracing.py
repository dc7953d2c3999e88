"""OpenTelemetry traces, for an operator who has a collector: where the time of a request or a commit went.

Nothing here knows content, names, tokens or ids: a span has a name from the code, numbers, and the route's template.
What an exception said is not recorded, only its type. The SDK is the extra `otel`; without `MENSAJERIA_OTLP_ENDPOINT`
nothing of it is imported and nothing is wrapped. A caller's `traceparent` is not believed: it could turn sampling on.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TypeVar

import structlog

from mensajeria.server.chats.log import EventLog, NewEvent, Outcome
from mensajeria.server.facts import StateError
from mensajeria.server.findings import Finding
from mensajeria.server.settings import Settings
from mensajeria.server.version import VERSION

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
    from opentelemetry.trace import Span

T = TypeVar("T")
Value = str | int
SHUTDOWN_S: Final = 5.0
"""How long the end of the server waits for the last spans to leave."""
_log = structlog.get_logger(__name__)


class Traces:
    """Spans of one process. Made once, passed to what is traced; what is not traced has None instead."""

    def __init__(self, exporter: SpanExporter) -> None:
        """`exporter` is called in a thread of the SDK's own. Not to be made in a running event loop: the SDK waits."""
        from opentelemetry import trace  # noqa: PLC0415 - an extra
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

        self._api = trace
        resource = Resource.create({"service.name": "mensajeria", "service.version": VERSION})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("mensajeria.server", VERSION)
        self._commit: Context | None = None

    @contextmanager
    def span(self, name: str, *, inside: Context | None = None, **attributes: Value) -> Iterator[Span]:
        """What happens inside is this span's. An exception marks it with its type and passes."""
        with self._tracer.start_as_current_span(
            name, inside, attributes=attributes, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield span
            except Exception as error:
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(self._api.StatusCode.ERROR)
                raise

    def request(self, span: Span, method: str, route: str, status: int) -> None:
        """Name a REST request's span when it is known what it was. `route` is a template or "-"."""
        span.update_name(f"{method} {route}")
        span.set_attributes({"http.request.method": method, "http.route": route, "http.response.status_code": status})
        if status >= 500:  # noqa: PLR2004 - HTTP's own boundary
            span.set_status(self._api.StatusCode.ERROR)

    def frame(self, kind: type, answer: Callable[[], Awaitable[T]]) -> Callable[[], Awaitable[T]]:
        """The same answer to a frame, traced."""

        async def traced() -> T:
            with self.span(f"frame {kind.__name__}"):
                return await answer()

        return traced

    def write(self, seconds: float) -> None:
        """A transaction other than a batch of messages has ended, in what was going on."""
        now = time.time_ns()
        self._tracer.start_span("database write", start_time=now - int(seconds * 1e9)).end(now)

    def event_log(self, event_log: EventLog) -> EventLog:
        """The same log, with a span for each batch of messages."""
        return _TracedLog(self, event_log)

    def committed(self, span: Span) -> None:
        """The batch that is handed out next was committed in this span."""
        self._commit = self._api.set_span_in_context(span)

    def fanout(self, hand_out: Callable[..., None]) -> Callable[..., None]:
        """The same function, whose span lies in the commit's."""

        def traced(batch: Sequence[object], *others: object) -> None:
            with self.span("messages fan-out", inside=self._commit, messages=len(batch)):
                hand_out(batch, *others)

        return traced

    async def close(self) -> None:
        """Send what is left, for SHUTDOWN_S at most."""
        try:
            await asyncio.wait_for(asyncio.to_thread(self._provider.shutdown), SHUTDOWN_S)
        except TimeoutError:
            _log.warning("traces_not_sent")


class _TracedLog:
    """See `EventLog`."""

    def __init__(self, traces: Traces, event_log: EventLog) -> None:
        self._traces = traces
        self._event_log = event_log
        self.locked = event_log.locked
        self.close = event_log.close

    async def append(self, events: Sequence[NewEvent]) -> list[Outcome]:
        """See `EventLog.append`."""
        with self._traces.span("messages commit", messages=len(events)) as span:
            try:
                return await self._event_log.append(events)
            finally:  # the batch before is handed out while this one is on its way
                self._traces.committed(span)


def traces_for(settings: Settings) -> Traces | None:
    """Traces to the collector that the settings name, if they do.

    Raises:
        StateError: a collector is named but the extra `otel` is not installed.
    """
    if settings.otlp_endpoint is None:
        return None
    try:
        return Traces(_exporter(settings.otlp_endpoint.rstrip("/") + "/v1/traces"))
    except ImportError as error:
        raise StateError(Finding.TRACES_NOT_INSTALLED()) from error


def _exporter(url: str) -> SpanExporter:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - an extra
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult  # noqa: PLC0415

    theirs = logging.getLogger("opentelemetry")  # its lines hold what an exception said: ours tell that it failed
    theirs.addHandler(logging.NullHandler())
    theirs.propagate = False

    class Reporting(SpanExporter):
        """Says once when the collector is away, and once when it is back."""

        def __init__(self) -> None:
            self._to = OTLPSpanExporter(endpoint=url)
            self._failed = False

        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            result = self._to.export(spans)
            failed = result is not SpanExportResult.SUCCESS
            if failed != self._failed:
                self._failed = failed
                _log.warning("traces_refused" if failed else "traces_sent_again", count=len(spans))
            return result

        def shutdown(self) -> None:
            self._to.shutdown()  # type: ignore[no-untyped-call]

        def force_flush(self, timeout_millis: int = 30_000) -> bool:
            return self._to.force_flush(timeout_millis)

    return Reporting()
