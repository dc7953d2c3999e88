"""What each type of membership event may carry, who may sign it, and what it changes (docs/protocol/e2ee.md §8)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from mensajeria.protocol import limits
from mensajeria.protocol.membership_state import ChatKind, FormerMember, MembershipState, Role, Row, VoidReason
from mensajeria.protocol.records import MemberEvent
from mensajeria.protocol.succession import SuccessionError, verify_succession

_OPTIONAL: Final[dict[str, object]] = {
    "members": (),
    "who": b"",
    "role": "",
    "idfp": b"",
    "succession": b"",
    "timer_s": 0,
    "profile_ver": 0,
    "profile": b"",
    "nonce": b"",
    "supersedes": b"",
}
_SIZES: Final = {"who": 16, "idfp": 32, "nonce": 16, "supersedes": 32}


class VoidEventError(Exception):
    """The event is void; `judge` turns this into its verdict."""

    def __init__(self, reason: VoidReason) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Rule:
    """What an event of one type may carry and who may sign it, and its effect."""

    apply: Callable[[MembershipState, MemberEvent, Row], MembershipState]
    required: frozenset[str]
    optional: frozenset[str] = frozenset()
    roles: frozenset[Role] = frozenset(Role)
    in_direct: bool = False
    new_epoch: bool = False
    when_closed: bool = False


def apply_event(
    rule: Rule, state: MembershipState, event: MemberEvent, author: Row, body_hash: bytes
) -> MembershipState:
    """The state after an event that stands in the right place and is signed by a device of `author`."""
    if state.kind is ChatKind.DIRECT and not rule.in_direct:
        raise VoidEventError(VoidReason.NOT_IN_DIRECT_CHAT)
    if state.superseded_by and not rule.when_closed:
        raise VoidEventError(VoidReason.CLOSED)
    if state.kind is ChatKind.GROUP and author.role not in rule.roles:
        raise VoidEventError(VoidReason.NOT_ALLOWED)
    check_fields(event, rule.required, rule.optional)
    author = replace(author, dl_last=event.dl_ver)
    following = replace(state, seq=event.seq, hash=body_hash, members={**state.members, author.uid: author})
    if rule.new_epoch:
        following = replace(following, epoch=event.seq)
    return rule.apply(following, event, author)


def check_fields(event: MemberEvent, required: frozenset[str], optional: frozenset[str]) -> None:
    """Exactly the fields of its type: nothing may hide in the others."""
    for name, default in _OPTIONAL.items():
        value = getattr(event, name)
        if value == default:
            if name in required:
                raise VoidEventError(VoidReason.FIELDS)
        elif (name not in required and name not in optional) or (name in _SIZES and len(value) != _SIZES[name]):
            raise VoidEventError(VoidReason.FIELDS)


def new_rows(event: MemberEvent) -> dict[bytes, Row]:
    """The members an event names: sorted by uid, each once."""
    uids = [member.uid for member in event.members]
    if any(a >= b for a, b in pairwise(uids)):
        raise VoidEventError(VoidReason.FIELDS)
    return {member.uid: Row(member.uid, member.idfp, Role(member.role)) for member in event.members}


def _target(state: MembershipState, event: MemberEvent) -> Row:
    row = state.members.get(event.who)
    if row is None:
        raise VoidEventError(VoidReason.NO_CHANGE)
    return row


def _self_only(event: MemberEvent) -> None:
    if event.who != event.by_uid:
        raise VoidEventError(VoidReason.NOT_ALLOWED)


def _without(state: MembershipState, row: Row) -> MembershipState:
    members = {uid: other for uid, other in state.members.items() if uid != row.uid}
    gone = FormerMember(state.seq, row.dl_floor, row.dl_last, row.floor_seq)
    return replace(state, members=members, former={**state.former, row.uid: gone})


def _with(state: MembershipState, *rows: Row) -> MembershipState:
    return replace(state, members={**state.members, **{row.uid: row for row in rows}})


def _add(state: MembershipState, event: MemberEvent, author: Row) -> MembershipState:
    rows = new_rows(event)
    if rows.keys() & state.members.keys():
        raise VoidEventError(VoidReason.NO_CHANGE)
    allowed = {Role.MEMBER, Role.ADMIN} if author.role is Role.OWNER else {Role.MEMBER}
    if any(row.role not in allowed for row in rows.values()):
        raise VoidEventError(VoidReason.NOT_ALLOWED)
    if len(state.members) + len(rows) > limits.MAX_GROUP_MEMBERS:
        raise VoidEventError(VoidReason.TOO_MANY)
    return _with(state, *[_with_old_floors(state, row) for row in rows.values()])


def _with_old_floors(state: MembershipState, row: Row) -> Row:
    """Who comes back keeps the floors: a device that was revoked before stays cut off."""
    old = state.former.get(row.uid)
    if old is None:
        return row
    return replace(row, dl_floor=old.dl_floor, dl_last=old.dl_last, floor_seq=old.floor_seq)


def _remove(state: MembershipState, event: MemberEvent, author: Row) -> MembershipState:
    row = _target(state, event)
    if row.uid == author.uid or (author.role is Role.ADMIN and row.role is not Role.MEMBER):
        raise VoidEventError(VoidReason.NOT_ALLOWED)
    return _without(state, row)


def _leave(state: MembershipState, event: MemberEvent, author: Row) -> MembershipState:
    _self_only(event)
    if author.role is Role.OWNER and len(state.members) > 1:
        raise VoidEventError(VoidReason.NOT_ALLOWED)
    return _without(state, author)


def _change_role(state: MembershipState, event: MemberEvent, author: Row) -> MembershipState:
    row = _target(state, event)
    if event.role not in set(Role):
        raise VoidEventError(VoidReason.FIELDS)
    role = Role(event.role)
    if row.uid == author.uid or role is row.role:
        raise VoidEventError(VoidReason.NO_CHANGE)
    if role is Role.OWNER:  # exactly one: the ownership is handed over
        return _with(state, replace(author, role=Role.ADMIN), replace(row, role=role))
    return _with(state, replace(row, role=role))


def _change_identity(state: MembershipState, event: MemberEvent, author: Row) -> MembershipState:
    _self_only(event)
    try:
        succession = verify_succession(event.succession)
    except SuccessionError as error:
        raise VoidEventError(VoidReason.NO_SUCCESSION) from error
    if (succession.uid, succession.new_idfp) != (author.uid, event.idfp):
        raise VoidEventError(VoidReason.NO_SUCCESSION)
    if author.idfp and succession.old_idfp != author.idfp:
        raise VoidEventError(VoidReason.NO_SUCCESSION)
    return _with(state, replace(author, idfp=event.idfp))


def _raise_floor(state: MembershipState, event: MemberEvent, author: Row) -> MembershipState:
    _self_only(event)
    if event.dl_ver <= author.dl_floor:
        raise VoidEventError(VoidReason.NO_CHANGE)
    return _with(state, replace(author, dl_floor=event.dl_ver, floor_seq=event.seq))


def _set_timer(state: MembershipState, event: MemberEvent, _author: Row) -> MembershipState:
    return replace(state, timer_s=event.timer_s)


def _set_profile(state: MembershipState, event: MemberEvent, _author: Row) -> MembershipState:
    if event.profile_ver <= state.profile_ver:
        raise VoidEventError(VoidReason.NO_CHANGE)
    return replace(state, profile_ver=event.profile_ver, profile=event.profile)


def _supersede(state: MembershipState, event: MemberEvent, _author: Row) -> MembershipState:
    if event.supersedes == state.chat_id:
        raise VoidEventError(VoidReason.FIELDS)
    return replace(state, superseded_by=event.supersedes)


_LEADERS: Final = frozenset({Role.OWNER, Role.ADMIN})
_OWNER: Final = frozenset({Role.OWNER})
RULES: Final[dict[str, Rule]] = {
    "add": Rule(_add, frozenset({"members"}), roles=_LEADERS),
    "remove": Rule(_remove, frozenset({"who"}), roles=_LEADERS, new_epoch=True),
    "leave": Rule(_leave, frozenset({"who"}), new_epoch=True, when_closed=True),
    "role": Rule(_change_role, frozenset({"who", "role"}), roles=_OWNER),
    "identity": Rule(
        _change_identity, frozenset({"who", "idfp", "succession"}), in_direct=True, new_epoch=True, when_closed=True
    ),
    "device": Rule(_raise_floor, frozenset({"who"}), in_direct=True, new_epoch=True, when_closed=True),
    "timer": Rule(_set_timer, frozenset(), frozenset({"timer_s"}), roles=_LEADERS),
    "profile": Rule(_set_profile, frozenset({"profile_ver", "profile"}), roles=_LEADERS),
    "supersede": Rule(_supersede, frozenset({"supersedes"}), roles=_OWNER),
}
"""`supersede` closes a chat and names the one that follows it in `supersedes`."""
