from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mensajeria.crypto.device import DeviceKeys
from mensajeria.crypto.recovery import RecoveryCode
from mensajeria.crypto.root import AccountRoot
from mensajeria.protocol import limits
from mensajeria.protocol.encoding import encode
from mensajeria.protocol.membership import (
    NewerType,
    Pending,
    Role,
    Unavailable,
    Valid,
    Void,
    VoidReason,
    direct_chat_id,
    encode_member_event,
    event_hash,
    group_chat_id,
    is_fork,
    is_quarantined,
    judge,
    start_direct,
)
from mensajeria.protocol.records import MemberEvent, Signed
from mensajeria.protocol.signing import Ctx
from tests.crypto.people import NOW, SERVER, Person
from tests.protocol.grouping import ZERO, Group, state_of, successor
from tests.support.examples import examples


@pytest.fixture(scope="module")
def crowd() -> list[Person]:
    """Sorted by uid: 0 is the owner, 1 an admin, 2 and 3 members, 4 a stranger."""
    return [Person(f"person{i}", bytes([i + 1]) * 16) for i in range(5)]


@pytest.fixture
def group(crowd: list[Person]) -> Group:
    group = Group(crowd)
    group.does(0, "create", members=group.founders(), nonce=os.urandom(16))
    return group


# --- create ---


def test_create_names_the_group(crowd: list[Person]) -> None:
    group = Group(crowd)
    signed = group.event(0, "create", members=group.founders(), nonce=bytes(15) + b"\x01", timer_s=60)
    verdict = group.judge(signed)
    assert isinstance(verdict, Valid)
    assert verdict.state.chat_id == group_chat_id(signed.body)
    assert (verdict.state.seq, verdict.state.epoch, verdict.state.timer_s) == (1, 0, 60)
    assert verdict.state.role(crowd[0].uid) is Role.OWNER


@pytest.mark.parametrize(
    ("reason", "changes"),
    [
        (VoidReason.FIELDS, {"chat_id": b"\x01" * 32}),
        (VoidReason.FIELDS, {"prev": b"\x01" * 32}),
        (VoidReason.FIELDS, {"nonce": b""}),
        (VoidReason.FIELDS, {"nonce": b"\x01" * 15}),
        (VoidReason.FIELDS, {"members": ()}),
        (VoidReason.FIELDS, {"who": b"\x01" * 16}),
        (VoidReason.FIELDS, {"supersedes": b"\x01" * 31}),
    ],
)
def test_create_fields(crowd: list[Person], reason: VoidReason, changes: dict[str, Any]) -> None:
    group = Group(crowd)
    fields: dict[str, Any] = {"members": group.founders(), "nonce": b"\x01" * 16, **changes}
    group.refuses(reason, 0, "create", **fields)


def test_create_has_exactly_its_author_as_owner(crowd: list[Person]) -> None:
    group = Group(crowd)
    group.refuses(VoidReason.NOT_ALLOWED, 1, "create", members=group.founders(), nonce=b"\x01" * 16)
    two = (group.member(0, "owner"), group.member(1, "owner"))
    group.refuses(VoidReason.NOT_ALLOWED, 0, "create", members=two, nonce=b"\x01" * 16)
    none = (group.member(0), group.member(1))
    group.refuses(VoidReason.NOT_ALLOWED, 0, "create", members=none, nonce=b"\x01" * 16)


def test_members_stand_sorted_and_once(crowd: list[Person]) -> None:
    group = Group(crowd)
    for members in [
        (group.member(0, "owner"), group.member(0)),
        (group.member(1), group.member(0, "owner")),
    ]:
        group.refuses(VoidReason.FIELDS, 0, "create", members=members, nonce=b"\x01" * 16)


def test_create_is_needed_first_and_only_then(crowd: list[Person], group: Group) -> None:
    assert isinstance(judge(None, group.event(0, "leave", who=crowd[0].uid), group.lookup), Pending)
    group.refuses(VoidReason.NOT_ALLOWED, 0, "create", members=group.founders(), nonce=b"\x01" * 16)


# --- place, author, signature ---


def test_place_in_the_chain(crowd: list[Person], group: Group) -> None:
    who = crowd[2].uid
    group.refuses(VoidReason.OTHER_CHAT, 0, "remove", who=who, chat_id=b"\x07" * 32)
    group.refuses(VoidReason.STALE, 0, "remove", who=who, seq=1)
    group.refuses(VoidReason.WRONG_PREV, 0, "remove", who=who, prev=b"\x07" * 32)
    assert isinstance(group.judge(group.event(0, "remove", who=who, seq=3)), Pending)


