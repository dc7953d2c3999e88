"""The part of a conversation on `/auth/ws` that changes an account: its tickets, which live in one connection."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mensajeria.protocol import auth_changes as changes
from mensajeria.server.accounts.deletion import AccountDeletion
from mensajeria.server.accounts.identities import Identities, ResetTicket
from mensajeria.server.accounts.login import ProvenLogin
from mensajeria.server.accounts.password import PasswordChange, PasswordTicket
from mensajeria.server.accounts.recovery import Recovery, RecoveryTicket
from mensajeria.server.devices.removal import DeviceRemoval


@dataclass(frozen=True, slots=True)
class AccountChanges:
    """The services."""

    password: PasswordChange
    recovery: Recovery
    devices: DeviceRemoval
    deletion: AccountDeletion
    identities: Identities


class ChangeTalk:
    """One connection's changes. `ends_login` tells after an answer that the proven login is used up."""

    def __init__(self, services: AccountChanges, network: str | None) -> None:
        self._services = services
        self._network = network
        self._password: PasswordTicket | None = None
        self._recovery: RecoveryTicket | None = None
        self._reset: ResetTicket | None = None
        self.ends_login = False

    async def answer(self, message: changes.ClientChange, proven: Callable[[], ProvenLogin]) -> changes.ServerChange:
        """Answer one message; `proven` gives the login that the password has proven, or raises."""
        self.ends_login = False
        match message:
            case changes.PasswordChangeStart():
                self._password, challenge = await self._services.password.start(proven(), message)
                return challenge
            case changes.PasswordChangeFinish():
                ticket, self._password = self._password, None  # good once, whatever comes of it
                await self._services.password.finish(ticket, message)
                self.ends_login = True
                return changes.PasswordChanged()
            case changes.RecoveryStart():
                self._recovery, opened = await self._services.recovery.start(message, self._network)
                return opened
            case changes.RecoveryFinish():
                recovery, self._recovery = self._recovery, None
                await self._services.recovery.finish(recovery, message)
                self.ends_login = True
                return changes.Recovered()
            case changes.DeviceRemove():
                return changes.DeviceRemoved(await self._services.devices.remove(proven(), message))
            case changes.IdentityRenew() | changes.ResetStart() | changes.ResetFinish():
                return await self._identity(message)
            case changes.AccountDelete():
                await self._services.deletion.delete(proven(), message)
                self.ends_login = True
                return changes.AccountDeleted()

    async def _identity(
        self, message: changes.IdentityRenew | changes.ResetStart | changes.ResetFinish
    ) -> changes.ServerChange:
        service = self._services.identities
        match message:
            case changes.IdentityRenew():
                ticket, self._password = self._password, None
                renewed = await service.renew(ticket, message)
                self.ends_login = True
                return changes.IdentityRenewed(renewed)
            case changes.ResetStart():
                self._reset, allowed = await service.start_reset(message, self._network)
                return allowed
            case changes.ResetFinish():
                reset, self._reset = self._reset, None
                ver = await service.finish_reset(reset, message)
                self.ends_login = True
                return changes.IdentityReset(ver)
