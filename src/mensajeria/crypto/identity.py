"""A user's identity: it signs device lists and its own succession, with Ed25519 and ML-DSA-65 both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey
from msgspec.structs import replace as replace_fields

from mensajeria.crypto.recovery import RecoveryCode
from mensajeria.kit.secrets import Secret
from mensajeria.protocol import limits
from mensajeria.protocol.devices import (
    ZERO_HASH,
    UnknownDeviceError,
    VerifiedList,
    device_list_hash,
    encode_device_list,
    identity_fingerprint,
)
from mensajeria.protocol.encoding import encode
from mensajeria.protocol.records import (
    DeviceList,
    FormerDevice,
    IdentityRecord,
    ListedDevice,
    Signed,
    Succession,
    SuccessionProof,
)
from mensajeria.protocol.signing import Ctx, signing_input

__all__ = ["DeviceCard", "Identity", "TooManyDevicesError"]

_FIRST: Final = 1


class TooManyDevicesError(ValueError):
    """The account has as many devices as it may have."""


@dataclass(frozen=True, slots=True)
class DeviceCard:
    """A device as it presents itself to be listed; `pop` proves that it holds its keys."""

    did: bytes
    ed25519: bytes
    curve25519: bytes
    created: int
    pop: bytes

    def listed(self, from_ver: int) -> ListedDevice:
        """As list version `from_ver` names it for the first time."""
        return ListedDevice(
            did=self.did,
            ed25519=self.ed25519,
            curve25519=self.curve25519,
            from_ver=from_ver,
            created=self.created,
            pop=self.pop,
        )


class Identity:
    """The private identity. Lives in memory only while a device list changes."""

    def __init__(self, uid: bytes, ed25519_seed: Secret, mldsa_seed: Secret, recovery_public: bytes) -> None:
        self._ed25519 = Ed25519PrivateKey.from_private_bytes(ed25519_seed.reveal())
        self._mldsa = MLDSA65PrivateKey.from_seed_bytes(mldsa_seed.reveal())
        self.uid = uid
        self.record = encode(
            IdentityRecord(
                uid=uid,
                ed25519=self._ed25519.public_key().public_bytes_raw(),
                mldsa=self._mldsa.public_key().public_bytes_raw(),
                recovery=recovery_public,
            )
        )
        self.idfp = identity_fingerprint(self.record)

    def sign(self, ctx: Ctx, body: bytes) -> bytes:
        """Ed25519 ‖ ML-DSA-65 over the signature input; ML-DSA also gets the context as its own."""
        message = signing_input(ctx, body)
        return self._ed25519.sign(message) + self._mldsa.sign(message, ctx.value.encode("ascii"))

    def first_list(self, handle: str, card: DeviceCard, now_ms: int) -> Signed:
        """Version 1, with the first device."""
        return self._sign_list(
            DeviceList(
                uid=self.uid,
                handle=handle,
                idfp=self.idfp,
                ver=_FIRST,
                prev=ZERO_HASH,
                ts=now_ms,
                devices=(card.listed(_FIRST),),
                backup_ver=1,
            )
        )

    def add_device(self, current: VerifiedList, card: DeviceCard, now_ms: int) -> Signed:
        """The version after `current`, with one more device.

        Raises:
            TooManyDevicesError: there is no room.
            ValueError: its id or keys were listed before.
        """
        if len(current.list.devices) >= limits.MAX_DEVICES:
            raise TooManyDevicesError(f"{limits.MAX_DEVICES} devices")
        known: list[ListedDevice | FormerDevice] = [*current.list.devices, *current.list.former]
        if any(card.did == d.did or card.ed25519 == d.ed25519 or card.curve25519 == d.curve25519 for d in known):
            raise ValueError("the device was listed before")
        following = self._following(current, now_ms)
        devices = (*current.list.devices, card.listed(following.ver))
        return self._sign_list(replace_fields(following, devices=devices))

    def remove_device(self, current: VerifiedList, did: bytes, now_ms: int) -> Signed:
        """The version after `current`, without one device; the backup version advances with it.

        Raises:
            UnknownDeviceError: the device is not listed.
        """
        gone = current.find(did)
        if gone is None:
            raise UnknownDeviceError(did.hex())
        following = replace_fields(
            self._following(current, now_ms),
            devices=tuple(device for device in current.list.devices if device.did != did),
            former=(*current.list.former, _former(gone, current.ver))[-limits.MAX_FORMER_DEVICES :],
            backup_ver=current.list.backup_ver + 1,
        )
        return self._sign_list(following)

    def take_over(self, current: VerifiedList, card: DeviceCard, now_ms: int) -> Signed:
        """The version after `current`, of another identity: this one, with one device. All others have gone.

        The device may be one of the old identity's, which has proven its keys for this one anew (`card`).
        """
        kept = current.find(card.did)
        following = self._following(current, now_ms)
        if kept is None and any(card.did == former.did for former in current.list.former):
            raise ValueError("the device was listed before")
        listed = card.listed(following.ver) if kept is None else replace_fields(kept, pop=card.pop)
        gone = tuple(_former(device, current.ver) for device in current.list.devices if device.did != card.did)
        following = replace_fields(
            following,
            devices=(listed,),
            former=(*current.list.former, *gone)[-limits.MAX_FORMER_DEVICES :],
            backup_ver=current.list.backup_ver + 1,
        )
        return self._sign_list(following)

    def succession(self, new_record: bytes, recovery: RecoveryCode, now_ms: int) -> bytes:
        """Encoded SuccessionProof: this identity and its recovery authority hand over to the one of `new_record`."""
        body = encode(Succession(uid=self.uid, old_idfp=self.idfp, new_record=new_record, ts=now_ms))
        return encode(
            SuccessionProof(
                old_record=self.record,
                body=body,
                sig_identity=self.sign(Ctx.IDENTITY_SUCCESSION, body),
                sig_recovery=recovery.sign(Ctx.IDENTITY_SUCCESSION, body),
            )
        )

    def _following(self, current: VerifiedList, now_ms: int) -> DeviceList:
        return replace_fields(
            current.list, ver=current.ver + 1, prev=device_list_hash(current.body), ts=now_ms, idfp=self.idfp
        )

    def _sign_list(self, unsigned: DeviceList) -> Signed:
        body = encode_device_list(unsigned)
        return Signed(body, self.sign(Ctx.DEVICE_LIST, body))

    def __repr__(self) -> str:
        return f"Identity(uid={self.uid.hex()}, ***)"


def _former(device: ListedDevice, to_ver: int) -> FormerDevice:
    """A device as later versions remember it."""
    return FormerDevice(
        did=device.did,
        ed25519=device.ed25519,
        curve25519=device.curve25519,
        from_ver=device.from_ver,
        to_ver=to_ver,
    )
