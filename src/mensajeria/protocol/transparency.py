"""The key log: labels, values and leaves, and the signed tree head (docs/protocol/e2ee.md §12, RFC 6962 hashing)."""

from __future__ import annotations

import hashlib
from typing import Final

from mensajeria.protocol import limits
from mensajeria.protocol.decoding import decode_record
from mensajeria.protocol.encoding import H, MalformedError, encode
from mensajeria.protocol.records import Signed, TransparencyLeaf, TreeHead
from mensajeria.protocol.signing import BadSignatureError, Ctx, verify_ed25519

NO_PREVIOUS: Final = -1
HEAD_FRESH_MS: Final = 24 * 3600 * 1000


class TreeHeadError(ValueError):
    """Not a tree head of that log."""


def uid_label(uid: bytes) -> bytes:
    """The label under which a user's keys are logged."""
    return H("kt-uid", uid)


def uid_value(record_bytes: bytes, list_body: bytes) -> bytes:
    """What is logged for a user: identity record and device list."""
    return H("kt-uid-value", record_bytes, list_body)


def handle_label(server_id: bytes, handle: str) -> bytes:
    """The label under which the owner of a user name is logged."""
    return H("kt-handle", server_id, handle.encode("ascii"))


def handle_value(uid: bytes) -> bytes:
    """What is logged for a user name: its owner."""
    return H("kt-handle-value", uid)


def encode_leaf(leaf: TransparencyLeaf) -> bytes:
    """The leaf's bytes, whose RFC 6962 hash stands in the tree."""
    return encode(leaf)


def decode_leaf(data: bytes) -> TransparencyLeaf:
    """Raises NewerVersionError or MalformedError for anything that is not a leaf."""
    return decode_record(TransparencyLeaf, data, max_size=512)


def leaf_hash(encoded: bytes) -> bytes:
    """SHA-256(0x00 ‖ leaf), RFC 6962 §2.1."""
    return hashlib.sha256(b"\x00" + encoded).digest()


def log_id(log_key: bytes) -> bytes:
    """Names a log by its public signing key."""
    return H("kt-log", log_key)


def verify_tree_head(signed: Signed, *, log_key: bytes) -> TreeHead:
    """The head that the log's pinned key has signed.

    Raises:
        TreeHeadError: not signed by it, malformed, or of another log.
    """
    try:
        verify_ed25519(log_key, Ctx.STH, signed.body, signed.sig)
        head = decode_record(TreeHead, signed.body, max_size=512)
    except (BadSignatureError, MalformedError) as error:
        raise TreeHeadError(str(error)) from error
    if head.log_id != log_id(log_key):
        raise TreeHeadError("of another log")
    return head


def head_is_fresh(head: TreeHead, now_ms: int) -> bool:
    """Younger than a day, and not from the future by more than clocks may differ. An older one warns, never blocks."""
    return -limits.CLOCK_TOLERANCE_MS <= now_ms - head.ts < HEAD_FRESH_MS
