"""Groups at an evil server: who is in, who gets keys, what is written. Ana owns, Bruno and Carla are members."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from mensajeria.client import Client, StateError
from mensajeria.client.api import Cause, Closed, GroupRole, HistoryChoice, MessageState
from mensajeria.client.store import Tx
from mensajeria.protocol.encoding import encode
from mensajeria.protocol.errors import Code
from mensajeria.protocol.frames import Batch, Event, EventKind, Head, Nack, SyncPage
from mensajeria.protocol.ids import ChatId, b64
from mensajeria.protocol.membership import MembershipState
from mensajeria.protocol.records import Member as NewMember
from mensajeria.protocol.records import MemberEvent, MessageOuter, Signed
from tests.attacks.evil import Json, Rule, flipped
from tests.attacks.forging import Impostor, Member, ServeKeys, contact_of, keys_of, list_known
from tests.attacks.stage import PATIENCE_S, Actor, Stage, staged

pytestmark = pytest.mark.slow
PASSWORD = "tercera frase 99 roja"


@dataclass
class Circle:
    """The three at work in one group."""

    stage: Stage
    group: ChatId
    ana: Actor
    bruno: Actor
    carla: Actor

    async def all_show(self, *texts: str) -> None:
        for one in (self.ana, self.bruno, self.carla):
            await one.shows(self.group, *texts)

    async def state(self, actor: Actor) -> MembershipState:
        memberships = actor.client._context.memberships
        return await actor.read(lambda tx: memberships.of(tx, self.group).now)

    async def names(self, actor: Actor) -> list[str]:
        return sorted(one.person.handle for one in await actor.client.chat(self.group).members())

    async def sign(self, by: Actor, **fields: object) -> Signed:
        """The event that would follow what `by` knows, signed by their device."""
        state = await self.state(by)
        base = {
            "chat_id": self.group, "seq": state.seq + 1, "prev": state.hash, "by_uid": by.uid,
            "by_did": by.client._context.me.did, "dl_ver": 1, "ts": 1,
        }  # fmt: skip
        return (await by.device()).member_event(MemberEvent(**{**base, **fields}))  # type: ignore[arg-type]


async def knows(actor: Actor, chat_id: bytes) -> None:
    """Wait until the actor's client has opened a group."""
    end = time.monotonic() + PATIENCE_S
    while chat_id not in {view.chat_id for view in await actor.client.chats()}:
        assert time.monotonic() < end, "not opened"
        await asyncio.sleep(0.01)


