"""A server that lies about the rows of a chat: nothing false is shown as genuine, and the rest still arrives."""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from mensajeria.client.api import Cause, Message, MessageKind
from mensajeria.crypto.message import decode_outer
from mensajeria.protocol import frames
from mensajeria.protocol.encoding import encode
from mensajeria.protocol.frames import Event, EventKind
from mensajeria.protocol.records import MessageOuter
from tests.attacks.evil import Rule, flipped
from tests.attacks.stage import Actor, Stage, staged


class ChangeRow(Rule):
    """One row, for one person, is something else."""

    def __init__(self, victim: bytes, change: Callable[[Event], Iterable[Event]]) -> None:
        self._victim = victim
        self._change = change

    def event(self, to: bytes, event: Event) -> Iterable[Event]:
        return self._change(event) if to == self._victim else (event,)


def with_body(change: Callable[[bytes], bytes]) -> Callable[[Event], Iterable[Event]]:
    def changed(event: Event) -> Iterable[Event]:
        yield msgspec.structs.replace(event, body=change(bytes(event.body)))

    return changed


def with_outer(**fields: object) -> Callable[[Event], Iterable[Event]]:
    """Other values in the part that the server can read."""

    def change(body: bytes) -> bytes:
        return encode(msgspec.structs.replace(decode_outer(body), **fields))

    return with_body(change)


# ------------------------------------------------------------------------------------------------------- one row


def test_a_row_with_one_bit_changed_is_never_shown_as_something_else(snapshot: Path, tmp_path: Path) -> None:
    """At any offset: what is shown as text is what Ana wrote; else the place says in words that it is not."""
    written: list[str] = []

    async def attack(stage: Stage, ana: Actor, bruno: Actor, offset: int, bit: int) -> None:
        written.append(f"texto {len(written)}")
        before = len(await bruno.timeline(stage.chat_id))
        stage.evil.rule = ChangeRow(bruno.uid, with_body(lambda body: flipped(body, offset, bit)))
        await ana.send(stage.chat_id, written[-1])
        await bruno.until(lambda: len(bruno.events), "anything")
        timeline = await bruno.longer(stage.chat_id, before)
        stage.evil.rule = Rule()
        for place in timeline[before:]:
            if place.kind is MessageKind.TEXT:
                assert (place.text, place.sender.handle) == (written[-1], "ana")
            else:
                assert place.text in {"", written[-1]}
                assert place.cause or place.kind is MessageKind.UNKNOWN
                if place.cause is Cause.TAMPERED:
                    await bruno.warned("row_tampered")

    with asyncio.Runner() as runner:
        context = staged(snapshot, tmp_path)
        stage = runner.run(context.__aenter__())
        try:
            ana, bruno = runner.run(stage.pair())

            @settings(
                max_examples=40,
                deadline=None,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(st.integers(0, 700), st.integers(0, 7))
            def check(offset: int, bit: int) -> None:
                runner.run(attack(stage, ana, bruno, offset, bit))

            check()
            runner.run(ana.send(stage.chat_id, "y al final"))
            runner.run(bruno.shows(stage.chat_id, "ana: y al final"))
            assert "row_tampered" in bruno.warnings()
        finally:
            runner.run(context.__aexit__(None, None, None))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ct", b"x" * 200),
        ("idx", 40),
        ("mid", bytes(16)),
        ("chat_id", bytes(32)),
    ],
)
async def test_a_row_whose_readable_part_was_changed_is_told_and_the_next_one_arrives(
    stage: Stage, name: str, value: object
) -> None:
    ana, bruno = await stage.pair()
    stage.evil.rule = ChangeRow(bruno.uid, with_outer(**{name: value}))
    await ana.send(stage.chat_id, "alterado")
    await bruno.warned("row_tampered")
    stage.evil.rule = Rule()
    await ana.send(stage.chat_id, "limpio")
    await bruno.shows(stage.chat_id, "bruno: qué tal", "ana: limpio")
    assert Cause.TAMPERED in await bruno.places(stage.chat_id)


