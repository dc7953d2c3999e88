"""Password, recovery, account root, sealing, padding, safety numbers."""

from __future__ import annotations

import os

import msgspec
import opaque_snake
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mensajeria.crypto import aead, password
from mensajeria.crypto.padding import (
    PaddingError,
    message_size,
    pad_message,
    pad_todevice,
    todevice_size,
    unpad_message,
    unpad_todevice,
)
from mensajeria.crypto.password import (
    EmptyPasswordError,
    PasswordProofError,
    UnknownSuiteError,
    WrongPasswordError,
    password_proof,
    prestretch,
)
from mensajeria.crypto.recovery import RecoveryCode, RecoveryCodeError
from mensajeria.crypto.root import AccountRoot, WrapError
from mensajeria.crypto.safety import safety_number
from mensajeria.kit.secrets import Secret
from mensajeria.protocol import limits
from mensajeria.protocol.channel import channel_key, login_transcript
from mensajeria.protocol.decoding import decode_record
from mensajeria.protocol.encoding import encode
from mensajeria.protocol.records import AccountWrap
from mensajeria.protocol.signing import Ctx, verify_ed25519
from tests.crypto.people import SERVER
from tests.support.examples import examples

UID = b"u" * 16
EK = Secret(b"e" * 64)
WORD = Secret(b"ab" * 32)


# --- sealing ---


def test_a_sealed_record_opens_only_in_its_place() -> None:
    key = Secret(b"k" * 32)
    sealed = aead.seal(key, "row", (b"chat", b"1"), b"text")
    assert aead.unseal(key, "row", (b"chat", b"1"), sealed) == b"text"
    assert aead.seal(key, "row", (b"chat", b"1"), b"text") != sealed
    for wrong_key, label, ids in (
        (Secret(b"l" * 32), "row", (b"chat", b"1")),
        (key, "col", (b"chat", b"1")),
        (key, "row", (b"chat", b"2")),
        (key, "row", (b"chat1",)),
        (key, "row", (b"cha", b"t1")),
    ):
        with pytest.raises(aead.SealError):
            aead.unseal(wrong_key, label, ids, sealed)
    for at in range(len(sealed)):
        with pytest.raises(aead.SealError):
            aead.unseal(key, "row", (b"chat", b"1"), sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :])


@given(st.binary(max_size=60))
def test_any_bytes_do_not_open(data: bytes) -> None:
    with pytest.raises(aead.SealError):
        aead.unseal(Secret(b"k" * 32), "row", (), data)


def test_the_commitment_is_checked_first() -> None:
    key, other = Secret(b"k" * 32), Secret(b"l" * 32)
    salt, commit, ct = aead.seal_committed(key, "wrap", (), b"x" * 32)
    assert aead.unseal_committed(key, "wrap", (), salt=salt, commitment=commit, ciphertext=ct) == b"x" * 32
    with pytest.raises(aead.SealError, match="another key"):
        aead.unseal_committed(other, "wrap", (), salt=salt, commitment=commit, ciphertext=ct)
    with pytest.raises(aead.SealError, match="another key"):
        aead.unseal_committed(key, "wrap", (), salt=salt, commitment=bytes(32), ciphertext=ct)


# --- password ---


def test_prestretch_is_bound_and_normalised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(password, "ARGON2_MEMORY_KIB", 64)
    base = prestretch(Secret.from_text("contraseña"), SERVER, "ana")
    assert len(base.reveal_text()) == 64
    assert prestretch(Secret.from_text("contrasen\u0303a"), SERVER, "ana") == base
    assert prestretch(Secret.from_text("contraseña"), bytes(16), "ana") != base
    assert prestretch(Secret.from_text("contraseña"), SERVER, "eva") != base
    with pytest.raises(EmptyPasswordError):
        prestretch(Secret(b""), SERVER, "ana")
    with pytest.raises(EmptyPasswordError):
        password_proof(1).start_login(Secret(b""))
    with pytest.raises(EmptyPasswordError):
        password_proof(1).start_registration(Secret(b""))
    with pytest.raises(UnknownSuiteError):
        password_proof(2)


@pytest.mark.as_shipped
def test_prestretch_costs_what_the_suite_says() -> None:
    assert (password.ARGON2_MEMORY_KIB, password.ARGON2_ITERATIONS, password.ARGON2_LANES) == (131072, 3, 4)


