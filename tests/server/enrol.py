"""The client's half of registration, login and REST, with the real cryptography: how the tests speak to accounts.

`register` spares what is slow on purpose, Argon2: the password's record of a name is made once for a server's secrets,
and the first login is given instead of proven. `draft`, `prove` and `log_in` are the whole conversations.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field, replace
from typing import Any, Final

import httpx
from sqlalchemy import Connection, select

from mensajeria.crypto.device import DeviceKeys
from mensajeria.crypto.identity import Identity
from mensajeria.crypto.password import password_proof
from mensajeria.crypto.recovery import RecoveryCode
from mensajeria.crypto.root import AccountRoot
from mensajeria.kit.secrets import Secret
from mensajeria.protocol import auth
from mensajeria.protocol.api import MAC_HEADER, rest_key, rest_mac
from mensajeria.protocol.auth import SUITE_PASSWORD, decode_from_server, encode_auth
from mensajeria.protocol.devices import verify_device_list
from mensajeria.protocol.errors import Close, Code
from mensajeria.protocol.records import Signed
from mensajeria.server.accounts.auth_socket import AuthSession
from mensajeria.server.accounts.login import ProvenLogin
from mensajeria.server.db.schema import account
from mensajeria.server.state import Server

PASSWORD = Secret(b"5f" * 32)
"""What the pre-stretch would give: tests of the server need not wait for it."""
_Record = tuple[bytes, bytes, Secret]
_RECORDS: Final[dict[tuple[bytes, str], _Record]] = {}
"""(request, upload, export key) by the server's secrets and the name: the upload fits whoever registers the name."""


class Refused(Exception):  # noqa: N818 - reads as what happened
    """The server answered with an error."""

    def __init__(self, error: auth.AuthError) -> None:
        super().__init__(error.code, error.detail)
        self.code = Code(error.code)
        self.detail = error.detail
        self.retry_after_ms = error.retry_after_ms


class Talk:
    """One connection to `/auth/ws`."""

    def __init__(self, session: AuthSession) -> None:
        self.session = session
        self.closed: Close | None = None
        self.last_size = 0
        info = decode_from_server(session.greeting())
        assert isinstance(info, auth.ServerInfo)
        self.info = info

    async def say(self, message: auth.ClientAuth) -> Any:
        """Send one message; its answer, or Refused."""
        reply = await self.session.on_message(encode_auth(message))
        self.closed = reply.close
        self.last_size = len(reply.frames[0])
        answer = decode_from_server(reply.frames[0])
        if isinstance(answer, auth.AuthError):
            raise Refused(answer)
        return answer


@dataclass
class Person:
    """A registered user on one device."""

    handle: str
    uid: bytes
    identity: Identity
    device: DeviceKeys
    code: RecoveryCode
    ck: Secret | None = None
    tokens: auth.LoggedIn | None = None
    counter: int = field(default=0)

    def headers(self, method: str, target: str, body: bytes, *, counter: int | None = None) -> dict[str, str]:
        """Authorization and MAC of one request."""
        assert self.ck is not None
        assert self.tokens is not None
        if counter is None:
            self.counter += 1
            counter = self.counter
        mac = rest_mac(rest_key(self.ck.reveal()), method, target, body, counter)
        return {"Authorization": f"Bearer {self.tokens.access_token}", MAC_HEADER: mac}

    async def call(self, http: httpx.AsyncClient, method: str, target: str, json: object = None) -> httpx.Response:
        """One REST call."""
        body = b"" if json is None else httpx.Request("POST", "http://x", json=json).content
        headers = self.headers(method, target, body)
        if json is not None:
            headers["Content-Type"] = "application/json"
        return await http.request(method, target, content=body, headers=headers)


def talk(server: Server, network: str | None = None) -> Talk:
    """A new connection."""
    return Talk(server.auth_session(network))


@dataclass
class Draft:
    """A registration up to its last message, which a test may spoil."""

    person: Person
    finish: auth.RegisterFinish


async def draft(
    connection: Talk, handle: str, *, invite: bytes = b"", now_ms: int, password: Secret = PASSWORD
) -> Draft:
    """Start a registration and prepare its last message."""
    started = password_proof(SUITE_PASSWORD).start_registration(password)
    challenge = await connection.say(auth.RegisterStart(SUITE_PASSWORD, handle, invite, started.request))
    proof = started.finish(challenge.response)
    return _drafted(challenge, handle, proof.upload, proof.export_key, now_ms)


