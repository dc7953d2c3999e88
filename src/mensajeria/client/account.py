"""Registering, logging in, adding this device: conversations on `/auth/ws`. The password never leaves this process."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from mensajeria.client.account_checks import check_pinned, check_registered, unwrap_root, verify_login
from mensajeria.client.engine.people import Served, verify_served
from mensajeria.client.errors import ClientError, InputError, RefusedError, SecurityError, StateError
from mensajeria.client.store.values import Contact
from mensajeria.client.transport.auth_channel import AuthChannel
from mensajeria.crypto.device import DeviceKeys
from mensajeria.crypto.identity import TooManyDevicesError
from mensajeria.crypto.password import (
    EmptyPasswordError,
    LoginProof,
    PasswordProof,
    PasswordProofError,
    UnknownSuiteError,
    WrongPasswordError,
    password_proof,
    prestretch,
)
from mensajeria.crypto.recovery import RecoveryCode
from mensajeria.crypto.root import AccountRoot
from mensajeria.kit.clock import Clock
from mensajeria.kit.secrets import Secret
from mensajeria.protocol import auth, limits
from mensajeria.protocol.devices import (
    VerifiedList,
    identity_fingerprint,
)
from mensajeria.protocol.errors import Code
from mensajeria.protocol.ids import unb64

_HANDLE: Final = re.compile(limits.HANDLE_PATTERN)
MAX_LIST_TRIES: Final = 3
MAX_VERSIONS: Final = 256
T = TypeVar("T")
_executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="mensajeria-password")


@dataclass(frozen=True, slots=True)
class VersionKeys:
    """BK_n and SSK_n."""

    n: int
    backup: Secret
    settings: Secret


def version_keys(root: AccountRoot, newest: int) -> tuple[VersionKeys, ...]:
    """The keys of the backup versions up to `newest`; of very many the last ones."""
    versions = range(max(1, newest - MAX_VERSIONS + 1), newest + 1)
    return tuple(VersionKeys(n, root.backup_key(n), root.settings_key(n)) for n in versions)


@dataclass(frozen=True, slots=True)
class Account:
    """What a finished conversation gives, to be stored as a whole. The account root is already forgotten."""

    server_id: bytes
    uid: bytes
    handle: str
    device: DeviceKeys
    served: Served
    verified: VerifiedList
    channel_key: Secret | None
    logged_in: auth.LoggedIn | None
    """None together with `channel_key`: it is about to be made, or waits for the operator's approval."""
    new_device: bool
    recovery_code: Secret | None = None
    version_keys: tuple[VersionKeys, ...] = ()
    """BK_n and SSK_n of every backup version, ascending: rows under an older one may not have been sealed anew yet."""
    root_from: int = 1
    """The first backup version whose keys follow from this account root, where that is known."""


Told = Callable[[Account], AbstractAsyncContextManager[None]]
"""Keeps an account before the server is asked, in the block, to make it: its recovery code is known nowhere else."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who wants in. `known`: the token of an earlier login of this device, or empty."""

    handle: str
    password: Secret
    known: bytes = b""


def check_handle_form(handle: str) -> str:
    """The handle in its one form. Raises InputError (handle_invalid)."""
    handle = handle.strip().lower().removeprefix("@")
    if not _HANDLE.fullmatch(handle):
        raise InputError("handle_invalid")
    return handle


def parse_invite(invite: str | bytes | None) -> bytes:
    """The token of an invite as text (base64url) or bytes; empty for None. Raises InputError (invite_invalid)."""
    if not invite:
        return b""
    try:
        token = unb64(invite.strip()) if isinstance(invite, str) else invite
    except ValueError as error:
        raise InputError("invite_invalid") from error
    if len(token) != limits.INVITE_TOKEN_BYTES:
        raise InputError("invite_invalid")
    return token


