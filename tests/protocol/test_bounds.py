"""The edges of what is checked of keys, frames, links and encodings, and their hashes as the document writes them."""

from __future__ import annotations

import hashlib
import hmac
import os
from typing import Annotated, Any

import msgspec
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from mensajeria.protocol import approval, frames, limits, transparency
from mensajeria.protocol.codec import (
    HEADER,
    BadMacError,
    ChannelKeys,
    Direction,
    FrameReader,
    FrameWriter,
    MalformedFrameError,
    decode_plain,
    encode_plain,
)
from mensajeria.protocol.connection import ConnectionClosedError, ServerConnection
from mensajeria.protocol.decoding import decode_array, decode_record
from mensajeria.protocol.devices import (
    ListConflictError,
    ListForkError,
    check_next_list,
    device_list_hash,
    verify_device_list,
)
from mensajeria.protocol.encoding import MalformedError, NewerVersionError, decode_versioned, encode, u32, u64
from mensajeria.protocol.errors import Close
from mensajeria.protocol.ids import b64
from mensajeria.protocol.links import (
    CODE_PREFIX,
    LINK_PREFIX,
    LinkError,
    NewerLinkError,
    code_text,
    invite_id,
    invite_mac,
    is_link,
    link_text,
    parse_code,
    parse_link,
)
from mensajeria.protocol.prekeys import ExpiredPrekeyError, PrekeyError, is_usable_hybrid_key, verify_pq_prekey
from mensajeria.protocol.records import DeviceList, MessageOuter, PqPrekey, Signed, TreeHead
from mensajeria.protocol.records_trust import InviteLink, VerificationCode
from mensajeria.protocol.signing import BadSignatureError, Ctx, is_usable_curve25519, is_usable_ed25519, verify_ed25519
from mensajeria.protocol.succession import SuccessionError, verify_succession
from tests.crypto.people import NOW, SERVER, Person

DAY = limits.CLOCK_TOLERANCE_MS


@pytest.fixture(scope="module")
def ana() -> Person:
    """Her list has reached its third version."""
    person = Person("ana")
    person.add_device()
    person.add_device()
    return person


def hash_of(label: str, *parts: bytes) -> bytes:
    text = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return hashlib.sha256(b"mensajeria/1/" + label.encode() + b"\x00" + text).digest()


# --- hashes that others compute too


def test_numbers_are_big_endian_and_of_one_size() -> None:
    assert (u32(0x01020304), u64(0x01020304)) == (b"\x01\x02\x03\x04", b"\x00\x00\x00\x00\x01\x02\x03\x04")


def test_what_the_log_hashes_is_what_the_document_says() -> None:
    uid = b"u" * 16
    assert transparency.uid_label(uid) == hash_of("kt-uid", uid)
    assert transparency.uid_value(b"record", b"list") == hash_of("kt-uid-value", b"record", b"list")
    assert transparency.handle_label(SERVER, "ana") == hash_of("kt-handle", SERVER, b"ana")
    assert transparency.handle_value(uid) == hash_of("kt-handle-value", uid)
    assert transparency.log_id(b"k" * 32) == hash_of("kt-log", b"k" * 32)
    assert transparency.leaf_hash(b"leaf") == hashlib.sha256(b"\x00leaf").digest()


def test_what_an_approval_covers_is_what_the_document_says() -> None:
    assert approval.deletion_digest() == hash_of("account-delete")
    assert approval.password_digest(b"t", b"u", b"w") == hash_of("password-change", b"t", b"u", b"w")
    assert approval.removal_digest(Signed(b"body", b"s" * 64)) == hash_of("device-remove", b"body", b"s" * 64)
    renewed = approval.renewal_digest(b"t", b"u", (b"p", b"r"), Signed(b"body", b"s" * 64))
    assert renewed == hash_of("identity-renew", b"t", b"u", b"p", b"r", b"body", b"s" * 64)


# --- device lists


@pytest.mark.parametrize("changes", [{"ver": 9}, {"prev": b"\x01" * 32}])
def test_the_next_list_has_the_next_version_and_names_the_last(ana: Person, changes: dict[str, Any]) -> None:
    with pytest.raises(ListConflictError):
        check_next_list(ana.list.body, ana.following(**changes), ana.record)


