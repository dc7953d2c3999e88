"""What a change of one operator in the envelopes' checks would let through (docs/mutation.md)."""

from __future__ import annotations

import hashlib

import msgspec
import pytest

from mensajeria.crypto.hpke import hpke_seal
from mensajeria.crypto.olm import NORMAL, PRE_KEY, OlmCause, OlmError, OlmPeer
from mensajeria.crypto.padding import pad_todevice
from mensajeria.crypto.todevice import (
    EnvelopeCause,
    EnvelopeError,
    SealedEnvelope,
    envelope_info,
    open_inner,
    open_outer,
)
from mensajeria.protocol import limits
from mensajeria.protocol.encoding import encode
from mensajeria.protocol.prekeys import verify_one_time_key
from mensajeria.protocol.records import SUITE_TODEVICE, ToDevice, ToDeviceOuter
from tests.crypto.people import NOW, Person, envelope

SECOND_FORM = (2**255 - 19 + 9).to_bytes(32, "little")
"""u = 9, the base point, in the form that no encoder writes: the library itself would take it."""


@pytest.fixture(scope="module")
def people() -> tuple[Person, Person]:
    return Person("ana"), Person("bruno")


def opened(bruno: Person, ana: Person, sealed: SealedEnvelope, peer: OlmPeer | None = None) -> OlmPeer:
    outer = open_outer(bruno.device, sealed.prekey_id, sealed.blob)
    return open_inner(bruno.device, outer, sender=ana.list, me=bruno.address, peer=peer, now_ms=NOW).peer


def one_time_key(of: Person, number: int) -> bytes:
    listed = of.list.find(of.device.did)
    assert listed is not None
    return verify_one_time_key(of.prekeys.one_time[number], uid=of.uid, device=listed).key


def peer_of(who: Person) -> OlmPeer:
    return OlmPeer.new(who.device.did, who.device.curve25519)


def cause_of(bruno: Person, ana: Person, outer: ToDeviceOuter, peer: OlmPeer | None = None) -> EnvelopeCause:
    with pytest.raises(EnvelopeError) as refused:
        open_inner(bruno.device, outer, sender=ana.list, me=bruno.address, peer=peer, now_ms=NOW)
    return refused.value.cause


def carrying(ana: Person, bruno: Person, plaintext: bytes, number: int) -> ToDeviceOuter:
    """An outer of Ana's device around whatever she likes."""
    _, kind, olm = peer_of(bruno).start(ana.device, one_time_key(bruno, number), NOW).encrypt(plaintext)
    return ToDeviceOuter(SUITE_TODEVICE, kind, ana.uid, ana.device.did, ana.device.curve25519, olm)


def test_a_dropped_session_stays_dropped_after_a_restart() -> None:
    ana, bruno = Person("ana"), Person("bruno")
    first = envelope(ana, bruno, key=0)
    peer = opened(bruno, ana, first)
    for number in range(1, 1 + limits.OLM_SESSIONS_PER_PEER):
        peer = opened(bruno, ana, envelope(ana, bruno, key=number), peer)
    late = envelope(ana, bruno, b"late", peer=first.peer, new_session=False)
    restarted = OlmPeer.load(peer.dump())
    assert restarted == peer
    outer = open_outer(bruno.device, late.prekey_id, late.blob)
    assert cause_of(bruno, ana, outer, restarted) is EnvelopeCause.TOMBSTONED


def test_an_answer_on_an_older_session_opens_there(people: tuple[Person, Person]) -> None:
    ana, bruno = people
    first = envelope(ana, bruno, key=0)
    answer = envelope(bruno, ana, peer=opened(bruno, ana, first), new_session=False)
    second = envelope(ana, bruno, key=1, peer=first.peer)
    assert open_outer(ana.device, answer.prekey_id, answer.blob).kind == NORMAL
    assert len(opened(ana, bruno, answer, second.peer).sessions) == 2


def test_the_causes_without_a_session_and_with_one_differ(people: tuple[Person, Person]) -> None:
    ana, bruno = people
    answer = envelope(bruno, ana, peer=opened(bruno, ana, envelope(ana, bruno, key=2)), new_session=False)
    outer = open_outer(ana.device, answer.prekey_id, answer.blob)
    assert cause_of(ana, bruno, outer) is EnvelopeCause.NO_SESSION
    assert cause_of(ana, bruno, outer, envelope(ana, bruno, key=3).peer) is EnvelopeCause.BAD_CIPHERTEXT
    with pytest.raises(OlmError) as refused:
        peer_of(bruno).encrypt(b"x")
    assert refused.value.cause is OlmCause.NO_SESSION


