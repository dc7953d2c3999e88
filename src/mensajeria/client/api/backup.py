"""The key backup as people see it."""

from __future__ import annotations

from dataclasses import dataclass

from mensajeria.client.api.core import Event


@dataclass(frozen=True, slots=True)
class BackupStatus:
    """What of this device's keys lies in the account's backup on the server."""

    version: int
    """The backup version n; it advances when a device is removed. 0 = this device has no key for any."""
    current: bool
    """The keys of the newest version are here; else another own device has to pass them on."""
    saved: int
    pending: int
    """Sessions and settings that still have to be sealed and sent."""
    restoring: bool
    used: int | None
    """Bytes on the server, and how many it allows; None while offline."""
    quota: int | None


@dataclass(frozen=True, slots=True)
class RestoreProgress(Event):
    """History is coming back from the backup: `done` of `total` keys were looked at."""

    done: int
    total: int


@dataclass(frozen=True, slots=True)
class HistoryRestored(Event):
    """Everything that the backup has is here.

    `missing`: keys that the account's devices have backed up and the server does not show (any more). `refused`: rows
    that are altered or prove false. Both were also told as security warnings.
    """

    restored: int
    missing: int
    refused: int


@dataclass(frozen=True, slots=True)
class SettingChanged(Event):
    """A setting that the account's devices share changed, here or on another device. An empty value = removed."""

    key: str
    value: bytes
