"""Every record that names a suite is refused with another one, as something that a newer program knows."""

from __future__ import annotations

import msgspec
import pytest

from mensajeria.protocol.decoding import SUITES, decode_array, decode_record
from mensajeria.protocol.encoding import MalformedError, NewerVersionError, encode
from mensajeria.protocol.records import (
    IdentityRecord,
    MembershipHead,
    MessageOuter,
    SessionBinding,
    ToDeviceOuter,
)

B16, B32 = bytes(16), bytes(32)
BINDING = SessionBinding(
    chat_id=B32, uid=B16, did=B16, session_id=B32, mhead=MembershipHead(0, B32, B32), dl_ver=1, created=1
)
IDENTITY = IdentityRecord(uid=B16, ed25519=B32, mldsa=bytes(1952), recovery=B32)


@pytest.mark.parametrize("record", [BINDING, IDENTITY])
@pytest.mark.parametrize("suite", [0, 2, 255])
def test_a_record_of_another_suite_is_refused(record: msgspec.Struct, suite: int) -> None:
    kind = type(record)
    assert decode_record(kind, encode(record)) == record
    with pytest.raises(NewerVersionError):
        decode_record(kind, encode(msgspec.structs.replace(record, suite=suite)))


def test_every_record_with_a_suite_is_in_the_table() -> None:
    assert set(SUITES) == {IdentityRecord, SessionBinding, ToDeviceOuter, MessageOuter}
    assert set(SUITES.values()) == {1}


@pytest.mark.parametrize("opening", [b"\x91", b"\x81\xa1v"])
def test_what_is_nested_without_end_is_malformed(opening: bytes) -> None:
    """Arrays in arrays, maps in maps: the depth of the decoder ends before the stack does."""
    endless = opening * 10_000 + b"\xc0"
    for kind in (SessionBinding, MessageOuter):
        with pytest.raises(MalformedError):
            decode_array(kind, endless, max_size=len(endless))
    with pytest.raises(MalformedError):
        decode_record(SessionBinding, endless, max_size=len(endless))
