"""Counting what does not work."""

from __future__ import annotations

from mensajeria.client.api import Health
from mensajeria.client.engine import new_devices
from mensajeria.client.engine.envelopes import HEALED, UNWEDGED
from mensajeria.client.profiles import ROLLED_BACK
from mensajeria.client.store import Tx
from mensajeria.client.store.values import EnvelopeOutcome, RowOutcome


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
