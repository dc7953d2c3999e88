"""The benchmarks' own arithmetic: a wrong median or ratio would make every figure wrong."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from benchmarks.growth import growth
from benchmarks.lib.disk import figures
from benchmarks.lib.stats import percentile_ms
from benchmarks.lib.work import Tracker
from benchmarks.peers import PEERS, USUAL
from benchmarks.peers.mosquitto import _packet, _size
from benchmarks.peers.report import bars, medians, report
from benchmarks.peers.run import BEGIN, END, _tell

ROOT = Path(__file__).parents[2]


def row(peer: str, rate: float, **more: Any) -> dict[str, Any]:
    given = {"peer": peer, "work": "W1", "disk": "disk", "durability": "d", "calibration_ms": [1.0, 2.0]}
    return {**given, "messages_s": rate, "cpu_us": 30.0, "p99_ms": 9.0, "lost": 0, **more}


def test_medians_and_ratios_are_those_of_the_rounds() -> None:
    rows = [row("ours", rate) for rate in (10.0, 90.0, 50.0)] + [row("bare", 100.0), row("ejabberd", 5.0)]
    found = medians(rows)[("W1", "disk", "ours")]
    assert (found["messages_s"], found["x_bare"], found["x_ejabberd"], found["rounds"]) == (50.0, 0.5, 10.0, 3)


def test_a_failed_round_is_named_and_counts_for_nothing() -> None:
    rows = [row("ours", 50.0), row("bare", 100.0), row("ours", 1.0) | {"error": "it fell"}]
    assert medians(rows)[("W1", "disk", "ours")]["messages_s"] == 50.0
    assert "failed: ours W1: it fell" in report(rows)


def test_sqlite_is_compared_with_sqlite_and_memory_with_memory() -> None:
    rows = [row("ours-sqlite", 8.0), row("bare", 100.0), row("bare-sqlite", 10.0), row("ours", 7.0, disk="memory")]
    found = medians(rows)
    assert found[("W1", "disk", "ours-sqlite")]["x_bare"] == 0.8
    assert "x_bare" not in found[("W1", "memory", "ours")]


def test_the_disk_of_the_same_seconds_stands_beside_a_latency_and_not_where_there_is_none() -> None:
    samples = [(0.5, 9.0), (1.0, 0.001), (1.5, 0.002), (1.9, 0.004), (3.0, 9.0)]
    found = figures(samples, 1.0, 1.0)
    assert found == {"fsync_p50_ms": 2.0, "fsync_p99_ms": 4.0}
    assert figures(samples, 5.0, 1.0) == {}
    assert "fsync_p99_ms" in report([row("ours", 1.0, **found)])
    assert "fsync_p99_ms" not in report([row("ours", 1.0, disk="memory")])


@pytest.mark.parametrize(("rate", "met"), [(49.0, "NO"), (50.0, "yes")])
def test_a_bar_is_met_or_not(rate: float, met: str) -> None:
    lines = bars(medians([row("ours", rate), row("bare", 100.0)]))
    assert [line["met"] for line in lines if line["bar"] == "W1 ours: x_bare"] == [met]


def test_growth_counts_worse_as_above_one_whichever_way_the_figure_counts() -> None:
    small = {"scale": 1, "rest_p99_ms": 4.0, "w1_messages_s": 100.0, "catch_up_s": 1.0, "fill_s": 3.0}
    large = {"scale": 10, "rest_p99_ms": 6.0, "w1_messages_s": 50.0, "catch_up_s": 0.5, "fill_s": 30.0}
    assert growth(small, large) == {"scale": "x worse", "rest_p99_ms": 1.5, "w1_messages_s": 2.0, "catch_up_s": 0.5}


def test_tables_go_between_the_marks_and_nowhere_else(tmp_path: Path) -> None:
    document = tmp_path / "x.md"
    document.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    _tell("new", document)
    assert document.read_text() == f"before\n{BEGIN}\n```\nnew\n```\n{END}\nafter\n"
    document.write_text("no place")
    with pytest.raises(ValueError, match="no place"):
        _tell("new", document)


def test_the_document_has_a_place_for_the_tables() -> None:
    text = (ROOT / "PERF.md").read_text()
    assert text.count(BEGIN) == text.count(END) == 1
    assert text.index(BEGIN) < text.index(END)


def test_a_message_to_a_group_is_complete_when_all_have_it() -> None:
    done: list[int] = []
    tracker = Tracker(fan=3)
    body = tracker.body(lambda: done.append(1))
    for _ in range(2):
        tracker.arrived(body[:8])
    assert (tracker.delivered, tracker.completed, done) == (2, 0, [])
    tracker.arrived(body[:8])
    tracker.arrived(body[:8])  # once too often
    assert (tracker.delivered, tracker.completed, done) == (3, 1, [1])
    assert asyncio.run(tracker.drain()) == 0


@pytest.mark.parametrize("length", [0, 127, 128, 16_383, 16_384])
def test_packets_of_mqtt_are_as_long_as_they_say(length: int) -> None:
    packet = _packet(3, 2, bytes(length))
    start, size = _size(packet, 0) or (0, 0)
    assert (size, start + size) == (length, len(packet))
    assert _size(packet[:1], 0) is None


def test_percentiles() -> None:
    assert percentile_ms([0.003, 0.001, 0.002], 0.5) == 2.0
    assert percentile_ms([], 0.5) != percentile_ms([], 0.5)  # nan


def test_every_usual_peer_is_known_and_says_how_to_get_it() -> None:
    assert set(USUAL) <= set(PEERS)
    foreign = [peer for name, peer in PEERS.items() if not name.startswith(("ours", "bare"))]
    assert len(foreign) == 4
    assert all(peer.install for peer in foreign)
