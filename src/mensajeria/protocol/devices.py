"""Identities, device lists and prekeys: what must hold before a key is used (docs/protocol/e2ee.md §4).

Keys go only to devices of the newest verified list. A signature is judged by the list at its dl_ver, which the newest
list tells by itself: each device names the version it came with, each former device the version it went with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PublicKey

from mensajeria.protocol import limits
from mensajeria.protocol.decoding import decode_record
from mensajeria.protocol.encoding import H, MalformedError, NewerVersionError, cat, encode
from mensajeria.protocol.records import DeviceList, FormerDevice, IdentityRecord, ListedDevice, Signed
from mensajeria.protocol.signing import (
    BadSignatureError,
    Ctx,
    is_usable_curve25519,
    is_usable_ed25519,
    verify_ed25519,
    verify_hybrid,
)

ZERO_HASH: Final = bytes(32)


class DeviceListError(ValueError):
    """A list must not be used. Nothing of it may have an effect."""


class InvalidListError(DeviceListError):
    """Malformed, not signed by its identity, of another user, or it holds keys that must not be used."""


class UnsupportedListError(DeviceListError):
    """Written by a newer program in a version or suite that this one does not know."""


class ListRollbackError(DeviceListError):
    """Older than a version that was already seen."""


class ListForkError(DeviceListError):
    """Two different lists of one version, or a list that does not continue the pinned one."""


class ListConflictError(DeviceListError):
    """Not the version that follows the stored one: another device was faster."""


class MissingListsError(DeviceListError):
    """The bodies of the versions after `after` and before `upto` are needed to judge the list."""

    def __init__(self, after: int, upto: int) -> None:
        super().__init__(f"bodies of versions {after + 1} to {upto - 1} are needed")
        self.after = after
        self.upto = upto


class UnknownDeviceError(LookupError):
    """The device is not in that list."""


class NewerListNeededError(LookupError):
    """The signature names a newer list than the one at hand: fetch it."""


@dataclass(frozen=True, slots=True)
class PinnedList:
    """The highest list of a user that was ever verified."""

    ver: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class VerifiedList:
    """A device list whose every check has passed, with the identity that signed it."""

    record: IdentityRecord
    idfp: bytes
    list: DeviceList
    body: bytes
    hash: bytes
    _by_did: dict[bytes, ListedDevice] = field(repr=False, compare=False)

    @property
    def uid(self) -> bytes:
        """Whose list it is."""
        return self.list.uid

    @property
    def ver(self) -> int:
        """Version, from 1."""
        return self.list.ver

    @property
    def handle(self) -> str:
        """The user name at the time of the list."""
        return self.list.handle

    @property
    def pin(self) -> PinnedList:
        """What to remember of it."""
        return PinnedList(self.ver, self.hash)

    def find(self, did: bytes) -> ListedDevice | None:
        """The device, if it is listed now."""
        return self._by_did.get(did)


def identity_fingerprint(record_bytes: bytes) -> bytes:
    """H("identity", encoded IdentityRecord), 32 bytes: the idfp."""
    return H("identity", record_bytes)


def device_list_hash(body: bytes) -> bytes:
    """H("device-list", body), 32 bytes: what the next version's `prev` holds."""
    return H("device-list", body)


def pop_body(uid: bytes, did: bytes, idfp: bytes, ed25519: bytes, curve25519: bytes) -> bytes:
    """What a device signs (ctx device) to show that it holds its keys and belongs to that identity."""
    return cat(uid, did, idfp, ed25519, curve25519)


def decode_identity(record_bytes: bytes) -> IdentityRecord:
    """A public identity whose keys can be trusted to verify something.

    Raises:
        MalformedError: not an identity record (NewerVersionError: of a later suite).
        BadSignatureError: one of its keys is unusable.
    """
    record = decode_record(IdentityRecord, record_bytes, max_size=4096)
    if not is_usable_ed25519(record.ed25519) or not is_usable_ed25519(record.recovery):
        raise BadSignatureError("unusable key in identity")
    if record.ed25519 == record.recovery:
        raise BadSignatureError("identity and recovery authority share a key")
    try:
        MLDSA65PublicKey.from_public_bytes(record.mldsa)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadSignatureError("unusable key in identity") from error
    return record


