"""Ending on SIGINT and SIGTERM alike: cleanly, and with exit status 0."""

from __future__ import annotations

import asyncio
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

T = TypeVar("T")
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class Stop(KeyboardInterrupt):
    """The person or the system asked this process to end."""


@contextmanager
def stop_on_signals() -> Iterator[None]:
    """Turn both signals into `Stop` in the main thread, so that every `with` block cleans up."""

    def stop(_number: int, _frame: object) -> None:
        raise Stop

    before = [signal.signal(number, stop) for number in _SIGNALS]
    try:
        yield
    finally:
        for number, handler in zip(_SIGNALS, before, strict=True):
            signal.signal(number, handler)


def run_until_stopped(coroutine: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run` that cancels the coroutine on SIGINT and SIGTERM.

    Raises:
        Stop: it was cancelled by a signal; its `finally` blocks have run.
    """
    stopped = False

    async def main() -> T:
        task = asyncio.ensure_future(coroutine)

        def stop() -> None:
            nonlocal stopped
            stopped = True
            task.cancel()

        with _handlers(stop):
            return await task

    try:
        return asyncio.run(main())
    except asyncio.CancelledError:
        if stopped:
            raise Stop from None
        raise


@contextmanager
def _handlers(stop: Any) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    previous = {}
    for number in _SIGNALS:
        try:
            loop.add_signal_handler(number, stop)
        except NotImplementedError:  # Windows: its loop has no signal handlers
            previous[number] = signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop))
    try:
        yield
    finally:
        for number in _SIGNALS:
            if number in previous:
                signal.signal(number, previous[number])
            else:
                loop.remove_signal_handler(number)