@pytest.mark.parametrize("changes", [{"ver": 4}, {"prev": b"\x01" * 32}, {"uid": b"\x01" * 16}])
def test_each_body_between_continues_the_one_before(ana: Person, changes: dict[str, Any]) -> None:
    """The one in between is unsigned: its number, its user and its predecessor are all that ties it."""
    bea = Person("bea")
    pinned = bea.list.pin
    bea.add_device()
    between = msgspec.structs.replace(bea.list.list, **changes)
    body = encode(between)
    last = bea.sign_list(ver=3, prev=device_list_hash(body))
    with pytest.raises(ListForkError):
        verify_device_list(last, bea.record, uid=bea.uid, pinned=pinned, between=[body])


# --- prekeys


def prekey(ana: Person, **changes: Any) -> Signed:
    assert ana.prekeys.pq is not None
    record = decode_record(PqPrekey, ana.prekeys.pq.body)
    return ana.device.sign(Ctx.PQ_PREKEY, encode(msgspec.structs.replace(record, **changes)))


def taken(ana: Person, signed: Signed, now_ms: int = NOW, newest_id: int = 0) -> PqPrekey:
    device = ana.list.find(ana.device.did)
    assert device is not None
    return verify_pq_prekey(signed, uid=ana.uid, device=device, now_ms=now_ms, newest_id=newest_id)


def test_a_prekey_is_not_older_than_the_newest_seen(ana: Person) -> None:
    signed = prekey(ana, prekey_id=5)
    assert taken(ana, signed, newest_id=5).prekey_id == 5
    with pytest.raises(PrekeyError, match="older"):
        taken(ana, signed, newest_id=6)
    assert taken(ana, prekey(ana, prekey_id=0)).prekey_id == 0


def test_a_prekey_lives_as_long_as_the_limit_and_clocks_allow(ana: Person) -> None:
    valid = limits.PQ_PREKEY_VALID_MS
    longest = prekey(ana, created=NOW, expires=NOW + valid)
    assert taken(ana, longest, NOW + valid + DAY).created == NOW
    assert taken(ana, longest, NOW - DAY).created == NOW
    for when in (NOW + valid + DAY + 1, NOW - DAY - 1):
        with pytest.raises(ExpiredPrekeyError):
            taken(ana, longest, when)
    for expires in (NOW + valid + 1, NOW, NOW - 1):
        with pytest.raises(PrekeyError, match="bounds"):
            taken(ana, prekey(ana, created=NOW, expires=expires))


def test_both_halves_of_a_hybrid_key_must_be_usable(ana: Person) -> None:
    key = taken(ana, prekey(ana)).key
    assert is_usable_hybrid_key(key)
    assert not is_usable_hybrid_key(b"\xff" * 1184 + key[1184:])
    assert not is_usable_hybrid_key(key[:1184] + bytes(32))
    assert not is_usable_hybrid_key(key[:-1])
    assert not is_usable_hybrid_key(key[1:])


# --- signatures


@pytest.mark.parametrize("size", [31, 33])
def test_a_key_has_its_exact_size(size: int) -> None:
    assert not is_usable_ed25519(b"\x09" * size)
    assert not is_usable_curve25519(b"\x09" * size)


def test_a_key_is_canonical_and_not_of_small_order() -> None:
    p = 2**255 - 19
    for value in (0, 1, p - 1, p, p + 1, 2**255 - 1):
        key = value.to_bytes(32, "little")
        assert not is_usable_ed25519(key), value
        assert not is_usable_ed25519(key[:31] + bytes([key[31] | 128])), value
        assert not is_usable_curve25519(key), value
    assert is_usable_ed25519((p - 2).to_bytes(32, "little"))
    assert is_usable_curve25519((2).to_bytes(32, "little"))
    assert is_usable_curve25519((p - 2).to_bytes(32, "little"))
    assert not is_usable_curve25519(((1 << 255) | 9).to_bytes(32, "little"))


@pytest.mark.parametrize("size", [0, 63, 65, 128])
def test_a_signature_has_its_exact_size(ana: Person, size: int) -> None:
    signed = ana.device.sign(Ctx.OTK, b"body")
    verify_ed25519(ana.device.ed25519, Ctx.OTK, b"body", signed.sig)
    with pytest.raises(BadSignatureError):
        verify_ed25519(ana.device.ed25519, Ctx.OTK, b"body", (signed.sig * 2)[:size])


