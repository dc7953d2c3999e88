"""Exit codes of the command line, once: a number for each class of failure, and which error codes belong to it.

A script tells failures apart by the number; the exact code stands in the error line (and in its JSON form). Numbers are
never renamed and never reused. The table in docs/cli.md is checked against this one.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class Exit(IntEnum):
    """What a command's exit status says."""

    OK = 0
    INTERNAL = 1
    """A fault of this program; `--debug` shows where."""
    USAGE = 2
    """The command line is not well-formed, or an argument has a value that cannot be right."""
    BAD_CREDENTIALS = 3
    NAME_NOT_AVAILABLE = 4
    """The user name is taken or not well-formed."""
    INVITE = 5
    """The server asks for an invite, the invite is not valid, or registration is closed."""
    NETWORK = 6
    """The server cannot be reached or cannot answer now: worth another try."""
    PROFILE_IN_USE = 7
    REFUSED = 8
    """The server refused the message or the request for good."""
    IDENTITY_CHANGED = 9
    """A verified contact's identity changed: nothing was sent before the person has looked at it."""
    NOT_FOUND = 10
    """No such user, chat, device or invite."""
    WEAK_PASSWORD = 11
    SECURITY = 12
    """The server did something it must not, or is not the one this profile belongs to. Nothing was used."""
    LOGIN_ENDED = 13
    """The login was revoked or has expired: `mensajeria login` brings it back."""
    LIMIT = 14
    """Too many requests, or a limit of the server: later is fine."""
    PROFILE = 15
    """The profile folder holds no account, holds one already, or is damaged."""
    LOCKED = 16
    """The profile's key cannot be had: no keyring and no passphrase, or a wrong passphrase."""
    CONFIG = 17
    """A setting of the server is wrong, or what it keeps, or the backup of it."""
    NOT_INSTALLED = 18
    """A part of the program or a system library is missing."""
    TOO_LARGE = 19
    NEWER_VERSION = 20
    """The other side needs a newer version of this program."""


_CLASSES: Final[dict[Exit, tuple[str, ...]]] = {
    Exit.INTERNAL: ("bug", "closed"),
    Exit.USAGE: (
        "bad_address",
        "insecure_address",
        "empty_text",
        "recovery_code_invalid",
        "reset_code_invalid",
        "link_code_invalid",
        "name_invalid",
        "ambiguous_chat",
        "code_invalid",
        "audit_file_invalid",
        "audit_other_server",
        "file_unreadable",
        "not_a_file",
        "file_changed",
        "image_invalid",
        "image_too_large",
        "target_exists",
        "target_unwritable",
        "not_an_emoji",
        "timer_invalid",
        "profile_name_invalid",
        "profile_status_invalid",
        "own_account",
        "no_person",
    ),
    Exit.BAD_CREDENTIALS: ("bad_credentials", "recovery_invalid", "reset_invalid"),
    Exit.NAME_NOT_AVAILABLE: ("handle_taken", "handle_invalid"),
    Exit.INVITE: ("invite_required", "invite_invalid", "registration_closed"),
    Exit.NETWORK: ("network", "timeout", "tls", "not_a_server", "offline", "unavailable", "internal"),
    Exit.PROFILE_IN_USE: ("profile_in_use",),
    Exit.REFUSED: (
        "malformed",
        "forbidden",
        "method_not_allowed",
        "mid_conflict",
        "stale_epoch",
        "event_conflict",
        "event_invalid",
        "stale_prekey",
        "ticket_invalid",
        "list_conflict",
        "too_many_devices",
        "replayed",
        "upload_conflict",
        "profile_conflict",
        "range_invalid",
        "not_editable",
        "not_deletable",
        "account_pending",
        "approval_needed",
        "last_device",
        "user_state",
        "not_allowed_in_group",
        "not_a_member",
        "owner_stays",
        "already_member",
        "group_full",
        "group_busy",
        "group_superseded",
        "account_gone",
        "not_a_group",
        "verification_running",
        "no_verification",
        "no_chat",
        "request_pending",
        "person_blocked",
    ),
    Exit.IDENTITY_CHANGED: ("identity_changed",),
    Exit.NOT_FOUND: (
        "not_found",
        "unknown_user",
        "unknown_chat",
        "unknown_device",
        "unknown_message",
        "no_such_member",
        "no_attachment",
        "no_picture",
        "file_gone",
        "backup_missing",
        "recovery_code_unknown",
    ),
    Exit.WEAK_PASSWORD: ("weak_password",),
    Exit.SECURITY: (
        "server_changed",
        "identity_swapped",
        "list_rolled_back",
        "list_forked",
        "list_invalid",
        "prekey_invalid",
        "weak_parameters",
        "login_tampered",
        "link_refused",
        "chat_tampered",
        "group_forked",
        "chain_refused",
        "group_former_identity",
        "verification_mismatch",
        "invite_mismatch",
        "handle_remapped",
        "verification_failed",
        "not_verified",
        "file_tampered",
    ),
    Exit.LOGIN_ENDED: (
        "login_ended",
        "unauthorized",
        "token_expired",
        "login_revoked",
        "account_suspended",
        "rolled_back",
    ),
    Exit.LIMIT: ("rate_limited", "request_limit", "mailbox_full", "quota_exceeded"),
    Exit.PROFILE: (
        "profile_exists",
        "account_unsure",
        "profile_missing",
        "profile_damaged",
        "profile_newer",
        "store_failed",
        "other_account",
        "disk_full",
        "backup_damaged",
        "backup_exists",
    ),
    Exit.LOCKED: ("passphrase_needed", "passphrase_wrong", "keyring_failed", "key_lost", "backup_wrong_key"),
    Exit.CONFIG: ("config", "doctor", "server_backup_damaged", "server_not_empty", "tool_failed"),
    Exit.NOT_INSTALLED: ("not_installed", "no_display", "tool_missing"),
    Exit.TOO_LARGE: ("too_large", "report_too_long"),
    Exit.NEWER_VERSION: ("newer_version", "backup_newer", "server_backup_newer"),
}
_BY_CODE: Final = {code: status for status, codes in _CLASSES.items() for code in codes}


def exit_of(code: str) -> Exit:
    """The exit status of an error code. A code that this version does not know is a refusal."""
    return _BY_CODE.get(code, Exit.REFUSED)


def knows(code: str) -> bool:
    """Whether the code has a class of its own here."""
    return code in _BY_CODE
