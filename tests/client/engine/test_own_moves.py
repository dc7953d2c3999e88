"""The own identity that moves, and how the move of a contact is shown."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from mensajeria.client.account_changes import Announced
from mensajeria.client.api import Cause, SecurityKind, Trust, VerificationMethod
from mensajeria.client.engine.identity_moves import (
    PROOF,
    ROOT_FROM,
    TELL_CHATS,
    announce,
    announced_identity,
    first_version,
    is_known_in,
    show_renewed,
    show_reset_in_groups,
    succession_from,
    tell_after_reset,
)
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.engine.people import Served
from mensajeria.client.store import Tx
from mensajeria.client.store.healing import PendingEvent
from mensajeria.client.store.trust import VerifiedRow
from mensajeria.client.store.values import Contact
from mensajeria.crypto.root import AccountRoot
from mensajeria.protocol.ids import ChatId, Idfp, Uid
from mensajeria.protocol.membership import MembershipState, direct_chat_id, start_direct
from mensajeria.protocol.membership_state import Role, Row
from tests.client.engine.own import Own, direct, opened
from tests.crypto.people import NOW, SERVER, Person

if TYPE_CHECKING:
    from mensajeria.client.account import Account


@dataclass
class Moved:
    """Ana, whose identity of now the former one has signed for."""

    person: Person
    former: bytes
    proof: bytes


@pytest.fixture(scope="module")
def moved() -> Moved:
    ana = Person("ana")
    former = AccountRoot.generate().identity(ana.uid, ana.code.public)
    return Moved(ana, former.idfp, former.succession(ana.record, ana.code, NOW))


@pytest.fixture
async def own(moved: Moved, tmp_path: Path) -> AsyncIterator[Own]:
    async with opened(moved.person, moved.person.device, tmp_path) as device:
        yield device


async def announced(own: Own, moved: Moved, ver: int = 3) -> None:
    await own.context.store.run(lambda tx: announce(tx, Announced(moved.person.record, moved.proof, ver)))


async def first(own: Own, identity: bytes, root_from: int, *, code: object = None) -> int:
    """The first backup version of a login that was served this identity."""
    account = SimpleNamespace(served=SimpleNamespace(identity=identity), root_from=root_from, recovery_code=code)
    return await own.context.store.run(lambda tx: first_version(tx, cast("Account", account)))


async def proof_from(own: Own, idfp: bytes) -> bytes | None:
    return await own.context.store.read(lambda tx: succession_from(tx, own.context.me, idfp))


# --- what was announced


async def test_the_announced_identity_is_known_again(own: Own, moved: Moved) -> None:
    assert await own.context.store.read(announced_identity) is None
    await announced(own, moved)
    assert await own.context.store.read(announced_identity) == moved.person.record


async def test_older_versions_follow_from_another_root_once_the_announced_identity_is_served(
    own: Own, moved: Moved
) -> None:
    await announced(own, moved, 3)
    assert await first(own, b"another record", 1) == 1
    assert await first(own, moved.person.record, 1) == 3
    assert await first(own, b"another record", 2) == 3, "it never goes back"
    assert await first(own, b"another record", 5) == 5
    assert await own.context.store.read(lambda tx: tx.meta.number(ROOT_FROM)) == 5


async def test_the_last_announcement_counts(own: Own, moved: Moved) -> None:
    await announced(own, moved, 5)
    await announced(own, moved, 3)
    assert await first(own, moved.person.record, 1) == 3


# --- the proof for groups


async def test_the_proof_is_given_for_the_identity_that_it_leads_from(own: Own, moved: Moved) -> None:
    await announced(own, moved)
    assert await proof_from(own, moved.former) == moved.proof
    assert await proof_from(own, moved.person.idfp) is None


async def test_there_is_no_proof_before_anything_was_announced(own: Own, moved: Moved) -> None:
    assert await proof_from(own, moved.former) is None


@pytest.mark.parametrize("lack", ["no proof", "noise", "another identity"])
async def test_a_proof_that_does_not_lead_here_is_none(own: Own, moved: Moved, lack: str) -> None:
    await announced(own, moved)

    def spoil(tx: Tx) -> None:
        if lack == "no proof":
            tx.meta.remove(PROOF)
        elif lack == "noise":
            tx.meta.set(PROOF, os.urandom(99))
        else:
            announce(tx, Announced(b"another record", moved.proof, 3))

    await own.context.store.run(spoil)
    assert await proof_from(own, moved.former) is None


# --- whether a chat knows one


def state_with(own: Own, idfp: bytes | None) -> MembershipState:
    me = own.context.me.uid
    state = start_direct(chat_of(own, bytes(16)), SERVER, me, bytes(16))
    rows: dict[bytes, Row] = {} if idfp is None else {me: Row(me, idfp, Role.MEMBER)}
    return replace(state, members={bytes(16): state.members[bytes(16)], **rows})


def chat_of(own: Own, uid: bytes) -> ChatId:
    return ChatId(direct_chat_id(SERVER, own.context.me.uid, uid))


async def test_a_chat_knows_one_by_the_identity_of_now_or_by_none(own: Own, moved: Moved) -> None:
    async def known(idfp: bytes | None) -> bool:
        return await own.context.store.read(lambda tx: is_known_in(tx, own.context.me, state_with(own, idfp)))

    assert await known(moved.person.idfp)
    assert await known(b"")
    assert await known(None), "who is no member is told otherwise"
    assert not await known(moved.former)


# --- after the operator's reset


@pytest.mark.parametrize(("code", "root_from", "due"), [("code", 2, b"1"), (None, 2, None), ("code", 1, None)])
async def test_chats_are_told_after_a_reset_only(own: Own, code: object, root_from: int, due: bytes | None) -> None:
    await first(own, b"record", root_from, code=code)
    assert await own.context.store.read(lambda tx: tx.meta.get(TELL_CHATS)) == due


async def test_every_chat_is_told_once(own: Own, moved: Moved) -> None:
    other = Person("bruno")
    chat_id = chat_of(own, other.uid)

    def tell(tx: Tx) -> tuple[PendingEvent, ...]:
        tell_after_reset(tx, own.context.me)
        found = tx.pending_events.due(NOW)
        for one in found:
            tx.pending_events.remove(one.chat_id, one.dl_ver)
        return found

    await own.context.store.run(lambda tx: direct(tx, chat_id, other, accepted=True))
    assert await own.context.store.run(tell) == ()
    await first(own, b"record", 2, code="code")
    assert await own.context.store.run(tell) == (PendingEvent(chat_id, moved.person.list.ver, 0, NOW),)
    assert await own.context.store.run(tell) == ()


# --- a contact's move


@dataclass
class Friend:
    """Bruno before and after, in a direct chat and in a group of Ana's."""

    known: Contact
    direct: ChatId
    group: ChatId

    @property
    def fresh(self) -> Contact:
        return replace(self.known, idfp=Idfp(b"n" * 32), trust=Trust.VERIFIED)