# --- a new identity


def test_each_part_of_a_succession_is_judged(ana: Person) -> None:
    new, eva = Person("ana", ana.uid), Person("eva")
    proof = ana.identity.succession(new.record, ana.code, NOW)
    verified = verify_succession(proof)
    assert (verified.uid, verified.old_idfp, verified.new_idfp) == (ana.uid, ana.idfp, new.idfp)
    assert verified.new_record == new.record
    raw = msgspec.msgpack.decode(proof)
    for name in ("sig_identity", "sig_recovery"):
        bad = {**raw, name: bytes(len(raw[name]))}
        with pytest.raises(SuccessionError):
            verify_succession(encode(bad))
    with pytest.raises(SuccessionError):
        verify_succession(encode({**raw, "old_record": eva.record}))
    with pytest.raises(SuccessionError):
        verify_succession(ana.identity.succession(eva.record, ana.code, NOW))


def resigned(ana: Person, **changes: Any) -> bytes:
    """A proof that both authorities have signed, over whatever a test wants."""
    new = Person("ana", ana.uid)
    raw = msgspec.msgpack.decode(ana.identity.succession(new.record, ana.code, NOW))
    body = encode({**msgspec.msgpack.decode(raw["body"]), **changes})
    recovery = ana.code.sign(Ctx.IDENTITY_SUCCESSION, body)
    identity = ana.identity.sign(Ctx.IDENTITY_SUCCESSION, body)
    return encode({**raw, "body": body, "sig_identity": identity, "sig_recovery": recovery})


@pytest.mark.parametrize("changes", [{"old_idfp": b"\x01" * 32}, {"uid": b"\x01" * 16}, {"new_record": b"\x00"}])
def test_a_signed_succession_names_the_identity_that_signs_it(ana: Person, changes: dict[str, Any]) -> None:
    verify_succession(resigned(ana))
    with pytest.raises(SuccessionError):
        verify_succession(resigned(ana, **changes))


# --- the log's head


def test_a_head_is_fresh_within_the_tolerance_of_clocks() -> None:
    head = TreeHead(log_id=bytes(32), size=1, root=bytes(32), ts=NOW, restore_epoch=0)
    ages = (-DAY - 1, -DAY, 0, transparency.HEAD_FRESH_MS - 1, transparency.HEAD_FRESH_MS)
    assert [transparency.head_is_fresh(head, NOW + age) for age in ages] == [False, True, True, True, False]


# --- the channel

KEYS = ChannelKeys.derive(b"k" * 32, b"n" * 32, b"m" * 32)
HELLO = frames.Hello(limits.PROTOCOL_VERSION, b"d" * 16, "token", b"n" * 32, 7)


def test_the_channels_keys_are_those_of_the_document() -> None:
    def key(info: bytes) -> bytes:
        return HKDF(hashes.SHA256(), 32, salt=b"n" * 32 + b"m" * 32, info=info).derive(b"k" * 32)

    derived = ChannelKeys.derive(b"k" * 32, b"n" * 32, b"m" * 32)
    assert derived == ChannelKeys(hash_of("conn", b"n" * 32, b"m" * 32), key(b"frame|c"), key(b"frame|s"))
    assert repr(derived) == "ChannelKeys(…)"


def test_the_welcomes_proof_is_that_of_the_document() -> None:
    parts = (b"hello", b"n" * 32, b"m" * 32, b"d" * 16, SERVER, (3).to_bytes(8, "big"))
    text = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    assert KEYS.welcome_proof(HELLO, SERVER, 3, b"m" * 32) == hmac.digest(KEYS.server, text, "sha256")


@pytest.mark.parametrize(("direction", "letter"), [(Direction.CLIENT, b"c"), (Direction.SERVER, b"s")])
def test_a_frames_tag_covers_connection_direction_place_and_body(direction: Direction, letter: bytes) -> None:
    frame = FrameWriter(KEYS, direction).seal(frames.Ping(1))
    key = KEYS.client if direction is Direction.CLIENT else KEYS.server
    assert frame[:32] == hmac.digest(key, KEYS.conn + letter + frame[32:], "sha256")


