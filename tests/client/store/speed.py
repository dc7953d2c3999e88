"""What a person would feel of a store as it ships: opening, a page, a search.

Bounds in CPU time, far above what is measured, so that only a lost index or a changed query plan fails them. A program:
test_shipped.py starts it.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

from mensajeria.client.store.connection import create_store, open_store
from mensajeria.client.store.db import Db
from mensajeria.client.store.fulltext import index_new
from mensajeria.client.store.tx import Tx
from tests.client.store.people import CHAT, KEY, incoming, set_up

WORDS = [
    "hola", "canción", "mañana", "tarde", "playa", "perro", "gato", "casa", "trabajo", "reunión", "mensaje", "número",
    "señor", "feliz", "nada", "siempre",
]  # fmt: skip
COUNT = 20_000


def cpu(function: Callable[[], object]) -> float:
    """The least of three runs, in seconds."""
    times = []
    for _ in range(3):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return min(times)


def measure(path: Path) -> None:
    """Fill a store and look at it. Raises AssertionError for what takes too long."""
    chance = random.Random(1)
    create_store(path, KEY)
    connection = open_store(path, KEY)
    db = Db(connection)
    tx = Tx(db)
    connection.execute("BEGIN")
    set_up(tx)
    for seq in range(1, COUNT + 1):
        tx.messages.add(incoming(seq, " ".join(chance.choices(WORDS, k=8)) + f" w{seq}"))
    index_new(db)
    connection.execute("COMMIT")
    connection.close()

    start = time.process_time()
    connection = open_store(path, KEY)
    tx = Tx(Db(connection))
    assert len(tx.messages.page(CHAT).messages) == 100
    assert time.process_time() - start < 0.1
    assert cpu(lambda: tx.messages.page(CHAT, before=(COUNT // 2) << 16)) < 0.02
    assert cpu(tx.views.chats) < 0.02
    for query in ("cancion manana", "canc", "w199", "nada", "hola perr"):
        assert len(tx.views.search(query)) == 50
        assert cpu(lambda query=query: tx.views.search(query, chat_id=CHAT)) < 0.05  # type: ignore[misc]
    connection.close()


if __name__ == "__main__":
    measure(Path(sys.argv[1]))
