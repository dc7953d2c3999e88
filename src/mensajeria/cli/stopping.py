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
    """Turn the first of them, or the terminal's end, into `Stop` in the main thread.

    Every `with` block cleans up; what comes meanwhile does not disturb it.
    """
    numbers = [*_SIGNALS, *_hang_up()]

    def stop(_number: int, _frame: object) -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
        raise Stop

    before = [signal.signal(number, stop) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _hang_up() -> list[signal.Signals]:
    """What says that the terminal was closed, unless `nohup` has it ignored."""
    number = getattr(signal, "SIGHUP", None)  # not on Windows
    return [number] if number is not None and signal.getsignal(number) == signal.SIG_DFL else []


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