async def test_a_row_under_an_unknown_session_waits_visibly(stage: Stage) -> None:
    ana, bruno = await stage.pair()
    stage.evil.rule = ChangeRow(bruno.uid, with_outer(session_id=secrets.token_bytes(32)))
    await ana.send(stage.chat_id, "sin clave")
    await bruno.has_place(stage.chat_id, Cause.WAITING)
    stage.evil.rule = Rule()
    await ana.send(stage.chat_id, "con clave")
    await bruno.shows(stage.chat_id, "bruno: qué tal", "ana: con clave")


async def test_a_message_made_by_the_server_is_not_shown(stage: Stage) -> None:
    """Without a session key nobody can write as Ana, whatever the row says."""
    ana, bruno = await stage.pair()

    def forge(event: Event) -> Iterable[Event]:
        genuine = decode_outer(bytes(event.body))
        fields = {"mid": secrets.token_bytes(16), "ct": secrets.token_bytes(len(genuine.ct)), "idx": genuine.idx + 1}
        yield event
        body = encode(msgspec.structs.replace(genuine, **fields))
        yield Event(event.chat_id, event.seq + 1, event.ts, EventKind.MESSAGE, body)

    stage.evil.rule = ChangeRow(bruno.uid, forge)
    await ana.send(stage.chat_id, "auténtico")
    await bruno.has_place(stage.chat_id, Cause.TAMPERED)
    assert await bruno.texts(stage.chat_id) == ["ana: hola", "bruno: qué tal", "ana: auténtico"]


@pytest.mark.parametrize("kind", [EventKind.MEMBER, EventKind.TOMBSTONE])
async def test_a_message_shown_as_another_kind_of_row_has_no_effect(stage: Stage, kind: EventKind) -> None:
    ana, bruno = await stage.pair()
    stage.evil.rule = ChangeRow(bruno.uid, lambda event: [msgspec.structs.replace(event, kind=kind)])
    await ana.send(stage.chat_id, "disfrazado")
    stage.evil.rule = Rule()
    await ana.send(stage.chat_id, "visible")
    await bruno.shows(stage.chat_id, "bruno: qué tal", "ana: visible")
    # The next message of the session tells that one is missing.
    assert set(await bruno.places(stage.chat_id)) & {Cause.MISSING, Cause.TAMPERED}


async def test_a_tombstone_that_nobody_signed_is_shown_as_the_servers_deed(stage: Stage) -> None:
    ana, bruno = await stage.pair()

    def erase(event: Event) -> Iterable[Event]:
        outer = decode_outer(bytes(event.body))
        body = encode(frames.Tombstone(outer.session_id, outer.idx, 1))
        yield Event(event.chat_id, event.seq, event.ts, EventKind.TOMBSTONE, body)

    stage.evil.rule = ChangeRow(bruno.uid, erase)
    await ana.send(stage.chat_id, "borrado")
    await bruno.has_place(stage.chat_id, Cause.REMOVED_BY_SERVER)


# -------------------------------------------------------------------------------------------------- rows at rest


def copy_row(db: sqlite3.Connection, seq: int, *, mid: bytes | None = None) -> None:
    """Append a copy of a row to the only chat."""
    chat, last = db.execute("SELECT id, last_seq FROM chat").fetchone()
    ts, kind, body = db.execute("SELECT ts, kind, body FROM event WHERE chat = ? AND seq = ?", (chat, seq)).fetchone()
    if mid is not None:
        body = encode(msgspec.structs.replace(decode_outer(body), mid=mid))
    row = (chat, last + 1, secrets.token_bytes(16), ts, kind, body)
    db.execute("INSERT INTO event(chat, seq, mid, ts, kind, body) VALUES(?, ?, ?, ?, ?, ?)", row)
    db.execute("UPDATE chat SET last_seq = last_seq + 1")


def swap_rows(db: sqlite3.Connection, one: int, other: int) -> None:
    """Exchange what two rows of the only chat hold."""
    rows = {seq: db.execute("SELECT body FROM event WHERE seq = ?", (seq,)).fetchone()[0] for seq in (one, other)}
    db.execute("UPDATE event SET body = ? WHERE seq = ?", (rows[other], one))
    db.execute("UPDATE event SET body = ? WHERE seq = ?", (rows[one], other))


