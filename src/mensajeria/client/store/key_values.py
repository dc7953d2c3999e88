"""What the store keeps of keys and their letters: frozen rows. Key material is wrapped, plaintext is not in a repr."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from mensajeria.kit.secrets import Secret
from mensajeria.protocol.ids import ChatId, Did, SessionId, Uid

# --- sender sessions ---


@dataclass(frozen=True, slots=True)
class Outbound:
    """The sender session of a chat."""

    chat_id: ChatId
    session_id: SessionId
    state: Secret
    skb: bytes
    """Encoded Signed SessionBinding."""
    created_ms: int
    messages: int
    epoch: int
    fetched: bool = False
    """A recipient has fetched this key: before that no further rotation."""


class ShareOutcome(StrEnum):
    """What became of a session's key for one device."""

    QUEUED = "queued"
    SHARED = "shared"
    STALE = "stale"
    QUOTA = "quota"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Share:
    """The session's key for one device, from index `idx` on."""

    uid: Uid
    did: Did
    idx: int
    outcome: ShareOutcome
    at_ms: int


@dataclass(frozen=True, slots=True)
class InboundKey:
    """Under what an inbound session is stored (docs/protocol/e2ee.md §6)."""

    chat_id: ChatId
    session_id: SessionId
    uid: Uid
    did: Did


@dataclass(frozen=True, slots=True)
class Inbound:
    """An inbound session; `state` holds its binding and what is unproven, too."""

    key: InboundKey
    state: Secret
    created_ms: int
    next_idx: int = 0
    """The index that the author's next message should have."""


class Seen(StrEnum):
    """What is known of a ciphertext at an index."""

    NEW = "new"
    SAME = "same"
    OTHER = "other"
    """The index was used by another ciphertext, or declared void by its author: an attack."""


# --- to-device ---


@dataclass(frozen=True, slots=True)
class OlmPeerRow:
    """The pairwise sessions with a device, tombstones included."""

    did: Did
    uid: Uid
    state: Secret
    unwedged_ms: int = 0
    """When a new session was last started to heal the old ones."""


class EnvelopeOutcome(StrEnum):
    """Where an envelope ended."""

    APPLIED = "applied"
    PARKED = "parked"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ParkedEnvelope:
    """An opened envelope that waits for a device list of `uid`."""

    hash: bytes
    uid: Uid
    outer: bytes = field(repr=False)
    at_ms: int


@dataclass(frozen=True, slots=True)
class OutgoingEnvelope:
    """A sealed envelope that the server has not confirmed; sent again byte-identical."""

    id: int
    uid: Uid
    did: Did
    prekey_id: int
    blob: bytes = field(repr=False)
    type: str
    session_id: SessionId | None
    created_ms: int


@dataclass(frozen=True, slots=True)
class KeyRequestRow:
    """A missing session and how far the ladder of questions has come."""

    key: InboundKey
    idx: int
    """Lowest index that is needed."""
    step: int
    first_ms: int
    next_ms: int
