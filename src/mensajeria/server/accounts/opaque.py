"""The server's half of OPAQUE (RFC 9807): it never sees a password, only this file talks to the library.

The credential identifier is the handle as claimed. For a handle that nobody has, one persisted decoy record answers:
same size, same work, and the same blinded evaluation each time it is asked.
"""

from __future__ import annotations

import asyncio
import secrets
from concurrent.futures import ThreadPoolExecutor

from opaque_snake import (
    CredentialFinalization,
    CredentialRequest,
    OpaqueClient,
    OpaqueError,
    OpaqueServer,
    PasswordFile,
    RegistrationRequest,
    RegistrationUpload,
    ServerLoginState,
)

from mensajeria.kit.secrets import Secret
from mensajeria.protocol.errors import Code, ProtocolError


class PasswordVerifier:
    """OPAQUE, suite 1."""

    def __init__(self, setup: Secret) -> None:
        self._server = OpaqueServer(setup.reveal())
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="opaque")

    def registration_response(self, request: bytes, handle: str) -> bytes:
        """Answer a registration request for `handle`.

        Raises:
            ProtocolError: MALFORMED.
        """
        try:
            message = RegistrationRequest.from_bytes(request)
            return self._server.create_registration_response(message, handle).to_bytes()
        except OpaqueError as error:
            raise ProtocolError(Code.MALFORMED, "OPAQUE registration request") from error

    def record(self, upload: bytes) -> bytes:
        """The record to store for an upload.

        Raises:
            ProtocolError: MALFORMED.
        """
        try:
            return self._server.finish_registration(RegistrationUpload.from_bytes(upload)).to_bytes()
        except OpaqueError as error:
            raise ProtocolError(Code.MALFORMED, "OPAQUE upload") from error

    def challenge(self, ke1: bytes, handle: str, record: bytes) -> tuple[bytes, ServerLoginState]:
        """KE2 for KE1, and the state that waits for KE3: usable once, in this process only.

        Raises:
            ProtocolError: MALFORMED.
        """
        try:
            request = CredentialRequest.from_bytes(ke1)
            response, state = self._server.create_credential_response(request, handle, PasswordFile.from_bytes(record))
        except OpaqueError as error:
            raise ProtocolError(Code.MALFORMED, "OPAQUE KE1") from error
        return response.to_bytes(), state

    async def finish(self, ke3: bytes, state: ServerLoginState) -> Secret:
        """The session key SK, 64 bytes, when KE3 proves the password.

        Raises:
            ProtocolError: BAD_CREDENTIALS.
        """
        return await asyncio.get_running_loop().run_in_executor(self._worker, self._finish, ke3, state)

    def _finish(self, ke3: bytes, state: ServerLoginState) -> Secret:
        try:
            return Secret(self._server.finish_login(CredentialFinalization.from_bytes(ke3), state).session_key)
        except OpaqueError as error:
            raise ProtocolError(Code.BAD_CREDENTIALS) from error

    def close(self) -> None:
        """End the worker thread."""
        self._worker.shutdown(wait=False, cancel_futures=True)


def make_decoy(setup: Secret) -> bytes:
    """A record of a password that nobody knows, made as any other."""
    server, client = OpaqueServer(setup.reveal()), OpaqueClient()
    password, handle = secrets.token_urlsafe(48), secrets.token_urlsafe(24)
    request, state = client.start_registration(password)
    response = server.create_registration_response(request, handle)
    return server.finish_registration(client.finish_registration(response, state, password).upload).to_bytes()
