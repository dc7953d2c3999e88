from __future__ import annotations

import os

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mensajeria.crypto.device import DeviceKeys, StateError, UnknownPrekeyError
from mensajeria.crypto.hpke import HpkeError, HybridPrivateKey, hpke_seal
from mensajeria.crypto.olm import OlmPeer
from mensajeria.crypto.todevice import (
    EnvelopeCause,
    EnvelopeError,
    NoSessionError,
    OpenedEnvelope,
    SealedEnvelope,
    envelope_info,
    open_inner,
    open_outer,
)
from mensajeria.kit.secrets import Secret
from mensajeria.protocol import limits
from mensajeria.protocol.decoding import decode_record
from mensajeria.protocol.encoding import encode
from mensajeria.protocol.prekeys import verify_pq_prekey
from mensajeria.protocol.records import PqPrekey, ToDeviceOuter
from tests.crypto.people import DAY, NOW, Person, envelope
from tests.support.examples import examples


def published(handle: str) -> Person:
    """Somebody whose device has published its prekeys."""
    made = Person(handle)
    assert made.prekeys.one_time
    return made


@pytest.fixture
def ana() -> Person:
    return published("ana")


@pytest.fixture
def bruno() -> Person:
    return published("bruno")


def opened(bruno: Person, ana: Person, sealed: SealedEnvelope, peer: OlmPeer | None = None) -> OpenedEnvelope:
    outer = open_outer(bruno.device, sealed.prekey_id, sealed.blob)
    return open_inner(bruno.device, outer, sender=ana.list, me=bruno.address, peer=peer, now_ms=NOW)


def refused(
    cause: EnvelopeCause, bruno: Person, ana: Person, sealed: SealedEnvelope, peer: OlmPeer | None = None
) -> None:
    before = bruno.device.clone_account().pickle(bytes(32))
    with pytest.raises(EnvelopeError) as error:
        opened(bruno, ana, sealed, peer)
    assert error.value.cause is cause
    assert bruno.device.clone_account().pickle(bytes(32)) == before


def test_an_envelope_arrives(ana: Person, bruno: Person) -> None:
    got = opened(bruno, ana, envelope(ana, bruno, b"secret"))
    assert (got.message.t, got.message.c, got.device_changed) == ("room_key", b"secret", True)
    assert got.message.sender == ana.sender


def test_a_conversation_ratchets(ana: Person, bruno: Person) -> None:
    sealed = envelope(ana, bruno, b"1")
    got = opened(bruno, ana, sealed)
    back = envelope(bruno, ana, b"2", peer=got.peer, new_session=False)
    home = opened(ana, bruno, back, sealed.peer)
    again = envelope(ana, bruno, b"3", peer=home.peer, new_session=False)
    last = opened(bruno, ana, again, back.peer)
    assert (home.message.c, last.message.c) == (b"2", b"3")
    assert not last.device_changed


def test_states_survive_the_store(ana: Person, bruno: Person) -> None:
    sealed = envelope(ana, bruno, b"1")
    bruno.device = DeviceKeys.load(bruno.device.dump())
    got = opened(bruno, ana, sealed)
    peer = OlmPeer.load(got.peer.dump())
    assert peer == got.peer
    sealed = envelope(ana, bruno, b"2", peer=OlmPeer.load(sealed.peer.dump()), new_session=False)
    assert opened(bruno, ana, sealed, peer).message.c == b"2"
    one, two = bruno.device.dump().reveal(), bruno.device.dump().reveal()
    assert sum(a == b for a, b in zip(one, two, strict=True)) < len(one)
    for state in (Secret(b""), Secret(one[:-1]), Secret(one.replace(b"account", b"accounu"))):
        with pytest.raises(StateError):
            DeviceKeys.load(state)
    with pytest.raises(StateError):
        OlmPeer.load(Secret(b"junk"))


def test_no_session_without_a_key(ana: Person, bruno: Person) -> None:
    with pytest.raises(NoSessionError):
        envelope(ana, bruno, new_session=False)


def test_the_same_envelope_twice(ana: Person, bruno: Person) -> None:
    sealed = envelope(ana, bruno)
    got = opened(bruno, ana, sealed)
    refused(EnvelopeCause.BAD_CIPHERTEXT, bruno, ana, sealed, got.peer)
    refused(EnvelopeCause.BAD_CIPHERTEXT, bruno, ana, sealed)  # its one-time key is gone