def test_only_members_with_a_listed_device_sign(crowd: list[Person], group: Group) -> None:
    group.refuses(VoidReason.NOT_MEMBER, 4, "add", members=(group.member(4),))
    foreign = DeviceKeys.create(crowd[0].uid)
    assert group.judge(group.event(0, "remove", foreign, who=crowd[2].uid)) == Void(VoidReason.UNKNOWN_DEVICE)
    real = group.event(0, "remove", who=crowd[2].uid)
    forged = Signed(real.body, crowd[1].device.sign(Ctx.MEMBER_EVENT, real.body).sig)
    assert group.judge(forged) == Void(VoidReason.BAD_SIGNATURE)
    crossed = Signed(real.body, crowd[0].device.sign(Ctx.MEGOLM_BIND, real.body).sig)
    assert group.judge(crossed) == Void(VoidReason.BAD_SIGNATURE)


def test_missing_lists_are_pending_not_void(crowd: list[Person], group: Group) -> None:
    assert isinstance(group.judge(group.event(0, "remove", who=crowd[2].uid, dl_ver=9)), Pending)
    del group.lists[crowd[1].uid]
    signed = crowd[1].device.member_event(
        MemberEvent(
            chat_id=state_of(group).chat_id,
            seq=2,
            prev=state_of(group).hash,
            by_uid=crowd[1].uid,
            by_did=crowd[1].device.did,
            dl_ver=1,
            type="timer",
            ts=NOW,
        )
    )
    assert isinstance(group.judge(signed), Pending)


def test_another_identity_does_not_speak_for_a_member(crowd: list[Person], group: Group) -> None:
    impostor = Person("impostor", crowd[2].uid)
    group.lists[crowd[2].uid] = impostor.list
    signed = group.event(2, "leave", impostor.device, who=crowd[2].uid)
    assert group.judge(signed) == Void(VoidReason.WRONG_IDENTITY)


def test_an_unknown_type_is_for_newer_programs(crowd: list[Person], group: Group) -> None:
    assert group.judge(group.event(2, "poll")) == NewerType("poll")
    assert group.judge(group.event(4, "poll")) == Void(VoidReason.NOT_MEMBER)
    assert isinstance(group.judge(group.event(2, "leave", v=2)), NewerType)


@examples(60)
@given(st.binary(max_size=400))
def test_any_bytes_are_void(body: bytes) -> None:
    verdict = judge(None, Signed(body, bytes(64)), lambda *_: Unavailable.UNKNOWN)
    assert isinstance(verdict, Void | NewerType | Pending)


def test_every_type_refuses_the_fields_of_others(crowd: list[Person], group: Group) -> None:
    fields: dict[str, Any] = {
        "members": (group.member(4),),
        "who": crowd[0].uid,
        "role": "admin",
        "idfp": b"\x01" * 32,
        "succession": b"\x01",
        "timer_s": 5,
        "profile_ver": 1,
        "profile": b"\x01",
        "nonce": b"\x01" * 16,
        "supersedes": b"\x01" * 32,
    }
    own: dict[str, dict[str, Any]] = {
        "add": {"members": (group.member(4),)},
        "remove": {"who": crowd[2].uid},
        "role": {"who": crowd[2].uid, "role": "admin"},
        "device": {"who": crowd[0].uid},
        "timer": {"timer_s": 5},
        "profile": {"profile_ver": 1, "profile": b"\x01"},
        "supersede": {"supersedes": b"\x01" * 32},
    }
    for type_, needed in own.items():
        assert isinstance(group.judge(group.event(0, type_, **needed)), Valid), type_
        for extra in fields.keys() - needed.keys():
            signed = group.event(0, type_, **needed, **{extra: fields[extra]})
            assert group.judge(signed) == Void(VoidReason.FIELDS), (type_, extra)
        for missing in needed.keys() - {"timer_s"}:
            rest = {name: value for name, value in needed.items() if name != missing}
            assert group.judge(group.event(0, type_, **rest)) == Void(VoidReason.FIELDS), (type_, missing)


# --- who may do what ---


