"""Text forms of what people pass on outside the app: verification codes (as QR) and invite links.

Any text gives a value or `LinkError`. Nothing of what a link says is believed before it was compared.
"""

from __future__ import annotations

import hmac
from typing import Final, TypeVar

from mensajeria.protocol.decoding import decode_record
from mensajeria.protocol.encoding import H, MalformedError, NewerVersionError, cat, encode
from mensajeria.protocol.ids import b64, unb64
from mensajeria.protocol.records_trust import InviteLink, VerificationCode

CODE_PREFIX: Final = "mensajeria-verify:"
LINK_PREFIX: Final = "mensajeria://join#"
_MAX_TEXT: Final = 4096
R = TypeVar("R", VerificationCode, InviteLink)


class LinkError(ValueError):
    """Not such a text."""


class NewerLinkError(LinkError):
    """Made by a newer program."""


def code_text(code: VerificationCode) -> str:
    """The text of a QR code."""
    return CODE_PREFIX + b64(encode(code))


def parse_code(text: str) -> VerificationCode:
    """Raises LinkError."""
    code = _parse(text, CODE_PREFIX, VerificationCode)
    if (code.size == 0) != (code.root == b"") or len(code.root) not in {0, 32}:
        raise LinkError("a head without a root")
    return code


def link_text(link: InviteLink) -> str:
    """The invite's link. All of it stands in the fragment, which programs do not send anywhere."""
    return LINK_PREFIX + b64(encode(link))


def is_link(text: str) -> bool:
    """Whether the text is meant as an invite's link, right or not."""
    return text.strip().lower().startswith("mensajeria:")


def parse_link(text: str) -> InviteLink:
    """Raises LinkError."""
    return _parse(text, LINK_PREFIX, InviteLink)


def invite_id(token: bytes) -> bytes:
    """Names an invite to who has made it."""
    return H("invite-id", token)[:16]


def invite_mac(secret: bytes, *, invitee: bytes, inviter: bytes) -> bytes:
    """What only somebody who has read the link can say of these two identities (their fingerprints)."""
    return hmac.digest(secret, cat(invitee, inviter), "sha256")


def _parse(text: str, prefix: str, kind: type[R]) -> R:
    text = text.strip()
    if len(text) > _MAX_TEXT or not text.startswith(prefix):
        raise LinkError("another kind of text")
    try:
        return decode_record(kind, unb64(text[len(prefix) :]))
    except NewerVersionError as error:
        raise NewerLinkError(str(error)) from error
    except (MalformedError, ValueError) as error:
        raise LinkError(str(error)) from error
