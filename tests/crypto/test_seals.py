"""Seals: their formulas are those of the document, and exactly the given salt counts."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from mensajeria.crypto.aead import SealError, key_commitment, seal, seal_with_salt, unseal, unseal_with_salt
from mensajeria.kit.secrets import Secret

KEY = Secret(b"k" * 32)


def test_the_commitment_is_that_of_the_document() -> None:
    salt = b"s" * 16
    expected = HKDF(hashes.SHA256(), 32, salt=salt, info=b"commit/wrap").derive(KEY.reveal())
    assert key_commitment(KEY, "wrap", salt) == expected


@pytest.mark.parametrize("wrong", [b"s" * 15, b"s" * 15 + bytes(2), b"s" * 15 + bytes(17)])
def test_a_salt_of_another_length_opens_nothing(wrong: bytes) -> None:
    """HKDF fills a salt up with zeros, so these give the same key: only the length tells them apart."""
    right = b"s" * 15 + b"\x00"
    sealed = seal_with_salt(KEY, "label", (), b"text", right)
    assert unseal_with_salt(KEY, "label", (), sealed, right) == b"text"
    with pytest.raises(SealError):
        unseal_with_salt(KEY, "label", (), sealed, wrong)


def test_nothing_can_be_sealed_too() -> None:
    assert unseal(KEY, "label", (), seal(KEY, "label", (), b"")) == b""
