"""A group under construction, for the tests of the membership's rules."""

from __future__ import annotations

from typing import Any

from mensajeria.crypto.device import DeviceKeys
from mensajeria.protocol.membership import (
    MembershipState,
    NewerType,
    Pending,
    Signer,
    Unavailable,
    Valid,
    Void,
    VoidReason,
    judge,
    lookup_in,
)
from mensajeria.protocol.records import Member, MemberEvent, Signed
from tests.crypto.people import NOW, Person

ZERO = bytes(32)


class Group:
    """A group under construction, folded as every client does."""

    def __init__(self, crowd: list[Person]) -> None:
        self.crowd = crowd
        self.lists = {person.uid: person.list for person in crowd}
        self.state: MembershipState | None = None

    def lookup(self, uid: bytes, did: bytes, dl_ver: int) -> Signer | Unavailable:
        return lookup_in(self.lists)(uid, did, dl_ver)

    def event(self, by: int, type_: str, device: DeviceKeys | None = None, **changes: Any) -> Signed:
        person = self.crowd[by]
        keys = device or person.device
        fields: dict[str, Any] = {
            "chat_id": self.state.chat_id if self.state else ZERO,
            "seq": self.state.seq + 1 if self.state else 1,
            "prev": self.state.hash if self.state else ZERO,
            "by_uid": person.uid,
            "by_did": keys.did,
            "dl_ver": self.lists[person.uid].ver,
            "type": type_,
            "ts": NOW,
            **changes,
        }
        return keys.member_event(MemberEvent(**fields))

    def judge(self, signed: Signed) -> Valid | Void | Pending | NewerType:
        return judge(self.state, signed, self.lookup)

    def does(self, by: int, type_: str, **changes: Any) -> MembershipState:
        verdict = self.judge(self.event(by, type_, **changes))
        assert isinstance(verdict, Valid), verdict
        self.state = verdict.state
        return verdict.state

    def refuses(self, reason: VoidReason, by: int, type_: str, **changes: Any) -> None:
        before = self.state
        assert self.judge(self.event(by, type_, **changes)) == Void(reason)
        assert self.state is before

    def member(self, index: int, role: str = "member") -> Member:
        return Member(uid=self.crowd[index].uid, idfp=self.crowd[index].idfp, role=role)

    def founders(self) -> tuple[Member, ...]:
        return (self.member(0, "owner"), self.member(1, "admin"), self.member(2), self.member(3))


def state_of(group: Group) -> MembershipState:
    assert group.state is not None
    return group.state


def successor(person: Person) -> tuple[Person, bytes]:
    """The same user under a new root, and the proof."""
    new = Person(person.handle, person.uid)
    return new, person.identity.succession(new.record, person.code, NOW)
