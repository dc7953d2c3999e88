"""The account itself: its person, devices, invites, password and identity."""

from __future__ import annotations

from pathlib import Path

from mensajeria.client.account_changes import parse_code
from mensajeria.client.api import DeviceView, InviteView, NewInvite, NewLink
from mensajeria.client.engine import new_devices
from mensajeria.client.engine.directory import own_devices
from mensajeria.client.engine.linking import offer
from mensajeria.client.entering import Password, as_secret
from mensajeria.client.errors import RefusedError, StateError
from mensajeria.client.face.base import Face
from mensajeria.client.management import Management, require_strong
from mensajeria.crypto.linking import code_text
from mensajeria.kit.secrets import Secret


class OwnAccount(Face):
    """Who one is, and what the owner of an account does with it."""

    @property
    def _management(self) -> Management:
        return Management(self._running)

    @property
    def server_url(self) -> str:
        """Base URL of the account's server."""
        return self._running.reach.address.url

    @property
    def folder(self) -> Path:
        """Where the profile lies."""
        return self._opened.profile.folder

    @property
    def recovery_code(self) -> Secret | None:
        """The account's recovery code, from `register` or `reset_identity` until `recovery_code_saved`, else None.

        To be shown to the person, who keeps it. Also `open` gives it, on the device that has made it.
        """
        return self._running.recovery_code

    @property
    def is_unconfirmed(self) -> bool:
        """Whether the server's answer to `register` or `reset_identity` was lost: `login_again` tells, and finishes."""
        return self._opened.profile.is_unconfirmed

    @property
    def begun_anew(self) -> bool:
        """Whether that code is of `reset_identity`: there is more to be done, in groups and with contacts."""
        return self._running.begun_anew

    async def recovery_code_saved(self) -> None:
        """The person has the recovery code: it is forgotten here. So it is when they use it on this device."""
        await self._running.recovery_code_saved()

    # --- devices ---

    async def devices(self) -> tuple[DeviceView, ...]:
        """The account's devices, by its signed list. Raises NetworkError, RefusedError, SecurityError."""
        names = {info.did: info for info in await self._context.rest.account.devices()}
        await self._engine.directory.refresh(self._context.me.uid)
        me = self._context.me
        return await self._context.store.read(
            lambda tx: own_devices(me.verified(tx), me.did, names, new_devices.unconfirmed(tx))
        )

    async def revoke_device(self, did: bytes, password: Password, *, recovery_code: Password | None = None) -> None:
        """Remove a device: cut off at once and for good. The recovery code is needed on a device of less than a day.

        Raises RefusedError (unknown_device, approval_needed, last_device, bad_credentials), NetworkError,
        SecurityError, InputError.
        """
        await self._management.revoke_device(did, as_secret(password), recovery_code)

    async def deny_device(self, did: bytes, password: Password, *, recovery_code: Password | None = None) -> None:
        """A new device is not this person's: cut it off. As `revoke_device`; then think about the password too."""
        await self._management.revoke_device(did, as_secret(password), recovery_code)

    async def link_code(self) -> NewLink:
        """A code for a new device of this account: `Client.link` there. Valid once, for ten minutes."""
        code, expires = await self._context.store.run(lambda tx: offer(tx, self._context, self.server_url))
        return NewLink(code_text(code), expires)

    async def linked(self) -> None:
        """Wait until the proof that is owed after `link` has left. Raises StateError when nothing will come of it."""
        await self._running.caught_up()
        await self._engine.link_proof_sent()

    async def confirm_device(self, did: bytes) -> None:
        """A new device is this person's: it is not shown as new here any more."""
        await self._management.confirm_device(did)

    async def rename_device(self, did: bytes, name: str) -> None:
        """Give a device another name. Raises RefusedError (unknown_device), NetworkError."""
        await self._management.rename_device(did, name)

    # --- invites ---

    async def create_invite(self, *, uses: int = 1, days: int = 7) -> NewInvite:
        """Make an invite to register, with a link by which both sides know each other.

        Raises RefusedError (forbidden where only the operator may), NetworkError.
        """
        return await self._management.create_invite(self.server_url, uses, days)

    async def invites(self) -> tuple[InviteView, ...]:
        """The invites of this account, newest first. Raises RefusedError, NetworkError."""
        return await self._management.invites()

    async def revoke_invite(self, number: int) -> None:
        """End an invite. Raises RefusedError (not_found), NetworkError."""
        await self._management.revoke_invite(number)

    # --- password, identity, logins ---

    async def login_again(self, password: Password) -> None:
        """Renew a login that ended. A device whose state was rolled back comes back as a new one.

        Raises RefusedError, NetworkError, SecurityError, StateError (device_removed).
        """
        await self._management.login_again(as_secret(password))

    async def reset_password(self, code: Password, new_password: Password) -> None:
        """`recover` for an open client whose login ended: a new password by the code, then a login. Raises alike."""
        secret, recovery = as_secret(new_password), parse_code(code)
        assert recovery is not None
        await require_strong(secret, self.me.handle)
        await self._management.reset_password(recovery, secret)

    async def change_password(self, old: Password, new: Password, *, recovery_code: Password | None = None) -> None:
        """Replace the password. Every other device has to log in again; this one does so by itself.

        Raises InputError (weak_password), RefusedError (bad_credentials, approval_needed), NetworkError, SecurityError.
        """
        await self._management.change_password(as_secret(old), as_secret(new), recovery_code)

    async def renew_identity(self, old: Password, new: Password, recovery_code: Password) -> None:
        """Move the account to a new identity under a new password: for who fears that somebody else knows the password.

        The old identity and the recovery code sign for the new one, so contacts and groups follow. This device alone
        stays, all others are cut off at once; the recovery code stays the same. Raises as `change_password`, and
        RefusedError recovery_invalid.
        """
        await self._management.renew_identity(as_secret(old), as_secret(new), recovery_code)

    async def delete_account(self, password: Password, *, recovery_code: Password | None = None) -> None:
        """Delete the account on the server, for good; the profile stays readable. Raises as `change_password`."""
        await self._management.delete_account(as_secret(password), recovery_code)

    async def log_out(self, *, everywhere: bool = False, erase: bool = False) -> None:
        """End the login on the server, or those of all devices; the profile stays readable, unless `erase`.

        Raises NetworkError (nothing was erased then), RefusedError. As `erase`, if it was asked for: also a login that
        has ended before is no error then.
        """
        try:
            await self._context.rest.account.log_out(everywhere=everywhere)
        except (RefusedError, StateError):
            if not erase:
                raise
        if erase:
            await self._running.erase()
            return
        await self._opened.store.run(lambda tx: tx.own.clear_tokens())
        self._engine.retry_now()
