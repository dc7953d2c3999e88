from __future__ import annotations

import os
from collections.abc import Callable

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mensajeria.crypto.device import DeviceKeys
from mensajeria.crypto.identity import TooManyDevicesError
from mensajeria.kit.secrets import Secret
from mensajeria.protocol import limits
from mensajeria.protocol.devices import (
    DeviceListError,
    InvalidListError,
    ListConflictError,
    ListForkError,
    ListRollbackError,
    MissingListsError,
    NewerListNeededError,
    PinnedList,
    UnknownDeviceError,
    UnsupportedListError,
    VerifiedList,
    check_first_list,
    check_next_list,
    decode_device_list,
    decode_identity,
    device_list_hash,
    find_device,
    pop_body,
    signer_at,
    verify_device_list,
)
from mensajeria.protocol.encoding import MalformedError, encode
from mensajeria.protocol.records import DeviceList, IdentityRecord, ListedDevice, Signed
from mensajeria.protocol.signing import BadSignatureError, Ctx
from tests.crypto.people import NOW, Person

ZERO = bytes(32)
ONE = (1).to_bytes(32, "little")
LOW_ORDER_U = (325606250916557431795983626356110631294008115727848805560023387167927233504).to_bytes(32, "little")
LOW_ORDER_Y = (2707385501144840649318225287225658788936804267575313519463743609750303402022).to_bytes(32, "little")


@pytest.fixture(scope="module")
def ana() -> Person:
    return Person("ana")


def verify(person: Person, signed: Signed, pinned: PinnedList | None = None, *between: bytes) -> VerifiedList:
    return verify_device_list(signed, person.record, uid=person.uid, pinned=pinned, between=between)


def test_a_first_list_verifies(ana: Person) -> None:
    verified = verify(ana, ana.signed_list)
    assert (verified.uid, verified.ver, verified.handle) == (ana.uid, 1, "ana")
    assert find_device(verified, ana.device.did).curve25519 == ana.device.curve25519
    assert verified.pin == PinnedList(1, device_list_hash(ana.signed_list.body))


def test_another_users_list_is_refused(ana: Person) -> None:
    with pytest.raises(InvalidListError):
        verify_device_list(ana.signed_list, ana.record, uid=os.urandom(16))
    with pytest.raises(InvalidListError):
        verify_device_list(ana.signed_list, Person("eva", ana.uid).record, uid=ana.uid)


@pytest.mark.parametrize("at", [0, 40, 63, 64, 2000, 3372])
def test_both_halves_of_the_signature_count(ana: Person, at: int) -> None:
    sig = bytearray(ana.signed_list.sig)
    sig[at] ^= 1
    with pytest.raises(InvalidListError):
        verify(ana, Signed(ana.signed_list.body, bytes(sig)))


def test_every_byte_of_the_body_counts(ana: Person) -> None:
    body = ana.signed_list.body
    for at in range(0, len(body), 7):
        changed = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
        with pytest.raises(DeviceListError):
            verify(ana, Signed(changed, ana.signed_list.sig))


def device(person: Person, keys: DeviceKeys | None = None, **changes: object) -> ListedDevice:
    keys = keys or DeviceKeys.create(person.uid)
    return msgspec.structs.replace(keys.card(person.idfp, NOW).listed(person.list.ver + 1), **changes)


def with_key(person: Person, **keys: bytes) -> ListedDevice:
    """A device whose proof of possession is right for the claimed keys as far as its real key can sign it."""
    real = DeviceKeys.create(person.uid)
    ed, curve = keys.get("ed25519", real.ed25519), keys.get("curve25519", real.curve25519)
    pop = real.sign(Ctx.DEVICE, pop_body(person.uid, real.did, person.idfp, ed, curve)).sig
    return device(person, real, ed25519=ed, curve25519=curve, pop=pop)


BAD_DEVICES: dict[str, Callable[[Person], ListedDevice]] = {
    "pop of another device": lambda p: device(p, pop=DeviceKeys.create(p.uid).card(p.idfp, NOW).pop),
    "pop for another identity": lambda p: device(p, keys := DeviceKeys.create(p.uid), pop=keys.card(ZERO, NOW).pop),
    "pop in another context": lambda p: device(
        p,
        keys := DeviceKeys.create(p.uid),
        pop=keys.sign(Ctx.OTK, pop_body(p.uid, keys.did, p.idfp, keys.ed25519, keys.curve25519)).sig,
    ),
    "stolen signing key": lambda p: device(p, did=os.urandom(16), ed25519=p.device.ed25519),
    "stolen exchange key": lambda p: with_key(p, curve25519=p.device.curve25519),
    "same id": lambda p: device(p, did=p.device.did),
    "identity's key": lambda p: device(p, ed25519=p.list.record.ed25519),
    "zero exchange key": lambda p: with_key(p, curve25519=ZERO),
    "exchange key one": lambda p: with_key(p, curve25519=ONE),
    "low order exchange key": lambda p: with_key(p, curve25519=LOW_ORDER_U),
    "zero signing key": lambda p: with_key(p, ed25519=ZERO),
    "identity point": lambda p: device(p, ed25519=ONE, pop=ONE + ZERO),
    "low order signing key": lambda p: with_key(p, ed25519=LOW_ORDER_Y),
    "from the future": lambda p: device(p, from_ver=p.list.ver + 2),
    "backdated": lambda p: device(p, from_ver=0),
}


