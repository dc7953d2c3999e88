"""What both ends derive from a login: the transcript that a device signs, and the channel key CK."""

from __future__ import annotations

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from mensajeria.kit.secrets import Secret
from mensajeria.protocol.encoding import H


def login_transcript(ke1: bytes, ke2: bytes, ke3: bytes) -> bytes:
    """H("opaque", ke1, ke2, ke3), 32 bytes: names one login, so that a device's signature is good for no other."""
    return H("opaque", ke1, ke2, ke3)


def channel_key(session_key: bytes | Secret) -> Secret:
    """CK = HKDF-SHA256(SK, info "channel"), 32 bytes, for frame and REST MACs. SK is OPAQUE's 64-byte session key."""
    material = session_key.reveal() if isinstance(session_key, Secret) else session_key
    return Secret(HKDF(hashes.SHA256(), 32, salt=None, info=b"channel").derive(material))
