"""Membership events that a server, a stranger or a revoked device puts into a direct chat: void, and nothing jams."""

from __future__ import annotations

import os
from collections.abc import Iterable

import msgspec
import pytest

from mensajeria.client.api import Cause
from mensajeria.protocol.encoding import encode
from mensajeria.protocol.frames import Event, EventKind, Head
from mensajeria.protocol.membership import MembershipState, start_direct
from mensajeria.protocol.records import Member as NewMember
from mensajeria.protocol.records import MemberEvent, Signed
from tests.attacks.evil import Rule, flipped
from tests.attacks.forging import Member, contact_of
from tests.attacks.stage import Actor, Stage


class Insert(Rule):
    """Shows one row more to everybody, behind the log's present end; later rows stand one higher."""

    def __init__(self, stage: Stage, body: bytes) -> None:
        with stage.evil.database() as db:
            sql = "SELECT last_seq FROM chat WHERE chat_id = ?"
            self._last: int = db.execute(sql, (stage.chat_id,)).fetchone()[0]
        self.row = Event(stage.chat_id, self._last + 1, 0, EventKind.MEMBER, body)

    def event(self, to: bytes, event: Event) -> Iterable[Event]:
        if event.seq == self._last + 1:
            yield self.row
        yield event if event.seq <= self._last else msgspec.structs.replace(event, seq=event.seq + 1)

    def head(self, to: bytes, head: Head) -> Head:
        return head if head.last_seq <= self._last else msgspec.structs.replace(head, last_seq=head.last_seq + 1)


def _start(actor: Actor, peer: bytes, chat_id: bytes) -> MembershipState:
    me = actor.client._context.me
    return start_direct(chat_id, me.server_id, me.uid, peer)


def _event(state: MembershipState, uid: bytes, did: bytes, **fields: object) -> MemberEvent:
    base = {"chat_id": state.chat_id, "seq": 1, "prev": state.hash, "by_uid": uid, "by_did": did, "dl_ver": 1, "ts": 1}
    return MemberEvent(**{**base, **fields})  # type: ignore[arg-type]


KINDS = [
    "garbage",
    "unsigned",
    "signed by a stranger",
    "a stranger's own",
    "adds somebody",
    "removes somebody",
    "about the other member",
    "wrong predecessor",
    "wrong place",
    "another chat",
    "altered",
]


async def _forged(stage: Stage, ana: Actor, bruno: Actor, kind: str) -> bytes:
    """An event as the attack makes it: what it says, and what of it is not as it must be."""
    state, eva, device = _start(ana, bruno.uid, stage.chat_id), Member(), await ana.device()
    own = {"type": "device", "who": ana.uid}
    said: dict[str, dict[str, object]] = {
        "adds somebody": {
            "type": "add",
            "members": (NewMember(uid=eva.uid, idfp=eva.identity.idfp, role="member"),),
        },
        "removes somebody": {"type": "remove", "who": bruno.uid},
        "about the other member": {"type": "device", "who": bruno.uid},
        "wrong predecessor": {**own, "prev": os.urandom(32)},
        "wrong place": {**own, "seq": 7},
        "another chat": {**own, "chat_id": bytes(32)},
        "a stranger's own": {"type": "device", "who": eva.uid, "by_uid": eva.uid, "by_did": eva.device.did},
    }
    event = _event(state, ana.uid, device.did, **said.get(kind, own))
    signer = eva.device if "stranger" in kind else device
    signed = signer.member_event(event)
    spoilt = {
        "garbage": b"\xc1\x00nothing",
        "unsigned": encode(Signed(signed.body, bytes(64))),
        "altered": encode(Signed(flipped(signed.body, -3), signed.sig)),
    }
    return spoilt.get(kind, encode(signed))


@pytest.mark.parametrize("kind", KINDS)
async def test_a_void_event_has_no_effect_and_does_not_jam_the_chain(stage: Stage, kind: str) -> None:
    """Group burgling and jammed chains, in the chats that there are: the next valid event still takes effect."""
    ana, bruno = await stage.pair()
    session = await ana.read(lambda tx: tx.outbound.get(stage.chat_id))
    stage.evil.rule = Insert(stage, await _forged(stage, ana, bruno, kind))
    await ana.send(stage.chat_id, "sigue el chat")
    await bruno.shows(stage.chat_id, "bruno: qué tal", "ana: sigue el chat")
    for actor in (ana, bruno):
        assert (await actor.read(lambda tx: tx.chats.get(stage.chat_id))).epoch == 0  # type: ignore[union-attr]
        assert Cause.TAMPERED not in await actor.places(stage.chat_id)
    after = await ana.read(lambda tx: tx.outbound.get(stage.chat_id))
    assert (session and session.session_id) == (after and after.session_id)
    # The same place of the chain is free for an event that is valid.
    device = await ana.device()
    valid = _event(_start(ana, bruno.uid, stage.chat_id), ana.uid, device.did, type="device", who=ana.uid)
    stage.evil.rule = InsertAgain(stage.evil.rule, encode(device.member_event(valid)))
    await ana.send(stage.chat_id, "y sigue")
    await bruno.shows(stage.chat_id, "ana: sigue el chat", "ana: y sigue")
    assert (await bruno.read(lambda tx: tx.chats.get(stage.chat_id))).epoch == 1  # type: ignore[union-attr]
    assert (await bruno.read(contact_of(ana.uid))).list_ver == 1


class InsertAgain(Rule):
    """A second insertion behind a first."""

    def __init__(self, first: Rule, body: bytes) -> None:
        assert isinstance(first, Insert)
        self._first = first
        self._at = first.row.seq + 2  # the void row, the message behind it, then this one
        self._row = Event(first.row.chat_id, self._at, 0, EventKind.MEMBER, body)

    def event(self, to: bytes, event: Event) -> Iterable[Event]:
        for row in self._first.event(to, event):
            if row.seq == self._at:
                yield self._row
            yield row if row.seq < self._at else msgspec.structs.replace(row, seq=row.seq + 1)

    def head(self, to: bytes, head: Head) -> Head:
        return msgspec.structs.replace(head, last_seq=head.last_seq + 2)


async def test_a_new_epoch_that_only_the_server_asserts_changes_nothing(stage: Stage) -> None:
    """Epoch and membership in a head are the server's word: no rotation, no reader, no block."""

    class Epochs(Rule):
        def head(self, to: bytes, head: Head) -> Head:
            return msgspec.structs.replace(head, epoch=99, member_seq=99)

    stage.evil.rule = Epochs()
    ana, bruno = await stage.pair()
    await ana.send(stage.chat_id, "igual")
    await bruno.shows(stage.chat_id, "bruno: qué tal", "ana: igual")
    assert (await ana.read(lambda tx: tx.chats.get(stage.chat_id))).epoch == 0  # type: ignore[union-attr]
