"""Seven emoji that two people compare (docs/protocol/e2ee.md §10): commit, reveal, show, MAC over the fingerprints.

Whoever accepts commits to its key before it sees the other's: nobody between the two can search for a key whose emoji
fit. What a key agreement was made for is bound: server, both people, devices, identities, both keys.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Final

import vodozemac

from mensajeria.protocol.encoding import H
from mensajeria.protocol.signing import from_olm_base64, is_usable_curve25519, to_olm_base64

EMOJI_COUNT: Final = 7


class SasError(ValueError):
    """A key that must not be used, or a key pair that was used before."""


@dataclass(frozen=True, slots=True)
class Party:
    """One side: a person's device, under the identity that lists it."""

    uid: bytes
    did: bytes
    idfp: bytes


class SasKeys:
    """This side's key pair for one comparison. It cannot be stored, and serves once."""

    def __init__(self) -> None:
        self._sas = vodozemac.Sas()
        self.public: bytes = from_olm_base64(self._sas.public_key.to_base64())

    def agree(self, other: bytes) -> vodozemac.EstablishedSas:
        """Raises SasError."""
        if not is_usable_curve25519(other):
            raise SasError("unusable key")
        try:
            return self._sas.diffie_hellman(vodozemac.Curve25519PublicKey.from_bytes(other))
        except (vodozemac.SasException, vodozemac.KeyException) as error:
            raise SasError(str(error)) from error

    def __repr__(self) -> str:
        return "SasKeys(***)"


def commitment(vid: bytes, starter: Party, accepter: Party, public: bytes) -> bytes:
    """What the accepter says of its key before it has seen the starter's."""
    return H("sas-commit", vid, *_parties(starter, accepter), public)


def is_committed(commit: bytes, vid: bytes, starter: Party, accepter: Party, public: bytes) -> bool:
    """Whether the revealed key is the one that was committed to."""
    return hmac.compare_digest(commit, commitment(vid, starter, accepter, public))


@dataclass(frozen=True, slots=True)
class Agreement:
    """What both sides have in common now, if nobody is between them."""

    _sas: vodozemac.EstablishedSas
    _transcript: str
    starter: Party
    accepter: Party

    @classmethod
    def of(
        cls,
        sas: vodozemac.EstablishedSas,
        *,
        server_id: bytes,
        vid: bytes,
        starter: Party,
        accepter: Party,
        starter_key: bytes,
        accepter_key: bytes,
    ) -> Agreement:
        """Bind the agreed secret to everything it was agreed for."""
        parts = (server_id, vid, *_parties(starter, accepter), starter_key, accepter_key)
        return cls(sas, H("sas", *parts).hex(), starter, accepter)

    @property
    def emoji(self) -> tuple[int, ...]:
        """Seven numbers below 64."""
        return tuple(self._sas.bytes(f"emoji|{self._transcript}").emoji_indices)

    def mac(self, of: Party) -> bytes:
        """Over exactly the fingerprint of one side, which that side sends once its person has confirmed."""
        return from_olm_base64(self._sas.calculate_mac(of.idfp.hex(), self._mac_info(of)))

    def has_confirmed(self, by: Party, mac: bytes) -> bool:
        """Whether this is that side's MAC."""
        try:
            self._sas.verify_mac(by.idfp.hex(), self._mac_info(by), to_olm_base64(mac))
        except vodozemac.SasException:
            return False
        return True

    def _mac_info(self, of: Party) -> str:
        # Both may be one person's devices under one identity: the roles keep one MAC from passing for the other.
        return f"mac|{'starter' if of == self.starter else 'accepter'}|{self._transcript}"

    def __repr__(self) -> str:
        return "Agreement(***)"


def _parties(starter: Party, accepter: Party) -> tuple[bytes, ...]:
    return starter.uid, starter.did, starter.idfp, accepter.uid, accepter.did, accepter.idfp
