"""Moving a user to a new identity: what the old identity and the recovery authority must both have signed."""

from __future__ import annotations

from dataclasses import dataclass

from mensajeria.protocol.decoding import decode_record
from mensajeria.protocol.devices import decode_identity, identity_fingerprint
from mensajeria.protocol.encoding import MalformedError
from mensajeria.protocol.records import Succession, SuccessionProof
from mensajeria.protocol.signing import BadSignatureError, Ctx, verify_ed25519, verify_hybrid


class SuccessionError(ValueError):
    """The new identity is not authorised by the old one."""


@dataclass(frozen=True, slots=True)
class VerifiedSuccession:
    """A user's move from one identity to another."""

    uid: bytes
    old_idfp: bytes
    new_idfp: bytes
    new_record: bytes


def verify_succession(proof_bytes: bytes) -> VerifiedSuccession:
    """Judge an encoded `SuccessionProof`. The caller compares `uid` and `old_idfp` with whom it knows.

    Raises:
        SuccessionError: malformed, or one of the two signatures does not verify.
    """
    try:
        proof = decode_record(SuccessionProof, proof_bytes)
        old = decode_identity(proof.old_record)
        verify_hybrid(old.ed25519, old.mldsa, Ctx.IDENTITY_SUCCESSION, proof.body, proof.sig_identity)
        verify_ed25519(old.recovery, Ctx.IDENTITY_SUCCESSION, proof.body, proof.sig_recovery)
        body = decode_record(Succession, proof.body)
        new = decode_identity(body.new_record)
    except (MalformedError, BadSignatureError) as error:
        raise SuccessionError(str(error)) from error
    old_idfp = identity_fingerprint(proof.old_record)
    if body.old_idfp != old_idfp or not body.uid == old.uid == new.uid:
        raise SuccessionError("of another identity")
    return VerifiedSuccession(body.uid, old_idfp, identity_fingerprint(body.new_record), body.new_record)
