"""From an account to a profile on disk and back: what is stored at login, and what an opened profile consists of."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from mensajeria.client.account import Account
from mensajeria.client.api import Trust
from mensajeria.client.engine import new_devices
from mensajeria.client.engine.account_keys import RESTORE_WANTED, put_keys
from mensajeria.client.engine.identity_moves import first_version
from mensajeria.client.engine.me import Me
from mensajeria.client.engine.people import new_contact, updated_contact, verified_list
from mensajeria.client.errors import ProfileError
from mensajeria.client.files import write_private
from mensajeria.client.kept_code import keep_code
from mensajeria.client.profile import UNFINISHED, Profile, ProfileInfo
from mensajeria.client.removal import erase_profile
from mensajeria.client.store import Store, Tx
from mensajeria.client.store.connection import Fill
from mensajeria.client.store.values import Tokens
from mensajeria.client.transport.address import ServerAddress
from mensajeria.client.vault import Vault, create_vault, open_vault
from mensajeria.kit.clock import Clock
from mensajeria.kit.secrets import Secret
from mensajeria.protocol.ids import Did, ServerId, Uid

ROLLED_BACK = "rolled_back"
"""Meta value: the store is an old copy, or the server says so: the next login adds a new device."""
_MADE: Final = ("store.db*", "key.*")


@dataclass(slots=True)
class Opened:
    """An open profile: its folder is locked, its key known, its store open."""

    profile: Profile
    vault: Vault
    store: Store

    async def close(self) -> None:
        """Close the store and let go of the folder."""
        await self.store.close()
        await asyncio.to_thread(self.profile.close)

    async def erase(self) -> None:
        """Close the store and take everything away. Raises ProfileError."""
        await self.store.close()
        try:
            await asyncio.to_thread(erase_profile, self.profile.folder)
        finally:
            await asyncio.to_thread(self.profile.close)


async def open_profile(folder: Path, passphrase: Secret | None) -> Opened:
    """Open a profile. Raises ProfileError. A store that is an old copy is marked, and its sessions are dropped."""
    profile = await _locked(Profile.open, folder)
    try:
        vault = await open_vault(folder, passphrase=passphrase)
        store = await Store.open(profile.store_path, vault.key)
    except BaseException:
        await asyncio.to_thread(profile.close)
        raise
    opened = Opened(profile, vault, store)
    try:
        if vault.rolled_back(await store.read(lambda tx: tx.own.gen())):
            await store.run(mark_rolled_back)
    except BaseException:
        await opened.close()
        raise
    return opened


async def _locked(take: Callable[[Path], Profile], folder: Path) -> Profile:
    """The folder, locked in a thread; let go of again when nobody waits for it any more."""
    taking = asyncio.create_task(asyncio.to_thread(take, folder))
    try:
        return await asyncio.shield(taking)
    except asyncio.CancelledError:
        with contextlib.suppress(ProfileError):
            await asyncio.to_thread((await taking).close)
        raise


@contextlib.asynccontextmanager
async def new_profile(
    folder: Path, passphrase: Secret | None, *, insecure_key_file: bool, fill: Fill | None = None
) -> AsyncIterator[Opened]:
    """A new profile that is kept if the block ends well and leaves nothing behind otherwise. Raises ProfileError.

    One whose account the server may have made by then is kept, too: what it holds is nowhere else.
    What a process that was killed in the block has left behind is no profile yet: the next one begins anew.
    """
    existed = await asyncio.to_thread(folder.exists)
    profile = await _locked(Profile.reserve, folder)
    made: Opened | None = None
    try:
        await asyncio.to_thread(_begin, folder)
        try:
            vault = await create_vault(folder, passphrase=passphrase, insecure_key_file=insecure_key_file)
            made = Opened(profile, vault, await Store.create(profile.store_path, vault.key, fill))
            yield made
            await asyncio.to_thread(profile.finish)
        except BaseException:
            if made is not None:
                await made.store.close()
            if not profile.is_unconfirmed:
                await asyncio.to_thread(_remove_made, folder)
            raise
    except BaseException:
        await asyncio.to_thread(profile.close)
        if not existed and not profile.is_unconfirmed:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        raise


def _begin(folder: Path) -> None:
    """Note in the folder that what is made there now is not finished; what was left so is removed.

    A key or store without that note may be all that is left of a profile: it is never touched.
    """
    if (folder / UNFINISHED).exists():
        _remove_made(folder)
    elif any(next(folder.glob(pattern), None) for pattern in _MADE):
        raise ProfileError("profile_exists", "there is a key or a store already")
    try:
        write_private(folder / UNFINISHED, b"")
    except OSError as error:
        raise ProfileError("store_failed", str(error)) from error


def _remove_made(folder: Path) -> None:
    """What `new_profile` made: the store and the key's files. The profile was never used. The note goes last."""
    for pattern in (*_MADE, UNFINISHED):
        for path in folder.glob(pattern):
            path.unlink(missing_ok=True)