def test_every_byte_of_the_blob_counts(ana: Person, bruno: Person) -> None:
    sealed = envelope(ana, bruno)
    for at in (0, 500, 1087, 1088, 1119, 1120, 1500, len(sealed.blob) - 1):
        changed = sealed.blob[:at] + bytes([sealed.blob[at] ^ 1]) + sealed.blob[at + 1 :]
        with pytest.raises(EnvelopeError) as error:
            open_outer(bruno.device, sealed.prekey_id, changed)
        assert error.value.cause is EnvelopeCause.NOT_FOR_THIS_KEY


def test_a_blob_is_bound_to_its_recipient_and_prekey(ana: Person, bruno: Person) -> None:
    sealed = envelope(ana, bruno)
    with pytest.raises(EnvelopeError) as error:
        open_outer(bruno.device, 2, sealed.blob)
    assert error.value.cause is EnvelopeCause.UNKNOWN_PREKEY
    key = bruno.device.private_prekey(1)
    for info in (
        envelope_info(ana.uid, bruno.device.did, 1),
        envelope_info(bruno.uid, ana.device.did, 1),
        envelope_info(bruno.uid, bruno.device.did, 2),
    ):
        with pytest.raises(HpkeError):
            key.open(info, sealed.blob)
    with pytest.raises(EnvelopeError) as error:
        open_outer(bruno.device, 1, bytes(limits.MAX_ENVELOPE + 1))
    assert error.value.cause is EnvelopeCause.MALFORMED


def test_sessions_under_another_key_are_not_used(ana: Person, bruno: Person) -> None:
    other = OlmPeer.new(bruno.device.did, ana.device.curve25519)
    with pytest.raises(EnvelopeError) as error:
        envelope(ana, bruno, peer=other)
    assert error.value.cause is EnvelopeCause.WRONG_KEY


def test_only_listed_devices_are_heard(ana: Person, bruno: Person) -> None:
    stranger = Person("ana", ana.uid)
    refused(EnvelopeCause.NOT_LISTED, bruno, ana, envelope(stranger, bruno))
    refused(EnvelopeCause.NOT_LISTED, bruno, Person("eva"), envelope(ana, bruno))
    assert EnvelopeCause.NOT_LISTED.may_open_later


def test_a_copied_exchange_key_does_not_speak_for_its_owner(ana: Person, bruno: Person) -> None:
    """Eve lists Ana's Curve25519 key as hers is impossible (proof of possession); in the outer it is refused here."""
    sealed = envelope(ana, bruno)
    outer = open_outer(bruno.device, sealed.prekey_id, sealed.blob)
    eva = Person("eva")
    claimed = ToDeviceOuter(1, outer.kind, eva.uid, eva.device.did, outer.curve25519, outer.olm)
    with pytest.raises(EnvelopeError) as error:
        open_inner(bruno.device, claimed, sender=eva.list, me=bruno.address, peer=None, now_ms=NOW)
    assert error.value.cause is EnvelopeCause.WRONG_KEY
    hers = ToDeviceOuter(1, outer.kind, eva.uid, eva.device.did, eva.device.curve25519, outer.olm)
    with pytest.raises(EnvelopeError) as error:
        open_inner(bruno.device, hers, sender=eva.list, me=bruno.address, peer=None, now_ms=NOW)
    assert error.value.cause is EnvelopeCause.BAD_CIPHERTEXT


@pytest.mark.parametrize("field", ["uid", "did", "idfp"])
def test_the_sender_inside_is_the_sender_outside(ana: Person, bruno: Person, field: str) -> None:
    size = len(getattr(ana.sender, field))
    claimed = msgspec.structs.replace(ana.sender, **{field: os.urandom(size)})
    refused(EnvelopeCause.WRONG_SENDER, bruno, ana, envelope(ana, bruno, sender=claimed))


