"""The closed union of frames on `/ws`. The type byte of the frame header names the body's struct.

Bodies are msgpack arrays (`array_like`): small, and without keys that could be repeated. Structs on the hot path are
`gc=False`. `FRAMES` is the only table; the codec, the documentation and the fuzz tests are driven by it.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Final

import msgspec

from mensajeria.protocol import limits
from mensajeria.protocol.ids import U8, U32, U63, Bytes16, Bytes32
from mensajeria.protocol.records import MessageOuter, Signed

Text = Annotated[str, msgspec.Meta(max_length=256)]


class Frame(msgspec.Struct, array_like=True, forbid_unknown_fields=True, gc=False):
    """Base of every frame body."""


class Hello(Frame):
    """Client's first frame, unauthenticated: has no effect before the first MAC'd frame verifies."""

    v: U8
    did: Bytes16
    jwt: Annotated[str, msgspec.Meta(max_length=2048)]
    nonce: Bytes32
    gen: U63
    """Count of persisted encryptions; lower than known = the device was rolled back."""


class Welcome(Frame):
    """Server's answer. proof = HMAC-SHA256(K_s, cat("hello", nonce_c, nonce_s, did, server_id, restore_epoch u64))."""

    server_id: Bytes16
    restore_epoch: U63
    nonce: Bytes32
    proof: Bytes32


class Sync(Frame):
    """Asks for the heads of the user's chats whose ids are above `after`: the next page continues after the greatest.

    Ids do not change, so that no chat is left out or comes twice, whatever happens between two pages.
    """

    rid: U32
    after: Annotated[bytes, msgspec.Meta(max_length=32)] = b""


class Head(Frame):
    """One chat of a sync page."""

    chat_id: Bytes32
    last_seq: U63
    epoch: U63
    """Sequence number of the last membership event that forces a new session."""
    member_seq: U63
    """Sequence number of the last membership event, 0 = none."""
    accepted: bool
    """False while the chat is a message request that this user has not answered."""
    members: Annotated[tuple[Bytes16, ...], msgspec.Meta(max_length=2)]
    """For a direct chat its two members (one for the note to self); empty for a group."""
    delivered: U63
    """The other member's delivered cursor (direct chats), 0 = unknown."""
    cursor: U63
    """This device's own delivered cursor as the server has it."""


class SyncPage(Frame):
    """Answer to `Sync`: the chats with the smallest ids above `after`, newest activity first."""

    rid: U32
    heads: Annotated[tuple[Head, ...], msgspec.Meta(max_length=limits.MAX_SYNC_HEADS)]
    more: bool


class Fetch(Frame):
    """Asks for up to `limit` events of a chat with seq > after, oldest first."""

    rid: U32
    chat_id: Bytes32
    after: U63
    limit: Annotated[int, msgspec.Meta(ge=1, le=limits.MAX_FETCH_EVENTS)]


class EventKind(IntEnum):
    """What a row of a chat's log holds."""

    MESSAGE = 0
    MEMBER = 1
    TOMBSTONE = 2


class Event(msgspec.Struct, array_like=True, forbid_unknown_fields=True, gc=False, tag=3):
    """A row of a chat's log. `body` is the stored bytes: a MessageOuter, a Signed MemberEvent, or a Tombstone."""

    chat_id: Bytes32
    seq: U63
    ts: U63
    """Arrival, milliseconds UTC, asserted by the server: display only."""
    kind: EventKind
    body: Annotated[bytes, msgspec.Meta(max_length=limits.MAX_FRAME)]


class Tombstone(msgspec.Struct, array_like=True, forbid_unknown_fields=True, gc=False):
    """What is left of an erased row. why: 1 = deleted by its author, 2 = by an admin, 3 = timer, 4 = retention."""

    session_id: Bytes32
    idx: U32
    why: U8


class Events(Frame):
    """Answer to `Fetch`: rows after+1 .., gapless; `last_seq` is the log's end when it was read."""

    rid: U32
    chat_id: Bytes32
    last_seq: U63
    events: Annotated[tuple[Event, ...], msgspec.Meta(max_length=limits.MAX_FETCH_EVENTS)]


class Ack(msgspec.Struct, array_like=True, forbid_unknown_fields=True, gc=False, tag=1):
    """The message is committed as row `seq` of its chat."""

    chat_id: Bytes32
    mid: Bytes16
    seq: U63
    ts: U63


class Nack(msgspec.Struct, array_like=True, forbid_unknown_fields=True, gc=False, tag=2):
    """The message is not stored. `code` is a protocol.errors.Code."""

    chat_id: Bytes32
    mid: Bytes16
    code: Text
    retry_after_ms: U32 = 0


class Envelope(msgspec.Struct, array_like=True, forbid_unknown_fields=True, gc=False, tag=4):
    """A to-device ciphertext in this device's mailbox. `id` grows; the row stays until acked."""

    id: U63
    prekey_id: U32
    blob: Annotated[bytes, msgspec.Meta(min_length=1, max_length=limits.MAX_ENVELOPE)]


class PeerCursor(msgspec.Struct, array_like=True, forbid_unknown_fields=True, gc=False, tag=5):
    """A member's devices have stored the chat up to `seq` (the "delivered" tick)."""

    chat_id: Bytes32
    uid: Bytes16
    seq: U63


