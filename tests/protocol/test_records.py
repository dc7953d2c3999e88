"""Encoding, signatures, prekeys, the key log, and one fuzz test for each decoder."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from itertools import permutations
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from mensajeria.crypto.device import DeviceKeys
from mensajeria.protocol import limits, records
from mensajeria.protocol.api import check_rest_mac, rest_key, rest_mac
from mensajeria.protocol.auth import decode_from_client, decode_from_server
from mensajeria.protocol.channel import channel_key, login_transcript
from mensajeria.protocol.decoding import decode_array, decode_record
from mensajeria.protocol.devices import decode_device_list, decode_identity
from mensajeria.protocol.encoding import H, MalformedError, NewerVersionError, cat, encode
from mensajeria.protocol.ids import b64, unb64
from mensajeria.protocol.membership import decode_member_event
from mensajeria.protocol.prekeys import (
    ExpiredPrekeyError,
    PrekeyError,
    SigningKey,
    verify_device_login,
    verify_fallback_key,
    verify_one_time_key,
    verify_pq_prekey,
)
from mensajeria.protocol.records import OneTimeKey, PqPrekey, Signed, TransparencyLeaf, TreeHead
from mensajeria.protocol.signing import (
    BadSignatureError,
    Ctx,
    is_usable_curve25519,
    is_usable_ed25519,
    signing_input,
    verify_ed25519,
    verify_hybrid,
)
from mensajeria.protocol.succession import SuccessionError, verify_succession
from mensajeria.protocol.transparency import (
    TreeHeadError,
    decode_leaf,
    encode_leaf,
    handle_label,
    handle_value,
    head_is_fresh,
    leaf_hash,
    log_id,
    uid_label,
    uid_value,
    verify_tree_head,
)
from tests.crypto.people import DAY, NOW, SERVER, Person
from tests.support.examples import examples

P = 2**255 - 19
SMALL_Y = (
    0,
    1,
    P - 1,
    2707385501144840649318225287225658788936804267575313519463743609750303402022,
    55188659117513257062467267217118295137698188065244968500265048394206261417927,
)
SMALL_U = (
    0,
    1,
    P - 1,
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
)


@pytest.fixture(scope="module")
def ana() -> Person:
    return Person("ana")


# --- encoding ---


@given(st.lists(st.binary(max_size=8), max_size=4), st.lists(st.binary(max_size=8), max_size=4))
def test_cat_is_injective(one: list[bytes], two: list[bytes]) -> None:
    assert (cat(*one) == cat(*two)) == (one == two)


def test_labels_separate_hashes() -> None:
    assert H("chat", b"x") != H("direct", b"x") != H("chat", b"", b"x")


@given(st.binary(max_size=70))
def test_base64url_has_one_form(data: bytes) -> None:
    assert unb64(b64(data)) == data
    for wrong in (b64(data) + "=", b64(data) + " ", "+" + b64(data)):
        with pytest.raises(ValueError, match="base64url"):
            unb64(wrong)


@pytest.mark.parametrize("handle", ["ana\n", "\nana", "ana\r", "Ana", "an", "a" * 33, "añá", "ana "])
def test_a_handle_has_one_form(handle: str) -> None:
    """A line feed at the end would make a second name that looks like the first."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.msgpack.decode(encode(handle), type=records.Handle)


def test_no_pattern_of_a_record_lets_a_line_feed_pass() -> None:
    """`msgspec` searches with Python's engine, whose `$` also matches before a line feed at the end."""
    for path in Path(records.__file__).parent.glob("*.py"):
        assert re.findall(r"Meta\(pattern=r?\"[^\"]*\$\"", path.read_text(encoding="utf-8")) == [], path.name


