"""What a message carries arrives, its limits are taken exactly, and its delete token is the document's."""

from __future__ import annotations

import hashlib
import hmac
import os
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from mensajeria.crypto.body import pack_body
from mensajeria.crypto.message import (
    MessageCause,
    MessageTooLargeError,
    OpenedMessage,
    RefusedMessage,
    decode_outer,
    delete_hash,
    delete_key,
    delete_token,
    open_message,
    parse_text,
    seal_message,
    text_body,
)
from mensajeria.crypto.padding import (
    PaddingError,
    message_size,
    pad_message,
    pad_todevice,
    padme,
    todevice_size,
    unpad_message,
    unpad_todevice,
)
from mensajeria.kit.secrets import Secret
from mensajeria.protocol import limits
from mensajeria.protocol.encoding import encode
from mensajeria.protocol.records import LogHead, MessageInner, PreviousSession, Reference, VoidIndex
from tests.crypto.people import NOW, DirectChat, Person


@pytest.fixture(scope="module")
def people() -> tuple[Person, Person]:
    return Person("ana"), Person("bruno")


@pytest.fixture
def chat(people: tuple[Person, Person]) -> DirectChat:
    return DirectChat(*people)


def opened(chat: DirectChat, data: bytes, **changes: Any) -> OpenedMessage:
    arguments: dict[str, Any] = {"chat_id": chat.chat_id, "facts": chat.facts, "member_at": chat.member_at, **changes}
    got = open_message(data, chat.inbound, **arguments)
    assert isinstance(got, OpenedMessage), got
    return got


def test_everything_of_a_draft_arrives(chat: DirectChat) -> None:
    fields: dict[str, Any] = {
        "prev": PreviousSession(b"p" * 32, 3),
        "void": (VoidIndex(b"v" * 32, 4),),
        "kt": LogHead(5, b"r" * 32),
        "expire_s": 60,
        "refs": (Reference(b"u" * 16, b"m" * 16),),
    }
    draft = chat.draft(**fields)
    sealed = seal_message(chat.outbound, draft, now_ms=NOW, epoch=0)
    inner = opened(chat, sealed.outer).inner
    assert {name: getattr(inner, name) for name in fields} == fields
    assert (inner.mid, inner.ts, inner.t, inner.mhead, sealed.index) == (draft.mid, NOW, "text", draft.head, 0)


def test_a_row_says_nothing_of_a_timer_or_a_delete_token_unless_told(chat: DirectChat) -> None:
    plain = decode_outer(seal_message(chat.outbound, chat.draft(), now_ms=NOW, epoch=0).outer)
    assert (plain.ttl_bucket, plain.del_hash) == (0, bytes(32))
    told = seal_message(chat.outbound, chat.draft(), now_ms=NOW, epoch=0, ttl_bucket=3, del_hash=b"d" * 32)
    assert (decode_outer(told.outer).ttl_bucket, decode_outer(told.outer).del_hash) == (3, b"d" * 32)


def test_a_message_may_be_larger_than_other_records(chat: DirectChat) -> None:
    body = os.urandom(100_000)
    data = seal_message(chat.outbound, chat.draft(body=body), now_ms=NOW, epoch=0).outer
    assert opened(chat, data).body == body


@pytest.mark.parametrize("off", [-limits.CLOCK_TOLERANCE_MS, 0, limits.CLOCK_TOLERANCE_MS])
def test_a_clock_is_off_only_beyond_the_tolerance(chat: DirectChat, off: int) -> None:
    data = seal_message(chat.outbound, chat.draft(), now_ms=NOW, epoch=0).outer
    assert not opened(chat, data, arrived_ms=NOW + off).clock_off
    further = off - 1 if off < 0 else off + 1
    assert opened(chat, data, arrived_ms=NOW + further).clock_off is bool(off)


