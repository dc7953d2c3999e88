"""What is signed, and how signatures are verified: strictly, by one function per algorithm.

Signature input = "mensajeria/1/" ‖ ctx ‖ 0x00 ‖ SHA-256(body). The context makes a signature of one kind of object
worthless for every other kind. Ed25519 is verified by vodozemac (`verify_strict`: small-order keys and non-canonical
points are refused); the verifier of `cryptography` accepts such keys and is never used for it.
"""

from __future__ import annotations

import binascii
import hashlib
from enum import StrEnum
from functools import lru_cache

import vodozemac
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PublicKey

from mensajeria.protocol.encoding import PREFIX


class Ctx(StrEnum):
    """The closed list of signature contexts."""

    IDENTITY_SUCCESSION = "identity-succession"
    DEVICE_LIST = "device-list"
    DEVICE = "device"
    DEVICE_LOGIN = "device-login"
    OTK = "otk"
    FALLBACK = "fallback"
    PQ_PREKEY = "pq-prekey"
    MEGOLM_BIND = "megolm-bind"
    MEMBER_EVENT = "member-event"
    RECOVERY_LOGIN = "recovery-login"
    STH = "sth"


class BadSignatureError(ValueError):
    """A signature does not verify, or the key is not one that can be trusted to verify anything."""


ED25519_KEY_BYTES = 32
ED25519_SIG_BYTES = 64
MLDSA_KEY_BYTES = 1952
MLDSA_SIG_BYTES = 3309

_P = 2**255 - 19
# y-coordinates of the eight points of small order: a signature under such a key proves nothing.
_SMALL_ORDER_Y = frozenset(
    (
        0,
        1,
        _P - 1,
        2707385501144840649318225287225658788936804267575313519463743609750303402022,
        55188659117513257062467267217118295137698188065244968500265048394206261417927,
    )
)
# u-coordinates of the points of small order on Curve25519: a key exchange with them gives a known secret.
_SMALL_ORDER_U = frozenset(
    (
        0,
        1,
        _P - 1,
        325606250916557431795983626356110631294008115727848805560023387167927233504,
        39382357235489614581723060781553021112529911719440698176882885853963445705823,
    )
)


def signing_input(ctx: Ctx, body: bytes) -> bytes:
    """The exact bytes that a signature of kind `ctx` over `body` covers."""
    return PREFIX + ctx.value.encode("ascii") + b"\x00" + hashlib.sha256(body).digest()


def is_usable_ed25519(key: bytes) -> bool:
    """True for a 32-byte canonical point encoding that is not of small order."""
    if len(key) != ED25519_KEY_BYTES:
        return False
    y = int.from_bytes(key, "little") & ((1 << 255) - 1)
    return y < _P and y not in _SMALL_ORDER_Y


def is_usable_curve25519(key: bytes) -> bool:
    """True for a 32-byte canonical X25519 public key that is not of small order."""
    if len(key) != ED25519_KEY_BYTES:
        return False
    u = int.from_bytes(key, "little")
    return u < _P and u not in _SMALL_ORDER_U


@lru_cache(maxsize=4096)
def _ed25519_key(key: bytes) -> vodozemac.Ed25519PublicKey:
    if not is_usable_ed25519(key):
        raise BadSignatureError("unusable Ed25519 key")
    try:
        return vodozemac.Ed25519PublicKey.from_base64(to_olm_base64(key))
    except ValueError as error:
        raise BadSignatureError("unusable Ed25519 key") from error


@lru_cache(maxsize=1024)
def _mldsa_key(key: bytes) -> MLDSA65PublicKey:
    try:
        return MLDSA65PublicKey.from_public_bytes(key)
    except ValueError as error:
        raise BadSignatureError("unusable ML-DSA key") from error


def to_olm_base64(data: bytes) -> str:
    """Standard base64 without padding, which vodozemac speaks."""
    return binascii.b2a_base64(data, newline=False).rstrip(b"=").decode("ascii")


def from_olm_base64(text: str) -> bytes:
    """The inverse of `to_olm_base64`."""
    return binascii.a2b_base64(text + "=" * (-len(text) % 4))


def verify_ed25519(key: bytes, ctx: Ctx, body: bytes, signature: bytes) -> None:
    """Strict Ed25519 over `signing_input(ctx, body)`.

    Raises:
        BadSignatureError: wrong size, unusable key, or the signature does not verify.
    """
    verify_ed25519_bytes(key, signing_input(ctx, body), signature)


def verify_ed25519_bytes(key: bytes, message: bytes, signature: bytes) -> None:
    """Strict Ed25519 over exactly these bytes, for formats that are not ours (JWT). Raises as `verify_ed25519`."""
    if len(signature) != ED25519_SIG_BYTES:
        raise BadSignatureError("wrong signature size")
    public = _ed25519_key(key)
    try:
        public.verify_signature(message, vodozemac.Ed25519Signature.from_base64(to_olm_base64(signature)))
    except ValueError as error:
        raise BadSignatureError("signature does not verify") from error


def verify_hybrid(ed25519: bytes, mldsa: bytes, ctx: Ctx, body: bytes, signature: bytes) -> None:
    """An identity signature: Ed25519 (64 bytes) ‖ ML-DSA-65 (3309 bytes); both must verify (FIPS 204, context = ctx).

    Raises:
        BadSignatureError: either half does not verify.
    """
    if len(signature) != ED25519_SIG_BYTES + MLDSA_SIG_BYTES:
        raise BadSignatureError("wrong signature size")
    verify_ed25519(ed25519, ctx, body, signature[:ED25519_SIG_BYTES])
    try:
        _mldsa_key(mldsa).verify(signature[ED25519_SIG_BYTES:], signing_input(ctx, body), ctx.value.encode("ascii"))
    except InvalidSignature as error:
        raise BadSignatureError("signature does not verify") from error
