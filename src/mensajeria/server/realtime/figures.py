"""What may be read of the real-time part by whoever watches it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mensajeria.server.metrics.collect import Sized
    from mensajeria.server.realtime.gateway import Gateway


class Figures:
    """See `metrics.collect.RealTime`."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    @property
    def frames(self) -> Mapping[type, int]:
        """See there."""
        return self._gateway.dispatcher.frames

    @property
    def closes(self) -> Mapping[str, int]:
        """See there."""
        return self._gateway.closes

    @property
    def delivered(self) -> int:
        """See there."""
        return self._gateway.hub.delivered

    @property
    def queues(self) -> Mapping[str, Sized]:
        """See there."""
        gateway = self._gateway
        return {"events": gateway.committer, "mailbox": gateway.mailboxes, "cursors": gateway.cursors}

    @property
    def connections(self) -> Mapping[str, int]:
        """See there."""
        gateway = self._gateway
        joined = len(gateway.hub)
        return {
            "devices": joined,
            "not_admitted": len(gateway.hub.all) - joined,
            "auth": len(gateway.talks),
            "shown": len(gateway.presence),
        }

    @property
    def is_linked(self) -> bool:
        """See there."""
        return self._gateway.broker.is_linked