def test_duplicate_unknown_and_long_forms_are_refused() -> None:
    good = encode(OneTimeKey(uid=bytes(16), did=bytes(16), key=bytes(32)))
    assert decode_record(OneTimeKey, good).key == bytes(32)
    did = b"\xa3did\xc4\x10" + bytes(16)
    key = b"\xa3key\xc4\x20" + bytes(32)
    uid = b"\xa3uid\xc4\x10" + bytes(16)
    assert good == b"\x83" + did + key + uid
    for bad in (
        b"\x84" + did + did + key + uid,
        b"\x84" + did + key + uid + b"\xa1z\x00",
        b"\xde\x00\x03" + did + key + uid,
        b"\x83" + did + key + uid.replace(b"\xc4\x10", b"\xc5\x00\x10"),
        b"\x83" + key + did + uid,
        b"\x82" + did + key,
        good + b"\x00",
        b"\x91" * 10_000,
        b"\xcb" + b"\x7f\xf8" + bytes(6),
    ):
        with pytest.raises(MalformedError):
            decode_record(OneTimeKey, bad)


def test_newer_versions_are_told_apart_from_junk() -> None:
    head = TreeHead(v=2, log_id=bytes(32), size=0, root=bytes(32), ts=0, restore_epoch=0)
    with pytest.raises(NewerVersionError):
        decode_record(TreeHead, encode(head))
    with pytest.raises(MalformedError, match="unknown version"):
        decode_record(TreeHead, encode(msgspec.structs.replace(head, v=0)))
    with pytest.raises(NewerVersionError):
        decode_array(records.MessageOuter, msgspec.msgpack.encode([2, "anything"]), max_size=100)
    with pytest.raises(MalformedError) as error:
        decode_array(records.MessageOuter, msgspec.msgpack.encode([1, "anything"]), max_size=100)
    assert not isinstance(error.value, NewerVersionError)


# --- one fuzz test for each decoder ---

DECODERS: dict[str, Callable[[bytes], object]] = {
    **{
        kind.__name__: lambda data, kind=kind: decode_record(kind, data)  # type: ignore[misc]
        for kind in (
            records.DeviceLogin,
            records.AccountWrap,
            records.ToDevice,
            records.SessionBinding,
            records.RoomKey,
            records.ReadReceipts,
            records.OlmAck,
            records.KeyRequest,
            records.MessageInner,
            records.TextBody,
            records.PqPrekey,
            records.OneTimeKey,
            records.Succession,
            records.SuccessionProof,
            records.TreeHead,
        )
    },
    "MessageOuter": lambda data: decode_array(records.MessageOuter, data, max_size=limits.MAX_CIPHERTEXT),
    "ToDeviceOuter": lambda data: decode_array(records.ToDeviceOuter, data, max_size=limits.MAX_ENVELOPE),
    "identity": decode_identity,
    "device list": decode_device_list,
    "member event": decode_member_event,
    "leaf": decode_leaf,
    "succession": verify_succession,
    "auth from client": decode_from_client,
    "auth from server": decode_from_server,
}
DECLARED = (MalformedError, BadSignatureError, SuccessionError)

msgpack_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.binary(max_size=40) | st.text(),
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.text(max_size=8) | st.integers(0, 9), inner),
    max_leaves=12,
)


@pytest.mark.parametrize("name", DECODERS)
def test_any_bytes_give_a_value_or_the_declared_error(name: str) -> None:
    decode = DECODERS[name]

    @examples(60, database=None)
    @given(st.binary(max_size=300) | msgpack_values.map(msgspec.msgpack.encode))
    def check(data: bytes) -> None:
        try:
            decode(data)
        except DECLARED:
            return

    check()


@examples(100)
@given(st.integers(0, 2**31), st.integers(0, 7))
def test_a_flipped_bit_never_gives_the_same_list(at: int, bit: int) -> None:
    body = _list_body()
    changed = bytearray(body)
    changed[at % len(body)] ^= 1 << bit
    try:
        decoded = decode_device_list(bytes(changed))
    except MalformedError:
        return
    assert encode(decoded) == bytes(changed) != body


_bodies: list[bytes] = []


def _list_body() -> bytes:
    if not _bodies:
        _bodies.append(Person("ana").signed_list.body)
    return _bodies[0]


