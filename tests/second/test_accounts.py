"""Passwords, codes, roots, identities and lists: docs/protocol/e2ee.md §3 and §4."""

from __future__ import annotations

import hmac
import unicodedata
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey, MLDSA65PublicKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from tests.second.document import record
from tests.second.encoding import (
    cat,
    h,
    hkdf,
    message_bucket,
    signature_input,
    todevice_bucket,
    u64,
    unpad,
    unseal,
)
from tests.second.vectors import COMPUTED, SEALED, SERVER, A, B, frozen, sealed

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
ROOT = bytes(range(32))
CONTEXTS = [name.partition(".")[2] for name in COMPUTED if name.startswith("signing_input.")]


def code_bytes(text: str) -> bytes:
    """32 characters of Crockford's base 32, then his check character modulo 37."""
    digits, check = text.replace("-", "")[:32], text[-1]
    number = int("".join(f"{CROCKFORD.index(digit):05b}" for digit in digits), 2)
    assert (CROCKFORD + "*~$=U")[number % 37] == check
    return number.to_bytes(20, "big")


def ed25519(seed: bytes) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(seed)


def verify_identity(identity_record: bytes, ctx: str, body: bytes, signature: bytes) -> None:
    """Both halves over the same input; ML-DSA also has the context as its own."""
    identity, signed = record("identity_record", identity_record), signature_input(ctx, body)
    Ed25519PublicKey.from_public_bytes(identity["ed25519"]).verify(signature[:64], signed)
    MLDSA65PublicKey.from_public_bytes(identity["mldsa"]).verify(signature[64:], signed, ctx.encode())


def open_wrap(data: bytes, key: bytes) -> bytes:
    """The commitment first, then the root."""
    wrap = record("account_wrap", data)
    assert hmac.compare_digest(wrap["commit"], hkdf(key, b"commit/account-wrap", wrap["salt"]))
    ids = (wrap["uid"], u64(wrap["root_ver"]), wrap["method"].encode())
    return unseal(key, "account-wrap", wrap["salt"] + wrap["ct"], *ids)


def test_hashes_and_signature_inputs() -> None:
    assert cat(b"", b"ab") == frozen("cat")
    assert h("chat", b"x", b"") == frozen("H")
    assert len(CONTEXTS) == 11
    for ctx in CONTEXTS:
        assert signature_input(ctx, b"body") == frozen(f"signing_input.{ctx}")


def test_padding() -> None:
    assert unpad(frozen("pad")) == b"hi"
    for name, size in COMPUTED.items():
        kind, _, length = name.partition(".")
        if kind == "pad_message":
            assert message_bucket(int(length)) == int(size)
        if kind == "pad_todevice":
            assert todevice_bucket(int(length)) == int(size)


def test_sealed_records_and_commitments() -> None:
    assert unseal(b"k" * 32, "label", bytes(16) + frozen("seal"), A, B) == b"text"
    assert hkdf(b"k" * 32, b"commit/label", bytes(16)) == frozen("commitment")


@pytest.mark.slow
def test_the_password_is_stretched() -> None:
    salt = h("prestretch", SERVER, b"ana")[:16]
    password = unicodedata.normalize("NFKC", "contraseña larga").encode()
    stretched = Argon2id(salt=salt, length=32, iterations=3, lanes=4, memory_cost=128 * 1024).derive(password)
    assert stretched.hex() == COMPUTED["prestretch"]


def test_the_recovery_code() -> None:
    code = code_bytes(COMPUTED["recovery.text"])
    authority = ed25519(hkdf(code, b"recovery-authority"))
    assert code == bytes(range(20))
    assert hkdf(code, b"recovery-wrap") == frozen("recovery.wrap_key")
    assert authority.public_key().public_bytes_raw() == frozen("recovery.public")
    assert authority.sign(signature_input("recovery-login", b"body")) == frozen("recovery.sign")


def test_what_follows_from_the_root() -> None:
    assert hkdf(ROOT, cat(b"backup", u64(1))) == frozen("root.backup")
    assert hkdf(ROOT, cat(b"settings", u64(1))) == frozen("root.settings")
    identity = record("identity_record", frozen("identity.record"))
    first = ed25519(hkdf(ROOT, b"identity-ed25519"))
    second = MLDSA65PrivateKey.from_seed_bytes(hkdf(ROOT, b"identity-mldsa"))
    assert identity["ed25519"] == first.public_key().public_bytes_raw()
    assert identity["mldsa"] == second.public_key().public_bytes_raw()
    assert identity["recovery"] == frozen("recovery.public")
    assert h("identity", frozen("identity.record")) == frozen("identity.idfp")
    assert first.sign(signature_input("device-list", b"body")) == frozen("identity.ed25519")


def test_the_root_comes_back_by_password_and_by_code() -> None:
    by_code = open_wrap(sealed("wrap_recovery"), hkdf(code_bytes(SEALED["recovery_code"]), b"recovery-wrap"))
    by_password = open_wrap(sealed("wrap_password"), hkdf(b"e" * 64, b"account-wrap"))
    assert by_code == by_password
    assert hkdf(by_code, cat(b"backup", u64(1))) == sealed("backup_key")
    identity = record("identity_record", sealed("record_ana"))
    assert identity["ed25519"] == ed25519(hkdf(by_code, b"identity-ed25519")).public_key().public_bytes_raw()


@pytest.mark.parametrize("name", ["ana", "bruno"])
def test_a_device_list_is_signed_by_its_identity_and_names_devices_that_have_their_keys(name: str) -> None:
    signed = record("signed", sealed(f"list_{name}"))
    verify_identity(sealed(f"record_{name}"), "device-list", signed["body"], signed["sig"])
    listed = record("device_list", signed["body"])
    assert listed["idfp"] == h("identity", sealed(f"record_{name}"))
    assert (listed["ver"], listed["prev"]) == (1, bytes(32))
    for device in listed["devices"]:
        body = cat(listed["uid"], device["did"], listed["idfp"], device["ed25519"], device["curve25519"])
        key = Ed25519PublicKey.from_public_bytes(device["ed25519"])
        key.verify(device["pop"], signature_input("device", body))


def test_the_hash_of_a_list() -> None:
    assert h("device-list", frozen("list.body")) == frozen("list.hash")


def test_a_succession_carries_everything_to_judge_it() -> None:
    proof = record("succession_proof", sealed("succession"))
    old = record("identity_record", proof["old_record"])
    step = record("succession", proof["body"])
    verify_identity(proof["old_record"], "identity-succession", proof["body"], proof["sig_identity"])
    authority = Ed25519PublicKey.from_public_bytes(old["recovery"])
    authority.verify(proof["sig_recovery"], signature_input("identity-succession", proof["body"]))
    assert step["old_idfp"] == h("identity", proof["old_record"])
    assert record("identity_record", step["new_record"])["uid"] == step["uid"] == old["uid"]


def test_the_safety_number() -> None:
    number = int.from_bytes(h("safety-number", A, b"1" * 32, B, b"2" * 32), "big") % 10**60
    digits = f"{number:060}"
    assert " ".join(digits[at : at + 5] for at in range(0, 60, 5)) == COMPUTED["safety_number"]


def test_tokens_that_let_a_message_be_deleted() -> None:
    token = hmac.digest(hkdf(b"k" * 32, b"delete"), cat(frozen("direct_chat_id"), b"m" * 16), "sha256")
    assert (token, sha256(token).digest()) == (frozen("delete_token"), frozen("delete_hash"))