def drop_row(db: sqlite3.Connection, seq: int) -> None:
    """Take a row away and close the gap."""
    db.execute("DELETE FROM event WHERE seq = ?", (seq,))
    db.execute("UPDATE event SET seq = seq - 1 WHERE seq > ?", (seq,))
    db.execute("UPDATE chat SET last_seq = last_seq - 1")


async def three_while_bruno_is_away(stage: Stage, change: Callable[[sqlite3.Connection, int], None]) -> Actor:
    """Ana writes uno, dos, tres; the database changes (it gets the row of "uno"); Bruno comes."""
    ana = await stage.open("ana")
    for text in ("uno", "dos", "tres"):
        await ana.send(stage.chat_id, text)
    await ana.close()
    with stage.evil.database() as db:
        change(db, db.execute("SELECT last_seq FROM chat").fetchone()[0] - 2)
    await stage.restart()
    return await stage.open("bruno")


@pytest.mark.parametrize("mid", [None, bytes(16)], ids=["same mid", "new mid"])
async def test_a_replayed_ciphertext_is_shown_once(stage: Stage, mid: bytes | None) -> None:
    bruno = await three_while_bruno_is_away(stage, lambda db, first: copy_row(db, first, mid=mid))
    await bruno.shows(stage.chat_id, "ana: uno", "ana: dos", "ana: tres")
    assert (await bruno.texts(stage.chat_id)).count("ana: uno") == 1
    await bruno.has_place(stage.chat_id, Cause.TAMPERED)
    await bruno.warned("row_tampered")


async def test_a_replay_right_behind_the_row_is_shown_once(stage: Stage) -> None:
    ana, bruno = await stage.pair()

    def again(event: Event) -> Iterable[Event]:
        return event, msgspec.structs.replace(event, seq=event.seq + 1)

    stage.evil.rule = ChangeRow(bruno.uid, again)
    await ana.send(stage.chat_id, "una vez")
    await bruno.warned("row_tampered")
    assert (await bruno.texts(stage.chat_id)).count("ana: una vez") == 1


async def test_the_same_row_twice_has_one_effect(stage: Stage) -> None:
    ana, bruno = await stage.pair()
    stage.evil.rule = ChangeRow(bruno.uid, lambda event: (event, event))
    for text in ("uno", "dos"):
        await ana.send(stage.chat_id, text)
    await bruno.shows(stage.chat_id, "bruno: qué tal", "ana: uno", "ana: dos")
    assert bruno.warnings() == []


async def test_reordered_rows_are_shown_once_each_and_the_gap_is_told(stage: Stage) -> None:
    bruno = await three_while_bruno_is_away(stage, lambda db, first: swap_rows(db, first, first + 1))
    await bruno.shows(stage.chat_id, "ana: dos", "ana: uno", "ana: tres")
    await bruno.warned("messages_missing")


async def test_a_dropped_row_is_told_as_missing(stage: Stage) -> None:
    bruno = await three_while_bruno_is_away(stage, lambda db, first: drop_row(db, first + 1))
    await bruno.shows(stage.chat_id, "ana: uno", "ana: tres")
    notices = [one for one in await bruno.timeline(stage.chat_id) if one.cause is Cause.MISSING]
    assert [dict(one.params) for one in notices] == [{"count": "1"}]
    await bruno.warned("messages_missing")


async def test_a_byte_changed_on_the_servers_disk_is_told(stage: Stage) -> None:
    def rot(db: sqlite3.Connection, first: int) -> None:
        (body,) = db.execute("SELECT body FROM event WHERE seq = ?", (first,)).fetchone()
        db.execute("UPDATE event SET body = ? WHERE seq = ?", (flipped(body, body.index(b"\xc4") + 150), first))

    bruno = await three_while_bruno_is_away(stage, rot)
    await bruno.has_place(stage.chat_id, Cause.TAMPERED)
    await bruno.shows(stage.chat_id, "ana: dos", "ana: tres")


# -------------------------------------------------------------------------------------------------- other chats


