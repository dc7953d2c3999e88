"""Token buckets behind one interface: in memory here, shared between processes elsewhere."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable
from time import perf_counter
from typing import Final, Protocol

from mensajeria.kit.clock import Clock
from mensajeria.protocol.errors import Code, ProtocolError
from mensajeria.server.ratelimit.limits import Bucket, Limit

MAX_BUCKETS: Final = 100_000
"""Buckets kept in memory, about 20 MB. The one used longest ago goes first."""
AWAY_MS: Final = 1000
"""When to try again while the store does not answer."""


class BucketStore(Protocol):
    """Where the buckets are kept."""

    async def take(self, name: str, key: bytes, bucket: Bucket, cost: int) -> float:
        """Take `cost` tokens and return 0, or take none and return the seconds until they will be there.

        Raises:
            OSError: a shared store does not answer.
        """
        ...

    async def close(self) -> None:
        """Give up what it holds."""
        ...


class MemoryBuckets:
    """Buckets of this process. A bucket is (tokens, moment); an absent one is full."""

    def __init__(self, clock: Clock, *, max_buckets: int = MAX_BUCKETS) -> None:
        self._clock = clock
        self._max = max_buckets
        self._buckets: OrderedDict[tuple[str, bytes], tuple[float, float]] = OrderedDict()

    async def take(self, name: str, key: bytes, bucket: Bucket, cost: int) -> float:
        """See `BucketStore.take`."""
        now = self._clock.monotonic()
        tokens, then = self._buckets.get((name, key), (float(bucket.burst), now))
        per_second = bucket.per_hour / 3600
        tokens = min(float(bucket.burst), tokens + (now - then) * per_second)
        wait = 0.0 if tokens >= cost else (cost - tokens) / per_second
        self._put((name, key), (tokens if wait else tokens - cost, now))
        return wait

    async def close(self) -> None:
        """See `BucketStore.close`."""
        self._buckets.clear()

    def _put(self, key: tuple[str, bytes], value: tuple[float, float]) -> None:
        self._buckets[key] = value
        self._buckets.move_to_end(key)
        if len(self._buckets) > self._max:
            self._buckets.popitem(last=False)

    def __len__(self) -> int:
        return len(self._buckets)


class Limiter:
    """What the services ask."""

    def __init__(self, store: BucketStore) -> None:
        self._store = store
        self.observe: Callable[[float], None] | None = None
        """Gets the seconds that the store took, each time."""
        self.refused: Counter[str] = Counter()
        """Uses that were refused since the start, by limiter."""

    async def check(self, limit: Limit, key: bytes | str, *, cost: int = 1) -> None:
        """Count one use.

        Raises:
            ProtocolError: RATE_LIMITED, with the limiter's name and when to try again; UNAVAILABLE, nobody can say how
                much was used, and this limit guards a secret.
        """
        wait = await self._take(limit, key, cost)
        if wait is None:
            raise ProtocolError(Code.UNAVAILABLE, limit.label, retry_after_ms=AWAY_MS)
        if wait:
            raise ProtocolError(Code.RATE_LIMITED, limit.label, retry_after_ms=max(1, round(wait * 1000)))

    async def allows(self, limit: Limit, key: bytes | str, *, cost: int = 1) -> bool:
        """As `check`, for limits that change the answer instead of refusing it."""
        return await self._take(limit, key, cost) == 0

    async def close(self) -> None:
        """Nothing is counted any more."""
        await self._store.close()

    async def _take(self, limit: Limit, key: bytes | str, cost: int) -> float | None:
        """Seconds to wait, or None when the store does not answer and the limit is one that closes."""
        began = perf_counter()
        wait: float | None
        try:
            raw = key.encode() if isinstance(key, str) else key
            wait = await self._store.take(limit.label, raw, limit.value, cost)
        except OSError:
            wait = 0.0 if limit.value.fail_open else None
        if self.observe is not None:
            self.observe(perf_counter() - began)
        if wait != 0:
            self.refused[limit.label] += 1
        return wait
