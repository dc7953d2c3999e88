"""Linking a new device to one that is there already: a code that is shown to the new one, and the proof it was read.

The code says which server and which identity to expect and holds a secret. It opens nothing by itself: the new device
still needs the password, because only that unwraps the account root which must sign the new device list
(docs/decisions/0010-linking.md).
"""

from __future__ import annotations

import hashlib
import hmac
import os
from typing import Final

from mensajeria.kit.secrets import Secret
from mensajeria.protocol.decoding import decode_record
from mensajeria.protocol.encoding import MalformedError, cat, encode
from mensajeria.protocol.ids import b64, unb64
from mensajeria.protocol.records import ListedDevice
from mensajeria.protocol.records_healing import LinkCode, LinkProof

PREFIX: Final = "mensajeria-link:"
MAX_CHARS: Final = 4096
VALID_MS: Final = 10 * 60 * 1000


class LinkCodeError(ValueError):
    """Not a link code, or one of a newer program."""


def new_code(*, url: str, server_id: bytes, handle: str, uid: bytes, idfp: bytes, did: bytes) -> LinkCode:
    """A code with fresh randomness."""
    return LinkCode(
        url=url,
        server_id=server_id,
        handle=handle,
        uid=uid,
        idfp=idfp,
        did=did,
        link_id=os.urandom(16),
        secret=os.urandom(32),
    )


def code_text(code: LinkCode) -> Secret:
    """The code as people copy it, or as a QR picture holds it."""
    return Secret.from_text(PREFIX + b64(encode(code)))


def parse_code(text: str) -> LinkCode:
    """The inverse of `code_text`; spaces and line breaks around and inside are ignored. Raises LinkCodeError."""
    if len(text) > 2 * MAX_CHARS:
        raise LinkCodeError("too long")
    joined = "".join(text.split())
    if not joined.startswith(PREFIX) or len(joined) > MAX_CHARS:
        raise LinkCodeError("not a link code")
    try:
        return decode_record(LinkCode, unb64(joined.removeprefix(PREFIX)), max_size=MAX_CHARS)
    except (MalformedError, ValueError) as error:
        raise LinkCodeError("not a link code") from error


def prove(code: LinkCode, device: ListedDevice) -> LinkProof:
    """What the new device, as the list has it now, sends to the one that showed the code."""
    return LinkProof(link_id=code.link_id, mac=_mac(code, device))


def is_proof(code: LinkCode, device: ListedDevice, proof: LinkProof) -> bool:
    """Whether that very device has read that very code; compared in constant time."""
    same = hmac.compare_digest(code.link_id, proof.link_id)
    return hmac.compare_digest(_mac(code, device), proof.mac) and same


def _mac(code: LinkCode, device: ListedDevice) -> bytes:
    said = cat(b"link", code.uid, code.idfp, device.did, device.ed25519, device.curve25519)
    return hmac.new(code.secret, said, hashlib.sha256).digest()
