"""May this login change the account? The password is proven; a device must stand behind it, and not too young a one."""

from __future__ import annotations

import hmac
from typing import Protocol

from sqlalchemy import Connection, select

from mensajeria.kit.secrets import Secret
from mensajeria.protocol import limits
from mensajeria.protocol.approval import Action, Change, approval_mac
from mensajeria.protocol.auth_changes import Approval
from mensajeria.protocol.decoding import decode_record
from mensajeria.protocol.devices import decode_identity
from mensajeria.protocol.encoding import MalformedError
from mensajeria.protocol.errors import Code, ProtocolError
from mensajeria.protocol.prekeys import SigningKey, verify_device_login
from mensajeria.protocol.records import AccountWrap
from mensajeria.protocol.signing import BadSignatureError, Ctx, verify_ed25519
from mensajeria.server.db.engine import AnyRow
from mensajeria.server.db.schema import device


class Proven(Protocol):
    """A login whose password is proven (`login.ProvenLogin`)."""

    @property
    def account_id(self) -> int:
        """Row id of the account."""
        ...

    @property
    def uid(self) -> bytes:
        """The user."""
        ...

    @property
    def ck(self) -> Secret:
        """Channel key."""
        ...

    @property
    def transcript(self) -> bytes:
        """Names the login."""
        ...


def change_of(proven: Proven, action: Action, server_id: bytes, digest: bytes) -> Change:
    """The change that is to be approved."""
    return Change(action, server_id, proven.uid, proven.transcript, digest)


def require_approval(
    connection: Connection,
    proven: Proven,
    change: Change,
    approval: Approval,
    *,
    identity: bytes,
    now_ms: int,
    against: int | None = None,
) -> None:
    """Check the device's signature and MAC, and its age.

    `identity` is the account's identity record; `against` the row id of the device that is to go, None when the change
    concerns every device.

    Raises:
        ProtocolError: UNKNOWN_DEVICE, UNAUTHORIZED (signature or MAC), APPROVAL_NEEDED (too young, and no or a wrong
            signature by the recovery authority).
    """
    approver = _approver(connection, proven, change, approval)
    if now_ms - approver.created_ms >= limits.YOUNG_DEVICE_MS or not _has_older(connection, proven, approver, against):
        return
    try:
        verify_ed25519(decode_identity(identity).recovery, Ctx.RECOVERY_LOGIN, change.body, approval.recovery)
    except (BadSignatureError, MalformedError) as error:
        raise ProtocolError(Code.APPROVAL_NEEDED) from error


def _approver(connection: Connection, proven: Proven, change: Change, approval: Approval) -> AnyRow:
    columns = (device.c.id, device.c.did, device.c.ed25519, device.c.created_ms)
    query = select(*columns).where(
        device.c.did == approval.did, device.c.account_id == proven.account_id, device.c.revoked_ms.is_(None)
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        raise ProtocolError(Code.UNKNOWN_DEVICE)
    try:
        verify_device_login(
            approval.signed,
            server_id=change.server_id,
            uid=proven.uid,
            device=SigningKey(row.did, row.ed25519),
            transcript=proven.transcript,
        )
    except (BadSignatureError, MalformedError) as error:
        raise ProtocolError(Code.UNAUTHORIZED, "the device's signature") from error
    if not hmac.compare_digest(approval_mac(proven.ck, change), approval.mac):
        raise ProtocolError(Code.UNAUTHORIZED, "the approval's MAC")
    return row


def _has_older(connection: Connection, proven: Proven, approver: AnyRow, against: int | None) -> bool:
    """Whether the change takes something from a device that was there before the approving one."""
    if against is not None:
        return bool(against < approver.id)
    older = select(device.c.id).where(
        device.c.account_id == proven.account_id, device.c.id < approver.id, device.c.revoked_ms.is_(None)
    )
    return connection.execute(older.limit(1)).first() is not None


def check_wrap(wrap: bytes, *, uid: bytes, root_ver: int, method: str) -> None:
    """A wrap of this account's root of this version; what it seals the server cannot know.

    Raises:
        ProtocolError: MALFORMED.
    """
    try:
        found = decode_record(AccountWrap, wrap, max_size=512)
    except MalformedError as error:
        raise ProtocolError(Code.MALFORMED, "wrap") from error
    if (found.uid, found.root_ver, found.method) != (uid, root_ver, method):
        raise ProtocolError(Code.MALFORMED, "wrap of another account, version or method")
