"""Where rows of the backup lie, how a group's name is sealed, how a file is cut: as docs/protocol/e2ee.md writes it."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from mensajeria.crypto import aead
from mensajeria.crypto.backup import BackupRowError, BackupSealer, SealedRow, session_counter
from mensajeria.crypto.files import CHUNK, FileSealer, FileSizeError, Metadata, open_sealed
from mensajeria.crypto.group_profile import new_profile_key, open_profile, seal_profile
from mensajeria.crypto.padding import PaddingError, pad_message
from mensajeria.kit.secrets import Secret
from mensajeria.protocol import limits
from mensajeria.protocol.encoding import MalformedError, encode
from mensajeria.protocol.records_backup import SettingRecord
from mensajeria.protocol.records_groups import GroupProfile
from tests.second.encoding import cat, hkdf, mac, read, u32, u64, unpad, unseal

UID, DID, CHAT, SESSION = b"u" * 16, b"d" * 16, b"c" * 32, b"x" * 32
BK, SSK = b"b" * 32, b"s" * 32
PROFILE = GroupProfile(name="Club Ñandú", description="los martes")


@pytest.fixture
def rows() -> BackupSealer:
    return BackupSealer(UID, 3, Secret(BK), Secret(SSK))


# --- the key backup ---


def test_a_row_lies_where_the_document_says(rows: BackupSealer) -> None:
    assert rows.session_id(CHAT, SESSION) == mac(hkdf(BK, b"id"), cat(CHAT, SESSION))[:16]
    assert rows.page_id(DID, 7) == mac(hkdf(SSK, b"id"), cat(b"page", DID, u32(7)))[:16]
    assert rows.head_id(DID) == mac(hkdf(SSK, b"id"), cat(b"head", DID))[:16]
    assert rows.setting_id("año") == mac(hkdf(SSK, b"id"), cat(b"setting", "año".encode()))[:16]


@pytest.mark.parametrize("first_index", [0, 1, 2**32 - 1])
def test_a_better_key_has_the_documents_higher_counter(first_index: int) -> None:
    assert session_counter(first_index, proven=False) == 2**32 - 1 - first_index
    assert session_counter(first_index, proven=True) == 2**40 + 2**32 - 1 - first_index


def sealed_as(rows: BackupSealer, setting: SettingRecord, row_id: bytes, counter: int) -> SealedRow:
    """A setting under any place: what a former device that still has the key could write."""
    ids = (UID, u64(3), row_id, u64(counter))
    return SealedRow(row_id, counter, aead.seal(Secret(SSK), "setting-row", ids, pad_message(encode(setting))))


@pytest.mark.parametrize(("key", "counter"), [("otra", 4), ("una", 5), ("otra", 5)])
def test_a_setting_under_another_key_or_counter_than_its_own_is_refused(
    rows: BackupSealer, key: str, counter: int
) -> None:
    setting = SettingRecord(key="una", value=b"v", counter=4, did=DID)
    assert rows.open_setting(sealed_as(rows, setting, rows.setting_id("una"), 4)) == setting
    with pytest.raises(BackupRowError):
        rows.open_setting(sealed_as(rows, setting, rows.setting_id(key), counter))


# --- a group's name ---


def test_a_groups_name_is_sealed_as_the_document_says() -> None:
    key = new_profile_key()
    sealed = seal_profile(key, CHAT, 9, PROFILE)
    padded = unseal(key.reveal(), "group-profile", sealed, CHAT, u64(9))
    assert len(padded) % 64 == 0
    assert read(unpad(padded)) == {"v": 1, "name": PROFILE.name, "description": PROFILE.description, "picture": b""}
    assert open_profile(key, CHAT, 9, sealed) == PROFILE


def test_two_keys_and_two_names_share_nothing() -> None:
    keys = {new_profile_key().reveal() for _ in range(3)}
    assert {len(key) for key in keys} == {32}
    assert len(keys) == 3
    key = new_profile_key()
    assert seal_profile(key, CHAT, 1, PROFILE)[:16] != seal_profile(key, CHAT, 1, PROFILE)[:16]


@pytest.mark.parametrize(("chat", "ver"), [(b"d" * 32, 9), (CHAT, 8)])
def test_a_groups_name_opens_in_its_chat_and_version_only(chat: bytes, ver: int) -> None:
    key = new_profile_key()
    sealed = seal_profile(key, CHAT, 9, PROFILE)
    for wrong in ((key, chat, ver), (new_profile_key(), CHAT, 9)):
        with pytest.raises(aead.SealError):
            open_profile(*wrong, sealed)


def test_a_groups_name_that_is_none_is_refused() -> None:
    key = new_profile_key()
    for plain, error in ((b"x", PaddingError), (pad_message(b"\x80"), MalformedError)):
        with pytest.raises(error):
            open_profile(key, CHAT, 1, aead.seal(key, "group-profile", [CHAT, u64(1)], plain))


# --- files ---


@pytest.mark.parametrize(
    "cuts", [(5,), (CHUNK,), (CHUNK, 2 * CHUNK), (5, 5 + CHUNK), (5, CHUNK), (1, 2, 3 * CHUNK - 1)]
)
def test_a_file_arrives_in_its_order_however_it_is_cut(cuts: tuple[int, ...]) -> None:
    data = b"".join(bytes([n % 251]) * 1024 for n in range(3 * CHUNK // 1024)) + b"end"
    bounds = [0, *cuts, len(data)]
    pieces = [data[start:stop] for start, stop in pairwise(bounds)]
    meta = Metadata("a", "b", len(data))
    sealer = FileSealer(meta)
    sealed = b"".join(sealer.seal(pieces))
    parts = [sealed[start:stop] for start, stop in pairwise([*bounds[:-1], len(sealed)])]
    assert b"".join(open_sealed(parts, sealer.key, meta, sealer.sha256)) == data


def test_a_file_may_be_exactly_as_large_as_the_limit() -> None:
    largest = Metadata("a", "b", limits.FILE_MAX_BYTES)
    FileSealer(largest)
    for size in (limits.FILE_MAX_BYTES + 1, -1):
        with pytest.raises(FileSizeError):
            FileSealer(replace(largest, size=size))