def test_roles(crowd: list[Person], group: Group) -> None:
    uid = [person.uid for person in crowd]
    no = VoidReason.NOT_ALLOWED
    group.refuses(no, 2, "add", members=(group.member(4),))
    group.refuses(no, 2, "remove", who=uid[3])
    group.refuses(no, 2, "role", who=uid[3], role="admin")
    group.refuses(no, 2, "timer", timer_s=5)
    group.refuses(no, 2, "profile", profile_ver=1, profile=b"x")
    group.refuses(no, 2, "supersede", supersedes=b"\x01" * 32)
    group.refuses(no, 1, "role", who=uid[2], role="admin")
    group.refuses(no, 1, "remove", who=uid[0])
    group.refuses(no, 1, "remove", who=uid[1])
    group.refuses(no, 1, "add", members=(group.member(4, "admin"),))
    group.refuses(no, 0, "add", members=(group.member(4, "owner"),))
    group.refuses(no, 1, "supersede", supersedes=b"\x01" * 32)
    group.refuses(no, 0, "remove", who=uid[0])
    group.refuses(no, 0, "leave", who=uid[0])
    group.refuses(no, 2, "leave", who=uid[3])
    group.refuses(no, 2, "device", who=uid[3])
    group.refuses(VoidReason.NO_CHANGE, 1, "remove", who=uid[4])
    group.refuses(VoidReason.NO_CHANGE, 1, "add", members=(group.member(2),))
    group.refuses(VoidReason.NO_CHANGE, 0, "role", who=uid[0], role="member")
    group.refuses(VoidReason.NO_CHANGE, 0, "role", who=uid[1], role="admin")
    group.refuses(VoidReason.FIELDS, 0, "role", who=uid[2], role="king")


def test_an_admin_cannot_remove_an_admin(crowd: list[Person], group: Group) -> None:
    group.does(0, "role", who=crowd[2].uid, role="admin")
    group.refuses(VoidReason.NOT_ALLOWED, 1, "remove", who=crowd[2].uid)
    group.does(0, "remove", who=crowd[2].uid)


def test_there_is_always_exactly_one_owner(crowd: list[Person], group: Group) -> None:
    state = group.does(0, "role", who=crowd[2].uid, role="owner")
    assert [uid for uid, row in state.members.items() if row.role is Role.OWNER] == [crowd[2].uid]
    assert state.role(crowd[0].uid) is Role.ADMIN
    group.does(0, "leave", who=crowd[0].uid)


def test_the_epoch_follows_what_cuts_somebody_off(crowd: list[Person], group: Group) -> None:
    assert group.does(0, "add", members=(group.member(4),)).epoch == 0
    assert group.does(0, "timer", timer_s=60).epoch == 0
    assert group.does(1, "profile", profile_ver=3, profile=b"sealed").epoch == 0
    assert group.does(1, "remove", who=crowd[4].uid).epoch == 5
    assert group.does(3, "leave", who=crowd[3].uid).epoch == 6
    assert group.does(0, "timer").timer_s == 0
    assert state_of(group).epoch == 6
    group.refuses(VoidReason.NO_CHANGE, 1, "profile", profile_ver=3, profile=b"again")


