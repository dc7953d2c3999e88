"""Transactions: whole or not at all, in order, in their own thread, durable when reported."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
from sqlcipher3 import dbapi2

from mensajeria.client.errors import ProfileError, StateError
from mensajeria.client.store import Store, Tx
from mensajeria.client.store.connection import open_store
from mensajeria.client.store.db import TransactionOverError
from tests.client.store.people import KEY


async def test_what_a_function_raises_undoes_it_alone(store: Store) -> None:
    def breaks(tx: Tx) -> None:
        tx.meta.set("broken", b"1")
        raise KeyError("mine")

    first = store.run(lambda tx: tx.meta.set("first", b"1"))
    second = store.run(breaks)
    third = store.run(lambda tx: tx.meta.set("third", b"1"))
    results = await asyncio.gather(first, second, third, return_exceptions=True)
    assert isinstance(results[1], KeyError)
    names = await store.read(lambda tx: [tx.meta.get(name) for name in ("first", "broken", "third")])
    assert names == [b"1", None, b"1"]


async def test_a_lone_function_is_undone_too(store: Store) -> None:
    def breaks(tx: Tx) -> None:
        tx.meta.set("broken", b"1")
        raise KeyError("mine")

    with pytest.raises(KeyError):
        await store.run(breaks)
    assert await store.read(lambda tx: tx.meta.get("broken")) is None


async def test_calls_are_served_in_order_and_see_what_came_before(store: Store) -> None:
    counts = await asyncio.gather(*(store.run(lambda tx: tx.meta.count("n")) for _ in range(700)))
    assert counts == list(range(1, 701))


async def test_all_functions_run_in_one_thread_of_their_own(store: Store) -> None:
    threads = {await store.read(lambda _: threading.get_ident()) for _ in range(3)}
    assert len(threads) == 1
    assert threading.get_ident() not in threads


async def test_a_transaction_cannot_be_used_later_or_elsewhere(store: Store) -> None:
    kept = await store.read(lambda tx: tx)
    with pytest.raises(TransactionOverError):
        kept.meta.get("x")


async def test_the_connection_refuses_other_threads(tmp_path: Path, store: Store) -> None:
    await store.close()
    connection = await asyncio.to_thread(open_store, tmp_path / "store.db", KEY)
    with pytest.raises(dbapi2.ProgrammingError, match="thread"):
        connection.execute("SELECT 1")


async def test_a_cancelled_caller_does_not_stop_the_commit(store: Store) -> None:
    started, go_on = threading.Event(), threading.Event()

    def slow(tx: Tx) -> None:
        started.set()
        go_on.wait(10)
        tx.meta.set("slow", b"1")

    task = asyncio.create_task(store.run(slow))
    await asyncio.to_thread(started.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go_on.set()
    assert await store.read(lambda tx: tx.meta.get("slow")) == b"1"


async def test_a_lost_transaction_is_reported_to_everyone_in_it_and_the_next_one_works(store: Store) -> None:
    """Stands for a full disk: SQLite gives the whole transaction up under the function's feet."""

    def gives_up(tx: Tx) -> None:
        tx.meta._db.execute("ROLLBACK")
        raise dbapi2.OperationalError("disk full")

    started, go_on = threading.Event(), threading.Event()

    def holds_up(_tx: Tx) -> None:
        started.set()
        go_on.wait(10)

    busy = asyncio.create_task(store.run(holds_up))
    await asyncio.to_thread(started.wait, 10)
    asyncio.get_running_loop().call_soon(go_on.set)  # only then: the three wait together and become one transaction
    results = await asyncio.gather(
        store.run(lambda tx: tx.meta.set("before", b"1")),
        store.run(gives_up),
        store.run(lambda tx: tx.meta.set("after", b"1")),
        return_exceptions=True,
    )
    await busy
    assert isinstance(results[0], ProfileError)
    assert results[0].code == "store_failed"
    assert isinstance(results[1], dbapi2.OperationalError)
    assert results[2] is None
    assert await store.read(lambda tx: (tx.meta.get("before"), tx.meta.get("after"))) == (None, b"1")


async def test_closed_is_said_and_closing_twice_is_harmless(store: Store) -> None:
    last = asyncio.ensure_future(store.run(lambda tx: tx.meta.set("last", b"1")))
    await asyncio.sleep(0)
    await store.close()
    await last
    await store.close()
    with pytest.raises(StateError) as caught:
        await store.read(lambda tx: tx.meta.get("last"))
    assert caught.value.code == "closed"


async def test_counters_rise_and_never_fall(store: Store) -> None:
    def use(tx: Tx) -> list[int]:
        return [
            tx.meta.number("n"),
            tx.meta.count("n", 5),
            tx.meta.raise_to("n", 3),
            tx.meta.raise_to("n", 9),
            tx.own.reserve_rest_counters(10),
            tx.own.next_rest_counter(),
            tx.own.count_gen(2),
            tx.own.gen(),
        ]

    assert await store.run(use) == [0, 5, 5, 9, 1, 11, 2, 2]


async def test_warnings_are_kept_newest_first(store: Store) -> None:
    await store.run(lambda tx: tx.meta.warn("server_changed", None, {"name": "x"}, 1))
    await store.run(lambda tx: tx.meta.warn("replayed", None, {}, 2))
    kept = await store.read(lambda tx: tx.meta.warnings())
    assert [(row.code, row.params, row.at_ms) for row in kept] == [
        ("replayed", {}, 2),
        ("server_changed", {"name": "x"}, 1),
    ]