def decode_device_list(body: bytes) -> DeviceList:
    """The list in `body`, with no signature checked: only for bodies that a hash vouches for.

    Raises:
        MalformedError: not a device list.
    """
    return decode_record(DeviceList, body, max_size=limits.MAX_LIST_BYTES)


def verify_device_list(
    signed: Signed,
    record_bytes: bytes,
    *,
    uid: bytes,
    pinned: PinnedList | None = None,
    between: Sequence[bytes] = (),
) -> VerifiedList:
    """Judge a list fetched from a server.

    Args:
        signed: the list as served.
        record_bytes: the identity record as served; its fingerprint is what the caller compares with the contact's.
        uid: whose list was asked for.
        pinned: the highest list verified before, None at first contact.
        between: unsigned bodies of the versions after the pinned one and before this one, ascending.

    Raises:
        DeviceListError: one of its subclasses says why; nothing of the list may be used.
    """
    verified = _verify_alone(signed, record_bytes, uid)
    if pinned is not None:
        _check_continues(verified, pinned, between)
    return verified


def check_first_list(signed: Signed, record_bytes: bytes, *, uid: bytes, handle: str) -> VerifiedList:
    """The rule for a new account: version 1, no predecessor, one device, the claimed user name.

    Raises:
        InvalidListError: it is not such a list.
    """
    verified = _verify_alone(signed, record_bytes, uid)
    first = verified.list
    if first.ver != 1 or len(first.devices) != 1 or first.former or first.backup_ver != 1:
        raise InvalidListError("not a first list")
    if first.handle != handle:
        raise InvalidListError("another user name")
    return verified


def check_next_list(previous_body: bytes, signed: Signed, record_bytes: bytes) -> VerifiedList:
    """The server's compare-and-swap rule: the list must be the one that follows the stored body.

    Raises:
        ListConflictError: it follows another version: the caller fetches and tries again.
        InvalidListError: it follows, but it is not a valid change.
    """
    previous = decode_device_list(previous_body)
    verified = _verify_alone(signed, record_bytes, previous.uid)
    if verified.ver != previous.ver + 1 or verified.list.prev != device_list_hash(previous_body):
        raise ListConflictError("not the version that follows")
    _check_step(previous, verified.list)
    return verified


def find_device(verified: VerifiedList, did: bytes) -> ListedDevice:
    """The device that keys may go to.

    Raises:
        UnknownDeviceError: it is not in the newest list.
    """
    device = verified.find(did)
    if device is None:
        raise UnknownDeviceError(did.hex())
    return device


def signer_at(verified: VerifiedList, did: bytes, dl_ver: int) -> ListedDevice | FormerDevice:
    """The device whose key judges a signature made under list version `dl_ver`.

    Raises:
        NewerListNeededError: `dl_ver` is above this list: fetch the newest.
        UnknownDeviceError: the device did not stand in that version.
    """
    if dl_ver > verified.ver:
        raise NewerListNeededError(f"list {dl_ver} is needed")
    listed = verified.find(did)
    if listed is not None and listed.from_ver <= dl_ver:
        return listed
    for former in verified.list.former:
        if former.did == did and former.from_ver <= dl_ver <= former.to_ver:
            return former
    raise UnknownDeviceError(did.hex())


def _verify_alone(signed: Signed, record_bytes: bytes, uid: bytes) -> VerifiedList:
    """Everything that can be judged without knowing another version."""
    try:
        record = decode_identity(record_bytes)
        verify_hybrid(record.ed25519, record.mldsa, Ctx.DEVICE_LIST, signed.body, signed.sig)
        current = decode_device_list(signed.body)
    except NewerVersionError as error:
        raise UnsupportedListError(str(error)) from error
    except (MalformedError, BadSignatureError) as error:
        raise InvalidListError(str(error)) from error
    idfp = identity_fingerprint(record_bytes)
    if record.uid != uid or current.uid != uid or current.idfp != idfp:
        raise InvalidListError("of another user or identity")
    if current.ver < 1 or (current.ver == 1) != (current.prev == ZERO_HASH):
        raise InvalidListError("version and predecessor do not fit")
    _check_devices(current, record, idfp)
    by_did = {device.did: device for device in current.devices}
    return VerifiedList(record, idfp, current, signed.body, device_list_hash(signed.body), by_did)


