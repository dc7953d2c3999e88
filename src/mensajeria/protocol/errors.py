"""Every error code and every close code, once: what it means, whose fault it is, and whether to try again.

Servers raise `ProtocolError(code)`; it becomes an `error` or `nack` on a connection and an RFC 9457 problem over HTTP.
The client turns a code back into the same exception, and into a sentence for people through its catalogue
(`error.<code>`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum


class Fault(StrEnum):
    """Whose fault an error is."""

    CALLER = "caller"
    SERVER = "server"
    NOBODY = "nobody"


class Code(StrEnum):
    """Stable error codes. Never renamed, never reused."""

    MALFORMED = "malformed"
    TOO_LARGE = "too_large"
    NEWER_VERSION = "newer_version"
    UNAUTHORIZED = "unauthorized"
    BAD_CREDENTIALS = "bad_credentials"
    TOKEN_EXPIRED = "token_expired"  # noqa: S105 - a code, not a secret
    LOGIN_REVOKED = "login_revoked"
    ACCOUNT_SUSPENDED = "account_suspended"
    ACCOUNT_PENDING = "account_pending"
    RECOVERY_INVALID = "recovery_invalid"
    RESET_INVALID = "reset_invalid"
    APPROVAL_NEEDED = "approval_needed"
    LAST_DEVICE = "last_device"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    UNKNOWN_USER = "unknown_user"
    UNKNOWN_CHAT = "unknown_chat"
    UNKNOWN_DEVICE = "unknown_device"
    HANDLE_TAKEN = "handle_taken"
    HANDLE_INVALID = "handle_invalid"
    REGISTRATION_CLOSED = "registration_closed"
    INVITE_REQUIRED = "invite_required"
    INVITE_INVALID = "invite_invalid"
    TICKET_INVALID = "ticket_invalid"
    LIST_CONFLICT = "list_conflict"
    LIST_INVALID = "list_invalid"
    TOO_MANY_DEVICES = "too_many_devices"
    MID_CONFLICT = "mid_conflict"
    STALE_EPOCH = "stale_epoch"
    EVENT_CONFLICT = "event_conflict"
    EVENT_INVALID = "event_invalid"
    STALE_PREKEY = "stale_prekey"
    MAILBOX_FULL = "mailbox_full"
    UPLOAD_CONFLICT = "upload_conflict"
    PROFILE_CONFLICT = "profile_conflict"
    QUOTA_EXCEEDED = "quota_exceeded"
    RANGE_INVALID = "range_invalid"
    REQUEST_LIMIT = "request_limit"
    RATE_LIMITED = "rate_limited"
    ROLLED_BACK = "rolled_back"
    REPLAYED = "replayed"
    UNAVAILABLE = "unavailable"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Meaning:
    """One row of the public table."""

    status: int
    fault: Fault
    retry: bool
    text: str


_C, _S, _N = Fault.CALLER, Fault.SERVER, Fault.NOBODY
MEANINGS: dict[Code, Meaning] = {
    Code.MALFORMED: Meaning(400, _C, retry=False, text="The request is not well-formed."),
    Code.TOO_LARGE: Meaning(413, _C, retry=False, text="The request is larger than allowed."),
    Code.NEWER_VERSION: Meaning(400, _C, retry=False, text="This needs a newer version."),
    Code.UNAUTHORIZED: Meaning(401, _C, retry=False, text="Authentication is required or not valid."),
    Code.BAD_CREDENTIALS: Meaning(401, _C, retry=False, text="The user name or the password is wrong."),
    Code.TOKEN_EXPIRED: Meaning(401, _N, retry=True, text="The access token has expired: refresh it."),
    Code.LOGIN_REVOKED: Meaning(401, _C, retry=False, text="This login was ended: log in again."),
    Code.ACCOUNT_SUSPENDED: Meaning(403, _C, retry=False, text="The account is suspended."),
    Code.ACCOUNT_PENDING: Meaning(403, _N, retry=True, text="The account waits until the operator approves it."),
    Code.RECOVERY_INVALID: Meaning(401, _C, retry=False, text="The user name or the recovery code is wrong."),
    Code.RESET_INVALID: Meaning(
        401, _C, retry=False, text="The user name or the operator's reset code is wrong, used or expired."
    ),
    Code.APPROVAL_NEEDED: Meaning(
        403, _C, retry=False, text="This device is less than a day old: the recovery code is needed for this."
    ),
    Code.LAST_DEVICE: Meaning(409, _C, retry=False, text="An account keeps one device: delete the account instead."),
    Code.FORBIDDEN: Meaning(403, _C, retry=False, text="Not allowed."),
    Code.NOT_FOUND: Meaning(404, _C, retry=False, text="There is nothing here."),
    Code.METHOD_NOT_ALLOWED: Meaning(405, _C, retry=False, text="This path has no such method."),
    Code.UNKNOWN_USER: Meaning(404, _C, retry=False, text="There is no such user."),
    Code.UNKNOWN_CHAT: Meaning(404, _C, retry=False, text="There is no such chat, or you are not in it."),
    Code.UNKNOWN_DEVICE: Meaning(404, _C, retry=False, text="There is no such device."),
    Code.HANDLE_TAKEN: Meaning(409, _C, retry=False, text="The user name is taken."),
    Code.HANDLE_INVALID: Meaning(400, _C, retry=False, text="A user name has 3 to 32 of a-z, 0-9, '_' and '.'."),
    Code.REGISTRATION_CLOSED: Meaning(403, _C, retry=False, text="This server takes no new accounts."),
    Code.INVITE_REQUIRED: Meaning(403, _C, retry=False, text="This server asks for an invite."),
    Code.INVITE_INVALID: Meaning(403, _C, retry=False, text="The invite is not valid, used up or expired."),
    Code.TICKET_INVALID: Meaning(
        409, _C, retry=True, text="The registration took too long or was already used: start again."
    ),
    Code.LIST_CONFLICT: Meaning(
        409, _N, retry=True, text="Another device changed the device list: fetch it and try again."
    ),
    Code.LIST_INVALID: Meaning(400, _C, retry=False, text="The device list does not verify."),
    Code.TOO_MANY_DEVICES: Meaning(409, _C, retry=False, text="The account has too many devices."),
    Code.MID_CONFLICT: Meaning(409, _C, retry=False, text="Another message has this id."),
    Code.STALE_EPOCH: Meaning(409, _N, retry=True, text="The membership has changed: fetch, rotate and send again."),
    Code.EVENT_CONFLICT: Meaning(409, _N, retry=True, text="Another membership event came first: fetch and try again."),
    Code.EVENT_INVALID: Meaning(403, _C, retry=False, text="The membership event is not valid or not allowed."),
    Code.STALE_PREKEY: Meaning(409, _N, retry=True, text="The device's key has changed: claim it again."),
    Code.MAILBOX_FULL: Meaning(429, _N, retry=True, text="The device's mailbox is full."),
    Code.UPLOAD_CONFLICT: Meaning(
        409, _N, retry=True, text="The upload is at another place: ask where, and go on from there."
    ),
    Code.PROFILE_CONFLICT: Meaning(
        409, _N, retry=True, text="Another device changed the profile: take a higher version."
    ),
    Code.QUOTA_EXCEEDED: Meaning(413, _C, retry=False, text="There is no room left for this account."),
    Code.RANGE_INVALID: Meaning(416, _C, retry=False, text="The file has no such part."),
    Code.REQUEST_LIMIT: Meaning(429, _C, retry=True, text="Too many unanswered message requests."),
    Code.RATE_LIMITED: Meaning(429, _C, retry=True, text="Too many requests."),
    Code.ROLLED_BACK: Meaning(409, _C, retry=False, text="This device was restored from an old copy: add it again."),
    Code.REPLAYED: Meaning(401, _C, retry=False, text="This request was already used."),
    Code.UNAVAILABLE: Meaning(503, _S, retry=True, text="The server cannot do this now."),
    Code.INTERNAL: Meaning(500, _S, retry=True, text="The server failed; the request had no effect."),
}


class ProtocolError(Exception):
    """A refusal with a stable code.

    Attributes:
        code: what went wrong.
        retry_after_ms: when to try again, for limits.
        detail: names the limiter or the field, for people and logs; never secret.
    """

    def __init__(self, code: Code, detail: str = "", *, retry_after_ms: int = 0) -> None:
        super().__init__(f"{code}: {detail or MEANINGS[code].text}")
        self.code = code
        self.detail = detail
        self.retry_after_ms = retry_after_ms


class Close(IntEnum):
    """WebSocket close codes of `/ws` and `/auth/ws`."""

    NORMAL = 1000
    GOING_AWAY = 1001
    TOO_BIG = 1009
    INTERNAL = 1011
    MALFORMED = 4400
    BAD_MAC = 4401
    LOGIN_ENDED = 4403
    HELLO_TIMEOUT = 4408
    SLOW_READER = 4409
    REPLACED = 4410
    ROLLED_BACK = 4411
    NEWER_VERSION = 4426
    RATE_LIMITED = 4429
    DRAIN = 4503
    TOO_OLD = 4504


@dataclass(frozen=True, slots=True)
class CloseMeaning:
    """What a client does after a close: reconnect at once (with backoff), after a new token, or not at all."""

    reconnect: bool
    new_token: bool
    text: str


CLOSE_MEANINGS: dict[Close, CloseMeaning] = {
    Close.NORMAL: CloseMeaning(reconnect=True, new_token=False, text="closed"),
    Close.GOING_AWAY: CloseMeaning(reconnect=True, new_token=False, text="the server goes away"),
    Close.TOO_BIG: CloseMeaning(reconnect=True, new_token=False, text="a frame was larger than allowed"),
    Close.INTERNAL: CloseMeaning(reconnect=True, new_token=False, text="the server failed"),
    Close.MALFORMED: CloseMeaning(reconnect=True, new_token=False, text="a frame was not well-formed"),
    Close.BAD_MAC: CloseMeaning(reconnect=True, new_token=False, text="a frame was altered, replayed or out of order"),
    Close.LOGIN_ENDED: CloseMeaning(reconnect=True, new_token=True, text="the login is no longer valid"),
    Close.HELLO_TIMEOUT: CloseMeaning(reconnect=True, new_token=False, text="no hello in time"),
    Close.SLOW_READER: CloseMeaning(reconnect=True, new_token=False, text="the reader was too slow"),
    Close.REPLACED: CloseMeaning(reconnect=True, new_token=False, text="another connection of this device took over"),
    Close.ROLLED_BACK: CloseMeaning(reconnect=False, new_token=False, text="the device was restored from an old copy"),
    Close.NEWER_VERSION: CloseMeaning(reconnect=False, new_token=False, text="the other side needs a newer version"),
    Close.RATE_LIMITED: CloseMeaning(reconnect=True, new_token=False, text="too many frames"),
    Close.DRAIN: CloseMeaning(reconnect=True, new_token=False, text="the server restarts"),
    Close.TOO_OLD: CloseMeaning(reconnect=True, new_token=True, text="the connection was open for a day"),
}
