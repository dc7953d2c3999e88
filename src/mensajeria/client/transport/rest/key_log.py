"""The key log: its head, its leaves, and proofs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mensajeria.client.transport.rest.calls import Calls
from mensajeria.kit.lazy import LazyModule
from mensajeria.protocol.ids import b64

if TYPE_CHECKING:
    from mensajeria.protocol import api
else:  # its library is loaded when the network is first used
    api = LazyModule("mensajeria.protocol.api")


class KeyLog:
    """`rest.key_log`."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def head(self) -> api.SignedModel:
        """The signed head of the key log."""
        return await self._calls.ask("GET", "/v1/transparency/head", api.SignedModel)

    async def leaves(self, after: int) -> list[bytes]:
        """Leaves of the key log from index `after` on, as many as one page holds."""
        return list((await self._calls.ask("GET", f"/v1/transparency/leaves?after={after}", api.LogLeaves)).leaves)

    async def label(self, label: bytes) -> api.LogPlace:
        """The newest leaf of a label; not_found when it was never logged."""
        return await self._calls.ask("GET", f"/v1/transparency/labels/{b64(label)}", api.LogPlace)

    async def inclusion(self, index: int, size: int) -> list[bytes]:
        """The proof that a leaf lies in the log of a size."""
        target = f"/v1/transparency/inclusion?index={index}&size={size}"
        return list((await self._calls.ask("GET", target, api.LogProof)).hashes)

    async def consistency(self, old: int, size: int) -> list[bytes]:
        """The proof that the log of a size has grown from an older one."""
        target = f"/v1/transparency/consistency?old={old}&size={size}"
        return list((await self._calls.ask("GET", target, api.LogProof)).hashes)
