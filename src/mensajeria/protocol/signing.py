"""What is signed, and how signatures are verified: strictly, by one function per algorithm.

Signature input = "mensajeria/1/" ‖ ctx ‖ 0x00 ‖ SHA-256(body). The context makes a signature of one kind of object
worthless for every other kind. Ed25519 is verified by vodozemac (`verify_strict`: small-order keys and non-canonical
points are refused); the verifier of `cryptography` accepts such keys and is never used for it.
"""

from __future__ import annotations

import base64
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

# The eight points of small order and their non-canonical encodings: a signature under one of them proves nothing.
_P = 2**255 - 19
_SMALL_ORDER_Y = (
    0,
    1,
    _P - 1,
    2707385501144840649318225287225658788936804267575313519463743609750303021290,
    55188659117513257062467267217118295137698188065244968500265048394206261417927 + 0,
)


def signing_input(ctx: Ctx, body: bytes) -> bytes:
    """The exact bytes that a signature of kind `ctx` over `body` covers."""
    return PREFIX + ctx.value.encode("ascii") + b"\x00" + hashlib.sha256(body).digest()
