"""A dump of the database without the secret files beside it: nobody can even guess with it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

import pytest
from opaque_snake import OpaqueServer

from mensajeria.crypto.password import WrongPasswordError, password_proof
from mensajeria.kit.secrets import Secret
from mensajeria.protocol.auth import SUITE_PASSWORD
from mensajeria.protocol.errors import Code, ProtocolError
from mensajeria.server.accounts.opaque import PasswordVerifier
from mensajeria.server.accounts.tokens import ChannelKeySealer

PASSWORD = Secret(b"5f" * 32)


@pytest.fixture
def verifiers() -> Iterator[tuple[PasswordVerifier, PasswordVerifier]]:
    """The server's, and one with secret files that the thief has made."""
    made = [PasswordVerifier(Secret(OpaqueServer().export_setup())) for _ in range(2)]
    yield made[0], made[1]
    for one in made:
        one.close()


def registered(verifier: PasswordVerifier) -> bytes:
    """What the database keeps of a password."""
    start = password_proof(SUITE_PASSWORD).start_registration(PASSWORD)
    return verifier.record(start.finish(verifier.registration_response(start.request, "ana")).upload)


def test_the_right_password_fits_no_stolen_record_without_the_servers_secret_files(
    verifiers: tuple[PasswordVerifier, PasswordVerifier],
) -> None:
    genuine, thief = verifiers
    record = registered(genuine)
    attempt = password_proof(SUITE_PASSWORD).start_login(PASSWORD)
    with pytest.raises(WrongPasswordError):
        attempt.finish(thief.challenge(attempt.ke1, "ana", record)[0])
    honest = password_proof(SUITE_PASSWORD).start_login(PASSWORD)
    ke2, state = genuine.challenge(honest.ke1, "ana", record)
    proof = honest.finish(ke2)
    assert asyncio.run(genuine.finish(proof.ke3, state)) == proof.session_key


def test_a_stolen_channel_key_opens_under_no_other_secret_file() -> None:
    sealed = ChannelKeySealer(Secret(os.urandom(32))).seal("ck", bytes(16), Secret(os.urandom(32)))
    with pytest.raises(ProtocolError) as refused:
        ChannelKeySealer(Secret(os.urandom(32))).unseal("ck", bytes(16), sealed)
    assert refused.value.code is Code.LOGIN_REVOKED