class NewChat(msgspec.Struct, array_like=True, forbid_unknown_fields=True, gc=False, tag=6):
    """This user has become a member of a chat, or its head has changed in a way events do not carry (acceptance)."""

    head: Head


BatchItem = Ack | Nack | Event | Envelope | PeerCursor | NewChat


class Batch(Frame):
    """What the server has for this connection, in order. One frame carries everything that is ready."""

    items: Annotated[tuple[BatchItem, ...], msgspec.Meta(min_length=1, max_length=limits.MAX_BATCH_ITEMS)]


class PutTarget(Frame):
    """One envelope for one device."""

    did: Bytes16
    prekey_id: U32
    blob: Annotated[bytes, msgspec.Meta(min_length=1, max_length=limits.MAX_ENVELOPE)]


class PutDevice(Frame):
    """Puts envelopes into mailboxes; each target has its own outcome."""

    rid: U32
    targets: Annotated[tuple[PutTarget, ...], msgspec.Meta(min_length=1, max_length=limits.MAX_PUT_TARGETS)]
    gen: U63
    """As in `Hello`, when these were read from the store: a copy made before them is told from its original."""


class PutOutcome(IntEnum):
    """stale: unlisted device, or the prekey is no longer its newest: claim again. refused: not accepted or blocked."""

    OK = 0
    STALE = 1
    QUOTA = 2
    REFUSED = 3


class PutResult(Frame):
    """Answer to `PutDevice`, in its order; sent after the commit."""

    rid: U32
    outcomes: Annotated[tuple[PutOutcome, ...], msgspec.Meta(max_length=limits.MAX_PUT_TARGETS)]


class MailFetch(Frame):
    """Asks for mailbox rows with id > after; 0 = from the start. An empty answer to after=0 means drained."""

    rid: U32
    after: U63


class MailPage(Frame):
    """Answer to `MailFetch`."""

    rid: U32
    envelopes: Annotated[tuple[Envelope, ...], msgspec.Meta(max_length=limits.MAX_MAIL_PAGE)]


class MailAck(Frame):
    """These envelopes are stored (applied, parked or failed) on the device and may go."""

    ids: Annotated[tuple[U63, ...], msgspec.Meta(min_length=1, max_length=limits.MAX_MAIL_PAGE)]


class Cursor(Frame):
    """This device has stored the chat up to `seq`."""

    chat_id: Bytes32
    seq: U63


class Typing(Frame):
    """Both ways; the server fills in `uid` (the client sends 16 zero bytes). Not stored, not promised."""

    chat_id: Bytes32
    uid: Bytes16
    on: bool


class Presence(Frame):
    """Both ways. From a device: its user shows that they are here, or not any more; off until it says so.

    From the server, only to devices that show themselves: a contact is here, or not any more. The server fills in `uid`
    (the client sends 16 zero bytes). Not stored, not promised.
    """

    uid: Bytes16
    on: bool


class ListChanged(Frame):
    """A contact's (or the own) device list has a new version: fetch it before the next send."""

    uid: Bytes16
    ver: U63


class OtkLow(Frame):
    """How many one-time keys of this device the server has left."""

    left: U32


class Ping(Frame):
    """Either side, answered by `Pong` with the same number."""

    n: U32


class Pong(Frame):
    """Answer to `Ping`."""

    n: U32


class Drain(Frame):
    """The server is about to restart: reconnect after `after_ms` (spread over clients)."""

    after_ms: U32


class SessionEnded(Frame):
    """The login is over (code: login_revoked, account_suspended, ...); the close follows."""

    code: Text


class Error(Frame):
    """A request failed. `rid` 0 = not about a request."""

    rid: U32
    code: Text
    detail: Text = ""
    retry_after_ms: U32 = 0


FRAMES: Final[dict[int, type[msgspec.Struct]]] = {
    1: Hello,
    2: Welcome,
    3: Sync,
    4: SyncPage,
    5: Fetch,
    6: Events,
    7: MessageOuter,
    8: Batch,
    9: PutDevice,
    10: PutResult,
    11: MailFetch,
    12: MailPage,
    13: MailAck,
    14: Cursor,
    15: Typing,
    16: ListChanged,
    17: OtkLow,
    18: Ping,
    19: Pong,
    20: Drain,
    21: SessionEnded,
    22: Error,
    23: Presence,
}
TYPE_OF: Final[dict[type[msgspec.Struct], int]] = {struct: number for number, struct in FRAMES.items()}
SEND: Final = 7
BATCH: Final = 8
FROM_CLIENT: Final = frozenset({1, 3, 5, 7, 9, 11, 13, 14, 15, 18, 19, 23})
FROM_SERVER: Final = frozenset({2, 4, 6, 8, 10, 12, 15, 16, 17, 18, 19, 20, 21, 22, 23})

ClientFrame = (
    Hello | Sync | Fetch | MessageOuter | PutDevice | MailFetch | MailAck | Cursor | Typing | Ping | Pong | Presence
)
ServerFrame = (
    Welcome
    | SyncPage
    | Events
    | Batch
    | PutResult
    | MailPage
    | Typing
    | ListChanged
    | OtkLow
    | Ping
    | Pong
    | Drain
    | SessionEnded
    | Error
    | Presence
)
SignedEvent = Signed
