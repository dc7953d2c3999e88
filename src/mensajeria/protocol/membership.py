"""The one rule for membership events, applied by the server and by every client (docs/protocol/e2ee.md §8).

An event that breaks the rule is void: skipped, without effect. What cannot be decided for lack of data is pending,
never void. Of two events for the same place only one can be in a chain; two valid ones are a fork, which is evidence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from mensajeria.protocol.decoding import decode_record
from mensajeria.protocol.devices import NewerListNeededError, UnknownDeviceError, VerifiedList, signer_at
from mensajeria.protocol.encoding import MalformedError, NewerVersionError, encode
from mensajeria.protocol.membership_rules import RULES, VoidEventError, apply_event, check_fields, new_rows
from mensajeria.protocol.membership_state import (
    ChatKind,
    FormerMember,
    MembershipState,
    NewerType,
    Pending,
    Role,
    Row,
    Signer,
    SignerLookup,
    Unavailable,
    Valid,
    Verdict,
    Void,
    VoidReason,
    direct_chat_id,
    event_hash,
    group_chat_id,
    start_direct,
)
from mensajeria.protocol.records import MemberEvent, Signed
from mensajeria.protocol.signing import BadSignatureError, Ctx, verify_ed25519

__all__ = [
    "EARLIER_EVENTS",
    "ChatKind",
    "FormerMember",
    "MembershipState",
    "NewerType",
    "Pending",
    "Role",
    "Row",
    "Signer",
    "SignerLookup",
    "Unavailable",
    "Valid",
    "Verdict",
    "Void",
    "VoidReason",
    "decode_member_event",
    "direct_chat_id",
    "encode_member_event",
    "event_hash",
    "group_chat_id",
    "is_fork",
    "is_quarantined",
    "judge",
    "lookup_in",
    "replay",
    "start_direct",
]

ZERO32: Final = bytes(32)
EARLIER_EVENTS: Final = "earlier events"
"""What is pending when an event names a place that is not reached yet."""


def encode_member_event(event: MemberEvent) -> bytes:
    """The bytes that are signed (ctx member-event)."""
    return encode(event)


def decode_member_event(body: bytes) -> MemberEvent:
    """Raises NewerVersionError or MalformedError for anything that is not a membership event."""
    return decode_record(MemberEvent, body)


def judge(state: MembershipState | None, signed: Signed, signer: SignerLookup) -> Verdict:
    """Judge the event that is to follow `state`; None when a group's create event is expected."""
    try:
        event = decode_member_event(signed.body)
        if state is None:
            return _judge_create(event, signed, signer)
        return _judge_next(state, event, signed, signer)
    except NewerVersionError:
        return NewerType("")
    except MalformedError:
        return Void(VoidReason.MALFORMED)
    except VoidEventError as void:
        return Void(void.reason)


def replay(state: MembershipState | None, body: bytes) -> MembershipState:
    """The state after an event that was judged valid before and kept where nobody could change it.

    Signature and device list are not looked at again: since then the author may have another identity.

    Raises:
        ValueError: it is not the event that follows.
    """
    try:
        event = decode_member_event(body)
        if state is None:
            return _created(event, body)
        author = state.members[event.by_uid]
        return apply_event(RULES[event.type], state, event, author, event_hash(body))
    except (VoidEventError, KeyError) as error:
        raise ValueError("not the event that follows") from error


def lookup_in(lists: Mapping[bytes, VerifiedList]) -> SignerLookup:
    """A lookup in the newest verified list of each user."""

    def lookup(uid: bytes, did: bytes, dl_ver: int) -> Signer | Unavailable:
        verified = lists.get(uid)
        if verified is None:
            return Unavailable.PENDING
        try:
            return Signer(signer_at(verified, did, dl_ver).ed25519, verified.idfp)
        except NewerListNeededError:
            return Unavailable.PENDING
        except UnknownDeviceError:
            return Unavailable.UNKNOWN

    return lookup


def is_fork(before: MembershipState | None, first: Signed, second: Signed, signer: SignerLookup) -> bool:
    """True only for proof: two different events, both valid after the same state. Claims never count."""
    if first.body == second.body:
        return False
    return all(isinstance(judge(before, event, signer), Valid) for event in (first, second))


