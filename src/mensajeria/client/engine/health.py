"""Counting what does not work, for the person and, as bare numbers, for the operator's metrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from mensajeria.client.api import Health
from mensajeria.client.engine import new_devices
from mensajeria.client.engine.envelopes import HEALED, UNWEDGED
from mensajeria.client.engine.missing_rows import MISSING_ROWS
from mensajeria.client.engine.row_display import TAMPERED_ROWS
from mensajeria.client.engine.waiting_rows import LOST_ROWS
from mensajeria.client.profiles import ROLLED_BACK
from mensajeria.client.store import Tx
from mensajeria.client.store.key_values import EnvelopeOutcome
from mensajeria.client.store.values import RowOutcome
from mensajeria.protocol import limits

_REPORTED: Final = "reported:"


def health_of(tx: Tx) -> Health:
    """The numbers of this store."""
    rows, envelopes = tx.health.rows(), tx.health.envelopes()
    return Health(
        waiting=rows.get(RowOutcome.WAITING, 0),
        held=rows.get(RowOutcome.HELD, 0),
        lost=rows.get(RowOutcome.LOST, 0),
        tampered=rows.get(RowOutcome.TAMPERED, 0),
        sessions_missing=tx.health.sessions_missing(),
        oldest_missing_ms=tx.health.oldest_request_ms(),
        healed=tx.health.counters(HEALED),
        envelopes_failed=envelopes.get(EnvelopeOutcome.FAILED, 0),
        pairs_renewed=tx.meta.number(UNWEDGED),
        chats_to_tell=tx.health.pending_events(),
        new_devices=len(new_devices.unconfirmed(tx)),
        rolled_back=tx.meta.get(ROLLED_BACK) is not None,
    )


def unreported(tx: Tx) -> dict[str, int]:
    """What could not be read, and what healed, since the operator's metrics were told last; empty = nothing new."""
    totals = {
        "lost": tx.meta.number(LOST_ROWS),
        "tampered": tx.meta.number(TAMPERED_ROWS),
        "missing": tx.meta.number(MISSING_ROWS),
        "healed": sum(tx.health.counters(HEALED).values()),
    }
    fresh = {
        name: min(total - tx.meta.number(_REPORTED + name), limits.UNREADABLE_MAX) for name, total in totals.items()
    }
    return {name: count for name, count in fresh.items() if count > 0}


def reported(tx: Tx, counts: Mapping[str, int]) -> None:
    """The server has taken these numbers."""
    for name, count in counts.items():
        tx.meta.count(_REPORTED + name, count)