def test_a_text_may_be_exactly_as_long_as_the_limit() -> None:
    longest = "x" * limits.TEXT_MAX_BYTES
    assert parse_text(text_body(longest)) == longest
    with pytest.raises(MessageTooLargeError):
        text_body(longest + "x")
    with pytest.raises(MessageTooLargeError):
        text_body("é" * (limits.TEXT_MAX_BYTES // 2 + 1))


def test_the_delete_token_is_that_of_the_document() -> None:
    key = HKDF(hashes.SHA256(), 32, salt=None, info=b"delete").derive(b"s" * 32)
    made = delete_key(Secret(b"s" * 32))
    assert made.reveal() == key
    text = (32).to_bytes(4, "big") + b"c" * 32 + (16).to_bytes(4, "big") + b"m" * 16
    token = delete_token(made, b"c" * 32, b"m" * 16)
    assert token == hmac.digest(key, text, "sha256")
    assert delete_hash(token) == hashlib.sha256(token).digest()


# --- padding


@pytest.mark.parametrize("length", [0, 1, 59, 60, 61, 1019, 1020, 1021, 5000])
def test_padding_is_undone_and_nothing_else_is_taken(length: int) -> None:
    data = b"\x01" * length
    padded = pad_message(data)
    assert (len(padded), unpad_message(padded)) == (message_size(length), data)
    dirty = [padded[:-1] + b"\x01"] if len(padded) > length + 4 else []
    for bad in (padded + bytes(64), padded[:-1], *dirty):
        with pytest.raises(PaddingError):
            unpad_message(bad)
    with pytest.raises(PaddingError):
        unpad_message((len(padded) - 3).to_bytes(4, "big") + padded[4:])


def test_message_sizes_are_the_documents() -> None:
    sizes = {0: 64, 60: 64, 61: 128, 957: 1024, 1020: 1024, 1021: 1088, 4096: 4352}
    assert {length: message_size(length) for length in sizes} == sizes


def test_padme_sizes_are_those_of_the_paper() -> None:
    sizes = {1: 1, 2: 2, 3: 3, 7: 7, 8: 8, 9: 10, 31: 32, 65: 72, 1000: 1024, 65536: 65536, 65537: 67584}
    assert {length: padme(length) for length in sizes} == sizes


def test_a_to_device_message_fills_its_bucket_exactly() -> None:
    for bucket in limits.TODEVICE_BUCKETS:
        assert todevice_size(bucket - 4) == bucket
        data = b"\x01" * (bucket - 4)
        assert unpad_todevice(pad_todevice(data)) == data
    with pytest.raises(PaddingError):
        todevice_size(limits.TODEVICE_BUCKETS[-1] - 3)
    with pytest.raises(PaddingError):
        unpad_todevice(pad_todevice(b"x") + b"\x00")


@pytest.mark.parametrize("data", [b"", b"\x00\x00\x00"])
def test_what_has_no_length_is_not_padded(data: bytes) -> None:
    for unpad in (unpad_message, unpad_todevice):
        with pytest.raises(PaddingError):
            unpad(data)


# --- a hostile author's row


@pytest.mark.parametrize("opened_in", ["other", "bound"])
def test_a_session_of_one_chat_writes_into_no_other(chat: DirectChat, opened_in: str) -> None:
    """The author's own device says the other chat inside and outside; the signed binding says which chat it is."""
    other = b"o" * 32
    sealed = decode_outer(seal_message(chat.outbound, chat.draft(), now_ms=NOW, epoch=0).outer)
    binding = chat.outbound.binding
    inner = MessageInner(
        t="text",
        chat_id=other,
        uid=binding.uid,
        did=binding.did,
        session_id=binding.session_id,
        mid=b"m" * 16,
        ts=NOW,
        mhead=chat.state.head,
        body=pack_body(text_body("hola"), compress=False),
    )
    index, ct = chat.outbound.index, chat.outbound.encrypt(pad_message(encode(inner)))
    row = encode(msgspec.structs.replace(sealed, chat_id=other, mid=b"m" * 16, idx=index, ct=ct))
    chat_id = other if opened_in == "other" else chat.chat_id
    got = open_message(row, chat.inbound, chat_id=chat_id, facts=chat.facts, member_at=lambda *_: True)
    assert got == RefusedMessage(MessageCause.WRONG_CHAT)


def test_a_damaged_row_of_a_signed_key_is_called_so(chat: DirectChat) -> None:
    sealed = decode_outer(seal_message(chat.outbound, chat.draft(), now_ms=NOW, epoch=0).outer)
    ct = bytearray(sealed.ct)
    ct[-70] ^= 1
    arguments: dict[str, Any] = {"chat_id": chat.chat_id, "facts": chat.facts, "member_at": chat.member_at}
    got = open_message(encode(msgspec.structs.replace(sealed, ct=bytes(ct))), chat.inbound, **arguments)
    assert got == RefusedMessage(MessageCause.BAD_CIPHERTEXT)


def test_a_row_whose_id_is_known_of_itself_opens_and_of_another_does_not(chat: DirectChat) -> None:
    data = seal_message(chat.outbound, chat.draft(), now_ms=NOW, epoch=0).outer
    got = opened(chat, data)
    place = (chat.chat_id, got.inner.uid, got.inner.mid)
    chat.facts.mids[place] = got.ct_hash
    assert opened(chat, data).ct_hash == got.ct_hash
    chat.facts.mids[place] = b"x" * 32
    arguments: dict[str, Any] = {"chat_id": chat.chat_id, "facts": chat.facts, "member_at": chat.member_at}
    assert open_message(data, chat.inbound, **arguments) == RefusedMessage(MessageCause.REPLAYED_MID)


@pytest.mark.parametrize(("epoch", "expected"), [(-1, False), (0, False), (1, True)])
def test_a_session_from_before_the_last_epoch_was_not_rotated(chat: DirectChat, epoch: int, expected: bool) -> None:
    data = seal_message(chat.outbound, chat.draft(), now_ms=NOW, epoch=0).outer
    assert chat.inbound.binding.mhead.seq == 0
    assert opened(chat, data, last_epoch_before=lambda _: epoch).unrotated is expected
    assert not opened(chat, data).unrotated
