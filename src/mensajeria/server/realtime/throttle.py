"""Keeps one connection from taking more than its share, by not reading from it: TCP makes the client wait."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from mensajeria.server.ratelimit.limits import Limit
from mensajeria.server.realtime.wire import Wire


@dataclass(frozen=True, slots=True)
class Share:
    """What one connection may have under way."""

    frames_burst: int = Limit.FRAMES_CONNECTION.value.burst
    frames_per_s: float = Limit.FRAMES_CONNECTION.value.per_hour / 3600
    sends: int = 1024
    """Messages that wait for their commit."""
    requests: int = 64
    """Requests that wait for their answer."""


DEFAULT_SHARE: Final = Share()


class Throttle:
    """Counts what a connection has under way and pauses its socket over the limit, until it is at half."""

    __slots__ = ("_loop", "_paused", "_refilled", "_requests", "_sends", "_share", "_timer", "_tokens", "_wire")

    def __init__(self, wire: Wire, share: Share, loop: asyncio.AbstractEventLoop) -> None:
        self._wire = wire
        self._share = share
        self._loop = loop
        self._tokens = float(share.frames_burst)
        self._refilled = loop.time()
        self._sends = 0
        self._requests = 0
        self._paused = False
        self._timer: asyncio.TimerHandle | None = None

    def frame(self) -> None:
        """A frame has arrived."""
        self._tokens -= 1
        if self._tokens < 0:
            self._refill()

    def send_begins(self) -> None:
        """A message waits for its commit."""
        self._sends += 1
        if self._sends > self._share.sends:
            self._pause()

    def send_ends(self) -> None:
        """A message was answered."""
        self._sends -= 1
        if self._paused:
            self._resume_if_allowed()

    def request_begins(self) -> None:
        """A request waits for its answer."""
        self._requests += 1
        if self._requests > self._share.requests:
            self._pause()

    def request_ends(self) -> None:
        """A request was answered."""
        self._requests -= 1
        if self._paused:
            self._resume_if_allowed()

    def stop(self) -> None:
        """The connection is over."""
        if self._timer is not None:
            self._timer.cancel()

    def _refill(self) -> None:
        now = self._loop.time()
        gained = (now - self._refilled) * self._share.frames_per_s
        self._refilled = now
        self._tokens = min(self._share.frames_burst, self._tokens + gained)
        if self._tokens < 0 and self._timer is None:
            self._pause()
            # Long enough for a tenth of the burst, so that a steady flood does not wake us for every frame.
            missing = self._share.frames_burst / 10 - self._tokens
            self._timer = self._loop.call_later(missing / self._share.frames_per_s, self._waited)

    def _waited(self) -> None:
        self._timer = None
        self._refill()
        self._resume_if_allowed()

    def _pause(self) -> None:
        if not self._paused:
            self._paused = True
            self._wire.pause()

    def _resume_if_allowed(self) -> None:
        if (
            self._paused
            and self._timer is None
            and self._sends <= self._share.sends // 2
            and self._requests <= self._share.requests // 2
        ):
            self._paused = False
            self._wire.resume()
