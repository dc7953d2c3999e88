"""What time does to a connection, without a socket or a clock."""

from __future__ import annotations

from collections import Counter
from typing import Any

from mensajeria.protocol import limits
from mensajeria.protocol.errors import Close
from mensajeria.server.realtime.connection import AGE_SPREAD_S, Connection
from mensajeria.server.realtime.throttle import DEFAULT_SHARE


class Wire:
    """A socket that remembers how it was closed."""

    def __init__(self) -> None:
        self.closed: list[Close] = []

    def close(self, code: Close, _reason: str = "") -> None:
        self.closed.append(code)


class Host:
    """What is around a connection."""

    share = DEFAULT_SHARE

    def __init__(self) -> None:
        self.closes: Counter[str] = Counter()

    def left(self, _connection: object) -> None:
        pass


def connection(wire: Any, device: int = 0) -> Connection:
    host: Any = Host()
    made = Connection(host, wire, [])
    made.device_id = device
    return made


def lives(device: int) -> int:
    """For how many hours a device's connection is left alone, that gives signs of life."""
    wire = Wire()
    one = connection(wire, device)
    for hour in range(1, 30):
        one._heard = True
        one.tick(one.born + 3600 * hour)
        if wire.closed:
            assert wire.closed == [Close.TOO_OLD]
            return hour
    return 99


async def test_a_connection_ends_within_a_day_and_not_all_at_once() -> None:
    hours = {lives(device) for device in range(1, 2 * AGE_SPREAD_S, 501)}
    assert hours <= {23, 24, 25}
    assert len(hours) > 1


async def test_who_says_no_hello_or_nothing_any_more_is_closed() -> None:
    silent, gone = Wire(), Wire()
    stranger, device = connection(silent), connection(gone, 1)
    stranger.tick(stranger.born + limits.HELLO_TIMEOUT_S)
    assert silent.closed == []
    stranger.tick(stranger.born + limits.HELLO_TIMEOUT_S + 1)
    assert silent.closed == [Close.HELLO_TIMEOUT]
    device._pinged = True  # and no pong has come
    device.tick(device.born + limits.PING_EVERY_S + limits.PONG_TIMEOUT_S)
    assert gone.closed == []
    device.tick(device.born + limits.PING_EVERY_S + limits.PONG_TIMEOUT_S + 1)
    assert gone.closed == [Close.GOING_AWAY]