def test_a_first_frame_is_exactly_one(monkeypatch: pytest.MonkeyPatch) -> None:
    good = encode_plain(HELLO)
    assert decode_plain(good, frames.Hello) == HELLO
    bad = {
        "short": good[: HEADER - 1],
        "nothing": b"",
        "tagged": b"\x01" + good[1:],
        "of the other side": encode_plain(frames.Welcome(SERVER, 3, b"m" * 32, b"p" * 32)),
        "not the first": good[:40] + b"\x01" + good[41:],
        "longer than it says": good + b"\x00",
        "shorter than it says": good[:-1],
        "header alone": good[:41] + bytes(4),
    }
    for name, data in bad.items():
        with pytest.raises(MalformedFrameError):
            pytest.fail(f"{name}: {decode_plain(data, frames.Hello)}")
    monkeypatch.setattr(limits, "MAX_FRAME", len(good))
    assert decode_plain(good, frames.Hello) == HELLO
    monkeypatch.setattr(limits, "MAX_FRAME", len(good) - 1)
    with pytest.raises(MalformedFrameError):
        decode_plain(good, frames.Hello)


def test_a_frame_may_be_exactly_as_large_as_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = FrameWriter(KEYS, Direction.CLIENT).seal(frames.Ping(1))
    monkeypatch.setattr(limits, "MAX_FRAME", len(frame))
    assert FrameReader(KEYS, Direction.CLIENT).open(frame) == frames.Ping(1)
    monkeypatch.setattr(limits, "MAX_FRAME", len(frame) - 1)
    with pytest.raises(MalformedFrameError, match="size"):
        FrameReader(KEYS, Direction.CLIENT).open(frame)


def test_a_header_without_its_tag_is_forged_and_less_is_no_frame() -> None:
    reader = FrameReader(KEYS, Direction.CLIENT)
    with pytest.raises(BadMacError):
        reader.open(bytes(HEADER))
    with pytest.raises(MalformedFrameError, match="size"):
        reader.open(bytes(HEADER - 1))


def test_a_frame_before_the_handshake_closes_the_connection() -> None:
    server = ServerConnection()
    server.receive(encode_plain(HELLO))
    with pytest.raises(ConnectionClosedError) as closed:
        server.receive(FrameWriter(KEYS, Direction.CLIENT).seal(frames.Ping(1)))
    assert closed.value.close is Close.MALFORMED
    assert closed.value.detail == "a frame is not allowed yet"


# --- links


CODE = VerificationCode(server_id=SERVER, uid=b"u" * 16, idfp=b"i" * 32, nonce=b"n" * 16, size=4, root=b"r" * 32)
LINK = InviteLink(
    url="https://chat.example",
    server_id=SERVER,
    log_key=b"l" * 32,
    token=b"t" * limits.INVITE_TOKEN_BYTES,
    uid=b"u" * 16,
    idfp=b"i" * 32,
    secret=b"s" * 32,
)


def test_a_code_and_a_link_are_read_as_they_were_written() -> None:
    assert parse_code(f" {code_text(CODE)}\n") == CODE
    assert parse_link(f" {link_text(LINK)}\n") == LINK
    assert code_text(CODE) == "mensajeria-verify:" + b64(encode(CODE))
    without = msgspec.structs.replace(CODE, size=0, root=b"")
    assert parse_code(code_text(without)) == without


@pytest.mark.parametrize(("size", "root"), [(0, b"r" * 32), (4, b""), (4, b"r" * 31), (1, b""), (1, b"r")])
def test_a_code_names_a_whole_head_or_none(size: int, root: bytes) -> None:
    with pytest.raises(LinkError):
        parse_code(code_text(msgspec.structs.replace(CODE, size=size, root=root)))


def test_another_text_is_no_link() -> None:
    good = link_text(LINK)
    for text in ("", "mensajeria", good[1:], good[:-2], good + "!", code_text(CODE), LINK_PREFIX, CODE_PREFIX):
        with pytest.raises(LinkError):
            parse_link(text)
    with pytest.raises(LinkError):
        parse_code(good)
    with pytest.raises(LinkError, match="kind"):
        parse_link(LINK_PREFIX + "A" * 4096)
    longest = LINK_PREFIX + "A" * (4096 - len(LINK_PREFIX))
    with pytest.raises(LinkError) as caught:
        parse_link(longest)
    assert "kind" not in str(caught.value)


