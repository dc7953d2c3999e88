"""The client's thread: one asyncio loop, started and ended from Qt's thread."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

JOIN_S: Final = 10.0
_log = logging.getLogger(__name__)


class LoopThread:
    """Runs `main` on an asyncio loop in a thread of its own until it returns.

    `post` starts further coroutines on that loop; they are cancelled when `main` ends. A coroutine that fails without
    being foreseen is logged and told to `on_failure` (on the loop's thread); the loop goes on.
    """

    def __init__(
        self,
        main: Callable[[], Coroutine[Any, Any, None]],
        *,
        on_failure: Callable[[BaseException], None],
        on_end: Callable[[], None],
    ) -> None:
        self._main = main
        self._on_failure = on_failure
        self._on_end = on_end
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready = threading.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        # Not a daemon: the store must be closed before the interpreter goes away.
        self._thread = threading.Thread(target=self._run, name="client")

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def post(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine on the loop, from any thread. After the end it is closed unrun."""
        self._ready.wait()
        try:
            assert self._loop is not None
            self._loop.call_soon_threadsafe(self._spawn, coroutine)
        except RuntimeError:  # the loop is closed: the person has already left
            coroutine.close()

    def join(self) -> bool:
        """Wait for the end; False when it does not come in time."""
        self._thread.join(JOIN_S)
        return not self._thread.is_alive()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        _log.error("a task of the desktop's client failed", exc_info=error)
        self._on_failure(error)

    def _run(self) -> None:
        try:
            with asyncio.Runner() as runner:
                self._loop = runner.get_loop()
                self._ready.set()
                runner.run(self._main())
        except Exception as error:  # noqa: BLE001 - told to the program, which ends: there is nobody above to raise to
            self._fail(error)
        finally:
            self._ready.set()
            self._on_end()
