"""BK_n and SSK_n on this device: the keys of backup and settings, one pair for each backup version.

The newest pair also stands under the names that the rest of the client reads (`me.SETTINGS_KEY`, `me.BACKUP_KEY`).
"""

from __future__ import annotations

from typing import Final

from mensajeria.client.engine.me import BACKUP_KEY, SETTINGS_KEY, Me
from mensajeria.client.store import Tx
from mensajeria.crypto.backup import BackupSealer
from mensajeria.kit.secrets import Secret

RESTORE_WANTED: Final = "restore_wanted"
"""Meta value: a new device, whose history has not come from the backup yet."""
PASS_KEYS: Final = "owes_backup_keys"  # noqa: S105 - a name
"""Meta value: this device has made a new backup version and owes its keys to the others."""
NEWEST: Final = "backup_version"
"""Meta number: the highest version whose keys are here."""


def put_keys(tx: Tx, n: int, backup: Secret, settings: Secret, *, from_root: bool = False) -> bool:
    """Keep the keys of version `n` unless there are some: whether they are new. Every session is then backed up anew.

    `from_root`: derived from the account root here, so they replace what another device may have told.
    """
    known = tx.own.get(_name(BACKUP_KEY, n))
    if known is not None and (known == backup or not from_root):
        return False
    tx.own.put(_name(BACKUP_KEY, n), backup)
    tx.own.put(_name(SETTINGS_KEY, n), settings)
    if n >= tx.meta.number(NEWEST):
        tx.meta.raise_to(NEWEST, n)
        tx.own.put(BACKUP_KEY, backup)
        tx.own.put(SETTINGS_KEY, settings)
        tx.backup.begin_version(n)
    return True


def newest_version(tx: Tx, me: Me) -> int:
    """The highest version whose keys are here; 0 = none. Adopts the unnumbered pair of an older profile."""
    n = tx.meta.number(NEWEST)
    if n or tx.own.get(BACKUP_KEY) is None:
        return n
    # A profile of the first schema: its pair is that of version 1 as long as no device was ever removed. Later ones
    # are asked for.
    return 1 if wanted_version(tx, me) == 1 else 0


def wanted_version(tx: Tx, me: Me) -> int:
    """The backup version that the own newest list names."""
    return me.verified(tx).list.backup_ver


def keys_of(tx: Tx, me: Me, n: int) -> tuple[Secret, Secret] | None:
    """BK_n and SSK_n."""
    backup, settings = tx.own.get(_name(BACKUP_KEY, n)), tx.own.get(_name(SETTINGS_KEY, n))
    if backup is None and n == 1 and newest_version(tx, me) == 1:
        backup, settings = tx.own.get(BACKUP_KEY), tx.own.get(SETTINGS_KEY)
    return None if backup is None or settings is None else (backup, settings)


def sealer_of(tx: Tx, me: Me, n: int) -> BackupSealer | None:
    """What seals and opens rows of version `n`; None without its keys."""
    keys = keys_of(tx, me, n)
    return None if keys is None else BackupSealer(me.uid, n, *keys)


def sealers(tx: Tx, me: Me) -> tuple[BackupSealer, ...]:
    """Those of every version whose keys are here, newest first."""
    found = (sealer_of(tx, me, n) for n in range(newest_version(tx, me), 0, -1))
    return tuple(sealer for sealer in found if sealer is not None)


def _name(base: str, n: int) -> str:
    return f"{base}:{n}"
