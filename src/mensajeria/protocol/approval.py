"""What approves a change of an account, and what a recovery signs: the exact bytes, for both sides."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from mensajeria.kit.secrets import Secret
from mensajeria.protocol.encoding import H, cat
from mensajeria.protocol.records import Signed

_INFO: Final = b"account-change"


class Action(StrEnum):
    """The closed list of what can be approved."""

    PASSWORD_CHANGE = "password-change"  # noqa: S105 - a name
    DEVICE_REMOVE = "device-remove"
    ACCOUNT_DELETE = "account-delete"
    IDENTITY_RENEW = "identity-renew"


@dataclass(frozen=True, slots=True)
class Change:
    """A change in one login of one account: what an approval covers. `digest` names its content."""

    action: Action
    server_id: bytes
    uid: bytes
    transcript: bytes
    digest: bytes

    @property
    def body(self) -> bytes:
        """cat(action, server_id, uid, transcript, digest): no recovery body begins with an action's length."""
        return cat(self.action.encode("ascii"), self.server_id, self.uid, self.transcript, self.digest)


def password_digest(ticket: bytes, upload: bytes, wrap_password: bytes) -> bytes:
    """Content of a PASSWORD_CHANGE, 32 bytes."""
    return H("password-change", ticket, upload, wrap_password)


def removal_digest(device_list: Signed) -> bytes:
    """Content of a DEVICE_REMOVE, 32 bytes."""
    return H("device-remove", device_list.body, device_list.sig)


def deletion_digest() -> bytes:
    """Content of an ACCOUNT_DELETE, 32 bytes: there is none beside the account."""
    return H("account-delete")


def renewal_digest(ticket: bytes, upload: bytes, wraps: tuple[bytes, bytes], device_list: Signed) -> bytes:
    """Content of an IDENTITY_RENEW, 32 bytes. The list names the new identity; the succession is signed by itself."""
    return H("identity-renew", ticket, upload, *wraps, device_list.body, device_list.sig)


def approval_mac(ck: Secret, change: Change) -> bytes:
    """HMAC-SHA256(HKDF(CK, info "account-change"), body), 32 bytes."""
    key = HKDF(hashes.SHA256(), 32, salt=None, info=_INFO).derive(ck.reveal())
    return hmac.digest(key, change.body, "sha256")


def recovery_body(
    *, server_id: bytes, uid: bytes, nonce: bytes, upload: bytes, wrap_password: bytes, wrap_recovery: bytes
) -> bytes:
    """What RA signs (ctx recovery-login): cat(server_id, uid, nonce, H(upload), H(wraps))."""
    return cat(server_id, uid, nonce, H("upload", upload), H("wraps", wrap_password, wrap_recovery))
