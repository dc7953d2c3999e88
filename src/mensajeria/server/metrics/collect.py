"""Reads the plain numbers that the parts of the server keep, at the moment somebody asks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Protocol, cast

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import Connection, case, func, select
from sqlalchemy.pool import QueuePool

from mensajeria.server.db.engine import Database
from mensajeria.server.db.schema import device, one_time_key
from mensajeria.server.ratelimit.limiter import Limiter
from mensajeria.server.version import VERSION

STOCK_EVERY_S: Final = 300.0
LOW_STOCK: Final = 20
"""One-time keys below which a device should have uploaded new ones long ago."""


class Sized(Protocol):
    """Something that waits in a line."""

    def __len__(self) -> int:
        """How many."""
        ...


class RealTime(Protocol):
    """What is read of the real-time part."""

    @property
    def frames(self) -> Mapping[type, int]:
        """Frames from clients, by kind."""
        ...

    @property
    def closes(self) -> Mapping[str, int]:
        """Connections closed by the server, by the code's name."""
        ...

    @property
    def delivered(self) -> int:
        """Items handed to connections."""
        ...

    @property
    def queues(self) -> Mapping[str, Sized]:
        """What waits for its commit."""
        ...

    @property
    def connections(self) -> Mapping[str, int]:
        """Open connections by kind."""
        ...

    @property
    def is_linked(self) -> bool:
        """Other processes are heard."""
        ...


class PrekeyStock:
    """How many devices have how few one-time keys: counting them reads an index of all, so it is done rarely."""

    def __init__(self) -> None:
        self.by_level: dict[str, int] = {}
        self._next = 0.0

    async def refresh(self, db: Database, now: float) -> None:
        """Count again when the last count is old. `now` in seconds of any monotonic clock."""
        if now >= self._next:
            self._next = now + STOCK_EVERY_S
            self.by_level = await db.query(_stock)


def _stock(db: Connection) -> dict[str, int]:
    keys = (
        select(func.count(one_time_key.c.id).label("left"))
        .select_from(device.outerjoin(one_time_key, one_time_key.c.device_id == device.c.id))
        .where(device.c.revoked_ms.is_(None))
        .group_by(device.c.id)
        .subquery()
    )
    level = case((keys.c.left == 0, "none"), (keys.c.left < LOW_STOCK, "low"), else_="enough")
    found = {row[0]: row[1] for row in db.execute(select(level, func.count()).group_by(level))}
    return {name: found.get(name, 0) for name in ("none", "low", "enough")}


class ServerCollector(Collector):
    """One for the process, in its registry."""

    def __init__(
        self,
        real_time: RealTime,
        db: Database,
        limiter: Limiter,
        stock: PrekeyStock,
        unreadable: Mapping[str, int],
    ) -> None:
        self._real_time = real_time
        self._unreadable = unreadable
        self._db = db
        self._limiter = limiter
        self._stock = stock

    def collect(self) -> Iterator[Metric]:
        """See `Collector`."""
        yield _gauge("info", "The program.", "version", {VERSION: 1})
        yield from self._of_real_time()
        yield _counter("limited", "Uses refused by a rate limit.", "limiter", self._limiter.refused)
        yield _counter("unreadable", "Messages that clients report as unreadable.", "cause", self._unreadable)
        yield _gauge("database_pool", "Database connections.", "state", _pool(self._db))
        yield _gauge("prekey_devices", "Devices by their one-time keys left.", "left", self._stock.by_level)

    def _of_real_time(self) -> Iterator[Metric]:
        real_time = self._real_time
        frames = {kind.__name__: count for kind, count in real_time.frames.items()}
        yield _counter("frames", "Frames from clients.", "kind", frames)
        yield _counter("closes", "Connections that the server closed.", "code", real_time.closes)
        yield CounterMetricFamily(
            "mensajeria_delivered_items", "Messages, acks and envelopes handed to connections.", real_time.delivered
        )
        waiting: dict[str, int] = {name: len(line) for name, line in real_time.queues.items()}
        if self._db.writer is not None:
            waiting["sqlite_writer"] = self._db.writer.waiting
        yield _gauge("waiting", "Jobs that wait for the database.", "queue", waiting)
        yield _gauge("connections", "Open WebSockets.", "kind", real_time.connections)
        yield GaugeMetricFamily("mensajeria_broker_linked", "1: other processes are heard.", int(real_time.is_linked))


def _pool(db: Database) -> dict[str, int]:
    pools = [cast("QueuePool", pool) for pool in db.pools]
    return {"in_use": sum(pool.checkedout() for pool in pools), "idle": sum(pool.checkedin() for pool in pools)}


def _counter(name: str, meaning: str, label: str, values: Mapping[Any, int]) -> Metric:
    family = CounterMetricFamily(f"mensajeria_{name}", meaning, labels=[label])
    for key, value in list(values.items()):
        family.add_metric([str(key)], value)
    return family


def _gauge(name: str, meaning: str, label: str, values: Mapping[str, int]) -> Metric:
    family = GaugeMetricFamily(f"mensajeria_{name}", meaning, labels=[label])
    for key, value in list(values.items()):
        family.add_metric([key], value)
    return family
