"""`mensajeria serve`: listens until a signal, then drains; in one process, or in several under a supervisor."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import importlib.util
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, Final

import uvicorn
from fastapi import FastAPI

from mensajeria.kit.clock import SystemClock
from mensajeria.kit.process import allow_many_files
from mensajeria.kit.secrets import Secret
from mensajeria.protocol.ids import b64
from mensajeria.server.findings import Finding, Found, OperatorError, cause_of
from mensajeria.server.logs import configure_logs
from mensajeria.server.main import create_app
from mensajeria.server.realtime.first_bytes import FirstBytes
from mensajeria.server.realtime.picows_front import websocket_protocol
from mensajeria.server.settings import Settings
from mensajeria.server.startup import prepare
from mensajeria.server.supervisor import Supervisor

BACKLOG: Final = 4096
HTTP_GRACE_S: Final = 5
GC_THRESHOLDS: Final = (50_000, 20, 50)
"""Young objects before a collection. A busy server makes many objects that live for one flush, and few cycles."""
SWITCH_S: Final = 0.0005
"""How long a busy thread keeps the others waiting. SQLite's writer gives the interpreter up at each statement: at
Python's own 5 ms, a busy event loop made it wait longer between a batch's statements than the batch itself took."""


class ServeError(OperatorError):
    """The server did not start. The cause is kept."""


def serve(settings: Settings, *, say: Callable[[str], None] = print, say_invite: Callable[[str], None] = print) -> None:
    """Run the server until SIGINT or SIGTERM, then finish what was accepted and return.

    `say` gets the one line "listening on http://ADDRESS:PORT" when the server is ready, with the real port. Before it,
    at the very first start of a server that needs invites, `say_invite` gets the owner's.

    Raises:
        ServeError: the address is taken or not this machine's.
        Exception: what the start of the application raised, see `startup.prepare`.
    """
    configure_logs(settings.log_level, settings.log_format)
    allow_many_files()
    listening = listen(settings.host, settings.port)

    def announce(invite: Secret | None) -> None:
        if invite is not None:
            say_invite(b64(invite.reveal()))
        say(f"listening on {_url(listening)}")

    try:
        if settings.workers > 1:
            _serve_many(settings, listening, announce)
        else:
            run_process(settings, listening, lambda app: announce(app.state.server.first_invite))
    finally:
        listening.close()


def _serve_many(settings: Settings, listening: socket.socket, announce: Callable[[Secret | None], None]) -> None:
    """Make the server's data once, before there are processes that would do it at the same time."""

    async def prepare_once() -> Secret | None:
        prepared = await prepare(settings, SystemClock())
        await prepared.db.close()
        return prepared.first_invite

    invite = asyncio.run(prepare_once())
    supervisor = Supervisor(settings.workers, work, (settings.model_copy(update={"migrate": False}), listening))
    if not supervisor.run(lambda: announce(invite)):
        raise ServeError(Finding.WORKER_FAILED())


def work(settings: Settings, listening: socket.socket, ready: Callable[[], None]) -> None:
    """One of several processes; see `supervisor.Work`."""
    configure_logs(settings.log_level, settings.log_format)
    run_process(settings, listening, lambda _app: ready())


def run_process(settings: Settings, listening: socket.socket, ready: Callable[[FastAPI], None]) -> None:
    """Serve in this process until a signal; raises as `serve`."""
    app = create_app(settings)
    server = _Server(_config(app), lambda: ready(app))
    with contextlib.suppress(SystemExit):  # uvicorn's own end when the application does not start
        server.run(sockets=[listening])
    failure = getattr(app.state, "start_failure", None)
    if failure is not None:
        raise failure
    if not server.started:
        raise ServeError(Finding.START_FAILED())


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one.

    Raises:
        ServeError: see `serve`.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        listening = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise ServeError(_not_listening(host, port, error)) from error
    listening.set_inheritable(False)
    return listening


def _not_listening(host: str, port: int, error: OSError) -> Found:
    if error.errno == errno.EADDRINUSE:
        return Finding.LISTEN_TAKEN(host=host, port=port)
    if error.errno == errno.EACCES:
        return Finding.LISTEN_FORBIDDEN(host=host, port=port)
    if error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
        return Finding.LISTEN_ELSEWHERE(host=host, port=port)
    return Finding.LISTEN_FAILED(host=host, port=port, cause=cause_of(error))


def tune_interpreter() -> None:
    """Keep what the start has made out of later collections, collect less often, and let threads take turns sooner."""
    sys.setswitchinterval(SWITCH_S)
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def _url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _config(app: FastAPI) -> uvicorn.Config:
    has_uvloop = sys.platform != "win32" and importlib.util.find_spec("uvloop") is not None
    return uvicorn.Config(
        app,
        loop="uvloop" if has_uvloop else "asyncio",
        http=FirstBytes,
        ws=websocket_protocol(lambda: app.state.gateway),
        lifespan="on",
        backlog=BACKLOG,
        timeout_graceful_shutdown=HTTP_GRACE_S,
        access_log=False,
        log_config=None,
        log_level="critical",  # the application has its own log, with a list of what may stand in it
        proxy_headers=False,
        server_header=False,
    )


class _Server(uvicorn.Server):
    """uvicorn's server, which says when it is ready and whose end by a signal is a normal end."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so."""
        await super().startup(sockets)
        if self.started:
            tune_interpreter()
            self._ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn's, without raising the signal again afterwards."""
        signals = [signal.SIGINT, signal.SIGTERM]
        if sys.platform == "win32":
            signals.append(signal.SIGBREAK)

        def stop(number: int, frame: FrameType | None) -> None:
            self.handle_exit(number, frame)

        before: list[tuple[int, Any]] = [(number, signal.signal(number, stop)) for number in signals]
        try:
            yield
        finally:
            for number, handler in before:
                signal.signal(number, handler)
