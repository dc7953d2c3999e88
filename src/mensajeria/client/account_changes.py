"""Changing an account on `/auth/ws`: password, recovery by code, removing a device, a new identity, deleting it all.

Each change but recovery is approved by this device (see `protocol.approval`); a device of less than a day also needs
the recovery code wherever older devices lose something.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from mensajeria.client.account import (
    MAX_LIST_TRIES,
    Account,
    AuthFlow,
    Credentials,
    Told,
    VersionKeys,
    in_thread,
    opaque_step,
)
from mensajeria.client.account_checks import (
    check_pinned,
    check_registered,
    recovered_root,
    renewed,
    unwrap_root,
    verify_login,
)
from mensajeria.client.engine.people import Served
from mensajeria.client.errors import InputError, RefusedError
from mensajeria.client.store.values import Contact
from mensajeria.crypto.device import DeviceKeys
from mensajeria.crypto.password import LoginProof
from mensajeria.crypto.recovery import RecoveryCode, RecoveryCodeError
from mensajeria.crypto.root import AccountRoot
from mensajeria.kit.secrets import Secret
from mensajeria.protocol import auth, limits
from mensajeria.protocol.approval import (
    Action,
    Change,
    approval_mac,
    deletion_digest,
    password_digest,
    recovery_body,
    removal_digest,
    renewal_digest,
)
from mensajeria.protocol.devices import UnknownDeviceError
from mensajeria.protocol.errors import Code
from mensajeria.protocol.ids import unb64
from mensajeria.protocol.signing import Ctx


@dataclass(frozen=True, slots=True)
class Owner:
    """The device that changes the account, and the identity that it has pinned."""

    who: Credentials
    device: DeviceKeys
    known: Contact
    code: RecoveryCode | None = None


@dataclass(frozen=True, slots=True)
class Announced:
    """A renewal that the server is about to be told."""

    identity: bytes
    succession: bytes
    """Encoded SuccessionProof: every group of the account needs it."""
    backup_ver: int
    """The first backup version whose keys follow from the new account root."""


Announce = Callable[[Announced], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Proven:
    """A login up to its proof."""

    login: LoginProof
    ok: auth.LoginOk
    root: AccountRoot


def parse_code(text: Secret | str | None) -> RecoveryCode | None:
    """A recovery code as a person typed it. Raises InputError (recovery_code_invalid)."""
    if text is None:
        return None
    try:
        return RecoveryCode.parse(text.reveal_text() if isinstance(text, Secret) else text)
    except RecoveryCodeError as error:
        raise InputError("recovery_code_invalid") from error


def parse_reset_code(text: Secret | str) -> bytes:
    """The operator's code as text (base64url). Raises InputError (reset_code_invalid)."""
    try:
        token = unb64((text.reveal_text() if isinstance(text, Secret) else text).strip())
    except ValueError as error:
        raise InputError("reset_code_invalid") from error
    if len(token) != limits.RESET_TOKEN_BYTES:
        raise InputError("reset_code_invalid")
    return token