@pytest.fixture
async def friend(own: Own) -> Friend:
    bruno = Person("bruno")
    known = await own.meet(Served(bruno.uid, bruno.record, bruno.signed_list))
    chat, group = chat_of(own, bruno.uid), ChatId(os.urandom(32))

    def prepare(tx: Tx) -> None:
        direct(tx, chat, bruno, accepted=True)
        tx.chats.ensure_group(group, accepted=True, now_ms=NOW)
        tx.groups.set_members(group, {own.context.me.uid: "owner", known.uid: "member"}, own.context.me.uid)

    await own.context.store.run(prepare)
    return Friend(known, chat, group)


async def told(own: Own, chat_id: ChatId) -> list[tuple[Cause | None, str, dict[str, str]]]:
    page = await own.context.store.read(lambda tx: tx.messages.page(chat_id, limit=9))
    return [(one.cause, one.sender.handle, dict(one.params)) for one in page.messages]


async def renewed(own: Own, friend: Friend, fresh: Contact) -> Outcome:
    out = Outcome()
    await own.context.store.run(lambda tx: show_renewed(tx, out, own.context.me, friend.known, fresh))
    return out


async def test_a_proven_move_is_told_in_the_direct_chat_and_in_the_timeline(own: Own, friend: Friend) -> None:
    out = await renewed(own, friend, friend.fresh)
    assert await told(own, friend.direct) == [(Cause.IDENTITY_RENEWED, "bruno", {"handle": "bruno"})]
    assert out.touched == {friend.direct}
    rows = await own.context.store.read(lambda tx: tx.trust.timeline(friend.direct, [friend.known.uid], 9))
    former = {"former": friend.known.idfp.hex()[:16], "idfp": friend.fresh.idfp.hex()[:16]}
    assert [(row.kind, row.at_ms, row.params) for row in rows] == [(SecurityKind.IDENTITY_RENEWED, NOW, former)]


async def verified(own: Own, uid: Uid, idfp: bytes) -> VerifiedRow | None:
    return await own.context.store.read(lambda tx: tx.trust.verified(uid, idfp))


@pytest.mark.parametrize("trust", [Trust.VERIFIED, Trust.FIRST_USE])
async def test_what_was_verified_goes_along_as_long_as_it_still_counts(own: Own, friend: Friend, trust: Trust) -> None:
    row = VerifiedRow(friend.known.uid, friend.known.idfp, VerificationMethod.CODE, 5)
    await own.context.store.run(lambda tx: tx.trust.put_verified(row))
    await renewed(own, friend, replace(friend.fresh, trust=trust))
    moved_row = replace(row, idfp=friend.fresh.idfp)
    assert await verified(own, friend.known.uid, friend.fresh.idfp) == (moved_row if trust is Trust.VERIFIED else None)


async def test_a_contact_who_is_verified_without_a_row_moves_as_well(own: Own, friend: Friend) -> None:
    await renewed(own, friend, friend.fresh)
    assert await verified(own, friend.known.uid, friend.fresh.idfp) is None


async def test_an_identity_that_nothing_proves_is_told_in_groups(own: Own, friend: Friend) -> None:
    out = Outcome()
    await own.context.store.run(lambda tx: show_reset_in_groups(tx, out, own.context.me, friend.fresh))
    assert await told(own, friend.group) == [(Cause.IDENTITY_CHANGED, "bruno", {"handle": "bruno"})]
    assert await told(own, friend.direct) == [], "there it is told with the list"
    assert out.touched == {friend.group}
