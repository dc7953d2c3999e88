"""Token buckets in Redis or Valkey, counted by all processes together: one script, so that each use is one step.

The clock is that of Redis: the processes' own may differ. A full bucket is an absent key, so each key expires when its
bucket would be full.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from mensajeria.server.broker.link import REDIS_ERRORS, redis_client
from mensajeria.server.ratelimit.limits import Bucket

TIMEOUT_S: Final = 0.5
PAUSE_S: Final = 0.5
"""After a failure nobody asks Redis for so long: requests are not to wait for it one after the other."""
_TAKE: Final = """
local burst, rate, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1e6
local kept = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens = burst
if kept[1] then
  tokens = math.min(burst, tonumber(kept[1]) + math.max(0, now - tonumber(kept[2])) * rate)
end
local wait = 0
if tokens >= cost then tokens = tokens - cost else wait = (cost - tokens) / rate end
redis.call('HSET', KEYS[1], 'tokens', string.format('%.6f', tokens), 'at', string.format('%.6f', now))
redis.call('PEXPIRE', KEYS[1], math.ceil((burst - tokens) / rate * 1000) + 1000)
return string.format('%.6f', wait)
"""


class RedisBuckets:
    """See `limiter.BucketStore`."""

    def __init__(self, url: str, prefix: str) -> None:
        """`prefix` keeps servers that share a Redis apart."""
        self._client = redis_client(url, timeout_s=TIMEOUT_S)
        self._script: Any = self._client.register_script(_TAKE)
        self._prefix = prefix
        self._away_until = 0.0

    async def take(self, name: str, key: bytes, bucket: Bucket, cost: int) -> float:
        """See `BucketStore.take`."""
        now = asyncio.get_running_loop().time
        if now() < self._away_until:
            raise OSError("Redis did not answer a moment ago")
        arguments = [bucket.burst, repr(bucket.per_hour / 3600), cost]
        try:
            wait = await self._script(keys=[f"{self._prefix}limit:{name}:{key.hex()}"], args=arguments)
        except REDIS_ERRORS as error:
            self._away_until = now() + PAUSE_S
            raise OSError("Redis does not answer") from error
        return float(wait)

    async def close(self) -> None:
        """Give up the connections."""
        await self._client.aclose()