@pytest.mark.parametrize("name", BAD_DEVICES)
def test_a_bad_device_spoils_the_list(ana: Person, name: str) -> None:
    signed = ana.following(devices=(*ana.list.list.devices, BAD_DEVICES[name](ana)))
    with pytest.raises(InvalidListError):
        verify(ana, signed)


def test_a_chain_of_lists() -> None:
    bea = Person("bea")
    pins, bodies = [bea.list.pin], [bea.list.body]
    second = bea.add_device()
    pins.append(bea.list.pin)
    bodies.append(bea.list.body)
    bea.remove_device(second.did)
    newest = bea.signed_list
    assert verify(bea, newest, pins[1]).ver == 3
    assert verify(bea, newest, pins[0], bodies[1]).ver == 3
    with pytest.raises(MissingListsError) as missing:
        verify(bea, newest, pins[0])
    assert (missing.value.after, missing.value.upto) == (1, 3)
    with pytest.raises(ListForkError):
        verify(bea, newest, PinnedList(2, ZERO))
    with pytest.raises(ListForkError):
        verify(bea, newest, PinnedList(1, ZERO), bodies[1])
    with pytest.raises(ListForkError):
        verify(bea, newest, pins[0], bodies[0])
    with pytest.raises(InvalidListError):
        verify(bea, newest, pins[0], b"junk")


def test_an_older_list_is_a_rollback() -> None:
    bea = Person("bea")
    first = bea.signed_list
    bea.add_device()
    with pytest.raises(ListRollbackError):
        verify(bea, first, bea.list.pin)


def test_two_lists_of_one_version_are_a_fork(ana: Person) -> None:
    other = ana.sign_list(ts=NOW + 1)
    with pytest.raises(ListForkError):
        verify(ana, other, ana.list.pin)
    assert verify(ana, ana.signed_list, ana.list.pin).ver == 1


def test_version_and_predecessor_fit(ana: Person) -> None:
    with pytest.raises(InvalidListError):
        verify(ana, ana.sign_list(prev=os.urandom(32)))
    with pytest.raises(InvalidListError):
        verify(ana, ana.sign_list(ver=2, prev=ZERO))
    with pytest.raises(InvalidListError):
        verify(ana, ana.sign_list(ver=0, prev=os.urandom(32)))


def test_another_identity_in_the_body_is_refused(ana: Person) -> None:
    with pytest.raises(InvalidListError):
        verify(ana, ana.sign_list(idfp=ZERO))


def test_a_newer_format_says_so(ana: Person) -> None:
    with pytest.raises(UnsupportedListError):
        verify(ana, ana.sign_list(v=2))


# --- the server's rules ---


def test_the_first_list_rule(ana: Person) -> None:
    with pytest.raises(InvalidListError, match="user name"):
        check_first_list(ana.signed_list, ana.record, uid=ana.uid, handle="bruno")
    for signed in (
        ana.sign_list(devices=()),
        ana.sign_list(backup_ver=2),
        ana.sign_list(devices=(*ana.list.list.devices, device(ana, from_ver=1))),
        ana.following(),
    ):
        with pytest.raises(InvalidListError):
            check_first_list(signed, ana.record, uid=ana.uid, handle="ana")


def test_compare_and_swap() -> None:
    bea = Person("bea")
    before = bea.list
    one = bea.identity.add_device(before, DeviceKeys.create(bea.uid).card(bea.idfp, NOW), NOW)
    two = bea.identity.add_device(before, DeviceKeys.create(bea.uid).card(bea.idfp, NOW), NOW)
    after = check_next_list(before.body, one, bea.record)
    assert after.ver == 2
    with pytest.raises(ListConflictError):
        check_next_list(after.body, two, bea.record)
    with pytest.raises(ListConflictError):
        check_next_list(after.body, bea.signed_list, bea.record)