def test_the_recipient_inside_is_this_device(ana: Person, bruno: Person) -> None:
    other = msgspec.structs.replace(bruno.address, idfp=os.urandom(32))
    refused(EnvelopeCause.WRONG_RECIPIENT, bruno, ana, envelope(ana, bruno, recipient=other))
    with pytest.raises(EnvelopeError):
        envelope(ana, bruno, recipient=msgspec.structs.replace(bruno.address, did=bytes(16)))
    with pytest.raises(EnvelopeError):
        envelope(ana, bruno, recipient=msgspec.structs.replace(bruno.address, uid=bytes(16)))


def test_a_newer_list_is_waited_for(ana: Person, bruno: Person) -> None:
    ahead = msgspec.structs.replace(ana.sender, dl_ver=2)
    sealed = envelope(ana, bruno, sender=ahead)
    refused(EnvelopeCause.NEWER_LIST, bruno, ana, sealed)
    ana.add_device()
    assert opened(bruno, ana, sealed).message.sender.dl_ver == 2


def test_another_identity_under_a_newer_list_is_waited_for_and_then_judged(ana: Person, bruno: Person) -> None:
    moved = msgspec.structs.replace(ana.sender, dl_ver=2, idfp=os.urandom(32))
    sealed = envelope(ana, bruno, sender=moved)
    refused(EnvelopeCause.NEWER_LIST, bruno, ana, sealed)
    ana.add_device()
    refused(EnvelopeCause.WRONG_SENDER, bruno, ana, sealed)


def test_a_dropped_session_does_not_come_back(ana: Person, bruno: Person) -> None:
    first = envelope(ana, bruno, b"first")
    second_of_first = envelope(ana, bruno, b"late", peer=first.peer, new_session=False)
    peer = opened(bruno, ana, first).peer
    for key in range(1, 1 + limits.OLM_SESSIONS_PER_PEER):
        peer = opened(bruno, ana, envelope(ana, bruno, key=key), peer).peer
    assert len(peer.sessions) == limits.OLM_SESSIONS_PER_PEER
    refused(EnvelopeCause.TOMBSTONED, bruno, ana, second_of_first, peer)


def test_the_session_that_last_received_is_used(ana: Person, bruno: Person) -> None:
    one, two = envelope(ana, bruno, key=0), envelope(ana, bruno, key=1)
    peer = opened(bruno, ana, two, opened(bruno, ana, one).peer).peer
    back = envelope(bruno, ana, peer=peer, new_session=False)
    with pytest.raises(EnvelopeError):
        opened(ana, bruno, back, one.peer)
    assert opened(ana, bruno, back, two.peer).message.t == "room_key"


def test_an_ack_is_owed_after_four(ana: Person, bruno: Person) -> None:
    sealed = envelope(ana, bruno)
    peer = opened(bruno, ana, sealed).peer
    owed = []
    for _ in range(4):
        owed.append(peer.owes_ack)
        sealed = envelope(ana, bruno, peer=sealed.peer, new_session=False)
        peer = opened(bruno, ana, sealed, peer).peer
    assert owed == [False, False, False, True]
    assert not envelope(bruno, ana, peer=peer, new_session=False, kind="ack").peer.owes_ack


@pytest.mark.parametrize("key", [bytes(32), (1).to_bytes(32, "little")])
def test_small_order_keys_seal_nothing(ana: Person, bruno: Person, key: bytes) -> None:
    listed = bruno.list.list.devices[0]
    with pytest.raises(EnvelopeError):
        envelope(ana, bruno, one_time=key)
    bad = msgspec.structs.replace(listed, curve25519=key)
    with pytest.raises(EnvelopeError):
        envelope(ana, bruno, listed=bad, peer=OlmPeer.new(listed.did, key))
    assert bruno.prekeys.pq is not None
    pq = verify_pq_prekey(bruno.prekeys.pq, uid=bruno.uid, device=listed, now_ms=NOW)
    with pytest.raises(EnvelopeError):
        envelope(ana, bruno, pq=msgspec.structs.replace(pq, key=pq.key[:-32] + key))


def test_too_large_a_content_is_refused(ana: Person, bruno: Person) -> None:
    with pytest.raises(EnvelopeError):
        envelope(ana, bruno, bytes(16384))
    assert len(envelope(ana, bruno, bytes(15000)).blob) <= limits.MAX_ENVELOPE


