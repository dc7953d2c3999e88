from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from PyQt6.QtCore import Qt
from PyQt6.QtTest import QAbstractItemModelTester

from mensajeria.desktop.viewmodels.timeline import MAX_ROWS, PAGE_ROWS, TimelineModel
from mensajeria.desktop.viewmodels.types import PENDING_BASE, MessageState, Page, ServiceKind, Unreadable
from tests.desktop.material import DAY_MS, MINUTE_MS, NOW_MS, incoming, opened, outgoing
from tests.support.examples import examples

if TYPE_CHECKING:
    from mensajeria.desktop.viewmodels.wording import Wording


@pytest.fixture
def model(qapp: object, wording: Wording) -> TimelineModel:
    made = TimelineModel(wording)
    QAbstractItemModelTester(made, QAbstractItemModelTester.FailureReportingMode.Fatal, made)
    made.clear("c")
    return made


def positions(model: TimelineModel) -> list[int]:
    return [row.position for row in model.rows]


def test_rows_arrive_in_order_whatever_the_batch(model: TimelineModel) -> None:
    model.open(opened("c", [incoming(1), incoming(5)]))
    model.put([incoming(7), incoming(3), incoming(6)])
    assert positions(model) == [1, 3, 5, 6, 7]


def test_an_acked_row_keeps_its_key_and_takes_its_place(model: TimelineModel) -> None:
    pending = replace(outgoing(1), position=PENDING_BASE, key="mine", state=MessageState.SENDING)
    model.open(opened("c", [incoming(1), pending]))
    model.put([incoming(2), replace(pending, position=3, state=MessageState.SENT)])
    assert [row.key for row in model.rows] == ["k1", "k2", "mine"]
    model.put([incoming(4)])
    assert [row.key for row in model.rows] == ["k1", "k2", "mine", "k4"]


def test_grouping(model: TimelineModel) -> None:
    model.open(opened("c", [incoming(1), incoming(2), outgoing(3), outgoing(9)]))
    assert [(decor.first, decor.last) for decor in model.decor] == [
        (True, False),
        (False, True),
        (True, True),  # the next one came more than five minutes later
        (True, True),
    ]


def test_a_new_row_joins_the_group_above(model: TimelineModel) -> None:
    model.open(opened("c", [incoming(1)]))
    changed: list[int] = []
    model.dataChanged.connect(lambda top, _bottom: changed.append(top.row()))
    model.put([incoming(2)])
    assert (model.decor[0].last, model.decor[1].first) == (False, False)
    assert changed == [0]


def test_date_pills_stand_where_the_day_changes(model: TimelineModel) -> None:
    rows = [incoming(1, time_ms=NOW_MS - DAY_MS), incoming(2, time_ms=NOW_MS - DAY_MS + 1), incoming(3, time_ms=NOW_MS)]
    model.open(opened("c", rows))
    assert [decor.day is not None for decor in model.decor] == [True, False, True]


def test_no_pill_above_a_row_whose_predecessor_is_not_known(model: TimelineModel) -> None:
    model.open(opened("c", [incoming(10)], at_start=False))
    assert model.decor[0].day is None
    model.put_older(Page("c", (incoming(9),), at_start=True, at_end=False))
    assert [decor.day is not None for decor in model.decor] == [True, False]


def test_divider_stands_above_the_first_unread_row_and_stays(model: TimelineModel) -> None:
    rows = [incoming(1), incoming(2), incoming(3)]
    model.open(opened("c", rows, first_unread="k2", unread=2))
    assert [decor.divider for decor in model.decor] == [0, 2, 0]
    assert (model.decor[0].last, model.decor[1].first) == (True, True)
    model.put([incoming(4)])
    assert model.divider_row == 1
    model.clear("d")
    assert model.divider_row == -1


def test_pages_are_asked_for_once(model: TimelineModel) -> None:
    asked: list[tuple[int, int]] = []
    model.need_older.connect(lambda position, count: asked.append((position, count)))
    model.open(opened("c", [incoming(50)], at_start=False))
    model.fetch_older()
    model.fetch_older()
    assert asked == [(50, PAGE_ROWS)]
    model.put_older(Page("c", (incoming(49),), at_start=True, at_end=False))
    model.fetch_older()
    assert asked == [(50, PAGE_ROWS)]


