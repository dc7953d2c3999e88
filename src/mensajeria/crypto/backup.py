"""Rows of the key backup and of shared settings: sealed so that each opens at its own place only.

AD = H(label, uid, n, row id, counter): a row of another user, version, session or age does not open. The row id is
a MAC over what the row is about, so it tells the server nothing, and what was opened is compared with it.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import Final, TypeVar

from mensajeria.crypto import aead
from mensajeria.crypto.padding import PaddingError, pad_message, unpad_message
from mensajeria.kit.secrets import Secret
from mensajeria.protocol import limits
from mensajeria.protocol.decoding import decode_record
from mensajeria.protocol.encoding import MalformedError, NewerVersionError, cat, encode, u32, u64
from mensajeria.protocol.records import Record, SessionBinding
from mensajeria.protocol.records_backup import IndexHead, IndexPage, SessionBackup, SettingRecord

R = TypeVar("R", bound=Record)
ROW_ID_BYTES: Final = 16
_SESSION: Final = "backup-row"
_PAGE: Final = "backup-page"
_HEAD: Final = "backup-head"
_SETTING: Final = "setting-row"
_PROVEN_BIT: Final = 1 << 40
_LAST_INDEX: Final = (1 << 32) - 1


class BackupRowError(ValueError):
    """The row does not open here: altered, of another place, or not what its id says."""


class NewerBackupError(BackupRowError):
    """Written by a newer program: kept where it is, to be read after an update."""


@dataclass(frozen=True, slots=True)
class SealedRow:
    """A row as the server stores it."""

    row_id: bytes
    counter: int
    blob: bytes


@dataclass(frozen=True, slots=True)
class OpenedSession:
    """A row's content; `binding` is what the row claims: nothing of it is verified yet."""

    record: SessionBackup
    binding: SessionBinding


def session_counter(first_index: int, *, proven: bool) -> int:
    """Which version of a row wins on the server: proven before unproven, then the one that reaches further back."""
    return (_PROVEN_BIT if proven else 0) + _LAST_INDEX - first_index


class BackupSealer:
    """Seals and opens the rows of one user and one backup version n."""

    __slots__ = ("_backup", "_backup_ids", "_settings", "_settings_ids", "_uid", "n")

    def __init__(self, uid: bytes, n: int, backup: Secret, settings: Secret) -> None:
        self.n = n
        self._uid = uid
        self._backup, self._settings = backup, settings
        self._backup_ids = aead.derive(backup, b"id").reveal()
        self._settings_ids = aead.derive(settings, b"id").reveal()

    # --- where rows lie ---

    def session_id(self, chat_id: bytes, session_id: bytes) -> bytes:
        """The id of a session's row."""
        return _mac(self._backup_ids, chat_id, session_id)

    def page_id(self, did: bytes, page: int) -> bytes:
        """The id of a page of a device's index."""
        return _mac(self._settings_ids, b"page", did, u32(page))

    def head_id(self, did: bytes) -> bytes:
        """The id of the head of a device's index."""
        return _mac(self._settings_ids, b"head", did)

    def setting_id(self, key: str) -> bytes:
        """The id of a setting's row."""
        return _mac(self._settings_ids, b"setting", key.encode("utf-8"))

    # --- sealing ---

    def seal_session(self, record: SessionBackup, binding: SessionBinding, counter: int) -> SealedRow:
        """Seal a session; `binding` is the decoded body of `record.skb`."""
        row_id = self.session_id(binding.chat_id, binding.session_id)
        return self._seal(self._backup, _SESSION, row_id, counter, encode(record))

    def seal_page(self, page: IndexPage) -> SealedRow:
        """Seal an index page; a page with more entries is a newer version."""
        return self._seal(self._settings, _PAGE, self.page_id(page.did, page.page), len(page.entries), encode(page))

    def seal_head(self, head: IndexHead) -> SealedRow:
        """Seal the head of an index."""
        return self._seal(self._settings, _HEAD, self.head_id(head.did), head.entries, encode(head))

    def seal_setting(self, setting: SettingRecord) -> SealedRow:
        """Seal a setting; padded, so that its value's length is not told exactly."""
        row_id = self.setting_id(setting.key)
        return self._seal(self._settings, _SETTING, row_id, setting.counter, pad_message(encode(setting)))

    # --- opening: each raises BackupRowError ---

    def open_session(self, row: SealedRow) -> OpenedSession:
        """A session's row. Its binding must be verified before anything of it is used."""
        record = _decoded(SessionBackup, self._open(self._backup, _SESSION, row))
        binding = _decoded(SessionBinding, record.skb.body)
        if not hmac.compare_digest(self.session_id(binding.chat_id, binding.session_id), row.row_id):
            raise BackupRowError("of another session")
        return OpenedSession(record, binding)

    def open_page(self, row: SealedRow, did: bytes, page: int) -> IndexPage:
        """That page of that device's index."""
        opened = _decoded(IndexPage, self._open(self._settings, _PAGE, row))
        if (opened.did, opened.page, len(opened.entries)) != (did, page, row.counter):
            raise BackupRowError("another page")
        return opened

    def open_head(self, row: SealedRow, did: bytes) -> IndexHead:
        """The head of that device's index."""
        opened = _decoded(IndexHead, self._open(self._settings, _HEAD, row))
        if (opened.did, opened.entries) != (did, row.counter):
            raise BackupRowError("another head")
        return opened

    def open_setting(self, row: SealedRow) -> SettingRecord:
        """A setting."""
        try:
            plain = unpad_message(self._open(self._settings, _SETTING, row))
        except PaddingError as error:
            raise BackupRowError(str(error)) from error
        setting = _decoded(SettingRecord, plain)
        if self.setting_id(setting.key) != row.row_id or setting.counter != row.counter:
            raise BackupRowError("another setting")
        return setting

    def _seal(self, key: Secret, label: str, row_id: bytes, counter: int, plain: bytes) -> SealedRow:
        return SealedRow(row_id, counter, aead.seal(key, label, self._ids(row_id, counter), plain))

    def _open(self, key: Secret, label: str, row: SealedRow) -> bytes:
        try:
            return aead.unseal(key, label, self._ids(row.row_id, row.counter), row.blob)
        except (aead.SealError, OverflowError) as error:
            raise BackupRowError(str(error)) from error

    def _ids(self, row_id: bytes, counter: int) -> tuple[bytes, ...]:
        return self._uid, u64(self.n), row_id, u64(counter)

    def __repr__(self) -> str:
        return f"BackupSealer(n={self.n}, ***)"


def _mac(key: bytes, *parts: bytes) -> bytes:
    return hmac.digest(key, cat(*parts), hashlib.sha256)[:ROW_ID_BYTES]


def _decoded(kind: type[R], data: bytes) -> R:
    try:
        return decode_record(kind, data, max_size=limits.BACKUP_BLOB_MAX)
    except NewerVersionError as error:
        raise NewerBackupError(str(error)) from error
    except MalformedError as error:
        raise BackupRowError(str(error)) from error