def _drafted(challenge: auth.RegisterChallenge, handle: str, upload: bytes, export_key: Secret, now_ms: int) -> Draft:
    root, code = AccountRoot.generate(), RecoveryCode.generate()
    identity = root.identity(challenge.uid, code.public)
    device = DeviceKeys.create(challenge.uid)
    finish = auth.RegisterFinish(
        challenge.ticket,
        upload,
        root.wrap_password(challenge.uid, export_key),
        root.wrap_recovery(challenge.uid, code),
        identity.record,
        identity.first_list(handle, device.card(identity.idfp, now_ms), now_ms),
        "laptop",
        device.first_prekeys(now_ms),
    )
    return Draft(Person(handle, challenge.uid, identity, device, code), finish)


def _record(server: Server, handle: str) -> _Record:
    """What a client with `PASSWORD` sends to register a name at this server."""
    key = (server.keys.opaque_setup.reveal(), handle)
    if key not in _RECORDS:
        started = password_proof(SUITE_PASSWORD).start_registration(PASSWORD)
        proof = started.finish(server.opaque.registration_response(started.request, handle))
        _RECORDS[key] = (started.request, proof.upload, proof.export_key)
    return _RECORDS[key]


async def register(server: Server, handle: str, *, invite: bytes = b"", network: str | None = None) -> Person:
    """A new account, logged in."""
    connection = talk(server, network)
    request, upload, export_key = _record(server, handle)
    challenge = await connection.say(auth.RegisterStart(SUITE_PASSWORD, handle, invite, request))
    prepared = _drafted(challenge, handle, upload, export_key, server.clock.now_ms())
    await connection.say(prepared.finish)
    await _be_logged_in(server, prepared.person)
    return prepared.person


async def _be_logged_in(server: Server, person: Person) -> None:
    """What stands at the end of `log_in`."""

    def read(db: Connection) -> tuple[int, bytes]:
        row = db.execute(select(account.c.id, account.c.opaque_record).where(account.c.uid == person.uid)).one()
        return row.id, row.opaque_record

    account_id, record = await server.db.query(read)
    ck, transcript = Secret(os.urandom(32)), os.urandom(32)
    proven = ProvenLogin(account_id, person.uid, ck, transcript, hashlib.sha256(record).digest())
    signed = person.device.login(server.facts.server_id, transcript)
    person.tokens = await server.login.take(proven, auth.DeviceLoginMessage(person.device.did, signed, 0))
    person.ck, person.counter = ck, 0


async def prove(
    connection: Talk, handle: str, password: Secret = PASSWORD, known: bytes = b""
) -> tuple[auth.LoginOk, Secret, bytes]:
    """The password part of a login: the answer, CK and the transcript."""
    started = password_proof(SUITE_PASSWORD).start_login(password)
    challenge = await connection.say(auth.LoginStart(SUITE_PASSWORD, handle, started.ke1, known))
    proof = started.finish(challenge.ke2)
    answer = await connection.say(auth.LoginFinish(proof.ke3))
    return answer, proof.channel_key, proof.transcript


async def log_in(connection: Talk, person: Person, *, gen: int = 0) -> auth.LoginOk:
    """A whole login of the person's device."""
    known = person.tokens.known if person.tokens else b""
    answer, ck, transcript = await prove(connection, person.handle, known=known)
    signed = person.device.login(connection.info.server_id, transcript)
    person.tokens = await connection.say(auth.DeviceLoginMessage(person.device.did, signed, gen))
    person.ck, person.counter = ck, 0
    return answer


async def add_device(connection: Talk, person: Person, *, now_ms: int) -> Person:
    """The same user on a second device."""
    answer, ck, transcript = await prove(connection, person.handle)
    device = DeviceKeys.create(person.uid, os.urandom(16))
    newest = verify_device_list(answer.device_list, answer.identity, uid=person.uid)
    following = person.identity.add_device(newest, device.card(person.identity.idfp, now_ms), now_ms)
    await connection.say(auth.DeviceAdd(following, "phone", device.did, device.first_prekeys(now_ms)))
    signed = device.login(connection.info.server_id, transcript)
    tokens = await connection.say(auth.DeviceLoginMessage(device.did, signed, 0))
    return replace(person, device=device, ck=ck, tokens=tokens, counter=0)


def altered(signed: Signed) -> Signed:
    """One bit of the signature is wrong."""
    return Signed(signed.body, signed.sig[:-1] + bytes([signed.sig[-1] ^ 1]))