# --- signatures ---


def test_a_signature_is_good_in_one_context_only(ana: Person) -> None:
    body = b"the same bytes"
    for made, read in permutations(Ctx, 2):
        signed = ana.device.sign(made, body)
        verify_ed25519(ana.device.ed25519, made, body, signed.sig)
        with pytest.raises(BadSignatureError):
            verify_ed25519(ana.device.ed25519, read, body, signed.sig)


def test_the_hybrid_signature_is_good_in_one_context_only(ana: Person) -> None:
    record = ana.list.record
    signed = ana.identity.sign(Ctx.DEVICE_LIST, b"body")
    verify_hybrid(record.ed25519, record.mldsa, Ctx.DEVICE_LIST, b"body", signed)
    for ctx in set(Ctx) - {Ctx.DEVICE_LIST}:
        with pytest.raises(BadSignatureError):
            verify_hybrid(record.ed25519, record.mldsa, ctx, b"body", signed)
    other = ana.identity.sign(Ctx.DEVICE_LIST, b"other")
    for mixed in (signed[:64] + other[64:], other[:64] + signed[64:], signed[:64], signed[:-1], signed + b"\x00"):
        with pytest.raises(BadSignatureError):
            verify_hybrid(record.ed25519, record.mldsa, Ctx.DEVICE_LIST, b"body", mixed)


@pytest.mark.parametrize("y", [*SMALL_Y, *(y | 1 << 255 for y in SMALL_Y), P, P + 1])
def test_small_and_noncanonical_signing_keys_verify_nothing(y: int) -> None:
    key = (y % 2**256).to_bytes(32, "little")
    assert not is_usable_ed25519(key)
    for sig in (bytes(64), (1).to_bytes(32, "little") + bytes(32), key + bytes(32)):
        with pytest.raises(BadSignatureError):
            verify_ed25519(key, Ctx.DEVICE, b"body", sig)


@pytest.mark.parametrize("u", [*SMALL_U, P, P + 1, 2**255 + 9])
def test_small_and_noncanonical_exchange_keys_are_refused(u: int) -> None:
    assert not is_usable_curve25519((u % 2**256).to_bytes(32, "little"))


def test_odd_sizes_are_refused(ana: Person) -> None:
    assert not is_usable_ed25519(b"")
    assert not is_usable_curve25519(bytes(31))
    for sig in (b"", bytes(63), bytes(65)):
        with pytest.raises(BadSignatureError):
            verify_ed25519(ana.device.ed25519, Ctx.DEVICE, b"", sig)


def test_a_signature_with_a_large_scalar_is_refused(ana: Person) -> None:
    """S + L verifies in lax implementations: the same signature in a second form."""
    sig = ana.device.sign(Ctx.DEVICE, b"body").sig
    order = 2**252 + 27742317777372353535851937790883648493
    second = sig[:32] + (int.from_bytes(sig[32:], "little") + order).to_bytes(32, "little")
    with pytest.raises(BadSignatureError):
        verify_ed25519(ana.device.ed25519, Ctx.DEVICE, b"body", second)


# --- prekeys ---


def test_prekeys_of_a_listed_device(ana: Person) -> None:
    device = ana.list.list.devices[0]
    assert ana.prekeys.fallback is not None
    assert ana.prekeys.pq is not None
    assert len(ana.prekeys.one_time) == limits.OTK_TARGET
    verify_one_time_key(ana.prekeys.one_time[0], uid=ana.uid, device=device)
    verify_fallback_key(ana.prekeys.fallback, uid=ana.uid, device=device)
    assert verify_pq_prekey(ana.prekeys.pq, uid=ana.uid, device=device, now_ms=NOW).prekey_id == 1
    other = DeviceKeys.create(ana.uid)
    wrong_device, wrong_key = SigningKey(other.did, ana.device.ed25519), SigningKey(ana.device.did, other.ed25519)
    for bad in (wrong_device, wrong_key):
        for verify, signed in (
            (verify_one_time_key, ana.prekeys.one_time[0]),
            (verify_fallback_key, ana.prekeys.fallback),
        ):
            with pytest.raises(PrekeyError):
                verify(signed, uid=ana.uid, device=bad)
        with pytest.raises(PrekeyError):
            verify_pq_prekey(ana.prekeys.pq, uid=ana.uid, device=bad, now_ms=NOW)
    with pytest.raises(PrekeyError):
        verify_one_time_key(ana.prekeys.one_time[0], uid=os.urandom(16), device=device)
    with pytest.raises(PrekeyError):
        verify_one_time_key(ana.prekeys.fallback, uid=ana.uid, device=device)
    with pytest.raises(PrekeyError):
        verify_fallback_key(ana.prekeys.one_time[0], uid=ana.uid, device=device)