def is_quarantined(*, mhead_seq: int, cut_seq: int | None, cut_row_seq: int, row_seq: int, cursor_passed: bool) -> bool:
    """Must a row be folded because its author was already cut off when it arrived?

    Args:
        mhead_seq: membership event the author had seen when writing.
        cut_seq: membership seq of the author's removal, or of the `device` event that ended the device; None = neither.
        cut_row_seq: place of that event in the chat's log.
        row_seq: place of the row in the chat's log.
        cursor_passed: this device had already gone past the row's place without seeing it.
    """
    if cut_seq is None or mhead_seq >= cut_seq:
        return False
    return row_seq > cut_row_seq or cursor_passed


def _judge_create(event: MemberEvent, signed: Signed, signer: SignerLookup) -> Verdict:
    if event.type != "create" or event.seq != 1:
        return Pending("the create event")
    state = _created(event, signed.body)
    found = signer(event.by_uid, event.by_did, event.dl_ver)
    if found is Unavailable.PENDING:
        return Pending("device list")
    _check_signature(event, signed, found, state.members[event.by_uid].idfp)
    return Valid(state, event)


def _created(event: MemberEvent, body: bytes) -> MembershipState:
    if event.type != "create" or event.chat_id != ZERO32 or event.prev != ZERO32:
        raise VoidEventError(VoidReason.FIELDS)
    check_fields(event, frozenset({"members", "nonce"}), frozenset({"timer_s", "supersedes"}))
    rows = new_rows(event)
    owners = [row.uid for row in rows.values() if row.role is Role.OWNER]
    if owners != [event.by_uid]:
        raise VoidEventError(VoidReason.NOT_ALLOWED)
    rows[event.by_uid] = replace(rows[event.by_uid], dl_last=event.dl_ver)
    return MembershipState(group_chat_id(body), ChatKind.GROUP, 1, event_hash(body), rows, timer_s=event.timer_s)


def _judge_next(state: MembershipState, event: MemberEvent, signed: Signed, signer: SignerLookup) -> Verdict:
    _check_chat(state, event)
    if event.seq > state.seq + 1:
        return Pending(EARLIER_EVENTS)
    if event.seq <= state.seq:
        raise VoidEventError(VoidReason.STALE)
    if event.prev != state.hash:
        raise VoidEventError(VoidReason.WRONG_PREV)
    author = state.members.get(event.by_uid)
    if author is None:
        raise VoidEventError(VoidReason.NOT_MEMBER)
    if event.dl_ver < max(author.dl_floor, author.dl_last):
        raise VoidEventError(VoidReason.OLD_DEVICE_LIST)
    found = signer(event.by_uid, event.by_did, event.dl_ver)
    if found is Unavailable.PENDING:
        return Pending("device list")
    _check_signature(event, signed, found, event.idfp if event.type == "identity" else author.idfp)
    rule = RULES.get(event.type)
    if rule is None:
        return NewerType(event.type) if event.type != "create" else Void(VoidReason.NOT_ALLOWED)
    return Valid(apply_event(rule, state, event, author, event_hash(signed.body)), event)


def _check_chat(state: MembershipState, event: MemberEvent) -> None:
    if event.chat_id != state.chat_id:
        raise VoidEventError(VoidReason.OTHER_CHAT)


def _check_signature(event: MemberEvent, signed: Signed, found: Signer | Unavailable, idfp: bytes) -> None:
    """`idfp` empty (direct chat): whichever identity is pinned for that user, which the lookup answers by."""
    if not isinstance(found, Signer):
        raise VoidEventError(VoidReason.UNKNOWN_DEVICE)
    if idfp not in {b"", found.idfp} or (event.type == "identity" and idfp == b""):
        raise VoidEventError(VoidReason.WRONG_IDENTITY)
    try:
        verify_ed25519(found.ed25519, Ctx.MEMBER_EVENT, signed.body, signed.sig)
    except BadSignatureError as error:
        raise VoidEventError(VoidReason.BAD_SIGNATURE) from error
