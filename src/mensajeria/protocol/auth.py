"""Messages on `/auth/ws`: registration, login, adding a device. One WebSocket message is one value of these unions.

The order is fixed, and everything of one login happens on one connection because OPAQUE's server state lives there:

    register: check_handle* -> register_start / register_challenge -> register_finish / registered -> login
    login:    login_start / login_challenge -> login_finish / login_ok -> [device_add / device_added]
              -> device_login / logged_in

Changes of an account stand in `auth_changes`. The credential id of OPAQUE is the handle. The first message to the
client is `server_info`, unasked.
"""

from __future__ import annotations

from typing import Annotated, Final, TypeVar

import msgspec

from mensajeria.protocol import limits
from mensajeria.protocol.auth_base import (
    AuthMessage,
    DeviceName,
    Invite,
    OpaqueBytes,
    Prekeys,
    RecordBytes,
    Text,
    WrapBytes,
)
from mensajeria.protocol.auth_changes import (
    AccountDelete,
    AccountDeleted,
    Approval,
    ClientChange,
    DeviceRemove,
    DeviceRemoved,
    IdentityRenew,
    IdentityRenewed,
    IdentityReset,
    PasswordChangeChallenge,
    PasswordChanged,
    PasswordChangeFinish,
    PasswordChangeStart,
    Recovered,
    RecoveryChallenge,
    RecoveryFinish,
    RecoveryStart,
    ResetChallenge,
    ResetFinish,
    ResetStart,
    ServerChange,
)
from mensajeria.protocol.encoding import MalformedError, encode
from mensajeria.protocol.ids import U32, U63, Bytes16, Bytes32
from mensajeria.protocol.records import Handle, Signed

__all__ = [
    "SUITE_PASSWORD",
    "AccountDelete",
    "AccountDeleted",
    "Approval",
    "AuthError",
    "CheckHandle",
    "ClientAuth",
    "DeviceAdd",
    "DeviceAdded",
    "DeviceLoginMessage",
    "DeviceRemove",
    "DeviceRemoved",
    "HandleState",
    "IdentityRenew",
    "IdentityRenewed",
    "IdentityReset",
    "LoggedIn",
    "LoginChallenge",
    "LoginFinish",
    "LoginOk",
    "LoginStart",
    "PasswordChangeChallenge",
    "PasswordChangeFinish",
    "PasswordChangeStart",
    "PasswordChanged",
    "Prekeys",
    "Recovered",
    "RecoveryChallenge",
    "RecoveryFinish",
    "RecoveryStart",
    "RegisterChallenge",
    "RegisterFinish",
    "RegisterStart",
    "Registered",
    "ResetChallenge",
    "ResetFinish",
    "ResetStart",
    "ServerAuth",
    "ServerInfo",
    "decode_from_client",
    "decode_from_server",
    "encode_auth",
]
T = TypeVar("T")
SUITE_PASSWORD: Final = 1
"""Argon2id pre-stretch (128 MiB, t=3, p=4) then OPAQUE (RFC 9807, ristretto255, Argon2id inside)."""


class ServerInfo(AuthMessage, tag=0, frozen=True):
    """Sent by the server on connect. The client pins server_id at first use or compares it with its invite or store."""

    v: U32
    server_id: Bytes16
    restore_epoch: U63
    registration: Annotated[str, msgspec.Meta(pattern=r"^(open|approval|invite|closed)\Z")]
    password_suites: Annotated[tuple[U32, ...], msgspec.Meta(max_length=8)]


class CheckHandle(AuthMessage, tag=1, frozen=True):
    """Is the handle free? Limited; needs a valid invite where registration needs one."""

    handle: Handle
    invite: Invite = b""


class HandleState(AuthMessage, tag=2, frozen=True):
    """Answer to `CheckHandle`."""

    free: bool


class RegisterStart(AuthMessage, tag=3, frozen=True):
    """OPAQUE registration request for a handle."""

    suite: U32
    handle: Handle
    invite: Invite
    request: OpaqueBytes


class RegisterChallenge(AuthMessage, tag=4, frozen=True):
    """A single-use ticket that holds the handle and the new uid."""

    ticket: Bytes16
    uid: Bytes16
    response: OpaqueBytes