@pytest.mark.parametrize("u", SMALL_U)
def test_a_signed_small_order_prekey_is_refused(ana: Person, u: int) -> None:
    key = u.to_bytes(32, "little")
    device = ana.list.list.devices[0]
    body = encode(OneTimeKey(uid=ana.uid, did=device.did, key=key))
    with pytest.raises(PrekeyError):
        verify_one_time_key(ana.device.sign(Ctx.OTK, body), uid=ana.uid, device=device)
    with pytest.raises(PrekeyError):
        verify_fallback_key(ana.device.sign(Ctx.FALLBACK, body), uid=ana.uid, device=device)
    with pytest.raises(PrekeyError, match="unusable"):
        verify_pq_prekey(pq(ana, tail=key), uid=ana.uid, device=device, now_ms=NOW)


def pq(ana: Person, *, tail: bytes | None = None, **changes: object) -> Signed:
    assert ana.prekeys.pq is not None
    prekey = decode_record(PqPrekey, ana.prekeys.pq.body)
    if tail is not None:
        changes["key"] = prekey.key[:-32] + tail
    return ana.device.sign(Ctx.PQ_PREKEY, encode(msgspec.structs.replace(prekey, **changes)))


def test_the_hybrid_prekeys_time_and_key(ana: Person) -> None:
    device = ana.list.list.devices[0]
    verify_pq_prekey(pq(ana), uid=ana.uid, device=device, now_ms=NOW + 31 * DAY)
    verify_pq_prekey(pq(ana), uid=ana.uid, device=device, now_ms=NOW - DAY)
    for now_ms in (NOW + 31 * DAY + 1, NOW - DAY - 1):
        with pytest.raises(ExpiredPrekeyError):
            verify_pq_prekey(pq(ana), uid=ana.uid, device=device, now_ms=now_ms)
    for bad in (pq(ana, expires=NOW + 31 * DAY), pq(ana, expires=NOW), pq(ana, key=b"\xff" * 1216)):
        with pytest.raises(PrekeyError):
            verify_pq_prekey(bad, uid=ana.uid, device=device, now_ms=NOW)
    with pytest.raises(PrekeyError, match="older"):
        verify_pq_prekey(pq(ana), uid=ana.uid, device=device, now_ms=NOW, newest_id=2)


def test_a_device_takes_one_login_only(ana: Person) -> None:
    transcript = login_transcript(b"1", b"2", b"3")
    signed = ana.device.login(SERVER, transcript)
    device = ana.list.list.devices[0]
    verify_device_login(signed, server_id=SERVER, uid=ana.uid, device=device, transcript=transcript)
    right: dict[str, bytes] = {"server_id": SERVER, "uid": ana.uid, "transcript": transcript}
    for name, other in (
        ("server_id", bytes(16)),
        ("uid", bytes(16)),
        ("transcript", login_transcript(b"12", b"", b"3")),
    ):
        with pytest.raises(BadSignatureError):
            verify_device_login(signed, device=device, **{**right, name: other})
    with pytest.raises(BadSignatureError):
        verify_device_login(signed, device=SigningKey(bytes(16), ana.device.ed25519), **right)