def test_a_group_has_a_largest_size(crowd: list[Person], group: Group, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_GROUP_MEMBERS", 4)
    group.refuses(VoidReason.TOO_MANY, 0, "add", members=(group.member(4),))


def test_a_superseded_group_is_closed(crowd: list[Person], group: Group) -> None:
    group.refuses(VoidReason.FIELDS, 0, "supersede", supersedes=state_of(group).chat_id)
    group.does(0, "supersede", supersedes=b"\x05" * 32)
    group.refuses(VoidReason.CLOSED, 0, "add", members=(group.member(4),))
    group.does(3, "leave", who=crowd[3].uid)


# --- devices and floors ---


@pytest.fixture
def revoked() -> tuple[Group, Person, DeviceKeys]:
    """A group whose admin (list 2) has removed a device (list 3) and has said so."""
    people = [Person(f"person{i}", bytes([i + 1]) * 16) for i in range(5)]
    admin = people[1]
    lost = admin.add_device()
    group = Group(people)
    group.does(0, "create", members=group.founders(), nonce=os.urandom(16))
    admin.remove_device(lost.did)
    group.lists[admin.uid] = admin.list
    group.does(1, "device", who=admin.uid)
    return group, admin, lost


def test_a_revoked_device_signs_nothing_more(revoked: tuple[Group, Person, DeviceKeys]) -> None:
    group, admin, lost = revoked
    backdated = group.event(1, "add", lost, members=(group.member(4),), dl_ver=2)
    assert group.judge(backdated) == Void(VoidReason.OLD_DEVICE_LIST)
    newest = group.event(1, "add", lost, members=(group.member(4),), dl_ver=3)
    assert group.judge(newest) == Void(VoidReason.UNKNOWN_DEVICE)
    state = state_of(group)
    assert (state.epoch, state.members[admin.uid].dl_floor) == (2, 3)
    assert state.may_write(admin.uid, 3)
    assert not state.may_write(admin.uid, 2)
    assert not state.may_write(b"\x09" * 16, 3)


def test_the_floor_survives_leaving(revoked: tuple[Group, Person, DeviceKeys]) -> None:
    group, admin, lost = revoked
    group.does(1, "leave", who=admin.uid)
    state = group.does(0, "add", members=(group.member(1),))
    assert state.members[admin.uid].dl_floor == 3
    assert group.judge(group.event(1, "leave", lost, who=admin.uid, dl_ver=2)) == Void(VoidReason.OLD_DEVICE_LIST)


def test_the_list_version_never_decreases() -> None:
    people = [Person(f"person{i}", bytes([i + 1]) * 16) for i in range(5)]
    group = Group(people)
    group.does(0, "create", members=group.founders(), nonce=os.urandom(16))
    people[0].add_device()
    group.lists[people[0].uid] = people[0].list
    group.does(0, "timer", timer_s=1)
    group.refuses(VoidReason.OLD_DEVICE_LIST, 0, "timer", timer_s=2, dl_ver=1)
    group.does(0, "device", who=people[0].uid)
    group.refuses(VoidReason.NO_CHANGE, 0, "device", who=people[0].uid)


# --- identity ---


def test_a_succession_moves_a_member(crowd: list[Person], group: Group) -> None:
    new, proof = successor(crowd[2])
    group.lists[new.uid] = new.list
    keys = new.device
    fields: dict[str, Any] = {"who": new.uid, "idfp": new.idfp, "succession": proof}
    signed = group.event(2, "identity", keys, **fields)
    verdict = group.judge(signed)
    assert isinstance(verdict, Valid)
    assert verdict.state.members[new.uid].idfp == new.idfp
    assert verdict.state.epoch == 2
    other, _ = successor(crowd[2])
    for bad in (
        {**fields, "idfp": other.idfp},
        {**fields, "succession": proof[:-1]},
        {**fields, "succession": crowd[3].identity.succession(new.record, crowd[3].code, NOW)},
        {**fields, "succession": crowd[2].identity.succession(other.record, crowd[2].code, NOW)},
        {**fields, "succession": crowd[2].identity.succession(new.record, RecoveryCode.generate(), NOW)},
        {
            **fields,
            "succession": AccountRoot.generate()
            .identity(new.uid, crowd[2].code.public)
            .succession(new.record, crowd[2].code, NOW),
        },
    ):
        refused = group.judge(group.event(2, "identity", keys, **bad))
        assert refused in (Void(VoidReason.NO_SUCCESSION), Void(VoidReason.WRONG_IDENTITY))


# --- direct chats ---


def test_a_direct_chat_needs_no_event(crowd: list[Person]) -> None:
    ana, bruno = crowd[:2]
    chat_id = direct_chat_id(SERVER, ana.uid, bruno.uid)
    assert chat_id == direct_chat_id(SERVER, bruno.uid, ana.uid)
    assert chat_id != direct_chat_id(bytes(16), ana.uid, bruno.uid)
    state = start_direct(chat_id, SERVER, ana.uid, bruno.uid)
    assert state.head == start_direct(chat_id, SERVER, bruno.uid, ana.uid).head
    assert (state.head.seq, state.head.hash) == (0, chat_id)
    with pytest.raises(ValueError, match="not the id"):
        start_direct(chat_id, SERVER, ana.uid, crowd[2].uid)
    note = direct_chat_id(SERVER, ana.uid, ana.uid)
    assert len(start_direct(note, SERVER, ana.uid, ana.uid).members) == 1


def test_a_direct_chats_members_are_fixed(crowd: list[Person]) -> None:
    group = Group(crowd)
    ana, bruno = crowd[:2]
    chat_id = direct_chat_id(SERVER, ana.uid, bruno.uid)
    group.state = start_direct(chat_id, SERVER, ana.uid, bruno.uid)
    no = VoidReason.NOT_IN_DIRECT_CHAT
    group.refuses(no, 0, "add", members=(group.member(2),))
    group.refuses(no, 0, "remove", who=bruno.uid)
    group.refuses(no, 0, "leave", who=ana.uid)
    group.refuses(no, 0, "timer", timer_s=1)
    group.refuses(no, 0, "supersede", supersedes=b"\x01" * 32)
    group.refuses(VoidReason.NOT_MEMBER, 2, "device", who=crowd[2].uid)
    group.refuses(VoidReason.WRONG_PREV, 0, "device", who=ana.uid, prev=ZERO)
    signed = group.event(0, "device", who=ana.uid)
    state = group.does(0, "device", who=ana.uid)
    assert (state.seq, state.epoch, state.hash) == (1, 1, event_hash(signed.body))


# --- state, fork, quarantine ---


def test_the_head_commits_to_everything_that_matters(crowd: list[Person], group: Group) -> None:
    heads = {state_of(group).head.state}
    group.does(0, "timer", timer_s=9)
    heads.add(state_of(group).head.state)
    group.does(0, "profile", profile_ver=1, profile=b"p")
    heads.add(state_of(group).head.state)
    group.does(0, "role", who=crowd[2].uid, role="admin")
    heads.add(state_of(group).head.state)
    group.does(2, "device", who=crowd[2].uid)
    heads.add(state_of(group).head.state)
    group.does(0, "remove", who=crowd[2].uid)
    heads.add(state_of(group).head.state)
    assert len(heads) == 6


def test_the_same_events_give_the_same_head(crowd: list[Person], group: Group) -> None:
    events = [group.event(0, "add", members=(group.member(4),))]
    first = judge(state_of(group), events[0], group.lookup)
    second = judge(state_of(group), events[0], group.lookup)
    assert isinstance(first, Valid)
    assert isinstance(second, Valid)
    assert first.state.head == second.state.head


def test_only_two_valid_events_are_a_fork(crowd: list[Person], group: Group) -> None:
    before = state_of(group)
    one = group.event(0, "remove", who=crowd[2].uid)
    two = group.event(1, "remove", who=crowd[3].uid)
    claim = group.event(2, "remove", who=crowd[3].uid)
    assert is_fork(before, one, two, group.lookup)
    assert not is_fork(before, one, one, group.lookup)
    assert not is_fork(before, one, claim, group.lookup)
    assert not is_fork(before, one, Signed(two.body, bytes(64)), group.lookup)


@pytest.mark.parametrize(
    ("mhead", "cut", "row", "passed", "expected"),
    [
        (3, None, 50, True, False),
        (5, 5, 50, True, False),
        (4, 5, 50, False, True),
        (4, 5, 30, False, False),
        (4, 5, 30, True, True),
    ],
)
def test_quarantine(mhead: int, cut: int | None, row: int, passed: bool, expected: bool) -> None:
    got = is_quarantined(mhead_seq=mhead, cut_seq=cut, cut_row_seq=40, row_seq=row, cursor_passed=passed)
    assert got is expected


@examples(25)
@example([(0, 1, 1), (2, 2, 0), (3, 2, 0), (0, 2, 0), (0, 0, 1)])
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 6), st.integers(0, 4)), max_size=12))
def test_whatever_is_tried_the_invariants_hold(steps: list[tuple[int, int, int]]) -> None:
    crowd = _crowd()
    group = Group(crowd)
    group.does(0, "create", members=group.founders(), nonce=b"\x01" * 16)
    for by, action, target in steps:
        before = state_of(group)
        verdict = group.judge(ACTIONS[action](group, by, target))
        if isinstance(verdict, Valid):
            group.state = verdict.state
        state = state_of(group)
        owners = sum(row.role is Role.OWNER for row in state.members.values())
        assert owners == (1 if state.members else 0)  # an owner who is alone may leave
        assert state.epoch >= before.epoch
        assert state.seq == before.seq + isinstance(verdict, Valid)
        assert all(
            state.members[uid].dl_floor >= row.dl_floor for uid, row in before.members.items() if uid in state.members
        )


ACTIONS: list[Callable[[Group, int, int], Signed]] = [
    lambda g, by, to: g.event(by, "add", members=(g.member(to),)),
    lambda g, by, to: g.event(by, "remove", who=g.crowd[to].uid),
    lambda g, by, to: g.event(by, "leave", who=g.crowd[by].uid),
    lambda g, by, to: g.event(by, "role", who=g.crowd[to].uid, role="owner"),
    lambda g, by, to: g.event(by, "role", who=g.crowd[to].uid, role="admin"),
    lambda g, by, to: g.event(by, "device", who=g.crowd[by].uid),
    lambda g, by, to: g.event(by, "timer", timer_s=to),
]
_cached: list[Person] = []


def _crowd() -> list[Person]:
    if not _cached:
        _cached.extend(Person(f"person{i}", bytes([i + 1]) * 16) for i in range(5))
    return _cached


def test_events_encode_canonically(crowd: list[Person], group: Group) -> None:
    signed = group.event(0, "timer", timer_s=4)
    verdict = group.judge(signed)
    assert isinstance(verdict, Valid)
    assert encode_member_event(verdict.event) == signed.body == encode(verdict.event)
