"""Rows of the key backup: each opens at its own place only, and only as what it is."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mensajeria.crypto import aead
from mensajeria.crypto.backup import BackupRowError, BackupSealer, NewerBackupError, SealedRow, session_counter
from mensajeria.crypto.inbound import InboundSession
from mensajeria.kit.secrets import Secret
from mensajeria.protocol import limits
from mensajeria.protocol.encoding import encode, u64
from mensajeria.protocol.records_backup import (
    PAGE_ENTRIES,
    SETTING_MAX,
    IndexEntry,
    IndexHead,
    IndexPage,
    SessionBackup,
    SettingRecord,
)
from tests.crypto.people import DirectChat, Person

UID, DID = b"u" * 16, b"d" * 16
CHAT = DirectChat(Person("ana"), Person("bruno"))


def sealer(uid: bytes = UID, n: int = 1, fill: bytes = b"k") -> BackupSealer:
    return BackupSealer(uid, n, Secret(fill * 32), Secret(b"s" * 32))


def session_row(by: BackupSealer) -> SealedRow:
    export, first_index, proven = CHAT.inbound.for_backup()
    record = SessionBackup(skb=CHAT.inbound.signed_binding, export=export, first_index=first_index)
    return by.seal_session(record, CHAT.inbound.binding, session_counter(first_index, proven=proven))


def test_a_session_comes_back_from_its_row() -> None:
    opened = sealer().open_session(session_row(sealer()))
    session = InboundSession.from_export(opened.record.export, opened.binding, opened.record.skb)
    assert (session.session_id, session.first_index) == (CHAT.inbound.session_id, 0)


@pytest.mark.parametrize(
    "other", [sealer(uid=b"v" * 16), sealer(n=2), sealer(fill=b"x")], ids=["user", "version", "key"]
)
def test_a_row_of_another_user_version_or_key_does_not_open(other: BackupSealer) -> None:
    with pytest.raises(BackupRowError):
        other.open_session(session_row(sealer()))


def test_a_row_under_another_id_or_counter_does_not_open() -> None:
    row = session_row(sealer())
    for moved in (replace(row, row_id=os.urandom(16)), replace(row, counter=row.counter + 1)):
        with pytest.raises(BackupRowError):
            sealer().open_session(moved)


def test_a_row_whose_content_is_of_another_session_than_its_id_is_refused() -> None:
    """Whoever has the key (a removed device, with the server) cannot put one chat's session into another's place."""
    export, first_index, _ = CHAT.inbound.for_backup()
    record = SessionBackup(skb=CHAT.inbound.signed_binding, export=export, first_index=first_index)
    elsewhere, ids = sealer().session_id(b"c" * 32, b"S" * 32), (UID, u64(1))
    blob = aead.seal(Secret(b"k" * 32), "backup-row", (*ids, elsewhere, u64(5)), encode(record))
    with pytest.raises(BackupRowError, match="another session"):
        sealer().open_session(SealedRow(elsewhere, 5, blob))


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_flipped_bit_anywhere_is_refused(place: int, mask: int) -> None:
    row = session_row(sealer())
    blob = bytearray(row.blob)
    blob[place % len(blob)] ^= mask
    with pytest.raises(BackupRowError):
        sealer().open_session(replace(row, blob=bytes(blob)))


@given(st.binary(max_size=600))
def test_any_bytes_are_refused(blob: bytes) -> None:
    row = SealedRow(os.urandom(16), 1, blob)
    with pytest.raises(BackupRowError):
        sealer().open_session(row)
    with pytest.raises(BackupRowError):
        sealer().open_setting(row)
    with pytest.raises(BackupRowError):
        sealer().open_page(row, DID, 0)
    with pytest.raises(BackupRowError):
        sealer().open_head(row, DID)


@given(st.binary(max_size=600))
def test_any_content_under_the_right_key_is_a_value_or_refused(plain: bytes) -> None:
    row_id = sealer().head_id(DID)
    for key, label in ((b"k", "backup-row"), (b"s", "setting-row"), (b"s", "backup-page"), (b"s", "backup-head")):
        blob = aead.seal(Secret(key * 32), label, (UID, u64(1), row_id, u64(1)), plain)
        row = SealedRow(row_id, 1, blob)
        for opened in (
            lambda: sealer().open_session(row),  # noqa: B023 - run at once
            lambda: sealer().open_setting(row),  # noqa: B023
            lambda: sealer().open_page(row, DID, 0),  # noqa: B023
        ):
            with pytest.raises(BackupRowError):
                opened()


def test_a_row_of_a_newer_program_is_told_apart() -> None:
    row_id = sealer().head_id(DID)
    plain = encode({"v": 2, "did": DID, "entries": 1})
    row = SealedRow(row_id, 1, aead.seal(Secret(b"s" * 32), "backup-head", (UID, u64(1), row_id, u64(1)), plain))
    with pytest.raises(NewerBackupError):
        sealer().open_head(row, DID)


def test_an_index_page_opens_as_that_page_of_that_device_only() -> None:
    entries = tuple(IndexEntry(0, os.urandom(16), session_counter(0, proven=True)) for _ in range(PAGE_ENTRIES))
    row = sealer().seal_page(IndexPage(did=DID, page=3, entries=entries))
    assert sealer().open_page(row, DID, 3).entries == entries
    assert len(row.blob) <= limits.BACKUP_BLOB_MAX
    for did, page in ((DID, 2), (b"e" * 16, 3)):
        with pytest.raises(BackupRowError):
            sealer().open_page(row, did, page)


def test_a_head_opens_as_that_device_s_only() -> None:
    row = sealer().seal_head(IndexHead(did=DID, entries=7))
    assert sealer().open_head(row, DID).entries == 7
    with pytest.raises(BackupRowError):
        sealer().open_head(row, b"e" * 16)


def test_a_setting_comes_back_and_fits_into_a_row() -> None:
    setting = SettingRecord(key="k" * 128, value=b"v" * SETTING_MAX, counter=4, did=DID)
    row = sealer().seal_setting(setting)
    assert sealer().open_setting(row) == setting
    assert len(row.blob) <= limits.BACKUP_BLOB_MAX


def test_settings_of_nearly_one_length_have_rows_of_one_length() -> None:
    sizes = {
        len(sealer().seal_setting(SettingRecord(key="k", value=b"v" * n, counter=1, did=DID)).blob) for n in range(9)
    }
    assert len(sizes) == 1


def test_a_proven_row_goes_before_an_unproven_one_that_reaches_further_back() -> None:
    assert session_counter(7, proven=True) > session_counter(5, proven=False)
    assert session_counter(3, proven=True) > session_counter(4, proven=True)
    assert session_counter(0, proven=True) < 1 << 53


def test_an_unproven_export_is_backed_up_as_such_and_a_signed_key_as_proven() -> None:
    export, first_index, proven = CHAT.inbound.for_backup()
    assert (first_index, proven) == (0, True)
    imported = InboundSession.from_export(export, CHAT.inbound.binding, CHAT.inbound.signed_binding)
    assert imported.for_backup() == (export, 0, False)


def test_an_unproven_export_is_stored_small_and_comes_back_as_it_was() -> None:
    export, _, _ = CHAT.inbound.for_backup()
    imported = InboundSession.from_export(export, CHAT.inbound.binding, CHAT.inbound.signed_binding)
    state = imported.dump()
    assert len(state.reveal()) < 700 < len(CHAT.inbound.dump().reveal())
    again = InboundSession.load(state)
    assert (again.for_backup(), again.proven) == (imported.for_backup(), False)
    both = again.merge(CHAT.inbound)
    assert InboundSession.load(both.dump()).for_backup() == CHAT.inbound.for_backup()


def test_keys_do_not_show() -> None:
    assert "k" * 8 not in repr(sealer())