def test_a_link_of_a_newer_program_is_told_apart() -> None:
    newer = {**msgspec.msgpack.decode(encode(LINK)), "v": 2}
    with pytest.raises(NewerLinkError):
        parse_link(LINK_PREFIX + b64(encode(newer)))


def test_what_is_meant_as_a_link() -> None:
    assert [is_link(text) for text in (" MENSAJERIA://x", "mensajeria:", "https://x", "mensajeri")] == [
        True,
        True,
        False,
        False,
    ]


def test_what_an_invite_proves_is_what_the_document_says() -> None:
    assert invite_id(b"token") == hash_of("invite-id", b"token")[:16]
    text = (2).to_bytes(4, "big") + b"ee" + (2).to_bytes(4, "big") + b"rr"
    assert invite_mac(b"s" * 32, invitee=b"ee", inviter=b"rr") == hmac.digest(b"s" * 32, text, "sha256")


# --- the decoders


class Numbered(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """An array whose first element is its version."""

    v: Annotated[int, msgspec.Meta(ge=0, le=255)]
    rest: bytes


@pytest.mark.parametrize(
    ("data", "newer"),
    [
        (encode([2, b"x", b"more"]), True),
        (encode([255, b"x", b"more"]), True),
        (encode([256, b"x", b"more"]), False),
        (encode([1, b"x", b"more"]), False),
        (encode([True, b"x", b"more"]), False),
        (encode([2, b"x"]), True),
        (encode([]), False),
        (b"\xc1", False),
        (encode([2, b"x" * 80]), False),
    ],
)
def test_an_array_of_a_newer_program_is_known_by_its_first_element(data: bytes, newer: bool) -> None:
    with pytest.raises(MalformedError) as caught:
        decode_array(Numbered, data, max_size=64)
    assert isinstance(caught.value, NewerVersionError) is newer


def test_a_record_may_be_exactly_as_large_as_the_limit(ana: Person) -> None:
    array, body = encode([1, b"x" * 60]), ana.list.body
    assert decode_array(Numbered, array, max_size=len(array)).v == 1
    assert decode_record(DeviceList, body, max_size=len(body)) == ana.list.list
    longer = encode([2, b"x", b"more"])
    with pytest.raises(NewerVersionError):
        decode_array(Numbered, longer, max_size=len(longer))
    with pytest.raises(MalformedError, match="large"):
        decode_array(Numbered, array, max_size=len(array) - 1)
    with pytest.raises(MalformedError, match="large"):
        decode_record(DeviceList, body, max_size=len(body) - 1)


def test_an_array_without_a_version_is_none_of_a_newer_program() -> None:
    signed = Signed(b"body", b"s" * 64)
    assert decode_array(Signed, encode(signed), max_size=128) == signed


def test_a_versioned_record_may_have_a_larger_limit_than_others() -> None:
    large = {"v": 1, "rest": bytes(limits.MAX_SIGNED_BODY)}
    data, decoder = encode(large), msgspec.msgpack.Decoder(dict[str, Any])
    assert decode_versioned(data, decoder, max_size=len(data)) == large
    with pytest.raises(MalformedError, match="large"):
        decode_versioned(data, decoder)


def test_an_array_of_an_unknown_suite_is_newer() -> None:
    fields: dict[str, Any] = dict.fromkeys(MessageOuter.__struct_fields__)
    fields |= {"v": 1, "suite": 1, "chat_id": bytes(32), "epoch": 0, "session_id": bytes(32), "idx": 0}
    fields |= {"mid": bytes(16), "ct": b"x" * 64, "del_hash": bytes(32), "ttl_bucket": 0}
    outer = MessageOuter(**fields)
    assert decode_array(MessageOuter, encode(outer), max_size=4096) == outer
    with pytest.raises(NewerVersionError):
        decode_array(MessageOuter, encode(msgspec.structs.replace(outer, suite=2)), max_size=4096)


def test_chance_is_no_record() -> None:
    with pytest.raises(MalformedError):
        decode_record(DeviceList, os.urandom(64))
