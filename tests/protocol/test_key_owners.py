"""Whose a key is: each part of what ties a signed key to its device, its user and its identity, judged alone."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import pytest

from mensajeria.protocol.decoding import decode_record
from mensajeria.protocol.devices import (
    InvalidListError,
    device_list_hash,
    identity_fingerprint,
    pop_body,
    verify_device_list,
)
from mensajeria.protocol.encoding import encode
from mensajeria.protocol.prekeys import PrekeyError, verify_fallback_key, verify_one_time_key
from mensajeria.protocol.records import FormerDevice, OneTimeKey, Signed
from mensajeria.protocol.signing import (
    Ctx,
    from_olm_base64,
    is_usable_curve25519,
    is_usable_ed25519,
    signing_input,
    to_olm_base64,
)
from tests.crypto.people import Person


@pytest.fixture(scope="module")
def ana() -> Person:
    return Person("ana")


def cat(*parts: bytes) -> bytes:
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def hash_of(label: str, *parts: bytes) -> bytes:
    return hashlib.sha256(b"mensajeria/1/" + label.encode() + b"\x00" + cat(*parts)).digest()


def test_fingerprints_hashes_and_what_is_signed_are_the_documents(ana: Person) -> None:
    assert identity_fingerprint(b"record") == hash_of("identity", b"record")
    assert device_list_hash(b"body") == hash_of("device-list", b"body")
    assert pop_body(b"u", b"d", b"i", b"e", b"c") == cat(b"u", b"d", b"i", b"e", b"c")
    assert signing_input(Ctx.OTK, b"x") == b"mensajeria/1/otk\x00" + hashlib.sha256(b"x").digest()
    assert ana.list.idfp == hash_of("identity", ana.record)


@pytest.mark.parametrize("size", range(8))
def test_base64_without_padding_comes_back(size: int) -> None:
    data = bytes(range(240, 240 + size))
    assert "=" not in to_olm_base64(data)
    assert from_olm_base64(to_olm_base64(data)) == data


def test_base64_ends_as_its_bytes_do() -> None:
    assert to_olm_base64(b"\0\0\x17") == "AAAX"


P = (1 << 255) - 19
SMALL_ORDER = (
    0,
    1,
    P - 1,
    2707385501144840649318225287225658788936804267575313519463743609750303402022,
    P - 2707385501144840649318225287225658788936804267575313519463743609750303402022,
)


@pytest.mark.parametrize("y", [*SMALL_ORDER, P, P + 1])
@pytest.mark.parametrize("sign", [0, 1 << 255])
def test_no_point_of_small_order_is_a_key(y: int, sign: int) -> None:
    assert not is_usable_ed25519((y + sign).to_bytes(32, "little"))


@pytest.mark.parametrize(
    "u",
    [
        325606250916557431795983626356110631294008115727848805560023387167927233504,
        39382357235489614581723060781553021112529911719440698176882885853963445705823,
    ],
)
def test_no_key_exchange_gives_a_known_secret(u: int) -> None:
    assert not is_usable_curve25519(u.to_bytes(32, "little"))


@pytest.mark.parametrize(("ctx", "verify"), [(Ctx.OTK, verify_one_time_key), (Ctx.FALLBACK, verify_fallback_key)])
def test_a_key_is_of_that_user_and_that_device_and_usable(ana: Person, ctx: Ctx, verify: Any) -> None:
    device = ana.list.list.devices[0]
    key = decode_record(OneTimeKey, ana.prekeys.one_time[0].body)

    def signed(as_what: Ctx = ctx, **changes: Any) -> Signed:
        return ana.device.sign(as_what, encode(msgspec.structs.replace(key, **changes)))

    assert verify(signed(), uid=ana.uid, device=device) == key
    other = Ctx.FALLBACK if ctx is Ctx.OTK else Ctx.OTK
    for bad in (signed(uid=b"x" * 16), signed(did=b"x" * 16), signed(key=bytes(32)), signed(other)):
        with pytest.raises(PrekeyError):
            verify(bad, uid=ana.uid, device=device)
    with pytest.raises(PrekeyError):
        verify(signed(), uid=b"x" * 16, device=device)
    with pytest.raises(PrekeyError):
        verify(Signed(signed().body, bytes(64)), uid=ana.uid, device=device)


@pytest.mark.parametrize("changes", [{"uid": b"x" * 16}, {"idfp": b"x" * 32}])
def test_a_list_names_its_user_and_its_identity(ana: Person, changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidListError):
        verify_device_list(ana.sign_list(**changes), ana.record, uid=ana.uid)


def test_an_identity_record_names_its_user(ana: Person) -> None:
    """The list says whom it is asked for; only the record says that the identity is another's."""
    with pytest.raises(InvalidListError):
        verify_device_list(ana.sign_list(uid=b"x" * 16), ana.record, uid=b"x" * 16)


@pytest.mark.parametrize(("from_ver", "to_ver", "fits"), [(0, 1, False), (1, 1, True), (1, 2, False), (2, 1, False)])
def test_a_former_device_came_and_went_before_this_version(from_ver: int, to_ver: int, fits: bool) -> None:
    bea, gone = Person("bea"), Person("gone")
    keys = gone.device
    former = FormerDevice(
        did=keys.did, ed25519=keys.ed25519, curve25519=keys.curve25519, from_ver=from_ver, to_ver=to_ver
    )
    signed = bea.following(former=(former,))
    if fits:
        assert verify_device_list(signed, bea.record, uid=bea.uid).list.former == (former,)
        return
    with pytest.raises(InvalidListError):
        verify_device_list(signed, bea.record, uid=bea.uid)
