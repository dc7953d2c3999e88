"""After the commit that ended logins: forget them here, close their connections everywhere."""

from __future__ import annotations

from collections.abc import Sequence

from mensajeria.protocol.errors import Code
from mensajeria.server.accounts.sessions import Authenticator
from mensajeria.server.push import Push


class EndedLogins:
    """Tells who must know."""

    def __init__(self, authenticator: Authenticator, hub: Push) -> None:
        self._authenticator = authenticator
        self._hub = hub

    async def tell(self, device_ids: Sequence[int], code: Code = Code.LOGIN_REVOKED) -> None:
        """The logins of these devices (row ids) are over."""
        self._authenticator.forget_devices(set(device_ids))
        await self._hub.end_login(device_ids, code)
