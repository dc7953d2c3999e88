"""What is told of the person: three settings that the account's devices share."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Final

from mensajeria.client.api import PrivacyChanged, PrivacySettings
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.store import Tx

if TYPE_CHECKING:
    from mensajeria.client.engine.context import Context

PREFIX: Final = "privacy."
ON: Final = b"\x01"
OFF: Final = b"\x00"
_NAMES: Final = tuple(field.name for field in fields(PrivacySettings))


def privacy_of(tx: Tx) -> PrivacySettings:
    """The settings in force. What this program does not understand counts as never set."""
    chosen = {name: stored.value for name in _NAMES if (stored := tx.settings.get(PREFIX + name)) is not None}
    return replace(PrivacySettings(), **{name: value == ON for name, value in chosen.items() if value in {ON, OFF}})


class Privacy:
    """Changes the settings, and has every change obeyed at once, whichever device made it."""

    def __init__(self, context: Context) -> None:
        self._context = context
        context.settings.on(PREFIX, self._changed_elsewhere)

    async def settings(self) -> PrivacySettings:
        """The settings in force."""
        return await self._context.store.read(privacy_of)

    async def change(self, **wanted: bool | None) -> PrivacySettings:
        """Set those that are not None; what is in force then."""

        def step(tx: Tx, out: Outcome) -> PrivacySettings:
            before = privacy_of(tx)
            for name, value in wanted.items():
                if value is not None and value != getattr(before, name):
                    self._context.settings.put(tx, out, PREFIX + name, ON if value else OFF)
            return self._tell(tx, out, before)

        return await self._context.commit(step)

    def _changed_elsewhere(self, tx: Tx, out: Outcome, _key: str, _value: bytes) -> None:
        self._tell(tx, out, None)

    def _tell(self, tx: Tx, out: Outcome, before: PrivacySettings | None) -> PrivacySettings:
        now = privacy_of(tx)
        if now != before:
            out.events.append(PrivacyChanged(now))
            out.after.append(self._context.presence.due.set)
        return now
