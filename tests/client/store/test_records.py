"""What the client must remember besides messages: contacts, logs, outbox, sessions, envelopes, questions."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest

from mensajeria.client.api import Trust
from mensajeria.client.store import Store, Tx
from mensajeria.client.store.errors import StoreMisuseError, UnknownChatError
from mensajeria.client.store.key_values import (
    EnvelopeOutcome,
    Inbound,
    InboundKey,
    KeyRequestRow,
    Outbound,
    ParkedEnvelope,
    Seen,
    Share,
    ShareOutcome,
)
from mensajeria.client.store.values import MemberEventRow, RawRow, RowOutcome, Sealed, Tokens
from mensajeria.kit.secrets import Secret
from mensajeria.protocol import limits
from mensajeria.protocol.ids import ChatId, Idfp, SessionId, Uid
from mensajeria.protocol.records import VoidIndex
from mensajeria.protocol.records_backup import SETTING_ROW, IndexEntry
from tests.client.store.people import (
    ANA,
    BRUNO,
    CHAT,
    LAPTOP,
    OTHER_CHAT,
    PHONE,
    SESSION,
    contact,
    incoming,
    mid,
)  # fmt: skip

KEY = InboundKey(CHAT, SESSION, BRUNO, PHONE)
STRANGER = ChatId(b"?" * 32)


# --- people ---


async def test_a_newer_list_keeps_the_one_before(store: Store) -> None:
    await store.run(lambda tx: tx.contacts.put(contact(BRUNO, "bruno", ver=2)))
    await store.run(lambda tx: tx.contacts.put_former_list(BRUNO, 5, b"h", b"older"))
    bodies = await store.read(lambda tx: [tx.contacts.list_body(BRUNO, ver) for ver in (1, 2, 3, 5)])
    assert bodies == [b"list1", b"list2", None, b"older"]


async def test_announced_lists_are_stale_until_fetched(store: Store) -> None:
    assert not await store.run(lambda tx: tx.contacts.announce(BRUNO, 1))
    assert not await store.run(lambda tx: tx.contacts.announce(Uid(b"?" * 16), 9))
    assert await store.run(lambda tx: tx.contacts.announce(BRUNO, 2))
    assert await store.read(lambda tx: tx.contacts.stale()) == (BRUNO,)
    await store.run(lambda tx: tx.contacts.put(contact(BRUNO, "bruno", ver=2)))
    assert await store.read(lambda tx: tx.contacts.stale()) == ()


async def test_a_contact_comes_back_as_it_was_put(store: Store) -> None:
    full = replace(
        contact(BRUNO, "bruno"), trust=Trust.CHANGED, sending_blocked=True, former_idfp=Idfp(b"x" * 32), announced_ver=4
    )
    await store.run(lambda tx: tx.contacts.put(full))
    assert await store.read(lambda tx: tx.contacts.get(BRUNO)) == full
    await store.run(lambda tx: tx.contacts.set_trust(BRUNO, Trust.VERIFIED))
    person = await store.read(lambda tx: tx.contacts.person(BRUNO))
    assert (person.handle, person.trust) == ("bruno", Trust.VERIFIED)


async def test_a_handle_that_moved_names_its_new_owner(store: Store) -> None:
    await store.run(lambda tx: tx.contacts.put(replace(contact(Uid(b"n" * 16), "bruno"), updated_ms=99)))
    owner = await store.read(lambda tx: tx.contacts.by_handle("bruno"))
    assert owner is not None
    assert owner.uid == b"n" * 16
    assert await store.read(lambda tx: tx.contacts.by_handle("nadie")) is None
    unknown = await store.read(lambda tx: tx.contacts.person(Uid(b"\xab" * 16)))
    assert unknown.handle == "abababab"


async def test_tokens_end_but_the_known_device_stays(store: Store) -> None:
    tokens = Tokens(Secret(b"access"), 123, Secret(b"refresh"), Secret(b"known"))
    assert await store.read(lambda tx: tx.own.tokens()) is None
    await store.run(lambda tx: tx.own.put_login(tokens, Secret(b"ck")))
    assert await store.read(lambda tx: (tx.own.tokens(), tx.own.channel_key())) == (tokens, Secret(b"ck"))
    await store.run(lambda tx: tx.own.clear_tokens())
    assert await store.read(lambda tx: (tx.own.tokens(), tx.own.known())) == (None, Secret(b"known"))


# --- the log ---


async def test_a_direct_chat_is_made_once(store: Store) -> None:
    def make(tx: Tx) -> bool:
        return tx.chats.ensure_direct(STRANGER, ANA, accepted=False, note_to_self=True, now_ms=7)

    assert [await store.run(make), await store.run(make)] == [True, False]
    assert await store.read(lambda tx: tx.chats.with_peer(ANA)) == (STRANGER,)


async def test_cursors_go_forward_and_are_told_once_accepted(store: Store) -> None:
    await store.run(lambda tx: tx.chats.advance_cursor(CHAT, 5))
    await store.run(lambda tx: tx.chats.advance_cursor(OTHER_CHAT, 3))
    await store.run(lambda tx: tx.chats.set_accepted(OTHER_CHAT, accepted=False))
    assert await store.read(lambda tx: tx.chats.cursors_to_send()) == ((CHAT, 5),)
    await store.run(lambda tx: tx.chats.cursor_sent(CHAT, 5))
    assert await store.read(lambda tx: tx.chats.cursors_to_send()) == ()
    with pytest.raises(StoreMisuseError):
        await store.run(lambda tx: tx.chats.advance_cursor(CHAT, 4))
    with pytest.raises(UnknownChatError):
        await store.run(lambda tx: tx.chats.advance_cursor(STRANGER, 4))


def told(tx: Tx, setter: str) -> list[bool]:
    return [getattr(tx.chats, setter)(CHAT, seq) for seq in (3, 3, 2, 4)]


async def test_heads_and_receipts_never_go_back(store: Store) -> None:
    await store.run(lambda tx: tx.chats.set_head(CHAT, last_seq=9, epoch=2, member_seq=3))
    await store.run(lambda tx: tx.chats.set_head(CHAT, last_seq=7, epoch=1, member_seq=1))
    chat = await store.read(lambda tx: tx.chats.get(CHAT))
    assert chat is not None
    assert (chat.last_seq, chat.epoch, chat.member_seq) == (9, 2, 3)
    for setter in ("set_peer_delivered", "set_peer_read"):
        news = await store.run(partial(told, setter=setter))
        assert news == [True, False, False, True]
    await store.run(lambda tx: tx.messages.add(incoming(4)))
    await store.run(lambda tx: tx.chats.mark_read(CHAT, 4))
    assert await store.read(lambda tx: tx.chats.reads_to_send()) == ((CHAT, 4),)
    await store.run(lambda tx: tx.chats.read_sent(CHAT, 4))
    assert await store.read(lambda tx: tx.chats.reads_to_send()) == ()


async def test_membership_and_small_things_of_a_chat(store: Store) -> None:
    event = MemberEventRow(1, b"h" * 32, b"body", b"sig", 4)

    def write(tx: Tx) -> None:
        tx.chats.add_member_event(CHAT, event)
        tx.chats.set_membership(CHAT, member_seq=1, epoch=4, mhead=b"head", membership=b"state")
        tx.chats.set_previous_session(CHAT, SESSION, 12)
        tx.chats.set_draft(CHAT, "a medias")
        tx.chats.set_identity_changed(CHAT, changed=True)
        tx.chats.touch(CHAT, 99)

    await store.run(write)
    chat = await store.read(lambda tx: tx.chats.get(CHAT))
    assert chat is not None
    assert (chat.epoch, chat.mhead, chat.membership, chat.prev_session, chat.prev_idx) == (
        4,
        b"head",
        b"state",
        SESSION,
        12,
    )
    assert (chat.draft, chat.identity_changed, chat.activity_ms) == ("a medias", True, 99)
    assert "a medias" not in repr(chat)
    assert await store.read(lambda tx: tx.chats.member_events(CHAT)) == (event,)
    assert [c.chat_id for c in await store.read(lambda tx: tx.chats.all())] == [CHAT, OTHER_CHAT]


async def test_raw_rows_are_kept_until_removed(store: Store) -> None:
    rows = [RawRow(CHAT, seq, 0, 5, b"raw%d" % seq, SESSION, RowOutcome.WAITING) for seq in (2, 1, 3)]
    await store.run(lambda tx: list(map(tx.rows.put, rows)))
    await store.run(lambda tx: tx.rows.put(replace(rows[2], outcome=RowOutcome.TAMPERED)))
    assert [r.seq for r in await store.read(lambda tx: tx.rows.waiting_for(CHAT, SESSION))] == [1, 2]
    assert [r.seq for r in await store.read(lambda tx: tx.rows.with_outcome(CHAT, RowOutcome.TAMPERED))] == [3]
    assert await store.read(lambda tx: tx.rows.get(CHAT, 2)) == rows[0]
    await store.run(lambda tx: tx.rows.remove(CHAT, 2))
    assert await store.read(lambda tx: tx.rows.get(CHAT, 2)) is None
    with pytest.raises(StoreMisuseError):
        await store.run(lambda tx: tx.rows.put(replace(rows[0], seq=1 << 60)))


# --- outbox ---

SEALED = Sealed(b"outer", SESSION, 3, 0)


async def test_the_outbox_keeps_order_for_each_chat(store: Store) -> None:
    def fill(tx: Tx) -> None:
        tx.outbox.add(OTHER_CHAT, mid(1), "text", b"1", 1)
        for number in (2, 3, 4):
            tx.outbox.add(CHAT, mid(number), "text", b"%d" % number, number)

    await store.run(fill)
    assert await store.read(lambda tx: tx.outbox.chats()) == (OTHER_CHAT, CHAT)
    await store.run(lambda tx: tx.outbox.fail(CHAT, mid(2), "too_large"))
    assert [i.mid for i in await store.read(lambda tx: tx.outbox.pending(CHAT))] == [mid(3), mid(4)]
    assert await store.read(lambda tx: tx.outbox.count()) == 3
    assert await store.run(lambda tx: tx.outbox.requeue(CHAT, mid(2)))
    assert not await store.run(lambda tx: tx.outbox.requeue(CHAT, mid(2)))
    assert [i.mid for i in await store.read(lambda tx: tx.outbox.pending(CHAT))] == [mid(3), mid(4), mid(2)]
    removed = await store.run(lambda tx: tx.outbox.remove(CHAT, mid(3)))
    assert removed is not None
    assert removed.body == b"3"
    assert await store.run(lambda tx: tx.outbox.remove(CHAT, mid(3))) is None


async def test_a_ciphertext_is_made_once_and_a_thrown_away_one_becomes_void(store: Store) -> None:
    await store.run(lambda tx: tx.outbox.add(CHAT, mid(1), "text", b"hola", 1))
    await store.run(lambda tx: tx.outbox.seal(CHAT, mid(1), SEALED))
    with pytest.raises(StoreMisuseError):
        await store.run(lambda tx: tx.outbox.seal(CHAT, mid(1), Sealed(b"other", SESSION, 4, 0)))
    await store.run(lambda tx: tx.outbox.tried(CHAT, mid(1)))
    item = await store.read(lambda tx: tx.outbox.get(CHAT, mid(1)))
    assert item is not None
    assert (item.sealed, item.tries) == (SEALED, 1)
    assert await store.run(lambda tx: tx.outbox.unseal(CHAT, mid(1))) == SEALED
    assert await store.run(lambda tx: tx.outbox.unseal(CHAT, mid(1))) is None
    assert await store.run(lambda tx: tx.outbound.take_voids(CHAT, mid(9))) == (VoidIndex(SESSION, 3),)


async def test_a_refused_message_leaves_its_ciphertext_void(store: Store) -> None:
    await store.run(lambda tx: tx.outbox.add(CHAT, mid(1), "text", b"hola", 1))
    await store.run(lambda tx: tx.outbox.seal(CHAT, mid(1), SEALED))
    await store.run(lambda tx: tx.outbox.fail(CHAT, mid(1), "forbidden"))
    item = await store.read(lambda tx: tx.outbox.get(CHAT, mid(1)))
    assert item is not None
    assert (item.sealed, item.failed) == (None, "forbidden")
    assert await store.run(lambda tx: tx.outbound.take_voids(CHAT, mid(9))) == (VoidIndex(SESSION, 3),)


async def test_voids_belong_to_their_carrier_until_declared_or_thrown_away(store: Store) -> None:
    def fill(tx: Tx) -> None:
        for idx in range(3):
            tx.outbound.add_void(CHAT, SESSION, idx)
        tx.outbox.add(CHAT, mid(1), "text", b"x", 1)

    await store.run(fill)
    first = await store.run(lambda tx: tx.outbound.take_voids(CHAT, mid(1), limit=2))
    assert len(first) == 2
    assert await store.run(lambda tx: tx.outbound.take_voids(CHAT, mid(2))) == (VoidIndex(SESSION, 2),)
    await store.run(lambda tx: tx.outbox.seal(CHAT, mid(1), Sealed(b"outer", SESSION, 7, 0)))
    await store.run(lambda tx: tx.outbox.unseal(CHAT, mid(1)))
    again = await store.run(lambda tx: tx.outbound.take_voids(CHAT, mid(3)))
    assert [void.idx for void in again] == [0, 1, 7]
    await store.run(lambda tx: tx.outbound.voids_declared(CHAT, mid(3)))
    assert await store.run(lambda tx: tx.outbound.take_voids(CHAT, mid(4))) == ()


# --- sender sessions ---


async def test_the_own_session_of_a_chat(store: Store) -> None:
    session = Outbound(CHAT, SESSION, Secret(b"0"), b"skb", 1, 0, 2)
    await store.run(lambda tx: tx.outbound.put(session))
    await store.run(lambda tx: tx.outbound.advance(CHAT, SESSION, Secret(b"1")))
    await store.run(lambda tx: tx.outbound.set_fetched(SESSION))
    assert await store.read(lambda tx: tx.outbound.get(CHAT)) == replace(
        session, state=Secret(b"1"), messages=1, fetched=True
    )
    share = Share(BRUNO, PHONE, 0, ShareOutcome.QUEUED, 5)
    await store.run(lambda tx: tx.outbound.put_share(SESSION, share))
    await store.run(lambda tx: tx.outbound.put_share(SESSION, replace(share, outcome=ShareOutcome.SHARED)))
    assert await store.read(lambda tx: tx.outbound.shares(SESSION)) == {
        PHONE: replace(share, outcome=ShareOutcome.SHARED)
    }
    assert await store.run(lambda tx: tx.outbound.drop_all()) == 1
    assert await store.read(lambda tx: tx.outbound.get(CHAT)) is None
    await store.run(lambda tx: tx.outbound.put(session))
    await store.run(lambda tx: tx.outbound.drop(CHAT))
    assert await store.read(lambda tx: tx.outbound.get(CHAT)) is None


async def test_inbound_sessions_are_kept_apart_by_author_and_chat(store: Store) -> None:
    session = Inbound(KEY, Secret(b"state"), 1)
    claimed = replace(session, key=replace(KEY, did=LAPTOP), created_ms=2)
    await store.run(lambda tx: list(map(tx.inbound.put, (session, claimed))))
    await store.run(lambda tx: tx.inbound.expect(KEY, 4))
    await store.run(lambda tx: tx.inbound.expect(KEY, 2))
    assert await store.read(lambda tx: tx.inbound.get(KEY)) == replace(session, next_idx=4)
    assert [s.key.did for s in await store.read(lambda tx: tx.inbound.find(CHAT, SESSION))] == [PHONE, LAPTOP]
    assert await store.read(lambda tx: tx.inbound.find(OTHER_CHAT, SESSION)) == ()


async def test_of_many_sessions_each_is_stored_once_and_what_is_there_is_left(store: Store) -> None:
    known = Inbound(KEY, Secret(b"known"), 1)
    other = replace(known, key=replace(KEY, did=LAPTOP))
    await store.run(lambda tx: tx.inbound.put(known))
    await store.run(lambda tx: tx.backup.looked_at(KEY))
    again = replace(known, state=Secret(b"again"))
    assert await store.run(lambda tx: tx.inbound.add_all([again, other, other])) == [again, other]
    assert await store.read(lambda tx: tx.inbound.get(KEY)) == known
    assert await store.read(lambda tx: tx.inbound.get(other.key)) == other
    assert await store.read(lambda tx: tx.backup.count_pending()) == 0  # they have come from the backup


async def test_what_a_former_backup_version_did_not_get_is_not_waited_for(store: Store) -> None:
    """Its upload was refused because a device had been removed."""
    entries = [IndexEntry(SETTING_ROW, bytes([n]) * 16, 1) for n in range(2)]

    def under_the_first(tx: Tx) -> None:
        for entry in entries:
            tx.backup.place(1, entry, None)
        tx.backup.confirm(1, [0])

    await store.run(under_the_first)
    assert await store.read(lambda tx: tx.backup.count_pending()) == 1
    await store.run(lambda tx: tx.backup.begin_version(2))
    assert await store.read(lambda tx: (tx.backup.count_pending(), tx.backup.entries(1))) == (0, 1)
    await store.run(lambda tx: tx.backup.place(2, entries[1], None))
    assert await store.read(lambda tx: tx.backup.count_pending()) == 1
    await store.run(lambda tx: tx.backup.forget_server())  # it was restored: the newest version is sent again, no other
    assert await store.read(lambda tx: tx.backup.count_pending()) == 1


async def test_replays_and_gaps(store: Store) -> None:
    await store.run(lambda tx: tx.replays.note(CHAT, BRUNO, mid(1), SESSION, 3, b"hash"))
    await store.run(lambda tx: tx.replays.note_voids([VoidIndex(SESSION, 5)]))

    def ask(tx: Tx) -> list[object]:
        return [
            tx.replays.check(SESSION, 3, b"hash"),
            tx.replays.check(SESSION, 3, b"other"),
            tx.replays.check(SESSION, 4, b"hash"),
            tx.replays.check(SESSION, 5, b"hash"),
            tx.replays.seen_mid(CHAT, BRUNO, mid(1)),
            tx.replays.seen_mid(CHAT, ANA, mid(1)),
            tx.replays.seen_mid(OTHER_CHAT, BRUNO, mid(1)),
            tx.replays.missing(SESSION, 0, 7),
            tx.replays.missing(SESSION, 3, 4),
        ]

    assert await store.read(ask) == [Seen.SAME, Seen.OTHER, Seen.NEW, Seen.OTHER, b"hash", None, None, 5, 0]


async def test_a_void_cannot_be_declared_over_a_message_that_was_read(store: Store) -> None:
    await store.run(lambda tx: tx.replays.note(CHAT, BRUNO, mid(1), SESSION, 3, b"hash"))
    await store.run(lambda tx: tx.replays.note_voids([VoidIndex(SESSION, 3)]))
    assert await store.read(lambda tx: tx.replays.check(SESSION, 3, b"hash")) is Seen.SAME


# --- to-device ---


async def test_pairwise_sessions(store: Store) -> None:
    await store.run(lambda tx: tx.olm.put(PHONE, BRUNO, Secret(b"1")))
    await store.run(lambda tx: tx.olm.set_unwedged(PHONE, 9))
    await store.run(lambda tx: tx.olm.put(PHONE, BRUNO, Secret(b"2")))
    row = await store.read(lambda tx: tx.olm.get(PHONE))
    assert row is not None
    assert (row.uid, row.state, row.unwedged_ms) == (BRUNO, Secret(b"2"), 9)
    await store.run(lambda tx: tx.olm.remove(PHONE))
    assert await store.read(lambda tx: tx.olm.get(PHONE)) is None


async def test_an_envelope_has_one_outcome(store: Store) -> None:
    def go(tx: Tx) -> list[object]:
        states: list[object] = [tx.envelopes.outcome(b"1")]
        tx.envelopes.park(ParkedEnvelope(b"1", BRUNO, b"outer", 10))
        states.append(tx.envelopes.outcome(b"1"))
        states.append([p.outer for p in tx.envelopes.parked(BRUNO)])
        states.append(tx.envelopes.parked_uids())
        tx.envelopes.decide(b"1", EnvelopeOutcome.APPLIED, 11)
        states.append(tx.envelopes.outcome(b"1"))
        states.append(tx.envelopes.parked(BRUNO))
        return states

    assert await store.run(go) == [
        None, EnvelopeOutcome.PARKED, [b"outer"], (BRUNO,), EnvelopeOutcome.APPLIED, (),
    ]  # fmt: skip


async def test_parking_is_limited_and_ends(store: Store) -> None:
    def fill(tx: Tx) -> list[bool]:
        envelopes = (ParkedEnvelope(n.to_bytes(4, "big"), BRUNO, b"o", n) for n in range(limits.PARKED_MAX + 1))
        return [tx.envelopes.park(envelope) for envelope in envelopes]

    kept = await store.run(fill)
    assert (kept.count(True), kept[-1]) == (limits.PARKED_MAX, False)
    last = limits.PARKED_MAX.to_bytes(4, "big")
    assert await store.read(lambda tx: tx.envelopes.outcome(last)) is None
    assert await store.run(lambda tx: tx.envelopes.expire_parked(10, 5000)) == 10
    assert await store.read(lambda tx: tx.envelopes.outcome((9).to_bytes(4, "big"))) is EnvelopeOutcome.FAILED


async def test_what_was_seen_is_forgotten_in_time_but_not_what_is_parked(store: Store) -> None:
    def go(tx: Tx) -> list[object]:
        tx.envelopes.park(ParkedEnvelope(b"parked", BRUNO, b"o", 1))
        tx.envelopes.decide(b"old", EnvelopeOutcome.APPLIED, 1)
        tx.envelopes.decide(b"new", EnvelopeOutcome.APPLIED, 100)
        news = [tx.envelopes.mid_is_new(BRUNO, PHONE, mid(1), at) for at in (1, 1)]
        tx.envelopes.forget_seen(50)
        return [
            *news,
            tx.envelopes.mid_is_new(BRUNO, PHONE, mid(1), 60),
            *(tx.envelopes.outcome(name) for name in (b"parked", b"old", b"new")),
        ]

    assert await store.run(go) == [True, False, True, EnvelopeOutcome.PARKED, None, EnvelopeOutcome.APPLIED]


async def test_sent_envelopes_stay_until_confirmed(store: Store) -> None:
    def queue(tx: Tx, blob: bytes, session: SessionId | None) -> int:
        return tx.envelopes.queue(
            uid=BRUNO, did=PHONE, prekey_id=4, blob=blob, type="room_key", session_id=session, now_ms=1
        )

    first, second = await store.run(lambda tx: (queue(tx, b"a", SESSION), queue(tx, b"b", None)))
    assert [e.blob for e in await store.read(lambda tx: tx.envelopes.outgoing())] == [b"a", b"b"]
    assert [e.id for e in await store.read(lambda tx: tx.envelopes.outgoing(after=first))] == [second]
    assert [e.id for e in await store.read(lambda tx: tx.envelopes.outgoing_for(SESSION))] == [first]
    await store.run(lambda tx: tx.envelopes.confirmed(first))
    assert [e.id for e in await store.read(lambda tx: tx.envelopes.outgoing())] == [second]
    await store.run(lambda tx: tx.envelopes.confirmed(second))
    third = await store.run(lambda tx: queue(tx, b"c", None))
    assert third > second


async def test_questions_for_keys_climb_their_ladder(store: Store) -> None:
    question = KeyRequestRow(KEY, 5, 0, 100, 105)
    await store.run(lambda tx: tx.requests.put(question))
    await store.run(lambda tx: tx.requests.put(replace(question, idx=7, step=1, first_ms=999, next_ms=130)))
    assert await store.read(lambda tx: tx.requests.due(129)) == ()
    assert await store.read(lambda tx: tx.requests.next_due_ms()) == 130
    due = await store.read(lambda tx: tx.requests.due(130))
    assert due == (KeyRequestRow(KEY, 5, 1, 100, 130),)
    assert await store.read(lambda tx: (tx.requests.all(), tx.requests.open(CHAT, SESSION))) == (due, due)
    await store.run(lambda tx: tx.requests.remove(CHAT, SESSION))
    assert await store.read(lambda tx: (tx.requests.all(), tx.requests.next_due_ms())) == ((), None)


async def test_answers_are_limited_for_each_device(store: Store) -> None:
    answers = await store.run(lambda tx: [tx.requests.may_answer(PHONE, 1000) for _ in range(21)])
    assert (answers.count(True), answers[-1]) == (20, False)
    assert await store.run(lambda tx: tx.requests.may_answer(LAPTOP, 1000))
    assert await store.run(lambda tx: tx.requests.may_answer(PHONE, 1001 + 3_600_000))