def keep_account(tx: Tx, account: Account, now_ms: int) -> None:
    """Store everything of a login in one transaction."""
    known = tx.contacts.get(Uid(account.uid))
    if known is None:
        contact = new_contact(account.verified, account.served, now_ms)
    else:
        contact = updated_contact(known, account.verified, account.served, now_ms)
        if account.verified.list.backup_ver > verified_list(known).list.backup_ver:  # removed while logged out
            new_devices.tell_chats(tx, contact.list_ver, now_ms)
    tx.contacts.put(replace(contact, trust=Trust.VERIFIED, sending_blocked=False))
    tx.own.put_device(account.device.dump())
    if account.recovery_code is not None:
        keep_code(tx, account.recovery_code, anew=account.root_from > 1)
    first = first_version(tx, account)
    for keys in account.version_keys:
        if keys.n >= first:
            put_keys(tx, keys.n, keys.backup, keys.settings, from_root=True)
    if account.new_device:
        tx.meta.set(RESTORE_WANTED, b"1")
        tx.backup.forget_index()
    if account.logged_in is None or account.channel_key is None:
        return  # it waits for approval
    tokens = Tokens(
        Secret.from_text(account.logged_in.access_token),
        account.logged_in.access_expires_ms,
        Secret(account.logged_in.refresh_token),
        Secret(account.logged_in.known),
    )
    tx.own.put_login(tokens, account.channel_key)


def mark_rolled_back(tx: Tx) -> None:
    """Nothing may be encrypted with what this store holds: a key and nonce could be used twice."""
    tx.meta.set(ROLLED_BACK, b"1")
    tx.own.clear_tokens()
    forget_sessions(tx)


def forget_sessions(tx: Tx) -> None:
    """Drop every ratchet that encrypts. What received messages need stays."""
    for chat in tx.chats.all():
        for item in tx.outbox.pending(chat.chat_id, limit=10_000):
            tx.outbox.unseal(chat.chat_id, item.mid)
    tx.outbound.drop_all()
    for contact in tx.contacts.all():
        for did in known_devices(tx, contact.uid):
            tx.olm.remove(did)
    for envelope in tx.envelopes.outgoing(limit=100_000):
        tx.envelopes.confirmed(envelope.id)


def known_devices(tx: Tx, uid: Uid) -> tuple[Did, ...]:
    """Devices of a user in the newest list, former ones included."""
    contact = tx.contacts.get(uid)
    if contact is None:
        return ()
    newest = verified_list(contact).list
    listed = [device.did for device in newest.devices] + [device.did for device in newest.former]
    return tuple(Did(did) for did in listed)


def info_of(account: Account, address: ServerAddress, *, registered: bool = True) -> ProfileInfo:
    """What stands in `profile.json`."""
    return ProfileInfo(
        server_url=address.url,
        server_id=account.server_id.hex(),
        uid=account.uid.hex(),
        did=account.device.did.hex(),
        handle=account.handle,
        registered=registered,
    )


def me_of(info: ProfileInfo, clock: Clock) -> Me:
    """Who the profile belongs to."""
    return Me(
        server_id=ServerId(bytes.fromhex(info.server_id)),
        uid=Uid(bytes.fromhex(info.uid)),
        did=Did(bytes.fromhex(info.did)),
        handle=info.handle,
        clock=clock,
    )