def test_all_envelopes_of_a_bucket_have_one_size(ana: Person, bruno: Person) -> None:
    sizes = {len(envelope(ana, bruno, bytes(n)).blob) for n in (0, 1, 300, 700)}
    assert len(sizes) == 1


@examples(60)
@given(st.integers(0, 3), st.binary(max_size=300))
def test_any_olm_bytes_give_the_declared_error(kind: int, olm: bytes) -> None:
    ana, bruno = _pair()
    outer = ToDeviceOuter(1, kind, ana.uid, ana.device.did, ana.device.curve25519, olm)
    with pytest.raises(EnvelopeError):
        open_inner(bruno.device, outer, sender=ana.list, me=bruno.address, peer=None, now_ms=NOW)


@examples(60)
@given(st.binary(max_size=1500))
def test_any_blob_gives_the_declared_error(blob: bytes) -> None:
    _, bruno = _pair()
    with pytest.raises(EnvelopeError):
        open_outer(bruno.device, 1, blob)


@examples(60)
@given(st.binary(max_size=300))
def test_any_outer_gives_the_declared_error(outer: bytes) -> None:
    _, bruno = _pair()
    info = envelope_info(bruno.uid, bruno.device.did, 1)
    blob = hpke_seal(bruno.device.private_prekey(1).public, info, outer)
    with pytest.raises(EnvelopeError) as error:
        open_outer(bruno.device, 1, blob)
    assert error.value.cause in {EnvelopeCause.MALFORMED, EnvelopeCause.NEWER_VERSION}


_people: list[Person] = []


def _pair() -> tuple[Person, Person]:
    if not _people:
        _people.extend([published("ana"), published("bruno")])
    return _people[0], _people[1]


# --- prekeys of this device ---


def test_prekeys_are_renewed_when_due(ana: Person) -> None:
    device = ana.device
    assert device.rotate(NOW + 1) is None
    due = device.rotate(NOW + 7 * DAY)
    assert due is not None
    assert due.fallback is not None
    assert due.pq is not None
    assert decode_record(PqPrekey, due.pq.body).prekey_id == 2
    repeated = device.rotate(NOW + 7 * DAY + 1)
    assert repeated is not None
    assert repeated.pq == due.pq
    device.mark_published()
    assert device.rotate(NOW + 7 * DAY + 2) is None


def test_private_halves_live_until_envelopes_have_expired(ana: Person) -> None:
    device = ana.device
    device.rotate(NOW + 7 * DAY)
    device = DeviceKeys.load(device.dump())
    device.rotate(NOW + 36 * DAY)
    device.private_prekey(1)
    device.rotate(NOW + 37 * DAY)
    with pytest.raises(UnknownPrekeyError):
        device.private_prekey(1)
    device.private_prekey(2)
    assert device.pq_prekey_id == 3


def test_unpublished_one_time_keys_are_offered_again(ana: Person) -> None:
    first = ana.device.new_one_time_keys(5)
    again = ana.device.new_one_time_keys(0)
    assert {signed.body for signed in first} == {signed.body for signed in again}
    ana.device.mark_published()
    assert ana.device.new_one_time_keys(0) == ()
    assert len(ana.device.new_one_time_keys(10_000)) <= limits.OTK_UPLOAD_MAX


def test_hybrid_keys_round_trip() -> None:
    key = HybridPrivateKey.generate()
    sealed = hpke_seal(key.public, b"info", b"text")
    assert HybridPrivateKey(key.material).open(b"info", sealed) == b"text"
    with pytest.raises(HpkeError):
        key.open(b"other", sealed)
    with pytest.raises(HpkeError):
        HybridPrivateKey(Secret(bytes(95)))
    for bad in (bytes(1216), key.public[:-1], b"\xff" * 1184 + key.public[1184:]):
        with pytest.raises(HpkeError):
            hpke_seal(bad, b"info", b"text")


def test_outers_of_other_suites_need_a_newer_program(bruno: Person) -> None:
    info = envelope_info(bruno.uid, bruno.device.did, 1)
    outer = encode([2, "whatever comes"])
    with pytest.raises(EnvelopeError) as error:
        open_outer(bruno.device, 1, hpke_seal(bruno.device.private_prekey(1).public, info, outer))
    assert error.value.cause is EnvelopeCause.NEWER_VERSION
