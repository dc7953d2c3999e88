"""What the server says of the own account, judged: whose identity and list it shows, and whose root opens.

The password, or the recovery code, opens the account root; the root gives the identity. So a server that shows another
identity than the root's is caught by whoever has the one or the other, even on a device that has pinned nothing yet.
"""

from __future__ import annotations

from dataclasses import dataclass

from mensajeria.client.engine.people import Served, verify_served
from mensajeria.client.errors import ClientError, RefusedError, SecurityError, StateError
from mensajeria.client.store.values import Contact
from mensajeria.crypto.device import DeviceKeys
from mensajeria.crypto.identity import Identity
from mensajeria.crypto.password import LoginProof
from mensajeria.crypto.recovery import RecoveryCode
from mensajeria.crypto.root import AccountRoot, WrapError
from mensajeria.protocol import auth
from mensajeria.protocol.devices import MissingListsError, UnsupportedListError, VerifiedList, decode_identity
from mensajeria.protocol.encoding import MalformedError
from mensajeria.protocol.errors import Code
from mensajeria.protocol.records import Signed
from mensajeria.protocol.signing import BadSignatureError


@dataclass(frozen=True, slots=True)
class Renewal:
    """A new identity, ready to be told."""

    root: AccountRoot
    wrap_recovery: bytes
    identity: bytes
    device_list: Signed
    succession: bytes


def check_registered(ok: auth.LoginOk, made: Served) -> None:
    """The first login after registering or beginning anew serves what was registered. Raises SecurityError."""
    if Served(ok.uid, ok.identity, ok.device_list) != made:
        raise SecurityError("login_tampered", "the server does not serve what was registered")


def check_pinned(ok: auth.LoginOk, handle: str, known: Contact, announced: bytes | None = None) -> None:
    """The login is of the account, and under the identity, that this device has pinned. Raises SecurityError.

    `announced`: record of a new identity that this device has asked the server for.
    """
    if ok.uid != known.uid or ok.identity not in {known.identity, announced}:
        raise SecurityError("identity_swapped", params={"handle": handle})


def verify_login(ok: auth.LoginOk | auth.ResetChallenge, handle: str, known: Contact | None) -> VerifiedList:
    """The own list, judged like anybody's, and that it is this handle's. Raises SecurityError, ClientError."""
    served = Served(ok.uid, ok.identity, ok.device_list)
    try:
        verified = verify_served(served, known)
    except MissingListsError:
        # The pinned version is older by several: continuity is judged when the bodies between can be fetched.
        verified = verify_served(served, None)
    except UnsupportedListError as error:
        raise ClientError("newer_version") from error
    if verified.handle != handle:
        raise SecurityError("identity_swapped", params={"handle": handle})
    return verified


def unwrap_root(login: LoginProof, ok: auth.LoginOk) -> tuple[AccountRoot, Identity]:
    """The account root that the server keeps sealed, and that it belongs to the identity the server shows."""
    try:
        root = AccountRoot.unwrap_password(ok.wrap_password, uid=ok.uid, export_key=login.export_key)
        identity = root.identity(ok.uid, decode_identity(ok.identity).recovery)
    except (WrapError, MalformedError, BadSignatureError) as error:
        raise SecurityError("login_tampered", "the account root does not open") from error
    if identity.record != ok.identity:
        raise SecurityError("identity_swapped", "the identity is not the account root's")
    return root, identity


def recovered_root(challenge: auth.RecoveryChallenge, code: RecoveryCode, known: Contact | None) -> AccountRoot:
    """The account root by the code, and that it is the root of the identity shown (and pinned).

    The server answers for names that nobody has, too: there, as with another account's code, the authority differs.
    """
    if known is not None and (challenge.uid, challenge.identity) != (known.uid, known.identity):
        raise SecurityError("identity_swapped", params={"handle": known.handle})
    try:
        if decode_identity(challenge.identity).recovery != code.public:
            raise RefusedError(Code.RECOVERY_INVALID)
        root = AccountRoot.unwrap_recovery(challenge.wrap_recovery, uid=challenge.uid, code=code)
    except (WrapError, MalformedError, BadSignatureError) as error:
        raise SecurityError("login_tampered", "the account root does not open") from error
    if root.identity(challenge.uid, code.public).record != challenge.identity:
        raise SecurityError("login_tampered", "the identity is not the account root's")
    if root.root_ver != challenge.root_ver:
        raise SecurityError("login_tampered", "the account root is of another version")
    return root


def renewed(device: DeviceKeys, code: RecoveryCode, old: AccountRoot, current: VerifiedList, now_ms: int) -> Renewal:
    """The identity that follows, which this device is listed by, and what the old one signs for it.

    The recovery code stays the same: it is on paper already, and who has it could move the account anyway.
    """
    uid = current.record.uid
    if current.record.recovery != code.public:
        raise RefusedError(Code.RECOVERY_INVALID)
    listed = current.find(device.did)
    if listed is None:
        raise StateError("device_removed")
    root = AccountRoot.generate(old.root_ver + 1)
    following = root.identity(uid, code.public)
    card = device.card(following.idfp, listed.created)
    return Renewal(
        root=root,
        wrap_recovery=root.wrap_recovery(uid, code),
        identity=following.record,
        device_list=following.take_over(current, card, now_ms),
        succession=old.identity(uid, code.public).succession(following.record, code, now_ms),
    )
