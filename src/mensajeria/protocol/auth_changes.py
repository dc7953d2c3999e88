"""Messages on `/auth/ws` that change an account: password, recovery, removing a device, deleting it all.

    password: [after login_ok] password_change_start / password_change_challenge
              -> password_change_finish / password_changed -> login with the new password
    recovery: recovery_start / recovery_challenge -> recovery_finish / recovered -> login with the new password
    device:   [after login_ok] device_remove / device_removed
    account:  [after login_ok] account_delete / account_deleted
    identity: [after login_ok] password_change_start / password_change_challenge
              -> identity_renew / identity_renewed -> login with the new password
    reset:    reset_start / reset_challenge -> reset_finish / identity_reset -> login with the new password

A proven password alone changes nothing: each of the changes but recovery and reset carries an `Approval` by a listed
device. A reset is what the operator has allowed with a token that is good once.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from mensajeria.protocol.auth_base import (
    AuthMessage,
    DeviceName,
    OpaqueBytes,
    Prekeys,
    RecordBytes,
    SuccessionBytes,
    WrapBytes,
)
from mensajeria.protocol.ids import U32, U63, Bytes16, Bytes32
from mensajeria.protocol.records import Handle, Sig, Signed


class Approval(msgspec.Struct, array_like=True, forbid_unknown_fields=True, frozen=True):
    """A listed device stands behind a change (see `protocol.approval` for what `mac` and `recovery` cover)."""

    did: Bytes16
    signed: Signed
    """DeviceLogin record of this very login under the device's key (ctx device-login)."""
    mac: Bytes32
    """Under the login's channel key: who sits between client and server cannot put a change of their own here."""
    recovery: Annotated[bytes, msgspec.Meta(max_length=64)] = b""
    """The recovery authority's signature; needed when the device is less than a day old and others are older."""


class PasswordChangeStart(AuthMessage, tag=16, frozen=True):
    """OPAQUE registration request for the new password."""

    suite: U32
    request: OpaqueBytes


class PasswordChangeChallenge(AuthMessage, tag=17, frozen=True):
    """A single-use ticket of this connection."""

    ticket: Bytes16
    response: OpaqueBytes


class PasswordChangeFinish(AuthMessage, tag=18, frozen=True):
    """The new record, and the same account root under the new password."""

    ticket: Bytes16
    upload: OpaqueBytes
    wrap_password: WrapBytes
    approval: Approval


class PasswordChanged(AuthMessage, tag=19, frozen=True):
    """Committed: the old password is worth nothing, every login of the account is over, this one included."""


class RecoveryStart(AuthMessage, tag=20, frozen=True):
    """OPAQUE registration request for the password that is to replace a forgotten one."""

    suite: U32
    handle: Handle
    request: OpaqueBytes


class RecoveryChallenge(AuthMessage, tag=21, frozen=True):
    """What the recovery code opens, and what it must sign; of the same form whether or not the handle exists."""

    ticket: Bytes16
    nonce: Bytes32
    uid: Bytes16
    response: OpaqueBytes
    identity: RecordBytes
    wrap_recovery: WrapBytes
    root_ver: U63


class RecoveryFinish(AuthMessage, tag=22, frozen=True):
    """The new record and wraps, signed by the recovery authority (ctx recovery-login)."""

    ticket: Bytes16
    upload: OpaqueBytes
    wrap_password: WrapBytes
    wrap_recovery: WrapBytes
    signature: Sig


class Recovered(AuthMessage, tag=23, frozen=True):
    """Committed: record and wraps are replaced, every login is over. A login on the same socket follows."""


class DeviceRemove(AuthMessage, tag=24, frozen=True):
    """List version+1 (compare-and-swap) without one device."""

    device_list: Signed
    approval: Approval


class DeviceRemoved(AuthMessage, tag=25, frozen=True):
    """Committed: the device's tokens, keys, mailbox and connection are gone."""

    ver: U63


class AccountDelete(AuthMessage, tag=26, frozen=True):
    """Delete the account for good."""

    approval: Approval


class AccountDeleted(AuthMessage, tag=27, frozen=True):
    """Committed: there is no such account any more."""


class IdentityRenew(AuthMessage, tag=28, frozen=True):
    """A new identity by the old one's own will, with a new password; only the device that asks stays."""

    ticket: Bytes16
    upload: OpaqueBytes
    wrap_password: WrapBytes
    wrap_recovery: WrapBytes
    identity: RecordBytes
    device_list: Signed
    """List version+1 (compare-and-swap), signed by the new identity."""
    succession: SuccessionBytes
    """Encoded SuccessionProof: the old identity and its recovery authority hand over."""
    approval: Approval


class IdentityRenewed(AuthMessage, tag=29, frozen=True):
    """Committed: every login of the account is over; devices that the list leaves out are cut off."""

    ver: U63


class ResetStart(AuthMessage, tag=30, frozen=True):
    """The operator's token, and the OPAQUE registration request for the new password."""

    suite: U32
    handle: Handle
    token: Bytes16
    request: OpaqueBytes


class ResetChallenge(AuthMessage, tag=31, frozen=True):
    """Only to who has the token: what the new identity's list must continue."""

    ticket: Bytes16
    uid: Bytes16
    response: OpaqueBytes
    identity: RecordBytes
    device_list: Signed
    root_ver: U63


class ResetFinish(AuthMessage, tag=32, frozen=True):
    """A new identity without succession, and its one device."""

    ticket: Bytes16
    upload: OpaqueBytes
    wrap_password: WrapBytes
    wrap_recovery: WrapBytes
    identity: RecordBytes
    device_list: Signed
    device_name: DeviceName
    prekeys: Prekeys


class IdentityReset(AuthMessage, tag=33, frozen=True):
    """Committed: the former devices are cut off. A login on the same socket follows."""

    ver: U63


ClientChange = (
    PasswordChangeStart
    | PasswordChangeFinish
    | RecoveryStart
    | RecoveryFinish
    | DeviceRemove
    | AccountDelete
    | IdentityRenew
    | ResetStart
    | ResetFinish
)
ServerChange = (
    PasswordChangeChallenge
    | PasswordChanged
    | RecoveryChallenge
    | Recovered
    | DeviceRemoved
    | AccountDeleted
    | IdentityRenewed
    | ResetChallenge
    | IdentityReset
)
