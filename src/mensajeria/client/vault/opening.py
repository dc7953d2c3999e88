"""Choosing the place for a new key, and finding the key of an existing profile.

A passphrase wins over the keyring: whoever gives one means it (servers, containers, tests). `key.keyring` holds the
name of the keyring's entry and no secret.
"""

from __future__ import annotations

import logging
import re
import secrets
from functools import partial
from pathlib import Path
from typing import Final

from mensajeria.client.errors import ProfileError
from mensajeria.client.files import write_private
from mensajeria.client.vault.content import Content, Place
from mensajeria.client.vault.keyring_entry import KeyringEntry, usable_keyring
from mensajeria.client.vault.plain_file import PlainFile
from mensajeria.client.vault.sealed_file import SealedFile, read_file
from mensajeria.client.vault.vault import Vault, in_vault_thread
from mensajeria.kit.secrets import Secret

SEALED: Final = "key.sealed"
PLAIN: Final = "key.plain"
KEYRING: Final = "key.keyring"
OPTIONS: Final = (
    "no usable keyring: set MENSAJERIA_PASSPHRASE, give --passphrase-file, or (unprotected) MENSAJERIA_KEY_FILE=plain"
)
_log = logging.getLogger(__name__)
_ACCOUNT: Final = re.compile(rb"[0-9a-f]{32}\Z")


async def create_vault(folder: Path, *, passphrase: Secret | None = None, insecure_key_file: bool = False) -> Vault:
    """Make a new key and keep it: sealed by the passphrase, on request in a plain file, else in the keyring.

    Raises:
        ProfileError: profile_exists (there is a key already: it is never overwritten), passphrase_needed (naming the
            options), store_failed, keyring_failed.
    """
    return await in_vault_thread(partial(_create, folder, passphrase, insecure_key_file))


async def open_vault(folder: Path, *, passphrase: Secret | None = None) -> Vault:
    """Find the profile's key. Nothing is ever changed or deleted when that fails.

    Raises:
        ProfileError: passphrase_needed, passphrase_wrong, keyring_failed, key_lost, profile_damaged, profile_newer.
    """
    return await in_vault_thread(partial(_open, folder, passphrase))


async def add_passphrase(folder: Path, vault: Vault, passphrase: Secret) -> Vault:
    """Keep the key sealed by a passphrase too, for the day when the keyring is gone. Raises ProfileError."""

    def seal() -> Vault:
        place = SealedFile(folder / SEALED, passphrase)
        content = Content(vault.key, vault.ceiling)
        place.store(content)
        return Vault(content, (place, *_keyring_places(folder)))

    return await in_vault_thread(seal)


def forget_key(folder: Path) -> None:
    """Take the key out of the keyring; its files go with the folder's others. Blocks.

    A keyring that does not answer keeps an entry that opens nothing any more: that holds up nobody.
    """
    if not (folder / KEYRING).exists():
        return
    backend = usable_keyring()
    try:
        if backend is None:
            raise ProfileError("keyring_failed", "there is no usable keyring now")  # noqa: TRY301 - one way out below
        KeyringEntry(_account(folder), backend).forget()
    except ProfileError as error:
        _log.warning("the profile's key stays in the keyring: %s", error)


def _create(folder: Path, passphrase: Secret | None, insecure_key_file: bool) -> Vault:  # noqa: FBT001 - internal
    if any((folder / name).exists() for name in (SEALED, PLAIN, KEYRING)):
        raise ProfileError("profile_exists", "there is a key already")
    place = _new_place(folder, passphrase, insecure_key_file=insecure_key_file)
    content = Content.fresh()
    place.store(content)
    return Vault(content, (place,))


def _new_place(folder: Path, passphrase: Secret | None, *, insecure_key_file: bool) -> Place:
    if passphrase is not None:
        return SealedFile(folder / SEALED, passphrase)
    if insecure_key_file:
        return PlainFile(folder / PLAIN)
    backend = usable_keyring()
    if backend is None:
        raise ProfileError("passphrase_needed", OPTIONS)
    account = secrets.token_hex(16)
    entry = KeyringEntry(account, backend)
    entry.store(Content(Secret(bytes(32)), 0))  # a keyring that does not keep anything is found before the name is kept
    write_private(folder / KEYRING, account.encode("ascii"))
    return entry


def _open(folder: Path, passphrase: Secret | None) -> Vault:
    if passphrase is not None and (folder / SEALED).exists():
        sealed = SealedFile(folder / SEALED, passphrase)
        return Vault(sealed.load(), (sealed, *_keyring_places(folder)))
    if (folder / KEYRING).exists():
        return _open_keyring(folder)
    if (folder / SEALED).exists():
        raise ProfileError("passphrase_needed", "the key is sealed by a passphrase")
    plain = PlainFile(folder / PLAIN)
    return Vault(plain.load(), (plain,))


def _open_keyring(folder: Path) -> Vault:
    """The keyring's key; where a sealed copy exists, its passphrase is what is asked for when the keyring fails."""
    try:
        backend = usable_keyring()
        if backend is None:
            raise ProfileError("keyring_failed", "there is no usable keyring now")  # noqa: TRY301 - one way out below
        entry = KeyringEntry(_account(folder), backend)
        return Vault(entry.load(), (entry,))
    except ProfileError as error:
        if (folder / SEALED).exists():
            raise ProfileError(
                "passphrase_needed", f"the keyring failed ({error.code}); the key is sealed too"
            ) from error
        raise


def _keyring_places(folder: Path) -> tuple[Place, ...]:
    """The keyring's entry where it answers, so that its ceiling follows; a sealed profile works without."""
    backend = usable_keyring() if (folder / KEYRING).exists() else None
    if backend is None:
        return ()
    entry = KeyringEntry(_account(folder), backend)
    try:
        entry.load()
    except ProfileError:
        return ()
    return (entry,)


def _account(folder: Path) -> str:
    data = read_file(folder / KEYRING)
    if not _ACCOUNT.match(data):
        raise ProfileError("profile_damaged", "key.keyring is damaged")
    return data.decode("ascii")
