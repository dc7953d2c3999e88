"""The edges of the membership's rules: each check refuses the first value beyond it and takes the last one within."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from mensajeria.crypto.device import DeviceKeys
from mensajeria.protocol import limits
from mensajeria.protocol.membership import (
    ChatKind,
    FormerMember,
    MembershipState,
    NewerType,
    Pending,
    Role,
    Row,
    Valid,
    Void,
    VoidReason,
    direct_chat_id,
    encode_member_event,
    event_hash,
    group_chat_id,
    is_quarantined,
    judge,
    replay,
    start_direct,
)
from mensajeria.protocol.membership_rules import RULES
from mensajeria.protocol.records import SUITE_DIRECT_CHAT, Member, MemberEvent, MembershipHead, Signed
from tests.crypto.people import NOW, SERVER, Person
from tests.protocol.grouping import ZERO, Group, state_of, successor


@pytest.fixture(scope="module")
def crowd() -> list[Person]:
    """Sorted by uid: 0 is the owner, 1 an admin, 2 and 3 members, 4 a stranger."""
    return [Person(f"person{i}", bytes([i + 1]) * 16) for i in range(5)]


@pytest.fixture
def group(crowd: list[Person]) -> Group:
    group = Group(crowd)
    group.does(0, "create", members=group.founders(), nonce=os.urandom(16))
    return group


def with_row(group: Group, index: int, **changes: Any) -> None:
    """Let a member have another row in the state."""
    state, uid = state_of(group), group.crowd[index].uid
    group.state = replace(state, members={**state.members, uid: replace(state.members[uid], **changes)})


# --- the table of the rules: who may sign what, where, and whether it begins an epoch

ALL = {Role.OWNER, Role.ADMIN, Role.MEMBER}
LEADERS = {Role.OWNER, Role.ADMIN}


@pytest.mark.parametrize(
    ("kind", "roles", "in_direct", "new_epoch", "when_closed"),
    [
        ("add", LEADERS, False, False, False),
        ("remove", LEADERS, False, True, False),
        ("leave", ALL, False, True, True),
        ("role", {Role.OWNER}, False, False, False),
        ("identity", ALL, True, True, True),
        ("device", ALL, True, True, True),
        ("timer", LEADERS, False, False, False),
        ("profile", LEADERS, False, False, False),
        ("supersede", {Role.OWNER}, False, False, False),
    ],
)
def test_the_table_of_the_rules(
    kind: str, roles: set[Role], in_direct: bool, new_epoch: bool, when_closed: bool
) -> None:
    rule = RULES[kind]
    assert (set(rule.roles), rule.in_direct, rule.new_epoch, rule.when_closed) == (
        roles,
        in_direct,
        new_epoch,
        when_closed,
    )


def test_there_is_no_other_rule() -> None:
    assert set(RULES) == {"add", "remove", "leave", "role", "identity", "device", "timer", "profile", "supersede"}


# --- what an event leaves as it was


def test_an_event_changes_nothing_else(crowd: list[Person], group: Group) -> None:
    before = state_of(group)
    signed = group.event(0, "timer", timer_s=9)
    after = group.does(0, "timer", timer_s=9)
    owner = crowd[0].uid
    assert after == replace(
        before,
        seq=2,
        hash=event_hash(signed.body),
        timer_s=9,
        members={**before.members, owner: replace(before.members[owner], dl_last=1)},
    )


def test_a_profile_is_kept_with_its_version(crowd: list[Person], group: Group) -> None:
    state = group.does(1, "profile", profile_ver=3, profile=b"sealed")
    assert (state.profile_ver, state.profile) == (3, b"sealed")
    group.refuses(VoidReason.NO_CHANGE, 1, "profile", profile_ver=2, profile=b"older")
    assert group.does(1, "profile", profile_ver=4, profile=b"next").profile == b"next"


def test_a_created_group_begins_with_what_its_event_says(crowd: list[Person]) -> None:
    group = Group(crowd)
    signed = group.event(0, "create", members=group.founders(), nonce=b"\x01" * 16, timer_s=7)
    state = group.does(0, "create", members=group.founders(), nonce=b"\x01" * 16, timer_s=7)
    roles = (Role.OWNER, Role.ADMIN, Role.MEMBER, Role.MEMBER)
    rows = {crowd[i].uid: Row(crowd[i].uid, crowd[i].idfp, roles[i], dl_last=1 if i == 0 else 0) for i in range(4)}
    assert state == MembershipState(state.chat_id, ChatKind.GROUP, 1, event_hash(signed.body), rows, timer_s=7)


def test_a_replayed_event_gives_the_judged_state(crowd: list[Person], group: Group) -> None:
    create = Group(crowd).event(0, "create", members=group.founders(), nonce=b"\x01" * 16)
    assert replay(None, create.body).seq == 1
    before, signed = state_of(group), group.event(0, "remove", who=crowd[2].uid)
    verdict = group.judge(signed)
    assert isinstance(verdict, Valid)
    assert replay(before, signed.body) == verdict.state


@pytest.mark.parametrize("kind", ["create", "poll", "role"])
def test_what_does_not_follow_is_not_replayed(crowd: list[Person], group: Group, kind: str) -> None:
    with pytest.raises(ValueError, match="not the event"):
        replay(state_of(group), group.event(1, kind, who=crowd[2].uid, role="admin").body)


# --- the first event


@pytest.mark.parametrize("seq", [0, 2])
def test_a_create_event_has_the_first_place(crowd: list[Person], seq: int) -> None:
    group = Group(crowd)
    signed = group.event(0, "create", members=group.founders(), nonce=b"\x01" * 16, seq=seq)
    assert isinstance(group.judge(signed), Pending)


@pytest.mark.parametrize("changes", [{"chat_id": b"\x01" * 32}, {"prev": b"\x01" * 32}])
def test_a_kept_create_event_is_one(crowd: list[Person], changes: dict[str, Any]) -> None:
    group = Group(crowd)
    with pytest.raises(ValueError, match="not the event"):
        replay(None, group.event(0, "create", members=group.founders(), nonce=b"\x01" * 16, **changes).body)


def test_a_kept_first_event_is_a_create_event(crowd: list[Person]) -> None:
    group = Group(crowd)
    with pytest.raises(ValueError, match="not the event"):
        replay(None, group.event(0, "timer", members=group.founders(), nonce=b"\x01" * 16).body)


def test_a_create_event_of_another_identity_or_device_is_void(crowd: list[Person]) -> None:
    group = Group(crowd)
    fields: dict[str, Any] = {"nonce": b"\x01" * 16}
    wrong = (Member(uid=crowd[0].uid, idfp=crowd[1].idfp, role="owner"), group.member(1))
    group.refuses(VoidReason.WRONG_IDENTITY, 0, "create", members=wrong, **fields)
    stranger = DeviceKeys.create(crowd[0].uid)
    signed = group.event(0, "create", stranger, members=group.founders(), **fields)
    assert group.judge(signed) == Void(VoidReason.UNKNOWN_DEVICE)


def test_a_create_event_waits_for_its_authors_list(crowd: list[Person]) -> None:
    group = Group(crowd)
    del group.lists[crowd[0].uid]
    keys, founders = crowd[0].device, group.founders()
    event = MemberEvent(
        chat_id=ZERO,
        seq=1,
        prev=ZERO,
        by_uid=crowd[0].uid,
        by_did=keys.did,
        dl_ver=1,
        type="create",
        ts=NOW,
        members=founders,
        nonce=b"\x01" * 16,
    )
    assert judge(None, keys.member_event(event), group.lookup) == Pending("device list")


# --- adding


def test_only_the_owner_adds_admins_and_nobody_adds_an_owner(crowd: list[Person], group: Group) -> None:
    group.refuses(VoidReason.NOT_ALLOWED, 1, "add", members=(group.member(4, "admin"),))
    group.refuses(VoidReason.NOT_ALLOWED, 0, "add", members=(group.member(4, "owner"),))
    assert group.does(0, "add", members=(group.member(4, "admin"),)).role(crowd[4].uid) is Role.ADMIN


def test_a_group_may_be_exactly_as_large_as_the_limit(
    crowd: list[Person], group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_GROUP_MEMBERS", 5)
    assert len(group.does(0, "add", members=(group.member(4),)).members) == 5


def test_members_that_are_added_stand_sorted_and_once(crowd: list[Person], group: Group) -> None:
    group.does(0, "remove", who=crowd[3].uid)
    group.refuses(VoidReason.FIELDS, 0, "add", members=(group.member(4), group.member(3)))
    group.refuses(VoidReason.FIELDS, 0, "add", members=(group.member(4), group.member(4)))
    group.does(0, "add", members=(group.member(3), group.member(4)))


def test_who_comes_back_keeps_every_floor(crowd: list[Person], group: Group) -> None:
    with_row(group, 2, dl_floor=0, dl_last=1, floor_seq=1)
    state = group.does(0, "remove", who=crowd[2].uid)
    assert state.former[crowd[2].uid] == FormerMember(2, 0, 1, 1)
    state = group.does(0, "add", members=(group.member(2),))
    assert state.members[crowd[2].uid] == Row(crowd[2].uid, crowd[2].idfp, Role.MEMBER, 0, 1, 1)


def test_who_left_before_is_still_remembered_when_another_goes(crowd: list[Person], group: Group) -> None:
    group.does(0, "remove", who=crowd[2].uid)
    assert set(group.does(0, "remove", who=crowd[3].uid).former) == {crowd[2].uid, crowd[3].uid}


# --- going


def test_an_owner_may_go_only_as_the_last_one(crowd: list[Person], group: Group) -> None:
    for index in (1, 2):
        group.does(0, "remove", who=crowd[index].uid)
    assert len(state_of(group).members) == 2
    group.refuses(VoidReason.NOT_ALLOWED, 0, "leave", who=crowd[0].uid)
    group.does(0, "remove", who=crowd[3].uid)
    assert not group.does(0, "leave", who=crowd[0].uid).members


def test_who_has_gone_signs_nothing_more(crowd: list[Person], group: Group) -> None:
    group.does(3, "leave", who=crowd[3].uid)
    group.refuses(VoidReason.NOT_MEMBER, 3, "device", who=crowd[3].uid)


# --- roles


def test_the_ownership_is_handed_over_whole(crowd: list[Person], group: Group) -> None:
    state = group.does(0, "role", who=crowd[2].uid, role="owner")
    assert (state.role(crowd[0].uid), state.role(crowd[2].uid)) == (Role.ADMIN, Role.OWNER)
    group.refuses(VoidReason.NOT_ALLOWED, 0, "role", who=crowd[3].uid, role="admin")
    assert group.does(2, "role", who=crowd[0].uid, role="member").role(crowd[0].uid) is Role.MEMBER


def test_a_role_of_nobody_or_of_oneself_changes_nothing(crowd: list[Person], group: Group) -> None:
    group.refuses(VoidReason.NO_CHANGE, 0, "role", who=crowd[4].uid, role="admin")
    group.refuses(VoidReason.NO_CHANGE, 0, "role", who=crowd[0].uid, role="admin")


# --- identities and device lists


def test_an_identity_is_changed_only_by_whom_it_belongs_to(crowd: list[Person], group: Group) -> None:
    new, proof = successor(crowd[2])
    group.lists[new.uid] = new.list
    fields: dict[str, Any] = {"idfp": new.idfp, "succession": proof}
    signed = group.event(2, "identity", new.device, who=crowd[3].uid, **fields)
    assert group.judge(signed) == Void(VoidReason.NOT_ALLOWED)


def test_the_proof_of_a_new_identity_is_for_that_person_and_from_the_listed_one(crowd: list[Person]) -> None:
    group = Group(crowd)
    group.does(0, "create", members=group.founders(), nonce=b"\x01" * 16)
    new, proof = successor(crowd[2])
    group.lists[new.uid] = new.list
    event = {"who": new.uid, "idfp": new.idfp, "succession": proof}
    assert isinstance(group.judge(group.event(2, "identity", new.device, **event)), Valid)
    with_row(group, 2, idfp=b"\x07" * 32)
    assert group.judge(group.event(2, "identity", new.device, **event)) == Void(VoidReason.NO_SUCCESSION)
    elsewhere, foreign = successor(Person("somebody", b"\x09" * 16))
    keys = DeviceKeys.create(crowd[2].uid)
    identity = {"who": crowd[2].uid, "idfp": elsewhere.idfp, "succession": foreign}
    signed = group.event(2, "identity", keys, **identity)
    assert isinstance(group.judge(signed), Void)


def test_an_identity_event_needs_an_identity(crowd: list[Person]) -> None:
    group = Group(crowd)
    ana, bruno = crowd[:2]
    group.state = start_direct(direct_chat_id(SERVER, ana.uid, bruno.uid), SERVER, ana.uid, bruno.uid)
    new, proof = successor(ana)
    group.lists[ana.uid] = new.list
    without = group.event(0, "identity", new.device, who=ana.uid, idfp=b"", succession=proof)
    assert group.judge(without) == Void(VoidReason.WRONG_IDENTITY)
    event = {"who": ana.uid, "idfp": new.idfp, "succession": proof}
    verdict = group.judge(group.event(0, "identity", new.device, **event))
    assert isinstance(verdict, Valid)
    assert verdict.state.members[ana.uid].idfp == new.idfp
    assert verdict.state.members[bruno.uid].idfp == b""


def test_a_floor_is_raised_to_the_list_of_the_event_and_remembers_where(crowd: list[Person], group: Group) -> None:
    state = group.does(2, "device", who=crowd[2].uid)
    row = state.members[crowd[2].uid]
    assert (row.dl_floor, row.dl_last, row.floor_seq) == (1, 1, 2)
    group.refuses(VoidReason.NO_CHANGE, 2, "device", who=crowd[2].uid)


@pytest.mark.parametrize("floor", ["dl_floor", "dl_last"])
def test_a_list_below_either_floor_signs_nothing(crowd: list[Person], group: Group, floor: str) -> None:
    with_row(group, 0, **{floor: 1})
    assert isinstance(group.judge(group.event(0, "timer", timer_s=1)), Valid)
    with_row(group, 0, **{floor: 2})
    group.refuses(VoidReason.OLD_DEVICE_LIST, 0, "timer", timer_s=1)


# --- place and quarantine


def test_the_place_is_the_next_one(crowd: list[Person], group: Group) -> None:
    group.does(0, "timer", timer_s=1)
    group.refuses(VoidReason.STALE, 0, "timer", timer_s=2, seq=2)
    assert group.judge(group.event(0, "timer", timer_s=2, seq=4)) == Pending("earlier events")
    assert group.does(0, "timer", timer_s=2, seq=3).timer_s == 2


def test_a_row_right_at_the_cut_is_not_behind_it() -> None:
    at: dict[str, Any] = {"mhead_seq": 4, "cut_seq": 5, "cut_row_seq": 40, "cursor_passed": False}
    assert not is_quarantined(row_seq=40, **at)
    assert is_quarantined(row_seq=41, **at)


def test_a_closed_group_lets_people_go_and_nothing_else(crowd: list[Person], group: Group) -> None:
    group.does(0, "supersede", supersedes=b"\x05" * 32)
    assert state_of(group).superseded_by == b"\x05" * 32
    group.refuses(VoidReason.CLOSED, 0, "remove", who=crowd[2].uid)
    group.does(2, "device", who=crowd[2].uid)
    group.does(3, "leave", who=crowd[3].uid)


def test_what_names_something_has_its_exact_size(crowd: list[Person], group: Group) -> None:
    group.refuses(VoidReason.FIELDS, 0, "remove", who=crowd[2].uid[:15])
    group.refuses(VoidReason.FIELDS, 0, "supersede", supersedes=b"\x03" * 31)
    new, proof = successor(crowd[2])
    group.lists[new.uid] = new.list
    short = {"idfp": new.idfp[:31], "succession": proof}
    signed = group.event(2, "identity", new.device, who=new.uid, **short)
    assert group.judge(signed) in {Void(VoidReason.FIELDS), Void(VoidReason.WRONG_IDENTITY)}


# --- what a message's head commits to


def test_the_head_is_the_hash_of_the_sorted_table_with_timer_and_profile() -> None:
    rows = {
        b"\x02" * 16: Row(b"\x02" * 16, b"b" * 32, Role.MEMBER, 4),
        b"\x01" * 16: Row(b"\x01" * 16, b"", Role.OWNER),
    }
    state = MembershipState(b"c" * 32, ChatKind.GROUP, 7, b"h" * 32, rows, timer_s=60, profile_ver=5)
    table = [[b"\x01" * 16, b"", "owner", 0], [b"\x02" * 16, b"b" * 32, "member", 4]]
    parts = [msgspec.msgpack.encode(table), (60).to_bytes(4, "big"), (5).to_bytes(8, "big")]
    text = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    expected = hashlib.sha256(b"mensajeria/1/member-state\x00" + text).digest()
    assert state.head == MembershipHead(7, b"h" * 32, expected)


def test_a_list_exactly_at_the_floor_may_write() -> None:
    row = Row(b"\x01" * 16, b"i" * 32, Role.MEMBER, dl_floor=3)
    state = MembershipState(b"c" * 32, ChatKind.GROUP, 1, b"h" * 32, {row.uid: row})
    assert [state.may_write(row.uid, ver) for ver in (2, 3, 4)] == [False, True, True]
    assert not state.may_write(b"\x02" * 16, 4)
    assert (state.is_member(row.uid), state.is_member(b"\x02" * 16)) == (True, False)
    assert (state.role(row.uid), state.role(b"\x02" * 16)) == (Role.MEMBER, None)


def test_a_create_event_may_name_the_group_it_follows(crowd: list[Person]) -> None:
    group = Group(crowd)
    signed = group.event(0, "create", members=group.founders(), nonce=b"\x01" * 16, supersedes=b"\x05" * 32)
    verdict = group.judge(signed)
    assert isinstance(verdict, Valid)
    assert encode_member_event(verdict.event) == signed.body
    assert verdict.state.superseded_by == b""


def test_what_cannot_be_read_is_malformed_or_newer(crowd: list[Person], group: Group) -> None:
    assert judge(group.state, Signed(b"\x00", bytes(64)), group.lookup) == Void(VoidReason.MALFORMED)
    assert group.judge(group.event(0, "timer", v=2)) == NewerType("")


def test_what_waits_says_for_what(crowd: list[Person], group: Group) -> None:
    later = group.event(0, "timer", seq=3)
    assert group.judge(later) == Pending("earlier events")
    assert group.judge(group.event(0, "timer", dl_ver=9)) == Pending("device list")
    assert Group(crowd).judge(later) == Pending("the create event")


def hash_of(label: str, *parts: bytes) -> bytes:
    text = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return hashlib.sha256(b"mensajeria/1/" + label.encode() + b"\x00" + text).digest()


def test_ids_and_hashes_are_those_of_the_document() -> None:
    low, high = b"\x01" * 16, b"\x02" * 16
    assert direct_chat_id(SERVER, high, low) == hash_of("direct", SUITE_DIRECT_CHAT, SERVER, low, high)
    assert group_chat_id(b"body") == hash_of("chat", b"body")
    assert event_hash(b"body") == hash_of("member-event", b"body")