class AuthFlow:
    """The conversations, over one open channel."""

    def __init__(self, channel: AuthChannel, clock: Clock) -> None:
        self._channel = channel
        self._clock = clock
        self._server_id = channel.info.server_id

    async def register(self, who: Credentials, invite: bytes, device_name: str, told: Told) -> Account:
        """Make an account with this device, and log in.

        Raises RefusedError, NetworkError, SecurityError, InputError.
        """
        proof, stretched = await self._prepare(who)
        start = await in_thread(lambda: proof.start_registration(stretched))
        challenge = await self._channel.ask(
            auth.RegisterStart(proof.suite, who.handle, invite, start.request), auth.RegisterChallenge
        )
        finished = await opaque_step(lambda: start.finish(challenge.response))
        root, code = AccountRoot.generate(), RecoveryCode.generate()
        identity = root.identity(challenge.uid, code.public)
        device, now = DeviceKeys.create(challenge.uid), self._clock.now_ms()
        request = auth.RegisterFinish(
            challenge.ticket,
            finished.upload,
            root.wrap_password(challenge.uid, finished.export_key),
            root.wrap_recovery(challenge.uid, code),
            identity.record,
            identity.first_list(who.handle, device.card(identity.idfp, now), now),
            device_name,
            device.first_prekeys(now),
        )
        served = Served(challenge.uid, identity.record, request.device_list)
        made = self._made(who, root, device, served, code)
        async with told(made):
            await self._channel.ask(request, auth.Registered)
        try:
            login, ok = await self._prove(proof, stretched, who)
        except RefusedError as error:
            if error.code != Code.ACCOUNT_PENDING:
                raise
            return made
        check_registered(ok, served)
        account = await self._enter(who, login, ok, device, gen=0)
        return replace(account, recovery_code=made.recovery_code)

    async def log_in(self, who: Credentials, device_name: str, expected: tuple[bytes, bytes] | None = None) -> Account:
        """Add this machine as a new device of the account. `expected`: its uid and idfp, when they are known.

        Raises as `register`.
        """
        proof, stretched = await self._prepare(who)
        for _ in range(MAX_LIST_TRIES):
            login, ok = await self._prove(proof, stretched, who)
            if expected is not None and expected != (ok.uid, identity_fingerprint(ok.identity)):
                raise SecurityError("identity_swapped", params={"handle": who.handle})
            try:
                device, ok = await self._add_device(who, login, ok, device_name)
            except RefusedError as error:
                if error.code != Code.LIST_CONFLICT:
                    raise
                continue
            return await self._enter(who, login, ok, device, gen=0, new_device=True)
        raise RefusedError(Code.LIST_CONFLICT)

    async def log_in_again(
        self, who: Credentials, device: DeviceKeys, known: Contact, gen: int, announced: bytes | None = None
    ) -> Account:
        """A new login of a device that the account has. Raises as `register`, and StateError (device_removed).

        `announced`: record of a new identity that this device has asked the server for.
        """
        proof, stretched = await self._prepare(who)
        login, ok = await self._prove(proof, stretched, who)
        check_pinned(ok, who.handle, known, announced)
        return await self._enter(who, login, ok, device, gen=gen, known=known)

    # --- steps ---

    def _made(
        self, who: Credentials, root: AccountRoot, device: DeviceKeys, served: Served, code: RecoveryCode
    ) -> Account:
        """An account with this device that has not logged in yet: it is about to be made, or waits for approval.

        Its device's keys leave for the server once, with the request: either they are published or there is no account.
        """
        device.mark_published()
        verified = verify_served(served, None)
        return Account(
            server_id=self._server_id,
            uid=served.uid,
            handle=who.handle,
            device=device,
            served=served,
            verified=verified,
            channel_key=None,
            logged_in=None,
            new_device=False,
            recovery_code=Secret.from_text(code.text),
            version_keys=version_keys(root, verified.list.backup_ver),
        )

    async def _prepare(self, who: Credentials) -> tuple[PasswordProof, Secret]:
        suites = self._channel.info.password_suites
        if auth.SUITE_PASSWORD not in suites:
            raise SecurityError("weak_parameters", "the server does not offer a password suite known here")
        try:
            proof = password_proof(auth.SUITE_PASSWORD)
            return proof, await in_thread(lambda: prestretch(who.password, self._server_id, who.handle))
        except UnknownSuiteError as error:
            raise ClientError("newer_version") from error
        except (EmptyPasswordError, UnicodeError) as error:
            raise InputError("weak_password") from error

    async def _prove(
        self, proof: PasswordProof, stretched: Secret, who: Credentials
    ) -> tuple[LoginProof, auth.LoginOk]:
        """Show the password without sending it."""
        start = await in_thread(lambda: proof.start_login(stretched))
        challenge = await self._channel.ask(
            auth.LoginStart(proof.suite, who.handle, start.ke1, who.known), auth.LoginChallenge
        )
        login = await opaque_step(lambda: start.finish(challenge.ke2))
        return login, await self._channel.ask(auth.LoginFinish(login.ke3), auth.LoginOk)

    async def _add_device(
        self, who: Credentials, login: LoginProof, ok: auth.LoginOk, device_name: str
    ) -> tuple[DeviceKeys, auth.LoginOk]:
        """The list's next version with this device, signed by the identity that the password unwraps."""
        current = verify_login(ok, who.handle, None)
        root, identity = unwrap_root(login, ok)
        del root
        device, now = DeviceKeys.create(ok.uid), self._clock.now_ms()
        try:
            signed = identity.add_device(current, device.card(identity.idfp, now), now)
        except TooManyDevicesError as error:
            raise RefusedError(Code.TOO_MANY_DEVICES) from error
        request = auth.DeviceAdd(signed, device_name, device.did, device.first_prekeys(now))
        await self._channel.ask(request, auth.DeviceAdded)
        device.mark_published()
        return device, auth.LoginOk(ok.uid, ok.root_ver, ok.wrap_password, ok.wrap_recovery, ok.identity, signed)

    async def _enter(
        self,
        who: Credentials,
        login: LoginProof,
        ok: auth.LoginOk,
        device: DeviceKeys,
        *,
        gen: int,
        known: Contact | None = None,
        new_device: bool = False,
    ) -> Account:
        """Take the login as this device, and derive what stays on it."""
        verified = verify_login(ok, who.handle, known)
        if verified.find(device.did) is None:
            raise StateError("device_removed")
        root, _ = unwrap_root(login, ok)
        signed = device.login(self._server_id, login.transcript)
        logged_in = await self._channel.ask(auth.DeviceLoginMessage(device.did, signed, gen), auth.LoggedIn)
        served = Served(ok.uid, ok.identity, ok.device_list)
        return Account(
            server_id=self._server_id,
            uid=ok.uid,
            handle=who.handle,
            device=device,
            served=served,
            verified=verified,
            channel_key=login.channel_key,
            logged_in=logged_in,
            new_device=new_device,
            version_keys=version_keys(root, verified.list.backup_ver),
        )


async def in_thread(function: Callable[[], T]) -> T:
    """Argon2 and OPAQUE hold their thread for a while."""
    return await asyncio.get_running_loop().run_in_executor(_executor, function)


async def opaque_step(function: Callable[[], T]) -> T:
    """A step of OPAQUE in that thread. Raises RefusedError (bad_credentials), SecurityError (login_tampered)."""
    try:
        return await in_thread(function)
    except WrongPasswordError as error:
        raise RefusedError(Code.BAD_CREDENTIALS) from error
    except PasswordProofError as error:
        raise SecurityError("login_tampered", str(error)) from error
