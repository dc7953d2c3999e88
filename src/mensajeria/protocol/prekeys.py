"""Prekeys as an untrusted server hands them out: each is signed by its device (docs/protocol/e2ee.md §4, §9)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PublicKey

from mensajeria.protocol import limits
from mensajeria.protocol.decoding import decode_record
from mensajeria.protocol.encoding import MalformedError
from mensajeria.protocol.records import DeviceLogin, OneTimeKey, PqPrekey, Record, Signed
from mensajeria.protocol.signing import BadSignatureError, Ctx, is_usable_curve25519, verify_ed25519

R = TypeVar("R", bound=Record)
MLKEM_KEY_BYTES: Final = 1184


class PrekeyError(ValueError):
    """A prekey must not be used."""


class ExpiredPrekeyError(PrekeyError):
    """The hybrid prekey is no longer (or not yet) valid: the device is skipped as stale until it renews it."""


class SigningDevice(Protocol):
    """What is needed of a device to judge its signatures: `ListedDevice`, `FormerDevice` and `SigningKey` have it."""

    @property
    def did(self) -> bytes:
        """Device id."""
        ...

    @property
    def ed25519(self) -> bytes:
        """Its public signing key."""
        ...


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A device by its id and public signing key alone."""

    did: bytes
    ed25519: bytes


def verify_one_time_key(signed: Signed, *, uid: bytes, device: SigningDevice) -> OneTimeKey:
    """A one-time key of that device.

    Raises:
        PrekeyError: not signed by it as a one-time key, or not a usable key.
    """
    return _verify_olm_key(signed, Ctx.OTK, uid, device)


def verify_fallback_key(signed: Signed, *, uid: bytes, device: SigningDevice) -> OneTimeKey:
    """The fallback key of that device.

    Raises:
        PrekeyError: not signed by it as a fallback key, or not a usable key.
    """
    return _verify_olm_key(signed, Ctx.FALLBACK, uid, device)


def verify_pq_prekey(signed: Signed, *, uid: bytes, device: SigningDevice, now_ms: int, newest_id: int = 0) -> PqPrekey:
    """The hybrid HPKE key of that device; `newest_id` is the highest prekey id ever seen of it.

    Raises:
        ExpiredPrekeyError: out of its time, with a day of tolerance for clocks.
        PrekeyError: anything else that makes it unusable.
    """
    prekey = _verify(PqPrekey, signed, Ctx.PQ_PREKEY, device)
    _check_owner(prekey.uid, prekey.did, uid, device)
    if prekey.prekey_id < newest_id:
        raise PrekeyError("older than a prekey already seen")
    if not is_usable_hybrid_key(prekey.key):
        raise PrekeyError("unusable key")
    _check_time(prekey, now_ms)
    return prekey


def is_usable_hybrid_key(key: bytes) -> bool:
    """True for ML-KEM-768 (canonical coefficients) ‖ X25519 (not of small order)."""
    if not is_usable_curve25519(key[MLKEM_KEY_BYTES:]):
        return False
    try:
        MLKEM768PublicKey.from_public_bytes(key[:MLKEM_KEY_BYTES])
    except (ValueError, UnsupportedAlgorithm):
        return False
    return True


def verify_device_login(
    signed: Signed, *, server_id: bytes, uid: bytes, device: SigningDevice, transcript: bytes
) -> None:
    """A device takes the login of exactly this transcript on exactly this server as itself.

    Raises:
        BadSignatureError: it does not.
        MalformedError: not such a record.
    """
    verify_ed25519(device.ed25519, Ctx.DEVICE_LOGIN, signed.body, signed.sig)
    login = decode_record(DeviceLogin, signed.body)
    if (login.server_id, login.uid, login.did, login.transcript) != (server_id, uid, device.did, transcript):
        raise BadSignatureError("of another login")


def _verify_olm_key(signed: Signed, ctx: Ctx, uid: bytes, device: SigningDevice) -> OneTimeKey:
    key = _verify(OneTimeKey, signed, ctx, device)
    _check_owner(key.uid, key.did, uid, device)
    if not is_usable_curve25519(key.key):
        raise PrekeyError("unusable key")
    return key


def _verify(kind: type[R], signed: Signed, ctx: Ctx, device: SigningDevice) -> R:
    try:
        verify_ed25519(device.ed25519, ctx, signed.body, signed.sig)
        return decode_record(kind, signed.body)
    except (BadSignatureError, MalformedError) as error:
        raise PrekeyError(str(error)) from error


def _check_owner(uid: bytes, did: bytes, expected_uid: bytes, device: SigningDevice) -> None:
    if uid != expected_uid or did != device.did:
        raise PrekeyError("of another device")


def _check_time(prekey: PqPrekey, now_ms: int) -> None:
    if not prekey.created < prekey.expires <= prekey.created + limits.PQ_PREKEY_VALID_MS:
        raise PrekeyError("validity out of bounds")
    if now_ms > prekey.expires + limits.CLOCK_TOLERANCE_MS:
        raise ExpiredPrekeyError("expired")
    if now_ms < prekey.created - limits.CLOCK_TOLERANCE_MS:
        raise ExpiredPrekeyError("from the future")
