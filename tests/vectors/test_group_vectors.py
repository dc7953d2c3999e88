"""Frozen bytes of a group's profile: a change needs a new version, never a new vector."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mensajeria.crypto.aead import SealError
from mensajeria.crypto.group_profile import open_profile, seal_profile
from mensajeria.kit.secrets import Secret
from mensajeria.protocol.decoding import decode_record
from mensajeria.protocol.encoding import MalformedError, encode
from mensajeria.protocol.records_groups import GroupProfile
from tests.support.examples import examples

PROFILE = GroupProfile(name="Excursión", description="Sábado a las 8", picture=b"\x89PNG")
KEY, CHAT, SALT = Secret(bytes(range(32))), b"c" * 32, b"s" * 16
FROZEN: dict[str, str] = json.loads((Path(__file__).parent / "groups.json").read_text(encoding="utf-8"))


def test_the_record_is_frozen_both_ways() -> None:
    data = bytes.fromhex(FROZEN["group_profile"])
    assert encode(PROFILE) == data
    assert decode_record(GroupProfile, data) == PROFILE


def test_the_sealed_form_is_frozen_both_ways() -> None:
    sealed = bytes.fromhex(FROZEN["sealed_profile"])
    assert seal_profile(KEY, CHAT, 3, PROFILE, salt=SALT) == sealed
    assert open_profile(KEY, CHAT, 3, sealed) == PROFILE


@pytest.mark.parametrize("what", ["key", "chat", "version", "bytes"])
def test_it_opens_in_its_own_place_only(what: str) -> None:
    sealed = bytes.fromhex(FROZEN["sealed_profile"])
    key = Secret(bytes(32)) if what == "key" else KEY
    chat = bytes(32) if what == "chat" else CHAT
    ver = 4 if what == "version" else 3
    data = sealed[:-1] + bytes([sealed[-1] ^ 1]) if what == "bytes" else sealed
    with pytest.raises(SealError):
        open_profile(key, chat, ver, data)


@examples(60, database=None)
@given(st.binary(max_size=400))
def test_any_bytes_give_a_value_or_the_declared_error(data: bytes) -> None:
    try:
        decode_record(GroupProfile, data)
    except MalformedError:
        return