async def test_a_row_moved_to_another_chat_is_not_shown_there(stage: Stage) -> None:
    """Ana's note to herself is served in her chat with Bruno, and the other way round."""
    ana = await stage.open("ana")
    note = await ana.client.direct_chat("ana")
    await ana.send(note.chat_id, "solo para mí")
    with stage.evil.database() as db:
        (body,) = db.execute(
            "SELECT body FROM event JOIN chat ON chat.id = event.chat WHERE chat_id = ?", (note.chat_id,)
        ).fetchone()
    bruno = await stage.open("bruno")

    def move(event: Event) -> Iterable[Event]:
        yield event
        yield Event(event.chat_id, event.seq + 1, event.ts, EventKind.MESSAGE, body)

    stage.evil.rule = ChangeRow(ana.uid, move)
    await bruno.send(stage.chat_id, "para ana")
    await ana.shows(stage.chat_id, "ana: hola", "bruno: qué tal", "bruno: para ana")
    places = await ana.places(stage.chat_id)
    assert places
    assert set(places) <= {Cause.TAMPERED, Cause.WAITING}
    assert await ana.texts(note.chat_id) == ["ana: solo para mí"]


async def test_a_chat_with_a_false_id_or_without_me_is_not_believed(stage: Stage) -> None:
    bruno = await stage.open("bruno")
    for members in ((secrets.token_bytes(16), bruno.uid), (secrets.token_bytes(16), secrets.token_bytes(16))):
        head = frames.Head(secrets.token_bytes(32), 1, 0, 0, True, members, 0, 0)
        await stage.evil.tell(bruno.uid, frames.Batch((frames.NewChat(head),)))
    await bruno.warned("chat_tampered")
    assert [chat.chat_id for chat in await bruno.client.chats()] == [stage.chat_id]


# ----------------------------------------------------------------------------------------------- the log's promise


class Log(Rule):
    """Lies about how long the log is, or leaves rows out of what is fetched."""

    def __init__(self, last_seq: int | None = None, hidden: int | None = None) -> None:
        self._last = last_seq
        self._hidden = hidden

    def head(self, to: bytes, head: frames.Head) -> frames.Head:
        return head if self._last is None else msgspec.structs.replace(head, last_seq=self._last)

    def event(self, to: bytes, event: Event) -> Iterable[Event]:
        return () if event.seq == self._hidden else (event,)


async def test_a_log_that_was_rolled_back_is_told(stage: Stage) -> None:
    """An old backup put in place without saying so."""
    stage.evil.rule = Log(last_seq=1)
    bruno = await stage.open("bruno")
    await bruno.warned("log_rolled_back")
    assert await bruno.texts(stage.chat_id) == ["ana: hola", "bruno: qué tal"]


async def test_a_hole_in_the_log_is_marked_and_ends_no_conversation(stage: Stage) -> None:
    """The row before the last is never served, and its author cannot help: she is not there."""
    ana = await stage.open("ana")
    for text in ("uno", "dos", "tres"):
        await ana.send(stage.chat_id, text)
    await ana.close()
    with stage.evil.database() as db:
        (last,) = db.execute("SELECT last_seq FROM chat").fetchone()
    stage.evil.rule = Log(hidden=last - 1)
    bruno = await stage.open("bruno")
    await bruno.shows(stage.chat_id, "ana: uno", "ana: tres")
    await bruno.warned("log_gap")
    await bruno.warned("messages_missing")
    assert [dict(one.params) for one in await missing(bruno, stage.chat_id)] == [{"count": "1"}]
    await bruno.send(stage.chat_id, "sigo")
    await bruno.close()
    bruno = await stage.open("bruno")
    await bruno.client.caught_up()
    assert await bruno.texts(stage.chat_id) == ["ana: hola", "bruno: qué tal", "ana: uno", "ana: tres", "bruno: sigo"]
    stage.evil.rule = Rule()
    stage.evil.drop_connections()
    await bruno.shows(stage.chat_id, "ana: uno", "ana: dos", "ana: tres", "bruno: sigo")
    assert await missing(bruno, stage.chat_id) == []


