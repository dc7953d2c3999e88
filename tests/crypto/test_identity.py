"""What an identity signs when devices come and go: exactly these lists, signed by both of its keys."""

from __future__ import annotations

import msgspec
import pytest

from mensajeria.crypto.device import DeviceKeys
from mensajeria.crypto.identity import DeviceCard, Identity
from mensajeria.crypto.root import AccountRoot
from mensajeria.protocol import limits
from mensajeria.protocol.decoding import decode_record
from mensajeria.protocol.devices import decode_device_list
from mensajeria.protocol.records import DeviceList, FormerDevice, ListedDevice, Signed, Succession, SuccessionProof
from mensajeria.protocol.signing import Ctx, verify_ed25519, verify_hybrid
from tests.crypto.people import NOW, Person
from tests.second.encoding import h

LATER = NOW + 77


@pytest.fixture(scope="module")
def ana() -> Person:
    """With two devices, and one that has gone."""
    made = Person("ana")
    made.add_device()
    made.remove_device(made.add_device().did)
    return made


@pytest.fixture(scope="module")
def anew(ana: Person) -> Identity:
    """The identity that follows Ana's."""
    return AccountRoot.generate(2).identity(ana.uid, ana.code.public)


def body_of(signed: Signed, identity: Identity) -> DeviceList:
    """The list in there; both signatures are the identity's."""
    record = msgspec.msgpack.decode(identity.record)
    verify_hybrid(record["ed25519"], record["mldsa"], Ctx.DEVICE_LIST, signed.body, signed.sig)
    return decode_device_list(signed.body)


def former(device: ListedDevice, to_ver: int) -> FormerDevice:
    """As the document says that later versions remember a device."""
    return FormerDevice(
        did=device.did,
        ed25519=device.ed25519,
        curve25519=device.curve25519,
        from_ver=device.from_ver,
        to_ver=to_ver,
    )


def listed(card: DeviceCard, ver: int) -> ListedDevice:
    """As version `ver` names a device first."""
    return ListedDevice(
        did=card.did,
        ed25519=card.ed25519,
        curve25519=card.curve25519,
        from_ver=ver,
        created=card.created,
        pop=card.pop,
    )


def new_card(ana: Person, idfp: bytes | None = None) -> DeviceCard:
    return DeviceKeys.create(ana.uid).card(idfp or ana.idfp, NOW + 5)


def test_the_first_list_has_one_device_and_no_predecessor() -> None:
    bea = Person("bea")
    card = bea.device.card(bea.idfp, NOW)
    found = body_of(bea.identity.first_list("bea", card, LATER), bea.identity)
    assert found == DeviceList(
        uid=bea.uid,
        handle="bea",
        idfp=bea.idfp,
        ver=1,
        prev=bytes(32),
        ts=LATER,
        devices=(listed(card, 1),),
        backup_ver=1,
    )


def test_a_device_that_comes_changes_nothing_else(ana: Person) -> None:
    card, before = new_card(ana), ana.list
    found = body_of(ana.identity.add_device(before, card, LATER), ana.identity)
    assert found == msgspec.structs.replace(
        before.list,
        ver=before.ver + 1,
        prev=h("device-list", before.body),
        ts=LATER,
        devices=(*before.list.devices, listed(card, before.ver + 1)),
    )


def test_a_device_that_goes_is_remembered_and_a_new_backup_key_begins(ana: Person) -> None:
    before, gone = ana.list, ana.list.list.devices[1]
    found = body_of(ana.identity.remove_device(before, gone.did, LATER), ana.identity)
    assert found == msgspec.structs.replace(
        before.list,
        ver=before.ver + 1,
        prev=h("device-list", before.body),
        ts=LATER,
        devices=before.list.devices[:1],
        former=(*before.list.former, former(gone, before.ver)),
        backup_ver=before.list.backup_ver + 1,
    )


def test_only_the_newest_of_those_that_went_are_remembered(ana: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_FORMER_DEVICES", 1)
    gone = ana.list.list.devices[1]
    found = body_of(ana.identity.remove_device(ana.list, gone.did, LATER), ana.identity)
    assert found.former == (former(gone, ana.list.ver),)


@pytest.mark.parametrize("same", ["did", "ed25519", "curve25519"])
def test_a_device_with_the_id_or_a_key_of_one_that_went_is_not_listed(ana: Person, same: str) -> None:
    card = new_card(ana)
    fields = {name: getattr(card, name) for name in ("did", "ed25519", "curve25519", "created", "pop")}
    with pytest.raises(ValueError, match="before"):
        ana.identity.add_device(ana.list, DeviceCard(**{**fields, same: getattr(ana.list.list.former[0], same)}), NOW)


def test_a_new_identity_keeps_the_one_device_that_goes_on(ana: Person, anew: Identity) -> None:
    before = ana.list
    kept, other = before.list.devices
    card = ana.device.card(anew.idfp, NOW + 5)
    found = body_of(anew.take_over(before, card, LATER), anew)
    assert found == msgspec.structs.replace(
        before.list,
        idfp=anew.idfp,
        ver=before.ver + 1,
        prev=h("device-list", before.body),
        ts=LATER,
        devices=(msgspec.structs.replace(kept, pop=card.pop),),
        former=(*before.list.former, former(other, before.ver)),
        backup_ver=before.list.backup_ver + 1,
    )


def test_a_new_identity_on_a_new_device_leaves_all_others_behind(ana: Person, anew: Identity) -> None:
    before, card = ana.list, new_card(ana, anew.idfp)
    found = body_of(anew.take_over(before, card, LATER), anew)
    assert found.devices == (listed(card, before.ver + 1),)
    assert found.former == (*before.list.former, *(former(device, before.ver) for device in before.list.devices))


def test_a_device_that_went_does_not_come_back_under_a_new_identity(ana: Person, anew: Identity) -> None:
    back = msgspec.structs.replace(listed(new_card(ana), 1), did=ana.list.list.former[0].did)
    card = DeviceCard(back.did, back.ed25519, back.curve25519, back.created, back.pop)
    with pytest.raises(ValueError, match="before"):
        anew.take_over(ana.list, card, LATER)


def test_a_new_identity_too_remembers_only_the_newest(
    ana: Person, anew: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_FORMER_DEVICES", 2)
    found = body_of(anew.take_over(ana.list, new_card(ana, anew.idfp), LATER), anew)
    assert found.former == tuple(former(device, ana.list.ver) for device in ana.list.list.devices)


def test_a_succession_is_signed_by_the_identity_and_by_the_recovery_code(ana: Person, anew: Identity) -> None:
    proof = decode_record(SuccessionProof, ana.identity.succession(anew.record, ana.code, LATER))
    assert proof.old_record == ana.record
    assert decode_record(Succession, proof.body) == Succession(
        uid=ana.uid, old_idfp=ana.idfp, new_record=anew.record, ts=LATER
    )
    record = ana.list.record
    verify_hybrid(record.ed25519, record.mldsa, Ctx.IDENTITY_SUCCESSION, proof.body, proof.sig_identity)
    verify_ed25519(ana.code.public, Ctx.IDENTITY_SUCCESSION, proof.body, proof.sig_recovery)


def test_an_identity_is_of_one_user_and_names_who_may_recover_it(ana: Person) -> None:
    record = msgspec.msgpack.decode(ana.record)
    assert (record["uid"], record["recovery"]) == (ana.uid, ana.code.public)
    assert (ana.identity.uid, ana.identity.idfp) == (ana.uid, h("identity", ana.record))
