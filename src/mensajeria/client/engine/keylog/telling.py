"""How often a person is warned of one and the same thing that the key log shows."""

from __future__ import annotations

from typing import Final

from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.store import Tx

DAY_MS: Final = 24 * 3600 * 1000


def tell_once(tx: Tx, out: Outcome, name: str, code: str, now: int, **params: object) -> None:
    """Warn the first time only; `name` is the meta value that says it was told."""
    if tx.meta.get(name) is None:
        tx.meta.set(name, b"1")
        out.warn(tx, code, now, None, **{key: str(value) for key, value in params.items()})


def tell_daily(tx: Tx, out: Outcome, name: str, code: str, now: int, **params: str) -> None:
    """Warn once a day, while it lasts; `name` is the counter of the meta table that says when it was told."""
    if now - tx.meta.number(name) >= DAY_MS:
        tx.meta.raise_to(name, now)
        out.warn(tx, code, now, None, **params)
