"""Prekeys: those of other devices, and the own ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mensajeria.client.transport.rest.calls import Calls
from mensajeria.kit.lazy import LazyModule
from mensajeria.protocol import limits

if TYPE_CHECKING:
    from mensajeria.protocol import api
else:  # its library is loaded when the network is first used
    api = LazyModule("mensajeria.protocol.api")


class Prekeys:
    """`rest.prekeys`."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def claim(self, dids: Sequence[bytes]) -> list[api.ClaimedKeys]:
        """Prekeys of up to 64 devices; unknown devices are left out."""
        request = api.ClaimRequest(dids=list(dids[: limits.CLAIM_BATCH_MAX]))
        return (await self._calls.ask("POST", "/v1/prekeys/claim", api.ClaimResponse, request)).keys

    async def upload(self, upload: api.PrekeyUpload) -> api.PrekeyState:
        """Add one-time keys, replace fallback and hybrid prekey. The same upload again has no effect."""
        return await self._calls.ask("PUT", "/v1/devices/me/prekeys", api.PrekeyState, upload)

    async def state(self) -> api.PrekeyState:
        """What the server still has of this device's keys."""
        return await self._calls.ask("GET", "/v1/devices/me/prekeys", api.PrekeyState)
