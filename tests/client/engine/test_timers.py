"""Disappearing messages between two people: who sets them, when they begin, and that they end exactly."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from mensajeria.client.api import Cause, MessageChanged, MessageKind, MessageReceived, MessageRemoved
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.engine.timers import Expiry, WallClock, may_back_up, ttl_bucket
from mensajeria.client.errors import InputError
from mensajeria.client.store import Tx
from mensajeria.crypto.message import decode_outer, text_body
from mensajeria.kit.clock import FakeClock
from mensajeria.protocol import limits
from mensajeria.protocol.encoding import encode
from mensajeria.protocol.frames import Event, EventKind, Tombstone
from mensajeria.protocol.ids import Mid, SessionId
from tests.client.engine.talk import Talk
from tests.client.engine.world import NOW, Desk

HOUR_MS = 3_600_000


@pytest.fixture
def talk(ana: Desk, bruno: Desk) -> Talk:
    return Talk(ana, bruno)


def expiry(desk: Desk) -> Expiry:
    async def commit(step: Callable[[Tx, Outcome], bool]) -> bool:
        return await desk.do(step)

    return Expiry(desk.clock, commit, asyncio.Event())


async def timed(talk: Talk, seconds: int = 60, text: str = "efímero") -> Mid:
    """Ana has set a timer and said something; Bruno has both."""
    await talk.timer(talk.ana, seconds)
    mid = await talk.text(talk.ana, text)
    await talk.pass_on(talk.ana)
    return mid


async def test_a_timer_is_told_in_the_timeline_and_holds_for_both(talk: Talk) -> None:
    await talk.timer(talk.ana, 60)
    await talk.pass_on(talk.ana)
    for desk in (talk.ana, talk.bruno):
        [notice] = await talk.page(desk)
        assert (notice.kind, notice.cause, dict(notice.params)) == (
            MessageKind.NOTICE, Cause.TIMER_CHANGED, {"seconds": "60"},
        )  # fmt: skip
        assert notice.sender.handle == "ana"
    assert await talk.unread(talk.bruno) == 0
    mid = await talk.text(talk.bruno, "hola")
    await talk.pass_on(talk.bruno)
    assert (await talk.one(talk.ana, mid)).expire_s == 60


async def test_what_was_written_before_stays(talk: Talk) -> None:
    before = await talk.text(talk.ana, "queda")
    await talk.pass_on(talk.ana)
    await timed(talk)
    await talk.read_all(talk.bruno)
    assert (await talk.one(talk.bruno, before)).expires_ms is None


async def test_the_last_timer_in_the_log_holds(talk: Talk) -> None:
    await talk.timer(talk.ana, 60)
    await talk.timer(talk.ana, 0)
    await talk.pass_on(talk.ana)
    await talk.timer(talk.bruno, 3600)
    await talk.pass_on(talk.bruno)
    for desk in (talk.ana, talk.bruno):
        assert await desk.store.read(lambda tx: tx.timers.seconds(talk.chat_id)) == 3600


@pytest.mark.parametrize("seconds", [-1, limits.MAX_TIMER_S + 1])
async def test_a_timer_has_bounds(talk: Talk, seconds: int) -> None:
    with pytest.raises(InputError, match="timer_invalid"):
        await talk.timer(talk.ana, seconds)


async def test_the_clock_starts_with_the_ack_for_the_author_and_with_reading_for_the_reader(talk: Talk) -> None:
    mid = await timed(talk)
    assert (await talk.one(talk.ana, mid)).expires_ms is None
    await talk.read_all(talk.ana)  # what Context does after every step that touched a chat
    assert (await talk.one(talk.ana, mid)).expires_ms == NOW + 60_000
    assert (await talk.one(talk.bruno, mid)).expires_ms is None
    talk.bruno.clock.advance(1000)
    await talk.read_all(talk.bruno)
    assert (await talk.one(talk.bruno, mid)).expires_ms == NOW + 1_060_000
    assert [e.message.mid for e in talk.bruno.last.events if isinstance(e, MessageChanged)] == [mid]
    assert talk.bruno.last.timers


async def test_a_message_goes_at_its_time_and_not_before(talk: Talk) -> None:
    mid = await timed(talk)
    answer = await talk.text(talk.bruno, "¿qué?", reply=(talk.ana.me.uid, mid))
    await talk.pass_on(talk.bruno)
    await talk.read_all(talk.bruno)
    watch = expiry(talk.bruno)
    talk.bruno.clock.advance(59.9)
    await watch.look()
    assert "efímero" in await talk.shown(talk.bruno)
    talk.bruno.clock.advance(0.1)
    await watch.look()
    assert "efímero" not in await talk.shown(talk.bruno)
    assert await talk.found(talk.bruno, "efímero") == []
    events = [event for out in talk.bruno.outcomes for event in out.events]
    removed = [e.mid for e in events if isinstance(e, MessageRemoved)]
    assert mid in removed
    # The answer of the same chat has its own timer and went with it.
    assert answer in removed


async def test_a_quote_of_what_has_expired_is_empty(talk: Talk) -> None:
    mid = await timed(talk)
    await talk.timer(talk.bruno, 0)
    answer = await talk.text(talk.bruno, "¿qué?", reply=(talk.ana.me.uid, mid))
    await talk.pass_on(talk.bruno)
    await talk.read_all(talk.bruno)
    talk.bruno.clock.advance(61)
    await expiry(talk.bruno).look()
    quote = (await talk.one(talk.bruno, answer)).reply
    assert quote is not None
    assert (quote.kind, quote.text) == (None, "")


async def test_versions_and_reactions_go_with_it(talk: Talk) -> None:
    mid = await timed(talk)
    await talk.edit(talk.ana, mid, "efímero dos")
    await talk.pass_on(talk.ana)
    await talk.react(talk.bruno, mid, "👀")
    await talk.pass_on(talk.bruno)
    await talk.read_all(talk.bruno)
    talk.bruno.clock.advance(61)
    await expiry(talk.bruno).look()

    def left(tx: Tx) -> list[int]:
        return [tx.changes._db.value(f"SELECT count(*) FROM {table}") for table in ("changes", "reactions")]

    assert await talk.bruno.store.read(left) == [0, 0]
    await talk.edit(talk.ana, mid, "efímero tres")
    await talk.pass_on(talk.ana)
    assert await talk.bruno.store.read(left) == [0, 0]


async def test_what_is_overdue_goes_at_the_next_start(talk: Talk) -> None:
    await timed(talk)
    await talk.read_all(talk.bruno)
    talk.bruno.clock.advance(3600)
    watch = expiry(talk.bruno)
    await watch.start()
    await watch.stop()
    assert "efímero" not in await talk.shown(talk.bruno)


async def test_many_go_in_slices(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mensajeria.client.engine.timers.SLICE", 3)
    await talk.timer(talk.ana, 60)
    for n in range(8):
        await talk.text(talk.ana, f"m{n}")
    await talk.pass_on(talk.ana)
    await talk.read_all(talk.bruno)
    talk.bruno.clock.advance(61)
    await expiry(talk.bruno).look()
    assert await talk.shown(talk.bruno) == ["<timer_changed>"]
    assert await talk.unread(talk.bruno) == 0


async def test_the_running_watch_removes_by_itself(talk: Talk) -> None:
    await timed(talk, seconds=1)
    due = asyncio.Event()

    async def commit(step: Callable[[Tx, Outcome], bool]) -> bool:
        return await talk.bruno.do(step)

    watch = Expiry(talk.bruno.clock, commit, due)
    await watch.start()
    await talk.read_all(talk.bruno)
    talk.bruno.clock.advance(2)
    due.set()
    async with asyncio.timeout(5):
        while "efímero" in await talk.shown(talk.bruno):  # noqa: ASYNC110 - looks into a store
            await asyncio.sleep(0.005)
    await watch.stop()


# --- clocks


async def test_a_clock_that_is_set_back_lengthens_no_life(talk: Talk) -> None:
    await timed(talk)
    await talk.read_all(talk.bruno)
    watch = expiry(talk.bruno)
    await watch.look()
    talk.bruno.clock.advance(30)
    await watch.look()
    talk.bruno.clock.set_wall(NOW - 24 * HOUR_MS)
    talk.bruno.clock.advance(29)
    await watch.look()
    assert "efímero" in await talk.shown(talk.bruno)
    talk.bruno.clock.advance(1)
    await watch.look()
    assert "efímero" not in await talk.shown(talk.bruno)


async def test_a_clock_that_is_set_back_while_the_program_is_off_lengthens_a_life_by_the_pause_at_most(
    talk: Talk,
) -> None:
    await timed(talk)
    await talk.read_all(talk.bruno)
    talk.bruno.clock.advance(30)
    await expiry(talk.bruno).look()
    talk.bruno.clock.set_wall(NOW - 24 * HOUR_MS)
    again = expiry(talk.bruno)
    await again.look()
    assert "efímero" in await talk.shown(talk.bruno)
    talk.bruno.clock.advance(30)
    await again.look()
    assert "efímero" not in await talk.shown(talk.bruno)


def test_a_clock_that_goes_forward_is_time_that_has_passed() -> None:
    clock = FakeClock(NOW)
    wall = WallClock(clock)
    assert wall.set_back_ms(0) == 0
    clock.set_wall(NOW + 10 * HOUR_MS)
    assert wall.set_back_ms(0) == 0
    clock.set_wall(NOW)
    clock.advance(5)
    assert wall.set_back_ms(0) == 10 * HOUR_MS


# --- what the server and backups know


@pytest.mark.parametrize(
    ("expire_s", "hours"), [(1, 512), (3600, 512), (7 * 86400, 512), (14 * 86400, 1024), (limits.MAX_TIMER_S, 16384)]
)
def test_the_server_may_erase_after_two_weeks_and_the_timer_in_coarse_steps(expire_s: int, hours: int) -> None:
    bucket = ttl_bucket(expire_s)
    assert 1 << (bucket - 1) == hours
    assert hours * 3600 >= expire_s + limits.TIMER_DELIVERY_S


async def test_only_messages_with_a_timer_have_a_bucket(talk: Talk) -> None:
    await talk.text(talk.ana, "queda")
    await talk.timer(talk.ana, 60)
    await talk.text(talk.ana, "se va")
    assert [decode_outer(row).ttl_bucket for row in await talk.post(talk.ana)] == [0, 0, ttl_bucket(60)]


async def test_sessions_of_a_chat_with_a_timer_are_never_backed_up(talk: Talk) -> None:
    async def allowed(desk: Desk, session: SessionId) -> bool:
        return await desk.store.read(lambda tx: may_back_up(tx, talk.chat_id, talk.state(desk, tx), session))

    await talk.text(talk.ana, "antes")
    await talk.pass_on(talk.ana)
    first = SessionId(decode_outer(talk.log[-1]).session_id)
    await timed(talk)
    second = SessionId(decode_outer(talk.log[-1]).session_id)
    assert first != second, "a change of the timer begins a new session"
    for desk in (talk.ana, talk.bruno):
        for session in (first, second):
            assert not await allowed(desk, session)
    await talk.timer(talk.ana, 0)
    await talk.text(talk.ana, "después")
    await talk.pass_on(talk.ana)
    third = SessionId(decode_outer(talk.log[-1]).session_id)
    for desk in (talk.ana, talk.bruno):
        assert [await allowed(desk, session) for session in (first, second, third)] == [True, False, True]


async def test_a_longest_timer_is_the_longest_whatever_a_message_says(talk: Talk) -> None:
    mid = await talk.any(talk.ana, "text", text_body("siglos"), expire_s=4_000_000_000)
    await talk.pass_on(talk.ana)
    assert (await talk.one(talk.bruno, mid)).expire_s == limits.MAX_TIMER_S


async def tombstone(talk: Talk, why: int, age_ms: int) -> Cause | None:
    """Bruno meets a row of Ana that the server has erased; what he is told."""
    await talk.post(talk.ana)
    outer = decode_outer(talk.log[-1])
    event = Event(
        talk.chat_id, len(talk.log), NOW - age_ms, EventKind.TOMBSTONE,
        encode(Tombstone(outer.session_id, outer.idx, why)),
    )  # fmt: skip
    talk.log.pop()
    await talk.give_keys()
    await talk.fetch(talk.bruno)

    def step(tx: Tx, out: Outcome) -> None:
        talk.bruno.rows.apply(tx, out, talk.chat_id, [event], event.seq)

    await talk.bruno.do(step)
    [notice] = [e.message for e in talk.bruno.last.events if isinstance(e, MessageReceived)]
    return notice.cause


async def test_a_row_that_outlived_its_timer_is_not_kept(talk: Talk) -> None:
    await talk.timer(talk.ana, 60)
    await talk.post(talk.ana)
    await talk.text(talk.ana, "viejo")
    assert await tombstone(talk, why=3, age_ms=22 * 24 * HOUR_MS) is Cause.NOT_KEPT


@pytest.mark.parametrize(("why", "days", "has_timer"), [(3, 3, True), (3, 22, False), (1, 22, True), (4, 22, True)])
async def test_a_timer_is_no_excuse_where_there_is_none_or_it_cannot_have_elapsed(
    talk: Talk, why: int, days: int, has_timer: bool
) -> None:
    if has_timer:
        await talk.timer(talk.ana, 60)
        await talk.post(talk.ana)
    await talk.text(talk.ana, "joven")
    assert await tombstone(talk, why=why, age_ms=days * 24 * HOUR_MS) is Cause.REMOVED_BY_SERVER