class ChangeFlow(AuthFlow):
    """The conversations, over one open channel. Each raises RefusedError, NetworkError, SecurityError, InputError."""

    async def change_password(self, owner: Owner, new: Secret, gen: int) -> Account:
        """Replace the password, then log in again with the new one: every login of the account has ended."""
        proven = await self._proven(owner)
        proof, stretched = await self._prepare(replace(owner.who, password=new))
        start = await in_thread(lambda: proof.start_registration(stretched))
        challenge = await self._channel.ask(
            auth.PasswordChangeStart(proof.suite, start.request), auth.PasswordChangeChallenge
        )
        finished = await opaque_step(lambda: start.finish(challenge.response))
        wrap = proven.root.wrap_password(proven.ok.uid, finished.export_key)
        digest = password_digest(challenge.ticket, finished.upload, wrap)
        approval = self._approve(owner, proven, Action.PASSWORD_CHANGE, digest)
        finish = auth.PasswordChangeFinish(challenge.ticket, finished.upload, wrap, approval)
        await self._channel.ask(finish, auth.PasswordChanged)
        return await self.log_in_again(replace(owner.who, password=new), owner.device, owner.known, gen)

    async def reset_password(self, handle: str, code: RecoveryCode, new: Secret, known: Contact | None = None) -> None:
        """Give the account a new password by its recovery code. `known`: the identity that this device has pinned."""
        proof, stretched = await self._prepare(Credentials(handle, new))
        start = await in_thread(lambda: proof.start_registration(stretched))
        challenge = await self._channel.ask(
            auth.RecoveryStart(proof.suite, handle, start.request), auth.RecoveryChallenge
        )
        root = recovered_root(challenge, code, known)
        finished = await opaque_step(lambda: start.finish(challenge.response))
        wraps = root.wrap_password(challenge.uid, finished.export_key), root.wrap_recovery(challenge.uid, code)
        body = recovery_body(
            server_id=self._server_id,
            uid=challenge.uid,
            nonce=challenge.nonce,
            upload=finished.upload,
            wrap_password=wraps[0],
            wrap_recovery=wraps[1],
        )
        signature = code.sign(Ctx.RECOVERY_LOGIN, body)
        finish = auth.RecoveryFinish(challenge.ticket, finished.upload, *wraps, signature)
        await self._channel.ask(finish, auth.Recovered)

    async def renew_identity(self, owner: Owner, new: Secret, gen: int, announce: Announce) -> Account:
        """Move to a new identity under a new password; this device alone stays. `owner.code` is needed.

        `announce` stores the new identity's record before the server hears of it: if nothing comes back, the next login
        tells by it whose the identity is that the server shows.
        """
        assert owner.code is not None
        proven = await self._proven(owner)
        current = verify_login(proven.ok, owner.who.handle, owner.known)
        proof, stretched = await self._prepare(replace(owner.who, password=new))
        start = await in_thread(lambda: proof.start_registration(stretched))
        challenge = await self._channel.ask(
            auth.PasswordChangeStart(proof.suite, start.request), auth.PasswordChangeChallenge
        )
        finished = await opaque_step(lambda: start.finish(challenge.response))
        code, old, now = owner.code, proven.root, self._clock.now_ms()
        renewal = await in_thread(lambda: renewed(owner.device, code, old, current, now))
        wraps = renewal.root.wrap_password(owner.known.uid, finished.export_key), renewal.wrap_recovery
        digest = renewal_digest(challenge.ticket, finished.upload, wraps, renewal.device_list)
        approval = self._approve(owner, proven, Action.IDENTITY_RENEW, digest)
        message = auth.IdentityRenew(
            challenge.ticket,
            finished.upload,
            *wraps,
            renewal.identity,
            renewal.device_list,
            renewal.succession,
            approval,
        )
        await announce(Announced(renewal.identity, renewal.succession, current.list.backup_ver + 1))
        await self._channel.ask(message, auth.IdentityRenewed)
        known = replace(owner.known, identity=renewal.identity)
        return await self.log_in_again(replace(owner.who, password=new), owner.device, known, gen)

    async def reset_identity(self, who: Credentials, token: bytes, device_name: str, told: Told) -> Account:
        """Begin anew on an account by the operator's leave: a new identity that nobody vouches for, with one device.

        Nothing of the old identity is needed, so nothing of it comes along: neither history nor anybody's trust.
        """
        proof, stretched = await self._prepare(who)
        start = await in_thread(lambda: proof.start_registration(stretched))
        challenge = await self._channel.ask(
            auth.ResetStart(proof.suite, who.handle, token, start.request), auth.ResetChallenge
        )
        finished = await opaque_step(lambda: start.finish(challenge.response))
        current = verify_login(challenge, who.handle, None)
        root, code = AccountRoot.generate(challenge.root_ver + 1), RecoveryCode.generate()
        identity = root.identity(challenge.uid, code.public)
        device, now = DeviceKeys.create(challenge.uid), self._clock.now_ms()
        request = auth.ResetFinish(
            challenge.ticket,
            finished.upload,
            root.wrap_password(challenge.uid, finished.export_key),
            root.wrap_recovery(challenge.uid, code),
            identity.record,
            identity.take_over(current, device.card(identity.idfp, now), now),
            device_name,
            device.first_prekeys(now),
        )
        served = Served(challenge.uid, identity.record, request.device_list)
        made = replace(self._made(who, root, device, served, code), root_from=current.list.backup_ver + 1)
        async with told(made):
            await self._channel.ask(request, auth.IdentityReset)
        login, ok = await self._prove(proof, stretched, who)
        check_registered(ok, served)
        account = await self._enter(who, login, ok, device, gen=0)
        return replace(account, recovery_code=made.recovery_code, root_from=made.root_from)

    async def remove_device(self, owner: Owner, did: bytes) -> VersionKeys:
        """Remove a device of the account: the keys that follow. RefusedError unknown_device when it is not listed."""
        for _ in range(MAX_LIST_TRIES):
            proven = await self._proven(owner)
            try:
                return await self._remove(owner, proven, did)
            except RefusedError as error:
                if error.code != Code.LIST_CONFLICT:
                    raise
        raise RefusedError(Code.LIST_CONFLICT)

    async def delete_account(self, owner: Owner) -> None:
        """Delete the account for good."""
        proven = await self._proven(owner)
        approval = self._approve(owner, proven, Action.ACCOUNT_DELETE, deletion_digest())
        await self._channel.ask(auth.AccountDelete(approval), auth.AccountDeleted)

    async def _remove(self, owner: Owner, proven: _Proven, did: bytes) -> VersionKeys:
        current = verify_login(proven.ok, owner.who.handle, owner.known)
        identity = proven.root.identity(proven.ok.uid, current.record.recovery)
        try:
            following = identity.remove_device(current, did, self._clock.now_ms())
        except UnknownDeviceError as error:
            raise RefusedError(Code.UNKNOWN_DEVICE) from error
        approval = self._approve(owner, proven, Action.DEVICE_REMOVE, removal_digest(following))
        await self._channel.ask(auth.DeviceRemove(following, approval), auth.DeviceRemoved)
        version = current.list.backup_ver + 1
        return VersionKeys(version, proven.root.backup_key(version), proven.root.settings_key(version))

    async def _proven(self, owner: Owner) -> _Proven:
        proof, stretched = await self._prepare(owner.who)
        login, ok = await self._prove(proof, stretched, owner.who)
        check_pinned(ok, owner.who.handle, owner.known)
        root, _ = unwrap_root(login, ok)
        return _Proven(login, ok, root)

    def _approve(self, owner: Owner, proven: _Proven, action: Action, digest: bytes) -> auth.Approval:
        change = Change(action, self._server_id, proven.ok.uid, proven.login.transcript, digest)
        return auth.Approval(
            owner.device.did,
            owner.device.login(self._server_id, proven.login.transcript),
            approval_mac(proven.login.channel_key, change),
            b"" if owner.code is None else owner.code.sign(Ctx.RECOVERY_LOGIN, change.body),
        )


__all__ = ["Announced", "ChangeFlow", "Owner", "parse_code", "parse_reset_code"]
