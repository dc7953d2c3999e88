"""What every way into an account has in common: how the server is reached, and the profile that is made."""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mensajeria.client.account import Account, Told
from mensajeria.client.errors import RefusedError, had_no_effect
from mensajeria.client.profiles import Opened, info_of, keep_account, new_profile
from mensajeria.client.removal import NOTE
from mensajeria.client.store import Tx
from mensajeria.client.transport.address import ServerAddress, parse_address
from mensajeria.client.transport.auth_channel import AuthChannel
from mensajeria.client.transport.tls import client_context
from mensajeria.kit.clock import Clock
from mensajeria.kit.secrets import Secret

DEFAULT_DEVICE: Final = "mensajeria"
KEY_FILE: Final = "MENSAJERIA_KEY_FILE"
_NAME_MAX: Final = 64
Password = Secret | str
Talk = Callable[[AuthChannel, Told], Awaitable[Account]]
"""A conversation that ends with an account; one that makes an account is told where to keep it before."""


@dataclass(frozen=True, slots=True)
class Reach:
    """How a server is reached."""

    address: ServerAddress
    tls: ssl.SSLContext | None

    @classmethod
    async def of(cls, server: str, ca_file: Path | None, *, insecure_http: bool) -> Reach:
        """Read an address. Raises InputError."""
        address = parse_address(server, insecure_http=insecure_http)
        tls = await asyncio.to_thread(client_context, ca_file) if address.secure else None
        return cls(address, tls)

    async def channel(self) -> AuthChannel:
        """A conversation with the server. Raises NetworkError, SecurityError."""
        return await AuthChannel.open(self.address, self.tls)


@dataclass(frozen=True, slots=True)
class NewDevice:
    """A device of an account, and the profile that is to be made for it."""

    folder: Path
    reach: Reach
    clock: Clock
    passphrase: Secret | None = None
    insecure_key_file: bool = False

    async def enter(self, talk: Talk, also: Callable[[Tx], None] | None = None) -> tuple[Opened, Account]:
        """Make the profile, and the account's device by `talk`; `also` stores what else belongs to it.

        On an error no profile is left behind, unless the server may have made the account.
        """
        insecure = self.insecure_key_file or key_file_allowed()
        async with new_profile(self.folder, self.passphrase, insecure_key_file=insecure) as opened:
            if also is not None:
                await opened.store.run(also)
            async with await self.reach.channel() as channel:
                account = await talk(channel, lambda account: self._told(opened, account))
            await self._keep(opened, account, registered=True)
        return opened, account

    @contextlib.asynccontextmanager
    async def _told(self, opened: Opened, account: Account) -> AsyncIterator[None]:
        """See `Told`. What ends the block says whether the account was made, or that nobody knows."""
        await self._keep(opened, account, registered=False)
        try:
            yield
        except RefusedError as error:
            if had_no_effect(error.code):
                await asyncio.to_thread(opened.profile.withdraw)
            raise

    async def _keep(self, opened: Opened, account: Account, *, registered: bool) -> None:
        await opened.store.run(lambda tx: keep_account(tx, account, self.clock.now_ms()))
        info = info_of(account, self.reach.address, registered=registered)
        # Whoever is cut off here leaves when it is written: what is removed then must stay away.
        saving = asyncio.create_task(asyncio.to_thread(opened.profile.save, info))
        try:
            await asyncio.shield(saving)
        except asyncio.CancelledError:
            await saving
            raise


async def has_profile(folder: Path) -> bool:
    """Whether a folder holds a profile that was not given up."""
    return await asyncio.to_thread(lambda: (folder / "profile.json").exists() and not (folder / NOTE).exists())


def as_secret(value: Password) -> Secret:
    """A password however it was given."""
    return value if isinstance(value, Secret) else Secret.from_text(value)


def optional_secret(value: Password | None) -> Secret | None:
    """As `as_secret`, if there is one."""
    return None if value is None else as_secret(value)


def device_label(name: str) -> str:
    """A device name that the protocol takes."""
    return name.strip()[:_NAME_MAX] or DEFAULT_DEVICE


def key_file_allowed() -> bool:
    """Whether the environment allows to keep the store's key in a plain file, for machines without a keyring."""
    return os.environ.get(KEY_FILE) == "plain"