class RegisterFinish(AuthMessage, tag=5, frozen=True):
    """Everything that makes an account, stored in one transaction."""

    ticket: Bytes16
    upload: OpaqueBytes
    wrap_password: WrapBytes
    wrap_recovery: WrapBytes
    identity: RecordBytes
    """Encoded IdentityRecord."""
    device_list: Signed
    device_name: DeviceName
    prekeys: Prekeys


class Registered(AuthMessage, tag=6, frozen=True):
    """The account exists (committed). A login on the same socket follows."""

    uid: Bytes16


class LoginStart(AuthMessage, tag=7, frozen=True):
    """OPAQUE KE1. `known` = token of a device that logged in before (own rate bucket), or empty."""

    suite: U32
    handle: Handle
    ke1: OpaqueBytes
    known: Annotated[bytes, msgspec.Meta(max_length=32)] = b""


class LoginChallenge(AuthMessage, tag=8, frozen=True):
    """OPAQUE KE2; the same shape and time whether or not the handle exists."""

    ke2: OpaqueBytes


class LoginFinish(AuthMessage, tag=9, frozen=True):
    """OPAQUE KE3: proves the password."""

    ke3: OpaqueBytes


class LoginOk(AuthMessage, tag=10, frozen=True):
    """What a client with the password may have: the wraps, its identity record, the newest own list."""

    uid: Bytes16
    root_ver: U63
    wrap_password: WrapBytes
    wrap_recovery: WrapBytes
    identity: RecordBytes
    device_list: Signed


class DeviceAdd(AuthMessage, tag=11, frozen=True):
    """List version+1 (compare-and-swap) with the new device and its prekeys."""

    device_list: Signed
    device_name: DeviceName
    did: Bytes16
    prekeys: Prekeys


class DeviceAdded(AuthMessage, tag=12, frozen=True):
    """The list is committed."""

    ver: U63


class DeviceLoginMessage(AuthMessage, tag=13, frozen=True):
    """`signed` = DeviceLogin record under the device's key (ctx device-login): binds this login, and so CK, to it."""

    did: Bytes16
    signed: Signed
    gen: U63


class LoggedIn(AuthMessage, tag=14, frozen=True):
    """Tokens. CK = HKDF(SK, "channel") is known to both sides and never sent."""

    access_token: Annotated[str, msgspec.Meta(max_length=2048)]
    access_expires_ms: U63
    refresh_token: Bytes32
    known: Bytes32


class AuthError(AuthMessage, tag=15, frozen=True):
    """The step failed with a protocol.errors.Code; the connection stays open for another try unless it closes."""

    code: Text
    detail: Text = ""
    retry_after_ms: U32 = 0


ClientAuth = (
    CheckHandle
    | RegisterStart
    | RegisterFinish
    | LoginStart
    | LoginFinish
    | DeviceAdd
    | DeviceLoginMessage
    | ClientChange
)
ServerAuth = (
    ServerInfo
    | HandleState
    | RegisterChallenge
    | Registered
    | LoginChallenge
    | LoginOk
    | DeviceAdded
    | LoggedIn
    | AuthError
    | ServerChange
)

_from_client: Final[msgspec.msgpack.Decoder[ClientAuth]] = msgspec.msgpack.Decoder(ClientAuth)
_from_server: Final[msgspec.msgpack.Decoder[ServerAuth]] = msgspec.msgpack.Decoder(ServerAuth)


def encode_auth(message: ClientAuth | ServerAuth) -> bytes:
    """One WebSocket message."""
    return encode(message)


def decode_from_client(data: bytes) -> ClientAuth:
    """Raises MalformedError for anything that is not one client message."""
    return _decode(data, _from_client)


def decode_from_server(data: bytes) -> ServerAuth:
    """Raises MalformedError for anything that is not one server message."""
    return _decode(data, _from_server)


def _decode(data: bytes, decoder: msgspec.msgpack.Decoder[T]) -> T:
    if len(data) > limits.MAX_AUTH_FRAME:
        raise MalformedError("too large")
    try:
        return decoder.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError, OverflowError) as error:
        raise MalformedError("malformed") from error