@pytest.fixture(scope="session")
def circle_snapshot(snapshot: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The snapshot, with Carla and a group of the three."""
    folder = tmp_path_factory.mktemp("circle")

    async def make() -> None:
        async with staged(snapshot, folder) as stage:
            client = await Client.register(
                stage.evil.url, "carla", PASSWORD, profile=folder / "carla", insecure_key_file=True
            )
            carla = await Actor.watch(client).online()
            stage.actors.append(carla)
            ana, bruno = await stage.pair()
            made = await ana.client.create_group("Círculo", ["bruno", "carla"])
            await ana.send(made.chat_id, "hola a las dos")
            for one in (bruno, carla):
                await knows(one, made.chat_id)
                await one.shows(made.chat_id, "ana: hola a las dos")
            await carla.client.accept(made.chat_id)
            (folder / "group").write_text(made.chat_id.hex())

    asyncio.run(make())
    return folder


@pytest.fixture
async def circle(circle_snapshot: Path, tmp_path: Path) -> AsyncIterator[Circle]:
    async with staged(circle_snapshot, tmp_path) as stage:
        group = ChatId(bytes.fromhex((tmp_path / "group").read_text()))
        ana, bruno, carla = [await stage.open(name) for name in ("ana", "bruno", "carla")]
        yield Circle(stage, group, ana, bruno, carla)


class Insert(Rule):
    """Shows one row more, behind the log's present end, to some; later rows stand one higher for them."""

    def __init__(self, circle: Circle, kind: EventKind, body: bytes, *to: Actor) -> None:
        with circle.stage.evil.database() as db:
            sql = "SELECT last_seq FROM chat WHERE chat_id = ?"
            self._last: int = db.execute(sql, (circle.group,)).fetchone()[0]
        self._to, self._chat = {actor.uid for actor in to}, circle.group
        self.row = Event(circle.group, self._last + 1, 0, kind, body)

    def _concerns(self, to: bytes, chat_id: bytes) -> bool:
        return chat_id == self._chat and to in self._to

    def event(self, to: bytes, event: Event) -> Iterable[Event]:
        if not self._concerns(to, event.chat_id):
            yield event
            return
        if event.seq == self._last + 1:
            yield self.row
        yield event if event.seq <= self._last else msgspec.structs.replace(event, seq=event.seq + 1)

    def head(self, to: bytes, head: Head) -> Head:
        if not self._concerns(to, head.chat_id) or head.last_seq <= self._last:
            return head
        return msgspec.structs.replace(head, last_seq=head.last_seq + 1)


# --- who is in ---


async def _burgling(circle: Circle, kind: str, eva: Member) -> bytes:
    """A row that would bring Eva in, if one of the rule's checks were missing."""
    new = (NewMember(uid=eva.uid, idfp=eva.identity.idfp, role="member"),)
    good = await circle.sign(circle.ana, type="add", members=new)
    if kind == "unsigned":
        return encode(Signed(good.body, bytes(64)))
    if kind == "altered":
        return encode(Signed(flipped(good.body, len(good.body) - 3), good.sig))
    if kind == "signed by a stranger":
        return encode(eva.device.member_event(msgspec.msgpack.decode(good.body, type=MemberEvent)))
    if kind == "by a member who is no admin":
        return encode(await circle.sign(circle.bruno, type="add", members=new))
    if kind == "for another chat":
        return encode(await circle.sign(circle.ana, type="add", members=new, chat_id=os.urandom(32)))
    if kind == "with a wrong predecessor":
        return encode(await circle.sign(circle.ana, type="add", members=new, prev=os.urandom(32)))
    if kind == "with other fields":
        return encode(await circle.sign(circle.ana, type="add", members=new, timer_s=5))
    return os.urandom(200)


BURGLARIES = [
    "unsigned", "altered", "signed by a stranger", "by a member who is no admin", "for another chat",
    "with a wrong predecessor", "with other fields", "garbage",
]  # fmt: skip


@pytest.mark.parametrize("kind", BURGLARIES)
async def test_the_server_cannot_bring_anybody_in_nor_jam_the_chain(circle: Circle, kind: str) -> None:
    eva = Member()
    circle.stage.evil.rule = Insert(
        circle, EventKind.MEMBER, await _burgling(circle, kind, eva), circle.bruno, circle.carla
    )
    await circle.ana.send(circle.group, "¿quién escucha?")
    await circle.all_show("ana: hola a las dos", "ana: ¿quién escucha?")
    assert eva.device.did not in circle.stage.evil.seen.written_to(circle.ana.uid)
    for one in (circle.ana, circle.bruno, circle.carla):
        assert await circle.names(one) == ["ana", "bruno", "carla"]
    await circle.ana.client.chat(circle.group).set_role("bruno", GroupRole.ADMIN)  # the chain goes on
    await circle.bruno.has_place(circle.group, Cause.ROLE_CHANGED)
    await circle.bruno.client.chat(circle.group).remove("carla")
    await circle.ana.has_place(circle.group, Cause.MEMBER_REMOVED)
    assert await circle.names(circle.ana) == ["ana", "bruno"]


class OtherChain(Rule):
    """Tells one person another chain of a group than it has."""

    def __init__(self, to: bytes) -> None:
        self._to = to
        self.told = 0

    def rest(self, to: bytes | None, method: str, path: str, answer: Json) -> Json:
        if to == self._to and path.endswith("/members-events") and answer.get("events"):
            self.told += 1
            first = {**answer["events"][0]}
            first["event"] = {**first["event"], "sig": b64(bytes(64))}
            return {**answer, "events": [first, *answer["events"][1:]]}
        return answer


async def test_a_group_whose_chain_does_not_verify_is_not_opened(circle: Circle) -> None:
    circle.stage.evil.rule = rule = OtherChain(circle.bruno.uid)
    made = await circle.ana.client.create_group("Falso", ["bruno", "carla"])
    await circle.bruno.warned("chain_refused")
    assert rule.told
    assert made.chat_id not in {view.chat_id for view in await circle.bruno.client.chats()}
    await circle.ana.send(made.chat_id, "¿bruno?")
    assert made.chat_id in {view.chat_id for view in await circle.carla.client.chats()}


# --- who gets keys ---


async def _sessions(actor: Actor, group: ChatId) -> set[bytes]:
    """Sender sessions of which the actor has a key."""
    with_ids = await actor.read(lambda tx: tx.inbound._db.all("SELECT session_id FROM megolm_inbound"))
    del group
    return {session_id for (session_id,) in with_ids}


async def test_a_removed_member_has_no_key_of_what_races_the_removal(circle: Circle) -> None:
    texts = [f"mensaje {number}" for number in range(12)]
    await circle.bruno.send(circle.group, "antes")
    await circle.carla.shows(circle.group, "bruno: antes")
    sends = [circle.bruno.client.chat(circle.group).send_text(text) for text in texts]
    await asyncio.gather(*sends[:6], circle.ana.client.chat(circle.group).remove("carla"), *sends[6:])
    await circle.ana.shows(circle.group, f"bruno: {texts[-1]}")
    await circle.ana.has_place(circle.group, Cause.MEMBER_REMOVED)
    timeline = await circle.ana.timeline(circle.group)
    assert sorted(m.text for m in timeline if m.text.startswith("mensaje")) == sorted(texts)  # bruno noticed nothing
    removal = next(m.seq for m in timeline if m.cause is Cause.MEMBER_REMOVED)
    assert removal is not None
    known = await _sessions(circle.carla, circle.group)
    with circle.stage.evil.database() as db:
        sql = "SELECT e.body FROM event e JOIN chat c ON c.id = e.chat WHERE c.chat_id = ? AND e.seq > ? AND e.kind = 0"
        rows = [body for (body,) in db.execute(sql, (circle.group, removal))]
    outers = [msgspec.msgpack.decode(body, type=MessageOuter) for body in rows]
    assert [outer for outer in outers if outer.session_id in known] == []
    assert not await circle.ana.read(lambda tx: "not_rotated" in {one.code for one in tx.meta.warnings()})


async def test_a_false_identity_for_one_viewer_gets_no_key_and_stops_nobody(circle: Circle) -> None:
    contact = await circle.bruno.read(contact_of(circle.carla.uid))
    false = Impostor.instead_of(list_known(contact))
    circle.stage.evil.rule = ServeKeys(
        circle.carla.uid, keys_of(circle.carla.uid, false.identity.record, false.signed), only=circle.bruno.uid
    )
    await circle.bruno.send(circle.group, "a los demás")
    await circle.ana.shows(circle.group, "bruno: a los demás")
    await circle.bruno.has_place(circle.group, Cause.MEMBER_SKIPPED)
    assert false.device.did not in circle.stage.evil.seen.written_to(circle.bruno.uid)


async def test_one_corrupt_list_stops_nobody(circle: Circle) -> None:
    contact = await circle.bruno.read(contact_of(circle.carla.uid))
    broken = keys_of(circle.carla.uid, contact.identity, Signed(contact.list_body, flipped(contact.list_sig, 7)))
    circle.stage.evil.rule = ServeKeys(circle.carla.uid, broken, only=circle.bruno.uid)
    await circle.bruno.send(circle.group, "sin carla")
    await circle.ana.shows(circle.group, "bruno: sin carla")
    await circle.bruno.warned("list_invalid")
    await circle.bruno.has_place(circle.group, Cause.MEMBER_SKIPPED)
    circle.stage.evil.rule = Rule()
    await circle.bruno.client.close()
    again = await circle.stage.open("bruno")
    await again.send(circle.group, "con carla")
    await circle.carla.shows(circle.group, "bruno: con carla")


# --- what is written ---


class AlwaysStale(Rule):
    """Calls every epoch stale."""

    def __init__(self) -> None:
        self.refused: list[MessageOuter] = []

    def received(self, by: bytes, frame: msgspec.Struct) -> Iterable[msgspec.Struct] | None:
        if isinstance(frame, MessageOuter):
            self.refused.append(frame)
            return [Batch((Nack(frame.chat_id, frame.mid, Code.STALE_EPOCH),))]
        return None


async def test_an_epoch_that_stays_stale_ends_in_a_failed_message(circle: Circle) -> None:
    circle.stage.evil.rule = rule = AlwaysStale()
    sent = await circle.bruno.client.chat(circle.group).send_text("¿sale?")
    failed = await circle.bruno.state(circle.group, sent.mid, MessageState.FAILED)
    assert failed.error == Code.STALE_EPOCH
    places = [(outer.session_id, outer.idx) for outer in rule.refused]
    assert len(places) == len(set(places)) < 20  # each try under a session of its own, and not for ever


async def test_a_row_of_another_chat_is_not_shown_in_a_group(circle: Circle) -> None:
    with circle.stage.evil.database() as db:
        sql = "SELECT e.body FROM event e JOIN chat c ON c.id = e.chat WHERE c.chat_id = ? AND e.kind = 0 LIMIT 1"
        moved = db.execute(sql, (circle.stage.chat_id,)).fetchone()[0]
    circle.stage.evil.rule = Insert(circle, EventKind.MESSAGE, moved, circle.bruno)
    await circle.ana.send(circle.group, "después")
    await circle.bruno.shows(circle.group, "ana: hola a las dos", "ana: después")
    await circle.bruno.has_place(circle.group, Cause.TAMPERED)
    strange = [m for m in await circle.bruno.timeline(circle.group) if m.cause is Cause.TAMPERED]
    assert [m.sender.handle for m in strange] == [""]  # nobody is named


# --- forks ---


async def fork_for_bruno(circle: Circle) -> Signed:
    """Bruno is shown two events for one place, and has noticed; the second of them."""
    twin = await circle.sign(circle.ana, type="remove", who=circle.carla.uid)
    await circle.ana.client.chat(circle.group).set_role("bruno", GroupRole.ADMIN)
    await circle.bruno.has_place(circle.group, Cause.ROLE_CHANGED)
    circle.stage.evil.rule = Insert(circle, EventKind.MEMBER, encode(twin), circle.bruno)
    await circle.ana.send(circle.group, "¿y ahora?")
    await circle.bruno.warned("group_forked")
    return twin


async def test_two_valid_events_for_one_place_stop_the_group_with_evidence_and_a_way_out(circle: Circle) -> None:
    twin = await fork_for_bruno(circle)
    view = await circle.bruno.client.chat(circle.group).view()
    assert view.group is not None
    assert view.group.closed is Closed.FORKED
    with pytest.raises(StateError, match="group_forked"):
        await circle.bruno.client.chat(circle.group).send_text("no sale")

    def evidence(tx: Tx) -> tuple[tuple[bytes, bytes], ...]:
        return tx.groups.forks(circle.group)

    [(first, second)] = await circle.bruno.read(evidence)
    assert second == encode(twin)
    assert msgspec.msgpack.decode(first, type=Signed).body != twin.body
    circle.stage.evil.rule = Rule()
    again = await circle.bruno.client.recreate_group(circle.group)
    await circle.bruno.send(again.chat_id, "seguimos aquí")
    for one in (circle.ana, circle.carla):
        await knows(one, again.chat_id)
        await one.shows(again.chat_id, "bruno: seguimos aquí")
    old = (await circle.bruno.client.chat(circle.group).view()).group
    assert old is not None
    assert old.superseded_by == again.chat_id


async def test_of_two_who_make_a_group_again_at_once_everybody_goes_on_with_the_same_one(circle: Circle) -> None:
    await fork_for_bruno(circle)
    circle.stage.evil.rule = Rule()
    two = await asyncio.gather(*(one.client.recreate_group(circle.group) for one in (circle.bruno, circle.carla)))
    assert len({one.chat_id for one in two}) == 2
    for one in (circle.ana, circle.bruno, circle.carla):
        for made in two:
            await knows(one, made.chat_id)
        assert (await one.client.recreate_group(circle.group)).chat_id == min(made.chat_id for made in two)
    old = (await circle.bruno.client.chat(circle.group).view()).group
    assert old is not None
    assert old.superseded_by == min(made.chat_id for made in two)


async def test_a_claim_of_a_fork_stops_nobody(circle: Circle) -> None:
    """An event for a place that is taken, by who may not: no proof of anything."""
    claim = await circle.sign(circle.bruno, type="remove", who=circle.carla.uid)
    await circle.ana.client.chat(circle.group).set_role("carla", GroupRole.ADMIN)
    await circle.bruno.has_place(circle.group, Cause.ROLE_CHANGED)
    circle.stage.evil.rule = Insert(circle, EventKind.MEMBER, encode(claim), circle.bruno)
    await circle.ana.send(circle.group, "todo sigue")
    await circle.bruno.shows(circle.group, "ana: todo sigue")
    assert "group_forked" not in circle.bruno.warnings()
    view = (await circle.bruno.client.chat(circle.group).view()).group
    assert view is not None
    assert view.closed is None


# --- chosen history for a new member


async def left_out(circle: Circle) -> None:
    """Carla is removed, and two messages are written without her."""
    await circle.ana.client.chat(circle.group).remove("carla")
    await circle.carla.has_place(circle.group, Cause.MEMBER_REMOVED)
    await circle.bruno.has_place(circle.group, Cause.MEMBER_REMOVED)
    await circle.ana.send(circle.group, "sin carla")
    await circle.bruno.shows(circle.group, "ana: sin carla")
    await circle.bruno.send(circle.group, "tampoco yo")
    await circle.ana.shows(circle.group, "bruno: tampoco yo")


async def test_a_member_added_with_history_reads_what_was_chosen_and_everybody_is_told(circle: Circle) -> None:
    await left_out(circle)
    await circle.ana.client.chat(circle.group).add(["carla"], history=HistoryChoice.ALL)
    await circle.carla.shows(circle.group, "ana: sin carla", "bruno: tampoco yo")
    for actor in (circle.ana, circle.bruno, circle.carla):
        await actor.has_place(circle.group, Cause.HISTORY_SHARED)
    await circle.ana.send(circle.group, "juntas otra vez")
    await circle.all_show("ana: juntas otra vez")


class Withhold(Rule):
    """One person never gets the last row that the log has now."""

    def __init__(self, circle: Circle, who: Actor) -> None:
        with circle.stage.evil.database() as db:
            sql = "SELECT last_seq FROM chat WHERE chat_id = ?"
            self.seq: int = db.execute(sql, (circle.group,)).fetchone()[0]
        self.chat, self.who = circle.group, who.uid

    def event(self, to: bytes, event: Event) -> Iterable[Event]:
        if (to, event.chat_id, event.seq) != (self.who, self.chat, self.seq):
            yield event


async def test_a_server_that_keeps_earlier_rows_back_is_told_on(circle: Circle) -> None:
    await left_out(circle)
    circle.stage.evil.rule = Withhold(circle, circle.carla)
    await circle.ana.client.chat(circle.group).add(["carla"], history=HistoryChoice.ALL)
    await circle.carla.warned("log_gap")
    circle.stage.evil.rule = Rule()
    await circle.ana.send(circle.group, "sigue")
    await circle.carla.shows(circle.group, "ana: sigue")


class HideRemoval(Withhold):
    """As `Withhold`, from the next row on; and the chain's events are cut off there as well, if so wanted."""

    def __init__(self, circle: Circle, who: Actor, *, everywhere: bool) -> None:
        super().__init__(circle, who)
        self.seq += 1
        self._everywhere = everywhere

    def rest(self, to: bytes | None, method: str, path: str, answer: Json) -> Json:
        if self._everywhere and to == self.who and path.endswith("/members-events") and "events" in answer:
            return {**answer, "events": [one for one in answer["events"] if one["seq"] != self.seq]}
        return answer


async def test_a_removal_that_the_log_hides_is_learned_all_the_same(circle: Circle) -> None:
    """Bruno goes on behind the hole; what is written there names the removal, which he asks for by its number."""
    circle.stage.evil.rule = HideRemoval(circle, circle.bruno, everywhere=False)
    await circle.ana.client.chat(circle.group).remove("carla")
    await circle.ana.send(circle.group, "sin carla")
    await circle.bruno.warned("log_gap")
    await circle.bruno.shows(circle.group, "ana: sin carla")
    assert await circle.names(circle.bruno) == ["ana", "bruno"]
    circle.stage.evil.rule = Rule()
    circle.stage.evil.drop_connections()
    await circle.bruno.has_place(circle.group, Cause.MEMBER_REMOVED)
    assert Cause.MISSING not in await circle.bruno.places(circle.group)


async def test_behind_a_hidden_removal_nothing_is_believed_without_it(circle: Circle) -> None:
    """No row and no answer has it: what was written after it waits, however often the log goes on."""
    circle.stage.evil.rule = HideRemoval(circle, circle.bruno, everywhere=True)
    await circle.ana.client.chat(circle.group).remove("carla")
    await circle.ana.send(circle.group, "sin carla")
    await circle.bruno.has_place(circle.group, Cause.WAITING)
    assert Cause.MISSING in await circle.bruno.places(circle.group)
    assert "ana: sin carla" not in await circle.bruno.texts(circle.group)
    circle.stage.evil.rule = Rule()
    circle.stage.evil.drop_connections()
    await circle.bruno.shows(circle.group, "ana: sin carla")
    assert await circle.names(circle.bruno) == ["ana", "bruno"]


async def test_without_a_choice_no_server_makes_a_new_member_read_what_was_before(circle: Circle) -> None:
    await left_out(circle)
    await circle.ana.client.chat(circle.group).add(["carla"])
    await circle.ana.send(circle.group, "desde ahora")
    await circle.carla.shows(circle.group, "ana: desde ahora")
    assert not {"ana: sin carla", "bruno: tampoco yo"} & set(await circle.carla.texts(circle.group))
    assert Cause.HISTORY_SHARED not in await circle.bruno.places(circle.group)


# --- removed while away


async def test_who_was_removed_while_away_learns_it_at_the_next_connection(circle: Circle) -> None:
    await circle.carla.close()
    await circle.ana.client.chat(circle.group).remove("carla")
    await circle.ana.send(circle.group, "sin carla")
    carla = await circle.stage.open("carla")
    await carla.has_place(circle.group, Cause.MEMBER_REMOVED)
    view = (await carla.client.chat(circle.group).view()).group
    assert view is not None
    assert view.closed is Closed.NOT_A_MEMBER
    with pytest.raises(StateError, match="not_a_member"):
        await carla.client.chat(circle.group).send_text("ya no")
    assert "ana: sin carla" not in await carla.texts(circle.group)
    assert "group_hidden" not in carla.warnings()


class Unlisted(Rule):
    """The server does not speak of a group any more, to one person."""

    def __init__(self, circle: Circle, who: Actor) -> None:
        self.chat, self.who = circle.group, who.uid

    def frame(self, to: bytes, frame: msgspec.Struct) -> Iterable[msgspec.Struct]:
        if isinstance(frame, SyncPage) and to == self.who:
            kept = tuple(head for head in frame.heads if head.chat_id != self.chat)
            frame = msgspec.structs.replace(frame, heads=kept)
        yield from super().frame(to, frame)


async def test_a_server_that_hides_a_group_removes_nobody_from_it(circle: Circle) -> None:
    await circle.carla.close()
    circle.stage.evil.rule = Unlisted(circle, circle.carla)
    carla = await circle.stage.open("carla")
    await carla.warned("group_hidden")
    view = (await carla.client.chat(circle.group).view()).group
    assert view is not None
    assert view.closed is None
