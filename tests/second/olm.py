"""Receiving with Olm and Megolm, written from their specifications: just enough to open a first message."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from tests.second.encoding import RefusedError, hkdf, mac

_VERSION: Final = 3
_MAC_BYTES: Final = 8
_SIGNATURE_BYTES: Final = 64


def fields(data: bytes) -> dict[int, int | bytes]:
    """A message's parts behind its version: a tag, then a number or a length and bytes, as protocol buffers write."""
    found: dict[int, int | bytes] = {}
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, at = _varint(data, at)
        if tag & 7 == 0:
            found[tag] = number
        else:
            found[tag] = data[at : at + number]
            at += number
    return found


def _varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while data[at] & 0x80:
        number |= (data[at] & 0x7F) << shift
        shift, at = shift + 7, at + 1
    return number | data[at] << shift, at + 1


def _decrypt(secret: bytes, info: bytes, message: bytes, ciphertext: bytes, tag: bytes) -> bytes:
    """AES-256-CBC and a shortened HMAC over the whole message, under keys that follow from one secret."""
    keys = hkdf(secret, info, length=80)
    if not hmac.compare_digest(mac(keys[32:64], message)[:_MAC_BYTES], tag):
        raise RefusedError("tag")
    opening = Cipher(algorithms.AES(keys[:32]), modes.CBC(keys[64:])).decryptor()
    padded = opening.update(ciphertext) + opening.finalize()
    return padded[: -padded[-1]]


def _exchange(private: bytes, public: bytes) -> bytes:
    return X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(public))


@dataclass(frozen=True)
class PreKeyMessage:
    """The first message of an Olm session."""

    one_time: bytes
    base: bytes
    identity: bytes
    inner: bytes

    @classmethod
    def parse(cls, data: bytes) -> PreKeyMessage:
        if data[0] != _VERSION:
            raise RefusedError("version")
        parts = fields(data[1:])
        one_time, base, identity, inner = (parts[tag] for tag in (0x0A, 0x12, 0x1A, 0x22))
        assert isinstance(one_time, bytes)
        assert isinstance(base, bytes)
        assert isinstance(identity, bytes)
        assert isinstance(inner, bytes)
        return cls(one_time, base, identity, inner)

    def open(self, *, identity: bytes, one_time: bytes) -> bytes:
        """With the private identity key and the private half of the one-time key."""
        shared = _exchange(one_time, self.identity) + _exchange(identity, self.base) + _exchange(one_time, self.base)
        chain = hkdf(shared, b"OLM_ROOT", length=64)[32:]
        body, tag = self.inner[:-_MAC_BYTES], self.inner[-_MAC_BYTES:]
        parts = fields(body[1:])
        index, ciphertext = parts[0x10], parts[0x22]
        assert isinstance(index, int)
        assert isinstance(ciphertext, bytes)
        for _ in range(index):
            chain = mac(chain, b"\x02")
        return _decrypt(mac(chain, b"\x01"), b"OLM_KEYS", body, ciphertext, tag)


@dataclass(frozen=True)
class GroupSession:
    """A Megolm ratchet as its owner hands it over: version 2, index, 128 bytes, Ed25519 key, signature."""

    index: int
    ratchet: bytes
    public: bytes

    @classmethod
    def parse(cls, key: bytes) -> GroupSession:
        signed, signature = key[:-_SIGNATURE_BYTES], key[-_SIGNATURE_BYTES:]
        session = cls(int.from_bytes(key[1:5], "big"), key[5:133], key[133:165])
        if key[0] != 2 or len(key) != 229:
            raise RefusedError("not a session key")
        Ed25519PublicKey.from_public_bytes(session.public).verify(signature, signed)
        return session

    def open(self, message: bytes) -> tuple[int, bytes]:
        """Index and plaintext of a message of the index at which the ratchet stands."""
        signed, signature = message[:-_SIGNATURE_BYTES], message[-_SIGNATURE_BYTES:]
        Ed25519PublicKey.from_public_bytes(self.public).verify(signature, signed)
        body, tag = signed[:-_MAC_BYTES], signed[-_MAC_BYTES:]
        parts = fields(body[1:])
        index, ciphertext = parts[0x08], parts[0x12]
        assert isinstance(index, int)
        assert isinstance(ciphertext, bytes)
        if body[0] != _VERSION or index != self.index:
            raise RefusedError("another index")
        return index, _decrypt(self.ratchet, b"MEGOLM_KEYS", body, ciphertext, tag)
