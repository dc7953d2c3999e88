"""The password, which never leaves the client: pre-stretch, then OPAQUE (RFC 9807) behind a suite number.

OPAQUE's library stretches with 19 MiB only, so the password goes through Argon2id with 128 MiB first. Its parameters
are constants of the suite: no server can lower them.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Final

import opaque_snake
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from mensajeria.kit.secrets import Secret
from mensajeria.protocol.auth import SUITE_PASSWORD
from mensajeria.protocol.channel import channel_key, login_transcript
from mensajeria.protocol.encoding import H

ARGON2_MEMORY_KIB: Final = 128 * 1024
ARGON2_ITERATIONS: Final = 3
ARGON2_LANES: Final = 4
_SALT_BYTES: Final = 16


class PasswordProofError(ValueError):
    """A message of the server is malformed, or a state was used twice."""


class WrongPasswordError(PasswordProofError):
    """The password is wrong, or somebody altered the exchange: OPAQUE does not tell these apart."""


class EmptyPasswordError(ValueError):
    """An empty password protects nothing."""


class UnknownSuiteError(ValueError):
    """The account uses a suite that this program does not know: it needs a newer version."""


def prestretch(password: Secret, server_id: bytes, handle: str) -> Secret:
    """64 hex characters from the password, bound to server and user name. About 0.4 s and 128 MiB: call it in a thread.

    Raises:
        EmptyPasswordError: the password is empty after normalisation (NFKC).
    """
    text = unicodedata.normalize("NFKC", password.reveal_text())
    if not text:
        raise EmptyPasswordError("empty password")
    salt = H("prestretch", server_id, handle.encode("ascii"))[:_SALT_BYTES]
    kdf = Argon2id(
        salt=salt, length=32, iterations=ARGON2_ITERATIONS, lanes=ARGON2_LANES, memory_cost=ARGON2_MEMORY_KIB
    )
    return Secret.from_text(kdf.derive(text.encode()).hex())


@dataclass(frozen=True, slots=True)
class RegistrationProof:
    """What a finished registration gives: the upload, and EK, which only the password's owner can get."""

    upload: bytes
    export_key: Secret


@dataclass(frozen=True, slots=True)
class LoginProof:
    """What a finished login gives. `session_key` is shared with the server, `export_key` is not."""

    ke3: bytes
    export_key: Secret
    session_key: Secret
    transcript: bytes

    @property
    def channel_key(self) -> Secret:
        """CK of this login."""
        return channel_key(self.session_key)


class RegistrationStart:
    """A registration under way: send `request`, then `finish` with the answer. Good for one use."""

    def __init__(self, stretched: Secret) -> None:
        self._stretched = stretched
        self._client = opaque_snake.OpaqueClient()
        request, self._state = self._client.start_registration(stretched.reveal_text())
        self.request: bytes = request.to_bytes()

    def finish(self, response: bytes) -> RegistrationProof:
        """About 40 ms: call it in a thread.

        Raises:
            PasswordProofError: the answer is malformed, or this was finished before.
        """
        try:
            parsed = opaque_snake.RegistrationResponse.from_bytes(response)
            result = self._client.finish_registration(parsed, self._state, self._stretched.reveal_text())
        except opaque_snake.OpaqueError as error:
            raise PasswordProofError("registration failed") from error
        return RegistrationProof(result.upload.to_bytes(), Secret(result.export_key))

    def __repr__(self) -> str:
        return "RegistrationStart(…)"


class LoginStart:
    """A login under way: send `ke1`, then `finish` with KE2. Good for one use."""

    def __init__(self, stretched: Secret) -> None:
        self._stretched = stretched
        self._client = opaque_snake.OpaqueClient()
        request, self._state = self._client.start_login(stretched.reveal_text())
        self.ke1: bytes = request.to_bytes()

    def finish(self, ke2: bytes) -> LoginProof:
        """About 40 ms: call it in a thread.

        Raises:
            WrongPasswordError: the server's record was made with another password.
            PasswordProofError: KE2 is malformed, or this was finished before.
        """
        try:
            parsed = opaque_snake.CredentialResponse.from_bytes(ke2)
            result = self._client.finish_login(parsed, self._state, self._stretched.reveal_text())
        except opaque_snake.AuthenticationError as error:
            raise WrongPasswordError("wrong password") from error
        except opaque_snake.OpaqueError as error:
            raise PasswordProofError("login failed") from error
        keys = result.session_keys
        if keys.export_key is None:
            raise PasswordProofError("no export key")
        ke3 = result.finalization.to_bytes()
        return LoginProof(ke3, Secret(keys.export_key), Secret(keys.session_key), login_transcript(self.ke1, ke2, ke3))

    def __repr__(self) -> str:
        return "LoginStart(…)"


class PasswordProof:
    """Client half of a password suite. `stretched` is what `prestretch` gave."""

    suite: Final = SUITE_PASSWORD

    def start_registration(self, stretched: Secret) -> RegistrationStart:
        """Begin to register (or to set a new password)."""
        return RegistrationStart(_not_empty(stretched))

    def start_login(self, stretched: Secret) -> LoginStart:
        """Begin to log in."""
        return LoginStart(_not_empty(stretched))


def password_proof(suite: int) -> PasswordProof:
    """The client half of a suite; raises UnknownSuiteError."""
    if suite != SUITE_PASSWORD:
        raise UnknownSuiteError(f"password suite {suite}")
    return PasswordProof()


def _not_empty(stretched: Secret) -> Secret:
    """OPAQUE's library itself accepts an empty password."""
    if not stretched.reveal():
        raise EmptyPasswordError("empty password")
    return stretched