def _check_devices(current: DeviceList, record: IdentityRecord, idfp: bytes) -> None:
    everyone: list[ListedDevice | FormerDevice] = [*current.devices, *current.former]
    if len({device.did for device in everyone}) != len(everyone):
        raise InvalidListError("a device stands twice")
    signing = [device.ed25519 for device in everyone] + [record.ed25519, record.recovery]
    if len(set(signing)) != len(signing) or len({device.curve25519 for device in everyone}) != len(everyone):
        raise InvalidListError("a key stands twice")
    for device in everyone:
        if not is_usable_ed25519(device.ed25519) or not is_usable_curve25519(device.curve25519):
            raise InvalidListError("unusable device key")
    for former in current.former:
        if not 1 <= former.from_ver <= former.to_ver < current.ver:
            raise InvalidListError("a former device's versions do not fit")
    for listed in current.devices:
        if not 1 <= listed.from_ver <= current.ver:
            raise InvalidListError("a device's version does not fit")
        _check_possession(listed, record.uid, idfp)


def _check_possession(device: ListedDevice, uid: bytes, idfp: bytes) -> None:
    body = pop_body(uid, device.did, idfp, device.ed25519, device.curve25519)
    try:
        verify_ed25519(device.ed25519, Ctx.DEVICE, body, device.pop)
    except BadSignatureError as error:
        raise InvalidListError("a device does not prove its keys") from error


def _check_continues(verified: VerifiedList, pinned: PinnedList, between: Sequence[bytes]) -> None:
    if verified.ver < pinned.ver:
        raise ListRollbackError(f"version {verified.ver} after {pinned.ver}")
    if verified.ver == pinned.ver:
        if verified.hash != pinned.hash:
            raise ListForkError("two lists of one version")
        return
    if len(between) != verified.ver - pinned.ver - 1:
        raise MissingListsError(pinned.ver, verified.ver)
    _check_chain(verified, pinned, between)


def _check_chain(verified: VerifiedList, pinned: PinnedList, between: Sequence[bytes]) -> None:
    """Each body names its predecessor's hash, from the pinned one up to the verified one, and is a valid change."""
    expected, ver, previous = pinned.hash, pinned.ver, None
    for body in (*between, verified.body):
        try:
            current = decode_device_list(body)
        except MalformedError as error:
            raise InvalidListError("a body between is malformed") from error
        ver += 1
        if current.ver != ver or current.uid != verified.uid or current.prev != expected:
            raise ListForkError("does not continue the pinned list")
        if previous is not None:
            _check_step(previous, current)
        expected, previous = device_list_hash(body), current


def _check_step(previous: DeviceList, following: DeviceList) -> None:
    """What one version may change: devices come with its number, go into `former`, and nothing is rewritten."""
    if following.uid != previous.uid:
        raise InvalidListError("of another user")
    before, now = _table(previous), _table(following)
    removed = before.keys() - now.keys()
    if any(_constant_part(now[did]) != _constant_part(before[did]) for did in before.keys() & now.keys()):
        raise InvalidListError("a device was changed in place")
    if any(now[did].from_ver != following.ver for did in now.keys() - before.keys()):
        raise InvalidListError("a new device names another version")
    gone = tuple(
        FormerDevice(did=d.did, ed25519=d.ed25519, curve25519=d.curve25519, from_ver=d.from_ver, to_ver=previous.ver)
        for d in previous.devices
        if d.did in removed
    )
    if following.former != (previous.former + gone)[-limits.MAX_FORMER_DEVICES :]:
        raise InvalidListError("the former devices were rewritten")
    advances = bool(removed) or following.idfp != previous.idfp
    if following.backup_ver != previous.backup_ver + advances:
        raise InvalidListError("the backup version must advance with a removal or a new identity, and only then")


def _table(current: DeviceList) -> dict[bytes, ListedDevice]:
    return {device.did: device for device in current.devices}


def _constant_part(device: ListedDevice) -> tuple[bytes, bytes, int, int]:
    """What may never change while a device is listed; its proof of possession is renewed under a new identity."""
    return device.ed25519, device.curve25519, device.from_ver, device.created


def encode_device_list(current: DeviceList) -> bytes:
    """The bytes that the identity signs."""
    return encode(current)