@pytest.fixture(scope="module")
def registered() -> tuple[opaque_snake.OpaqueServer, opaque_snake.PasswordFile, Secret]:
    server = opaque_snake.OpaqueServer()
    start = password_proof(1).start_registration(WORD)
    request = opaque_snake.RegistrationRequest.from_bytes(start.request)
    proof = start.finish(server.create_registration_response(request, "ana").to_bytes())
    upload = opaque_snake.RegistrationUpload.from_bytes(proof.upload)
    return server, server.finish_registration(upload), proof.export_key


def answer(
    registered: tuple[opaque_snake.OpaqueServer, opaque_snake.PasswordFile, Secret], ke1: bytes
) -> tuple[bytes, opaque_snake.ServerLoginState]:
    server, record, _ = registered
    response, state = server.create_credential_response(opaque_snake.CredentialRequest.from_bytes(ke1), "ana", record)
    return response.to_bytes(), state


def test_a_login_gives_both_sides_one_key(
    registered: tuple[opaque_snake.OpaqueServer, opaque_snake.PasswordFile, Secret],
) -> None:
    start = password_proof(1).start_login(WORD)
    ke2, state = answer(registered, start.ke1)
    proof = start.finish(ke2)
    keys = registered[0].finish_login(opaque_snake.CredentialFinalization.from_bytes(proof.ke3), state)
    assert Secret(keys.session_key) == proof.session_key
    assert proof.channel_key == channel_key(keys.session_key)
    assert proof.export_key == registered[2]
    assert proof.transcript == login_transcript(start.ke1, ke2, proof.ke3)
    with pytest.raises(PasswordProofError):
        start.finish(ke2)


def test_a_wrong_password_never_makes_the_last_message(
    registered: tuple[opaque_snake.OpaqueServer, opaque_snake.PasswordFile, Secret],
) -> None:
    start = password_proof(1).start_login(Secret(b"cd" * 32))
    ke2, _ = answer(registered, start.ke1)
    with pytest.raises(WrongPasswordError):
        start.finish(ke2)


@examples(25)
@given(st.binary(max_size=400))
def test_any_answer_gives_the_declared_error(data: bytes) -> None:
    with pytest.raises(PasswordProofError):
        password_proof(1).start_login(WORD).finish(data)
    with pytest.raises(PasswordProofError):
        password_proof(1).start_registration(WORD).finish(data)


# --- recovery code ---


def test_the_code_as_people_write_it() -> None:
    code = RecoveryCode.generate()
    assert len(code.text.replace("-", "")) == 33
    for text in (code.text, code.text.lower(), code.text.replace("-", " "), f"  {code.text}\n"):
        assert RecoveryCode.parse(text).public == code.public
    sloppy = code.text[:-2].replace("1", "l").replace("0", "o") + code.text[-2:]
    assert RecoveryCode.parse(sloppy).public == code.public
    assert RecoveryCode.parse(sloppy.replace("l", "I")).wrap_key() == code.wrap_key()


def test_every_slip_of_the_pen_is_noticed() -> None:
    text = RecoveryCode(Secret(bytes(range(20)))).text.replace("-", "")
    for at in range(len(text) - 1):
        for char in "0123456789ABCDEFGHJKMNPQRSTVWXYZ":
            if char != text[at]:
                with pytest.raises(RecoveryCodeError):
                    RecoveryCode.parse(text[:at] + char + text[at + 1 :])
        swapped = text[:at] + text[at + 1] + text[at] + text[at + 2 :]
        if swapped != text:
            with pytest.raises(RecoveryCodeError):
                RecoveryCode.parse(swapped)


@given(st.text(max_size=50) | st.text("0123456789ABCDEFGHJKMNPQRSTVWXYZ*~$=U", min_size=33, max_size=33))
def test_any_text_is_a_code_or_the_declared_error(text: str) -> None:
    try:
        code = RecoveryCode.parse(text)
    except RecoveryCodeError:
        return
    assert RecoveryCode.parse(code.text).public == code.public


def test_the_recovery_authority_signs() -> None:
    code = RecoveryCode.generate()
    verify_ed25519(code.public, Ctx.RECOVERY_LOGIN, b"body", code.sign(Ctx.RECOVERY_LOGIN, b"body"))
    assert code.wrap_key() != Secret(code.public)


# --- account root ---


def test_the_root_opens_by_password_and_by_code() -> None:
    root, code = AccountRoot.generate(), RecoveryCode.generate()
    by_password = AccountRoot.unwrap_password(root.wrap_password(UID, EK), uid=UID, export_key=EK)
    by_code = AccountRoot.unwrap_recovery(root.wrap_recovery(UID, code), uid=UID, code=code)
    for opened in (by_password, by_code):
        assert opened.backup_key(1) == root.backup_key(1)
        assert opened.identity(UID, code.public).record == root.identity(UID, code.public).record