async def test_a_hole_of_thousands_of_rows_is_marked_and_what_follows_is_read(stage: Stage) -> None:
    """The server has lost them: its numbers go on far behind."""
    ana = await stage.open("ana")
    await ana.send(stage.chat_id, "antes")
    await ana.close()
    with stage.evil.database() as db:
        db.execute("UPDATE chat SET last_seq = last_seq + 5000")
        db.commit()
    ana = await stage.open("ana")
    await ana.send(stage.chat_id, "después")
    bruno = await stage.open("bruno")
    await bruno.shows(stage.chat_id, "ana: antes", "ana: después")
    await bruno.warned("log_gap")
    assert [dict(one.params) for one in await missing(bruno, stage.chat_id)] == [{"count": "5000"}]
    await bruno.send(stage.chat_id, "sigo")
    await ana.shows(stage.chat_id, "ana: antes", "ana: después", "bruno: sigo")
    asked = len(stage.evil.seen.frames_of(bruno.uid, frames.Fetch))
    await bruno.close()
    bruno = await stage.open("bruno")
    await bruno.client.caught_up()
    assert len(stage.evil.seen.frames_of(bruno.uid, frames.Fetch)) <= asked + 3, "one look tells of the whole hole"


async def missing(actor: Actor, chat_id: bytes) -> list[Message]:
    return [one for one in await actor.timeline(chat_id) if one.cause is Cause.MISSING]


async def test_a_hole_in_the_log_is_not_asked_for_without_end(stage: Stage) -> None:
    ana = await stage.open("ana")
    for text in ("uno", "dos", "tres"):
        await ana.send(stage.chat_id, text)
    with stage.evil.database() as db:
        (last,) = db.execute("SELECT last_seq FROM chat").fetchone()
    stage.evil.rule = Log(hidden=last - 1)
    bruno = await stage.open("bruno")
    await bruno.warned("log_gap")
    await asyncio.sleep(0.3)
    assert len(stage.evil.seen.frames_of(bruno.uid, frames.Fetch)) <= 5
    stage.evil.rule = Rule()
    stage.evil.drop_connections()
    await bruno.shows(stage.chat_id, "ana: uno", "ana: dos", "ana: tres")


async def test_a_log_said_to_be_longer_than_it_is_does_not_hold_up_what_there_is(stage: Stage) -> None:
    stage.evil.rule = Log(last_seq=1 << 40)
    ana, bruno = await stage.pair()
    await ana.send(stage.chat_id, "llega")
    await bruno.shows(stage.chat_id, "bruno: qué tal", "ana: llega")
    assert len(stage.evil.seen.frames_of(bruno.uid, frames.Fetch)) < 20


async def test_the_rows_of_withheld_messages_are_told_when_the_next_one_arrives(stage: Stage) -> None:
    ana, bruno = await stage.pair()

    class Withhold(Rule):
        """Bruno's log ends where it was; later rows close the gap."""

        def __init__(self) -> None:
            self.dropped = 0
            self.hide = True

        def event(self, to: bytes, event: Event) -> Iterable[Event]:
            if to == bruno.uid and self.hide:
                self.dropped += 1
                return
            yield msgspec.structs.replace(event, seq=event.seq - self.dropped) if to == bruno.uid else event

    stage.evil.rule = rule = Withhold()
    await ana.send(stage.chat_id, "perdido uno")
    await ana.send(stage.chat_id, "perdido dos")
    rule.hide = False
    await ana.send(stage.chat_id, "por fin")
    await bruno.shows(stage.chat_id, "bruno: qué tal", "ana: por fin")
    notices = [one for one in await bruno.timeline(stage.chat_id) if one.cause is Cause.MISSING]
    assert [dict(one.params) for one in notices] == [{"count": "2"}]


async def test_an_outer_that_is_no_message_is_told(stage: Stage) -> None:
    ana, bruno = await stage.pair()
    stage.evil.rule = ChangeRow(bruno.uid, with_body(lambda _: b"\xc1garbage"))
    await ana.send(stage.chat_id, "basura")
    await bruno.warned("row_tampered")
    assert isinstance(stage.evil.seen.frames_of(ana.uid, MessageOuter)[-1], MessageOuter)