# --- channel, REST, key log ---


def test_the_channel_key_is_a_function_of_the_session_key() -> None:
    assert channel_key(b"s" * 64) == channel_key(b"s" * 64)
    assert channel_key(b"s" * 64) != channel_key(b"t" * 64)


def test_the_rest_mac_covers_the_request() -> None:
    key = rest_key(b"k" * 32)
    header = rest_mac(key, "POST", "/v1/x?y=1", b"{}", 5)
    assert check_rest_mac(key, header, "POST", "/v1/x?y=1", b"{}") == 5
    for method, target, body in (("PUT", "/v1/x?y=1", b"{}"), ("POST", "/v1/x?y=2", b"{}"), ("POST", "/v1/x?y=1", b"")):
        assert check_rest_mac(key, header, method, target, body) is None
    assert check_rest_mac(rest_key(b"l" * 32), header, "POST", "/v1/x?y=1", b"{}") is None
    for bad in ("", ".", "6" + header[1:], "05" + header[1:], "²" + header[1:], "5.é"):
        assert check_rest_mac(key, bad, "POST", "/v1/x?y=1", b"{}") is None


def test_the_key_log() -> None:
    log = Ed25519PrivateKey.generate()
    public = log.public_key().public_bytes_raw()
    head = TreeHead(log_id=log_id(public), size=3, root=bytes(32), ts=NOW, restore_epoch=0)
    signed = Signed(encode(head), log.sign(signing_input(Ctx.STH, encode(head))))
    assert verify_tree_head(signed, log_key=public) == head
    with pytest.raises(TreeHeadError):
        verify_tree_head(signed, log_key=Ed25519PrivateKey.generate().public_key().public_bytes_raw())
    other = encode(msgspec.structs.replace(head, log_id=bytes(32)))
    with pytest.raises(TreeHeadError, match="another log"):
        verify_tree_head(Signed(other, log.sign(signing_input(Ctx.STH, other))), log_key=public)
    assert head_is_fresh(head, NOW + DAY - 1)
    assert not head_is_fresh(head, NOW + DAY)
    assert not head_is_fresh(head, NOW - DAY - 1)


def test_leaves_and_labels() -> None:
    leaf = TransparencyLeaf(label=uid_label(bytes(16)), ver=1, value_hash=uid_value(b"r", b"l"), prev_idx=-1, ts=NOW)
    assert decode_leaf(encode_leaf(leaf)) == leaf
    assert leaf_hash(encode_leaf(leaf)) != leaf_hash(encode_leaf(msgspec.structs.replace(leaf, ver=2)))
    assert handle_label(SERVER, "ana") != handle_label(bytes(16), "ana")
    assert len({uid_label(bytes(16)), handle_value(bytes(16)), uid_value(b"", b"")}) == 3
    with pytest.raises(MalformedError):
        decode_leaf(encode_leaf(msgspec.structs.replace(leaf, prev_idx=-2)))


def test_a_succession_needs_both_signatures(ana: Person) -> None:
    new = Person("ana", ana.uid)
    proof = ana.identity.succession(new.record, ana.code, NOW)
    verified = verify_succession(proof)
    assert (verified.uid, verified.old_idfp, verified.new_idfp) == (ana.uid, ana.idfp, new.idfp)
    record = decode_record(records.SuccessionProof, proof)
    for bad in (
        {"sig_recovery": new.code.sign(Ctx.IDENTITY_SUCCESSION, record.body)},
        {"sig_recovery": ana.code.sign(Ctx.RECOVERY_LOGIN, record.body)},
        {"sig_identity": new.identity.sign(Ctx.IDENTITY_SUCCESSION, record.body)},
        {"old_record": new.record},
    ):
        with pytest.raises(SuccessionError):
            verify_succession(encode(msgspec.structs.replace(record, **bad)))
    with pytest.raises(SuccessionError, match="another identity"):
        verify_succession(ana.identity.succession(Person("eva").record, ana.code, NOW))