def test_a_wrap_opens_only_as_what_it_is() -> None:
    root, code = AccountRoot.generate(), RecoveryCode.generate()
    wrap = root.wrap_password(UID, EK)
    with pytest.raises(WrapError):
        AccountRoot.unwrap_password(wrap, uid=UID, export_key=Secret(b"f" * 64))
    with pytest.raises(WrapError):
        AccountRoot.unwrap_password(wrap, uid=b"v" * 16, export_key=EK)
    with pytest.raises(WrapError):
        AccountRoot.unwrap_recovery(wrap, uid=UID, code=code)
    with pytest.raises(WrapError):
        AccountRoot.unwrap_password(b"junk", uid=UID, export_key=EK)
    record = decode_record(AccountWrap, wrap)
    for bad in (
        {"root_ver": 2},
        {"uid": b"v" * 16},
        {"salt": bytes(16)},
        {"commit": bytes(32)},
        {"ct": bytes(48)},
        {"method": "recovery"},
        {"v": 2},
    ):
        with pytest.raises(WrapError):
            AccountRoot.unwrap_password(encode(msgspec.structs.replace(record, **bad)), uid=UID, export_key=EK)


def test_keys_of_the_root_are_separate() -> None:
    root = AccountRoot.generate()
    keys = [root.backup_key(1), root.backup_key(2), root.settings_key(1), root.settings_key(2)]
    assert len({key.reveal() for key in keys}) == 4


def test_a_rotated_root_leads_back() -> None:
    root = AccountRoot.generate()
    following, sealed = root.rotate(UID)
    assert following.root_ver == 2
    assert following.backup_key(1) != root.backup_key(1)
    back = following.previous(UID, sealed)
    assert (back.root_ver, back.backup_key(1)) == (1, root.backup_key(1))
    for wrong in (AccountRoot.generate(), root):
        with pytest.raises(WrapError):
            wrong.previous(UID, sealed)
    with pytest.raises(WrapError):
        following.previous(b"v" * 16, sealed)


# --- padding and safety number ---


@given(st.binary(max_size=5000))
def test_padding_comes_off_again(data: bytes) -> None:
    padded = pad_message(data)
    assert unpad_message(padded) == data
    assert len(padded) == message_size(len(data)) >= len(data) + 4
    assert len(padded) % 64 == 0 if len(padded) <= limits.PADME_FROM else len(padded) <= 1.12 * (len(data) + 4) + 64
    assert unpad_todevice(pad_todevice(data)) == data
    assert todevice_size(len(data)) in limits.TODEVICE_BUCKETS


def test_only_buckets_show() -> None:
    assert len({message_size(n) for n in range(1020)}) == 16
    assert len({message_size(n) for n in range(1021, 65536)}) < 130
    sizes = [message_size(n) for n in range(70_000)]
    assert sizes == sorted(sizes)


@given(st.binary(max_size=200), st.integers(0, 4000), st.integers(1, 255))
def test_only_exact_padding_is_accepted(data: bytes, at: int, value: int) -> None:
    padded = pad_message(data)
    tail = len(padded) - 4 - len(data)
    if tail:
        spot = 4 + len(data) + at % tail
        with pytest.raises(PaddingError):
            unpad_message(padded[:spot] + bytes([value]) + padded[spot + 1 :])
    with pytest.raises(PaddingError):
        unpad_message(padded + bytes(64))
    with pytest.raises(PaddingError):
        unpad_message(padded[:3])
    with pytest.raises(PaddingError):
        unpad_message(b"\xff" * 4 + padded[4:])


def test_to_device_padding_has_a_largest_bucket() -> None:
    assert len(pad_todevice(bytes(16380))) == 16384
    with pytest.raises(PaddingError):
        pad_todevice(bytes(16381))
    with pytest.raises(PaddingError):
        unpad_todevice(pad_message(b"x"))


def test_safety_numbers() -> None:
    ana, bruno = (os.urandom(16), os.urandom(32)), (os.urandom(16), os.urandom(32))
    number = safety_number([ana, bruno])
    assert number == safety_number([bruno, ana])
    assert [len(group) for group in number.split()] == [5] * 12
    assert number != safety_number([ana, (bruno[0], os.urandom(32))])
    assert number != safety_number([ana, (os.urandom(16), bruno[1])])
