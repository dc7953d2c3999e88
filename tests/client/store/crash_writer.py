"""A process that writes without end, each transaction touching many tables, and says what was reported as stored.

One line on standard output for each committed transaction; the parent kills it at a random moment.
"""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from pathlib import Path

from mensajeria.client.store import Store, Tx
from mensajeria.client.store.key_values import EnvelopeOutcome, Outbound
from mensajeria.client.store.values import Sealed
from mensajeria.kit.secrets import Secret
from tests.client.store.people import ANA, CHAT, KEY, SESSION, incoming, mid, queued, set_up


def step(tx: Tx, number: int) -> None:
    """Everything about one number, so that a half-done one shows."""
    tx.messages.add(incoming(number, f"texto {number} canario"))
    tx.replays.note(CHAT, ANA, mid(number), SESSION, number, b"h")
    tx.envelopes.decide(mid(number), EnvelopeOutcome.APPLIED, number)
    tx.messages.add(queued(1_000_000 + number, f"respuesta {number}"))
    tx.outbox.add(CHAT, mid(1_000_000 + number), "text", b"body", number)
    tx.outbound.put(Outbound(CHAT, SESSION, Secret(b"ratchet %d" % number), b"skb", 1, number, 0))
    tx.outbox.seal(CHAT, mid(1_000_000 + number), Sealed(b"outer", SESSION, number, 0))
    tx.own.count_gen()
    tx.chats.advance_cursor(CHAT, number)


async def main(path: Path) -> None:
    store = await Store.open(path, KEY) if path.exists() else await Store.create(path, KEY)
    await store.run(set_up)
    number = await store.read(lambda tx: tx.own.gen())
    while True:
        batch = range(number + 1, number + 4)
        await asyncio.gather(*(store.run(partial(step, number=n)) for n in batch))
        number = batch[-1]
        print(number, flush=True)  # noqa: T201 - the report that the parent reads


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
