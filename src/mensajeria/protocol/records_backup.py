"""What lies in a key backup and in the settings that an account's devices share (docs/protocol/e2ee.md §10).

Bodies before they are sealed. The server sees row ids, counters and ciphertexts only.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from mensajeria.protocol.ids import U8, U32, U63, Bytes16, Bytes32
from mensajeria.protocol.records import Record, Signed

PAGE_ENTRIES: Final = 100
"""Entries of an index page: a full one stays below limits.BACKUP_BLOB_MAX."""
SETTING_MAX: Final = 2048
"""Bytes of a setting's value."""
SESSION_ROW: Final = 0
SETTING_ROW: Final = 1


class SessionBackup(Record, frozen=True, kw_only=True):
    """A row of the key backup: a sender session from `first_index` on, sealed under BK_n."""

    v: int = 1
    skb: Signed
    export: Annotated[bytes, msgspec.Meta(min_length=1, max_length=512)]
    first_index: U32


class IndexEntry(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """A row that a device has written, in the order of writing."""

    kind: U8
    """SESSION_ROW or SETTING_ROW."""
    row_id: Bytes16
    counter: U63


class IndexPage(Record, frozen=True, kw_only=True):
    """Entries `page * PAGE_ENTRIES` … of the rows that the device `did` has written, sealed under SSK_n."""

    v: int = 1
    did: Bytes16
    page: U32
    entries: Annotated[tuple[IndexEntry, ...], msgspec.Meta(min_length=1, max_length=PAGE_ENTRIES)]


class IndexHead(Record, frozen=True, kw_only=True):
    """How many entries the index of `did` has, sealed under SSK_n: a missing tail is seen."""

    v: int = 1
    did: Bytes16
    entries: U32


class SettingRecord(Record, frozen=True, kw_only=True):
    """One setting, sealed under SSK_n. The higher (counter, did) wins; an empty value = removed."""

    v: int = 1
    key: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    value: Annotated[bytes, msgspec.Meta(max_length=SETTING_MAX)]
    counter: U32
    did: Bytes16


class ContactSetting(Record, frozen=True, kw_only=True):
    """Setting "contact:<uid>": a contact was verified under this identity."""

    v: int = 1
    idfp: Bytes32
    verified: bool


class ChatSetting(Record, frozen=True, kw_only=True):
    """Setting "chat:<chat id>": the message request was answered."""

    v: int = 1
    accepted: bool


class BackupKeys(Record, frozen=True, kw_only=True):
    """To-device type "backup_keys", between own devices: BK_n and SSK_n."""

    n: U63
    backup: Bytes32
    settings: Bytes32


class BackupKeysRequest(Record, frozen=True, kw_only=True):
    """To-device type "backup_keys_request", between own devices: the keys of version n are missing here."""

    n: U63
