"""Background tasks that are never lost: kept referenced, their failures seen, all ended together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Self, TypeVar

__all__ = ["TaskSpawner"]

_T = TypeVar("_T")
_log = logging.getLogger(__name__)


class TaskSpawner:
    """Starts background tasks of one owner (a connection, a service) and ends them with it.

        async with TaskSpawner("gateway", on_failure=connection.abort) as tasks:
            tasks.spawn(read(), name="read")

    Unlike `asyncio.TaskGroup`, a task that fails leaves the others running: its exception is logged, with its
    traceback, and given to `on_failure`, which decides. Leaving the `async with` block cancels
    what still runs and waits for it.
    """

    def __init__(self, name: str, *, on_failure: Callable[[BaseException], None] | None = None) -> None:
        self._name = name
        self._on_failure = on_failure
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False

    def __len__(self) -> int:
        return len(self._tasks)

    def spawn(self, work: Coroutine[Any, Any, _T], *, name: str) -> asyncio.Task[_T]:
        """Start `work` in the running loop; raises RuntimeError once the spawner is closed (`work` is closed too)."""
        if self._closed:
            work.close()
            msg = f"{self._name} has ended: it starts no more tasks"
            raise RuntimeError(msg)
        task = asyncio.get_running_loop().create_task(work, name=f"{self._name}:{name}")
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        failure = task.exception()
        if failure is None:
            return
        _log.error("background task %s failed", task.get_name(), exc_info=failure)
        if self._on_failure is not None:
            self._on_failure(failure)

    async def aclose(self) -> None:
        """Cancel every task and wait until all have ended; safe to call twice, and from one of the tasks."""
        self._closed = True
        current = asyncio.current_task()
        while pending := [task for task in self._tasks if task is not current]:
            for task in pending:
                task.cancel()
            await asyncio.wait(pending)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()