def test_a_step_rewrites_nothing() -> None:
    bea = Person("bea")
    gone = bea.add_device()
    bea.remove_device(gone.did)
    mine = bea.list.list.devices[0]
    bad: dict[str, Signed] = {
        "former dropped": bea.following(former=()),
        "former invented": bea.following(
            former=(*bea.list.list.former, msgspec.structs.replace(bea.list.list.former[0], did=os.urandom(16)))
        ),
        "former moved": bea.following(former=(msgspec.structs.replace(bea.list.list.former[0], to_ver=1),)),
        "removed without a trace": bea.following(devices=(), backup_ver=bea.list.list.backup_ver + 1),
        "created changed": bea.following(devices=(msgspec.structs.replace(mine, created=NOW + 1),)),
        "from_ver changed": bea.following(devices=(msgspec.structs.replace(mine, from_ver=2),)),
        "backup version jumps": bea.following(backup_ver=bea.list.list.backup_ver + 1),
        "backup version falls": bea.following(backup_ver=1),
        "new device backdated": bea.following(devices=(mine, device(bea, from_ver=2))),
    }
    for name, signed in bad.items():
        refused = None
        try:
            check_next_list(bea.list.body, signed, bea.record)
        except InvalidListError as error:
            refused = error
        assert refused is not None, name


def test_a_former_device_never_comes_back() -> None:
    bea = Person("bea")
    gone = bea.add_device()
    bea.remove_device(gone.did)
    with pytest.raises(ValueError, match="listed before"):
        bea.identity.add_device(bea.list, gone.card(bea.idfp, NOW), NOW)
    signed = bea.following(devices=(*bea.list.list.devices, gone.card(bea.idfp, NOW).listed(bea.list.ver + 1)))
    with pytest.raises(InvalidListError):
        verify(bea, signed)


def test_signers_by_version() -> None:
    bea = Person("bea")
    second = bea.add_device()
    bea.remove_device(second.did)
    assert signer_at(bea.list, bea.device.did, 1).ed25519 == bea.device.ed25519
    assert signer_at(bea.list, second.did, 2).ed25519 == second.ed25519
    for version in (1, 3):
        with pytest.raises(UnknownDeviceError):
            signer_at(bea.list, second.did, version)
    with pytest.raises(NewerListNeededError):
        signer_at(bea.list, bea.device.did, 4)
    with pytest.raises(UnknownDeviceError):
        find_device(bea.list, second.did)
    with pytest.raises(UnknownDeviceError):
        bea.identity.remove_device(bea.list, second.did, NOW)


def test_a_full_account_takes_no_more_devices() -> None:
    bea = Person("bea")
    for _ in range(limits.MAX_DEVICES - 1):
        bea.add_device()
    with pytest.raises(TooManyDevicesError):
        bea.add_device()


# --- identity records ---


@pytest.mark.parametrize("field", ["ed25519", "recovery"])
@pytest.mark.parametrize("key", [ZERO, ONE, LOW_ORDER_Y, b"\xff" * 32], ids=["zero", "one", "low", "noncanonical"])
def test_an_identity_with_an_unusable_key_is_refused(ana: Person, field: str, key: bytes) -> None:
    record = encode(msgspec.structs.replace(ana.list.record, **{field: key}))
    with pytest.raises(BadSignatureError):
        decode_identity(record)


def test_identity_and_recovery_differ(ana: Person) -> None:
    record = encode(msgspec.structs.replace(ana.list.record, recovery=ana.list.record.ed25519))
    with pytest.raises(BadSignatureError):
        decode_identity(record)


def test_the_identity_is_a_function_of_the_root(ana: Person) -> None:
    assert ana.root.identity(ana.uid, ana.code.public).record == ana.record
    record = decode_identity(ana.record)
    seed = Ed25519PrivateKey.from_private_bytes(Secret(bytes(32)).reveal())
    assert record.ed25519 != seed.public_key().public_bytes_raw()


def test_unknown_suite_needs_a_newer_program(ana: Person) -> None:
    record = encode(msgspec.structs.replace(ana.list.record, suite=2))
    with pytest.raises(MalformedError, match="newer"):
        decode_identity(record)


def test_records_are_canonical(ana: Person) -> None:
    body = ana.signed_list.body
    assert encode(decode_device_list(body)) == body
    raw = msgspec.msgpack.decode(body)
    unsorted = msgspec.msgpack.encode(dict(sorted(raw.items(), reverse=True)))
    assert msgspec.msgpack.decode(unsorted, type=DeviceList) == decode_device_list(body)
    with pytest.raises(MalformedError, match="canonical"):
        decode_device_list(unsorted)
    with pytest.raises(MalformedError):
        decode_device_list(body + b"\x00")
    assert isinstance(decode_identity(ana.record), IdentityRecord)