def test_the_window_slides(model: TimelineModel) -> None:
    model.open(opened("c", [incoming(place) for place in range(1000, 1160)], at_start=False))
    for start in (900, 800, 700):
        model.put_older(Page("c", tuple(incoming(place) for place in range(start, start + 100)), False, True))
    assert (len(model.rows), model.at_end, model.rows[0].position) == (MAX_ROWS, False, 700)
    model.put_newer(Page("c", tuple(incoming(place) for place in range(1100, 1200)), False, True))
    assert (len(model.rows), model.at_start, model.rows[-1].position) == (MAX_ROWS, False, 1199)
    assert positions(model) == list(range(800, 1200))


def test_rows_behind_the_window_are_counted_not_shown(model: TimelineModel) -> None:
    model.open(opened("c", [incoming(1)], at_end=False))
    model.put([incoming(9), outgoing(10)])
    assert (positions(model), model.unseen) == ([1], 1)


def test_a_full_window_drops_the_far_end(model: TimelineModel) -> None:
    model.open(opened("c", [incoming(place) for place in range(MAX_ROWS)]))
    model.following = False
    model.put([incoming(MAX_ROWS)])
    assert (model.at_end, model.rows[0].position) == (False, 0)
    model.open(opened("c", [incoming(place) for place in range(MAX_ROWS)]))
    model.following = True
    model.put([incoming(MAX_ROWS)])
    assert (model.at_start, model.rows[-1].position) == (False, MAX_ROWS)


@pytest.mark.parametrize("older", [True, False], ids=["older", "newer"])
def test_staged_rows_know_their_surroundings(model: TimelineModel, older: bool) -> None:
    model.open(opened("c", [incoming(50), incoming(51)], at_start=False, at_end=False))
    model.staging = True
    start = 40 if older else 52
    page = Page("c", tuple(incoming(place) for place in range(start, start + 10)), at_start=older, at_end=not older)
    (model.put_older if older else model.put_newer)(page)
    assert positions(model) == [50, 51]
    staged = model.staged
    model.commit()
    assert staged == [pair for pair in zip(model.rows, model.decor, strict=True) if pair[0] in page.rows]
    assert model.staged == []


def test_staged_pages_die_with_their_chat(model: TimelineModel) -> None:
    model.open(opened("c", [incoming(50)], at_start=False))
    model.staging = True
    model.put_older(Page("c", (incoming(49),), at_start=True, at_end=False))
    model.clear("d")
    model.commit()
    assert positions(model) == []


def test_screen_readers_hear_sender_time_text_and_state(model: TimelineModel) -> None:
    failed = replace(incoming(2), text="", unreadable=Unreadable.WAITING)
    notice = replace(incoming(3), service=ServiceKind.MESSAGES_MISSING, service_params={"count": "2"})
    model.open(opened("c", [outgoing(1, "hola", MessageState.READ), failed, notice]))
    spoken = [model.data(model.index(place), Qt.ItemDataRole.AccessibleTextRole) for place in range(3)]
    assert spoken == [
        "Tú, 6:01, hola, Leído",
        "Bruno Díaz, 6:02, Esperando la clave de este mensaje…",
        "Faltan 2 mensajes",
    ]


@examples(60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    batches=st.lists(st.lists(st.tuples(st.integers(0, 60), st.booleans()), max_size=8), max_size=8),
    minutes=st.integers(1, 400),
)
def test_batches_end_like_a_fresh_page(
    model: TimelineModel, wording: Wording, batches: list[list[tuple[int, bool]]], minutes: int
) -> None:
    """Old rows + batches = the same rows opened at once: rows and surroundings."""
    model.clear("c")
    model.open(opened("c", []))
    kept: dict[str, object] = {}
    for batch in batches:
        rows = {
            position: replace(
                incoming(position) if is_incoming else outgoing(position),
                time_ms=NOW_MS - DAY_MS + position * minutes * MINUTE_MS // 10,
            )
            for position, is_incoming in batch
        }
        model.put(list(rows.values()))
        kept |= {row.key: row for row in rows.values()}
    fresh = TimelineModel(wording)
    fresh.clear("c")
    fresh.open(opened("c", sorted(kept.values(), key=lambda row: row.position)))  # type: ignore[arg-type]
    assert model.rows == fresh.rows
    assert model.decor == fresh.decor
