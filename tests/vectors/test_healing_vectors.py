"""Frozen bytes of what devices send each other to heal: a change needs a new type, never a new vector."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mensajeria.protocol.decoding import decode_record
from mensajeria.protocol.encoding import MalformedError, encode
from mensajeria.protocol.records import Record, Signed
from mensajeria.protocol.records_healing import (
    ForwardedKey,
    KeyWithheld,
    LinkCode,
    LinkProof,
    Resend,
    ResendPart,
    ResendRequest,
)
from mensajeria.protocol.records_history import HistoryBody, HistoryKeys
from tests.support.examples import examples

RECORDS: dict[str, Record] = {
    "forwarded_key": ForwardedKey(skb=Signed(b"skb", b"s" * 64), export=b"e" * 165, first_index=7),
    "history": HistoryBody(choice="7d", add=9, since=321),
    "history_keys": HistoryKeys(
        chat_id=b"c" * 32, keys=(ForwardedKey(skb=Signed(b"skb", b"s" * 64), export=b"e" * 165, first_index=7),)
    ),
    "key_withheld": KeyWithheld(chat_id=b"c" * 32, session_id=b"S" * 32, reason="refused"),
    "link_code": LinkCode(
        url="https://x",
        server_id=b"s" * 16,
        handle="ana",
        uid=b"a" * 16,
        idfp=b"i" * 32,
        did=b"d" * 16,
        link_id=b"l" * 16,
        secret=b"S" * 32,
    ),
    "resend": Resend(chat_id=b"c" * 32, row=b"r" * 300),
    "resend_part": ResendPart(
        chat_id=b"c" * 32, session_id=b"S" * 32, idx=7, size=20_000, offset=14 << 10, data=b"r" * 300
    ),
    "resend_request": ResendRequest(chat_id=b"c" * 32, session_id=b"S" * 32, idx=7),
    "link_proof": LinkProof(link_id=b"l" * 16, mac=b"m" * 32),
}
FROZEN: dict[str, str] = json.loads((Path(__file__).parent / "healing.json").read_text(encoding="utf-8"))


def test_every_record_is_frozen() -> None:
    assert RECORDS.keys() == FROZEN.keys()


@pytest.mark.parametrize("name", RECORDS)
def test_the_bytes_are_the_frozen_ones_both_ways(name: str) -> None:
    record, data = RECORDS[name], bytes.fromhex(FROZEN[name])
    assert encode(record) == data
    assert decode_record(type(record), data) == record


@pytest.mark.parametrize("name", RECORDS)
def test_any_bytes_give_a_value_or_the_declared_error(name: str) -> None:
    kind, data = type(RECORDS[name]), bytes.fromhex(FROZEN[name])
    changed = st.tuples(st.integers(0, len(data) - 1), st.integers(1, 255)).map(
        lambda at: data[: at[0]] + bytes([data[at[0]] ^ at[1]]) + data[at[0] + 1 :]
    )

    @examples(60, database=None)
    @given(st.binary(max_size=300) | changed)
    def check(data: bytes) -> None:
        try:
            decode_record(kind, data)
        except MalformedError:
            return

    check()


def test_a_reason_outside_the_list_is_malformed() -> None:
    with pytest.raises(MalformedError):
        decode_record(KeyWithheld, encode(KeyWithheld(chat_id=b"c" * 32, session_id=b"S" * 32, reason="because")))
