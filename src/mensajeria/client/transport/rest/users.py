"""People: their keys, lists and profiles, and what one does about somebody."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mensajeria.client.transport.rest.calls import Calls, checked
from mensajeria.kit.lazy import LazyModule
from mensajeria.protocol.ids import b64

if TYPE_CHECKING:
    from mensajeria.protocol import api
else:  # its library is loaded when the network is first used
    api = LazyModule("mensajeria.protocol.api")


class Users:
    """`rest.users`."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def by_handle(self, handle: str) -> api.UserKeys:
        """The keys of the user that has this name now; unknown_user when there is none."""
        return await self._calls.ask("GET", f"/v1/users/by-handle/{handle}", api.UserKeys)

    async def keys(self, uid: bytes) -> api.UserKeys:
        """Identity record and newest list of a user."""
        return await self._calls.ask("GET", f"/v1/users/{b64(uid)}/keys", api.UserKeys)

    async def list_bodies(self, uid: bytes, after: int) -> tuple[bytes, ...]:
        """Unsigned bodies of the list versions after `after`, ascending."""
        answer = await self._calls.ask("GET", f"/v1/users/{b64(uid)}/lists?after={after}", api.ListBodies)
        return tuple(answer.bodies)

    async def successions(self, uid: bytes, after: int) -> tuple[bytes, ...]:
        """What a user's former identities have signed for their successors since list version `after`, ascending."""
        answer = await self._calls.ask("GET", f"/v1/users/{b64(uid)}/successions?after={after}", api.Successions)
        return tuple(answer.proofs)

    async def profile(self, uid: bytes) -> api.SealedProfile:
        """The sealed profile of oneself or of a contact; not_found when there is none, or none for the caller."""
        return await self._calls.ask("GET", f"/v1/users/{b64(uid)}/profile", api.SealedProfile)

    async def block(self, uid: bytes) -> None:
        """Block a user; idempotent. unknown_user, quota_exceeded."""
        await self._calls.call("PUT", f"/v1/blocks/{b64(uid)}")

    async def unblock(self, uid: bytes) -> None:
        """Take a block back; idempotent. unknown_user."""
        await self._calls.call("DELETE", f"/v1/blocks/{b64(uid)}")

    async def report(self, uid: bytes, text: str, chat_id: bytes | None) -> int:
        """Tell the operator about a user; the report's number. unknown_user, rate_limited."""
        request = checked(lambda: api.ReportRequest(uid=uid, chat_id=chat_id, text=text))
        return (await self._calls.ask("POST", "/v1/reports", api.ReportReceipt, request)).id