def test_an_answer_is_owed_for_what_was_received_and_not_for_what_was_sent(people: tuple[Person, Person]) -> None:
    ana, bruno = people
    sealed = envelope(ana, bruno, key=4)
    assert [session.unanswered for session in sealed.peer.sessions] == [0]
    assert [session.unanswered for session in opened(bruno, ana, sealed).sessions] == [1]


@pytest.mark.parametrize("key", [SECOND_FORM, bytes(32)])
def test_no_session_begins_with_a_key_that_is_not_usable(people: tuple[Person, Person], key: bytes) -> None:
    ana, bruno = people
    for peer, one_time in ((OlmPeer.new(bytes(16), key), one_time_key(bruno, 5)), (peer_of(bruno), key)):
        with pytest.raises(OlmError) as refused:
            peer.start(ana.device, one_time, NOW)
        assert refused.value.cause is OlmCause.BAD_KEY
    outer = carrying(ana, bruno, b"", 5)
    with pytest.raises(OlmError) as refused:
        OlmPeer.new(ana.device.did, key).decrypt(bruno.device, PRE_KEY, outer.olm, NOW)
    assert refused.value.cause is OlmCause.BAD_KEY


def test_a_list_of_somebody_else_vouches_for_no_device(people: tuple[Person, Person]) -> None:
    ana, bruno = people
    outer = carrying(ana, bruno, b"", 6)
    assert cause_of(bruno, ana, msgspec.structs.replace(outer, uid=bruno.uid)) is EnvelopeCause.NOT_LISTED


def test_an_inside_that_is_not_padded_encoded_or_known_is_told_apart(people: tuple[Person, Person]) -> None:
    ana, bruno = people
    inner = ToDevice(t="x", sender=ana.sender, recipient=bruno.address, mid=bytes(16), ts=NOW, c=b"")
    newer = msgspec.msgpack.encode({**msgspec.to_builtins(inner, builtin_types=(bytes,)), "v": 2}, order="sorted")
    assert cause_of(bruno, ana, carrying(ana, bruno, encode(inner), 7)) is EnvelopeCause.MALFORMED
    assert cause_of(bruno, ana, carrying(ana, bruno, pad_todevice(b"\x80"), 8)) is EnvelopeCause.MALFORMED
    assert cause_of(bruno, ana, carrying(ana, bruno, pad_todevice(newer), 9)) is EnvelopeCause.NEWER_VERSION


def test_a_blob_may_be_exactly_as_long_as_the_limit(people: tuple[Person, Person]) -> None:
    ana, bruno = people
    plain = carrying(ana, bruno, b"", 10)

    def blob_of(more: int) -> bytes:
        outer = msgspec.structs.replace(plain, olm=bytes(20_000 + more))
        info = envelope_info(bruno.uid, bruno.device.did, 1)
        return hpke_seal(bruno.device.private_prekey(1).public, info, encode(outer))

    room = limits.MAX_ENVELOPE - len(blob_of(0))
    assert len(blob_of(room)) == limits.MAX_ENVELOPE
    assert open_outer(bruno.device, 1, blob_of(room)).olm == bytes(20_000 + room)
    with pytest.raises(EnvelopeError) as refused:
        open_outer(bruno.device, 1, blob_of(room + 1))
    assert refused.value.cause is EnvelopeCause.MALFORMED


def test_a_sealed_envelope_names_its_device(people: tuple[Person, Person]) -> None:
    ana, bruno = people
    assert envelope(ana, bruno, key=11).did == bruno.device.did


def test_the_binding_of_a_blob_is_that_of_the_document() -> None:
    parts = b"".join(len(part).to_bytes(4, "big") + part for part in (b"u" * 16, b"d" * 16, bytes([0, 0, 0, 7])))
    expected = hashlib.sha256(b"mensajeria/1/to-device" + b"\x00" + parts).digest()
    assert envelope_info(b"u" * 16, b"d" * 16, 7) == expected
