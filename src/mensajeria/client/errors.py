"""What can go wrong in the client, by whose fault it is.

ClientError
├── InputError            the caller's: a value that cannot be right (handle, address, text, password)
├── ProfileError          this device's: the profile folder, its lock, its key
├── NetworkError          nobody's: the server cannot be reached or went away; try again
├── RefusedError          the server said no, with a code of its public table
├── SecurityError         the server (or somebody between) did what it must not; nothing of it was used
└── StateError            the call does not fit the client's state
    ├── MessageFailedError    a message was refused for good
    └── SendBlockedError      a verified contact's identity changed: the answer of the person is needed first

Each error has a stable `code`; its sentence for people is `error.<code>` of the catalogue.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mensajeria.protocol.errors import MEANINGS, Fault, ProtocolError

if TYPE_CHECKING:
    from collections.abc import Mapping


_KNOWN = {code.value: meaning for code, meaning in MEANINGS.items()}


def may_retry(code: str) -> bool:
    """Whether the public table says that the same request may succeed later; False for an unknown code."""
    return code in _KNOWN and _KNOWN[code].retry


def had_no_effect(code: str) -> bool:
    """Whether a refusal certainly changed nothing: a server that fails may do so after it has stored what was asked."""
    return code in _KNOWN and _KNOWN[code].fault is not Fault.SERVER


class ClientError(Exception):
    """Base of everything the client raises on purpose.

    Attributes:
        code: stable; `error.<code>` in the catalogue is its sentence.
        detail: for logs and for people who know; never secret.
        params: values for the sentence's placeholders.
        retry: whether the same call may succeed later.
    """

    retry = False

    def __init__(self, code: str, detail: str = "", *, params: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{code}: {detail}" if detail else code)
        self.code = code
        self.detail = detail
        self.params: Mapping[str, str] = params or {}


class InputError(ClientError):
    """The caller's.

    Codes: handle_invalid, bad_address, insecure_address, bad_ca_file, weak_password, empty_text, too_large,
    invite_invalid, unknown_chat, unknown_message, file_unreadable, not_a_file, file_changed, image_invalid,
    image_too_large, no_attachment, target_exists, target_unwritable.
    """


class ProfileError(ClientError):
    """This device's.

    Codes: profile_in_use, profile_exists, account_unsure, profile_missing, profile_damaged, profile_newer,
    passphrase_needed, passphrase_wrong, keyring_failed, key_lost, store_failed, other_account, disk_full.
    """


class NetworkError(ClientError):
    """Codes: network (cannot be reached), timeout, tls (the certificate does not verify), not_a_server."""

    retry = True


class RefusedError(ClientError):
    """The server refused; `code` is a `protocol.errors.Code` (or the text of a newer server's unknown one)."""

    def __init__(self, code: str, detail: str = "", *, retry_after_ms: int = 0) -> None:
        super().__init__(code, detail)
        self.retry_after_ms = retry_after_ms
        self.retry = may_retry(code)

    @classmethod
    def from_protocol(cls, error: ProtocolError) -> RefusedError:
        """The same refusal as the client's own error."""
        return cls(error.code, error.detail, retry_after_ms=error.retry_after_ms)


class SecurityError(ClientError):
    """The server's, or somebody's in between; nothing of it was used.

    Codes: server_changed, identity_swapped, list_rolled_back, list_forked, list_invalid, prekey_invalid,
    weak_parameters, login_tampered, chat_tampered, file_tampered.
    """


class StateError(ClientError):
    """Codes: closed, offline, login_ended, request_pending, person_blocked, and those of its children."""


class MessageFailedError(StateError):
    """The message will not be sent by itself: `retry_message` or `discard_message`. `code` tells why."""


class SendBlockedError(StateError):
    """Code identity_changed: nothing is encrypted until `Chat.accept_identity`."""

    def __init__(self, handle: str) -> None:
        super().__init__("identity_changed", params={"handle": handle})
