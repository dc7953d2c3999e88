"""One session with Redis or Valkey: two connections, opened together and thrown away together at the first failure.

Channels are sharded ones (SSUBSCRIBE, SPUBLISH; Redis 7, Valkey): on one server they are like any other, on a cluster
each lives on one node instead of being repeated on all.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any, Final

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.driver_info import DriverInfo
from redis.exceptions import RedisError

TIMEOUT_S: Final = 2.0
"""How long one command may take."""
_DRIVER: Final = DriverInfo()
"""Made here, once: left to each connection, it would look for the version of the package on disk, in the event loop."""
REDIS_ERRORS: Final = (RedisError, OSError, TimeoutError)


def redis_client(url: str, *, timeout_s: float = TIMEOUT_S) -> Redis:
    """A client that tells of every failure: a connection made again by itself would hide that messages were missed."""
    client: Redis = Redis.from_url(
        url,
        protocol=2,
        driver_info=_DRIVER,
        retry=Retry(NoBackoff(), 0),
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
    )
    return client


def is_address(url: str) -> bool:
    """Whether a client can be made of it: its form, port, number and options. Connects to nothing."""
    try:
        redis_client(url).connection_pool.make_connection()  # type: ignore[no-untyped-call]
    except (ValueError, TypeError, AttributeError):  # an option that does not exist; a value that is none
        return False
    return True


class Link:
    """Publishes on any channel and hears some."""

    def __init__(self, url: str) -> None:
        self._client = redis_client(url)
        self._hearing: Any = None

    async def open(self, channels: Sequence[str]) -> None:
        """Hear these channels: on return, Redis has confirmed it.

        Raises:
            REDIS_ERRORS
        """
        self._hearing = self._client.pubsub()
        for channel in channels:
            await self._hearing.ssubscribe(channel)
        for _ in channels:
            async with asyncio.timeout(TIMEOUT_S):
                await self._hearing.parse_response(block=True)

    async def read(self, within_s: float) -> bytes:
        """The next message of a channel.

        Raises:
            REDIS_ERRORS
        """
        while True:
            async with asyncio.timeout(within_s):
                kind, _, data = await self._hearing.parse_response(block=True)
            if kind == b"smessage":
                message: bytes = data
                return message

    async def send(self, packets: Sequence[tuple[str, bytes]]) -> list[int]:
        """Publish each on its channel, in order; to how many each went.

        Raises:
            REDIS_ERRORS
        """
        pipeline = self._client.pipeline(transaction=False)
        for channel, data in packets:
            pipeline.spublish(channel, data)
        receivers: list[int] = await pipeline.execute()
        return receivers

    async def close(self) -> None:
        """Give up both connections. Never fails."""
        with contextlib.suppress(*REDIS_ERRORS):
            if self._hearing is not None:
                await self._hearing.aclose()
        with contextlib.suppress(*REDIS_ERRORS):
            await self._client.aclose()
