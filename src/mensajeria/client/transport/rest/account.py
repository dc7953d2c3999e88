"""The own account: its devices, profile, invites and logins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mensajeria.client.transport.rest.calls import Calls, checked
from mensajeria.kit.lazy import LazyModule
from mensajeria.protocol.ids import b64
from mensajeria.protocol.records import Signed

if TYPE_CHECKING:
    from mensajeria.protocol import api
else:  # its library is loaded when the network is first used
    api = LazyModule("mensajeria.protocol.api")


class OwnAccount:
    """`rest.account`."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def devices(self) -> list[api.DeviceInfo]:
        """The account's devices as the server shows them: names and times are the server's word."""
        return (await self._calls.ask("GET", "/v1/devices", api.DeviceInfos)).devices

    async def rename_device(self, did: bytes, name: str) -> None:
        """Give a device of the account another name."""
        body = checked(lambda: api.DeviceRename(name=name)).model_dump_json().encode()
        await self._calls.call("PUT", f"/v1/devices/{b64(did)}/name", body)

    async def bring_back_lists(self, between: Sequence[bytes], newest: Signed) -> None:
        """Give a restored server the own lists that it lacks; list_conflict, list_invalid, forbidden."""
        signed = api.SignedModel(body=newest.body, sig=newest.sig)
        body = checked(lambda: api.ListsBroughtBack(between=list(between), newest=signed)).model_dump_json().encode()
        await self._calls.call("PUT", "/v1/devices/lists", body)

    async def put_profile(self, ver: int, sealed: bytes) -> None:
        """Publish the own sealed profile; idempotent. profile_conflict when the stored one is not older."""
        body = checked(lambda: api.SealedProfile(ver=ver, sealed=sealed)).model_dump_json().encode()
        await self._calls.call("PUT", "/v1/profile", body)

    async def create_invite(self, uses: int, days: int) -> api.CreatedInviteInfo:
        """Make an invite; forbidden where only the operator may."""
        request = checked(lambda: api.InviteRequest(uses=uses, days=days))
        return await self._calls.ask("POST", "/v1/invites", api.CreatedInviteInfo, request)

    async def invites(self) -> list[api.InviteInfo]:
        """The caller's invites, newest first, all pages."""
        found: list[api.InviteInfo] = []
        while True:
            before = f"?before={found[-1].id}" if found else ""
            page = await self._calls.ask("GET", f"/v1/invites{before}", api.InvitePage)
            found.extend(page.invites)
            if not page.more or not page.invites:
                return found

    async def revoke_invite(self, number: int) -> None:
        """End an invite."""
        await self._calls.call("DELETE", f"/v1/invites/{number}")

    async def log_out(self, *, everywhere: bool = False) -> None:
        """End this login on the server, or those of all devices."""
        body = api.LogoutRequest(everywhere=True).model_dump_json().encode() if everywhere else b""
        await self._calls.call("POST", "/v1/auth/logout", body)

    async def report_unreadable(self, counts: Mapping[str, int]) -> None:
        """Tell the operator's metrics how many messages could not be read, by cause."""
        body = api.UnreadableReport.model_validate(dict(counts)).model_dump_json().encode()
        await self._calls.call("POST", "/v1/unreadable", body)
