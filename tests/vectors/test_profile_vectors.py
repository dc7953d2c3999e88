"""Frozen bytes of a person's profile: a change needs a new version, never a new vector."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mensajeria.crypto.aead import SealError
from mensajeria.crypto.user_profile import is_named, open_user_profile, profile_hash, seal_user_profile
from mensajeria.kit.secrets import Secret
from mensajeria.protocol import limits
from mensajeria.protocol.decoding import decode_record
from mensajeria.protocol.encoding import MalformedError, encode
from mensajeria.protocol.records import Record
from mensajeria.protocol.records_profiles import ProfileKey, UserProfile, is_clean_name, is_clean_status
from tests.support.examples import examples

PROFILE = UserProfile(name="Ana Pérez", status="De viaje 🚲", picture=b"\xff\xd8\xff\xe0")
KEY, UID, SALT = Secret(bytes(range(32))), b"a" * 16, b"s" * 16
FROZEN: dict[str, str] = json.loads((Path(__file__).parent / "profiles.json").read_text(encoding="utf-8"))
SEALED = bytes.fromhex(FROZEN["sealed_user_profile"])
RECORDS: dict[str, Record] = {
    "user_profile": PROFILE,
    "profile_key": ProfileKey(ver=7, key=KEY.reveal(), hash=profile_hash(SEALED)),
}


@pytest.mark.parametrize("name", RECORDS)
def test_the_records_are_frozen_both_ways(name: str) -> None:
    record, data = RECORDS[name], bytes.fromhex(FROZEN[name])
    assert encode(record) == data
    assert decode_record(type(record), data) == record


def test_the_sealed_form_is_frozen_both_ways() -> None:
    assert seal_user_profile(KEY, UID, 7, PROFILE, salt=SALT) == SEALED
    assert open_user_profile(KEY, UID, 7, SEALED) == PROFILE


@pytest.mark.parametrize("what", ["key", "user", "version", "bytes"])
def test_it_opens_in_its_own_place_only(what: str) -> None:
    key = Secret(bytes(32)) if what == "key" else KEY
    uid = bytes(16) if what == "user" else UID
    ver = 8 if what == "version" else 7
    data = SEALED[:-1] + bytes([SEALED[-1] ^ 1]) if what == "bytes" else SEALED
    with pytest.raises(SealError):
        open_user_profile(key, uid, ver, data)


def test_a_second_profile_under_the_same_key_is_not_the_one_that_was_named() -> None:
    forged = seal_user_profile(KEY, UID, 7, UserProfile(name="Ana"))
    assert is_named(SEALED, profile_hash(SEALED))
    assert not is_named(forged, profile_hash(SEALED))


def test_the_largest_profile_is_within_the_server_s_limit() -> None:
    wide = UserProfile(
        name="🚲" * limits.PROFILE_NAME_CHARS,
        status="🚲" * limits.PROFILE_STATUS_CHARS,
        picture=bytes(limits.PROFILE_PICTURE_BYTES),
    )
    sealed = seal_user_profile(KEY, UID, 1, wide)
    assert len(sealed) <= limits.PROFILE_SEALED_MAX
    assert open_user_profile(KEY, UID, 1, sealed) == wide


@pytest.mark.parametrize(
    "name",
    [
        "@bruno",
        "ana\u202eonurb",
        "bru\u200bno",
        "bruno\u200d",
        "Ana\nPérez",
        " Ana",
        "Ana  Pérez",
        "Pe\u0301rez",
        "a\x00",
        "\ue000",
    ],
)
def test_a_name_that_could_pass_for_another_one_is_refused_when_opened(name: str) -> None:
    assert not is_clean_name(name)
    with pytest.raises(MalformedError):
        open_user_profile(KEY, UID, 1, seal_user_profile(KEY, UID, 1, UserProfile(name=name)))


@pytest.mark.parametrize("status", ["a \u200d b", "e\u200d\u0301", "\u200d a"])
def test_what_a_joiner_hides_is_refused_in_a_status(status: str) -> None:
    assert not is_clean_status(status)


def test_a_status_may_hold_joined_emoji_and_no_directions() -> None:
    assert is_clean_status("En casa 👩‍💻 ana@example")
    assert not is_clean_status("a\u2067b")
    with pytest.raises(MalformedError):
        open_user_profile(KEY, UID, 1, seal_user_profile(KEY, UID, 1, UserProfile(status="a\u2067b")))


@pytest.mark.parametrize("kind", [UserProfile, ProfileKey])
def test_any_bytes_give_a_value_or_the_declared_error(kind: type[Record]) -> None:
    @examples(60, database=None)
    @given(st.binary(max_size=300))
    def check(data: bytes) -> None:
        try:
            decode_record(kind, data)
        except MalformedError:
            return

    check()


def test_version_zero_is_no_version() -> None:
    with pytest.raises(MalformedError):
        decode_record(ProfileKey, encode(ProfileKey(ver=0, key=bytes(32), hash=bytes(32))))
