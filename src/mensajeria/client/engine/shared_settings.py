"""Settings that the account's devices share: key → bytes, sealed under SSK_n, the last writer wins.

A change goes to the own devices at once by letter, and to the backup for those to come. `SettingsBook.on` names who
acts on keys of a kind, whoever changed them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from mensajeria.client.api import SettingChanged
from mensajeria.client.engine.letters import Letter, devices_of
from mensajeria.client.engine.me import Me
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.errors import InputError
from mensajeria.client.store import Tx
from mensajeria.client.store.backup import StoredSetting
from mensajeria.protocol.decoding import decode_record
from mensajeria.protocol.encoding import MalformedError, encode
from mensajeria.protocol.ids import Did, Uid
from mensajeria.protocol.records import ToDevice
from mensajeria.protocol.records_backup import SETTING_MAX, SettingRecord

if TYPE_CHECKING:
    from mensajeria.client.engine.context import Context
    from mensajeria.client.engine.envelopes import Mail

SETTING: Final = "setting"
MAX_KEY: Final = 128
OnSetting = Callable[[Tx, Outcome, str, bytes], None]
"""Acts on a setting that another device changed or that was restored, in the transaction that stores it."""


class SettingsBook:
    """Who acts on which settings; and the way to change one."""

    def __init__(self, me: Me) -> None:
        self._me = me
        self._actors: dict[str, OnSetting] = {}

    def on(self, prefix: str, act: OnSetting) -> None:
        """Let `act` see settings whose key begins with `prefix`: once, when the client is put together."""
        assert prefix not in self._actors, prefix
        self._actors[prefix] = act

    def put(self, tx: Tx, out: Outcome, key: str, value: bytes) -> None:
        """Change a setting on this device, in a transaction of `Context.commit`. Raises InputError."""
        if not 0 < len(key) <= MAX_KEY or len(value) > SETTING_MAX:
            raise InputError("too_large", "setting")
        known = tx.settings.get(key)
        if known is not None and known.value == value:
            return
        counter = 1 if known is None else known.counter + 1
        tx.settings.put(StoredSetting(key, value, counter, self._me.did, told=False))
        out.settings.append(key)
        out.events.append(SettingChanged(key, value))

    def take(self, tx: Tx, out: Outcome, setting: SettingRecord, saved_n: int = 0) -> None:
        """A setting of another own device or of the backup: it counts if it is newer than the one here."""
        known = tx.settings.get(setting.key)
        if known is not None and (known.counter, known.did) >= (setting.counter, setting.did):
            self._insist(tx, out, known, setting)
            return
        tx.settings.put(StoredSetting(setting.key, setting.value, setting.counter, Did(setting.did), saved_n))
        out.sessions_changed |= not saved_n  # whoever wrote it may never get to save it
        out.events.append(SettingChanged(setting.key, setting.value))
        for prefix, act in self._actors.items():
            if setting.key.startswith(prefix):
                act(tx, out, setting.key, setting.value)

    def _insist(self, tx: Tx, out: Outcome, known: StoredSetting, other: SettingRecord) -> None:
        """Two devices changed it at once and this one's change counts: the backup may hold the other's."""
        if known.counter == other.counter and known.did == self._me.did != other.did:
            tx.settings.put(StoredSetting(known.key, known.value, known.counter + 1, self._me.did, told=False))
            out.settings.append(known.key)

    def letters(self, tx: Tx, keys: list[str]) -> list[Letter]:
        """What the other own devices are told."""
        devices = devices_of([self._me.verified(tx)], but=self._me.did)
        found = [stored for key in dict.fromkeys(keys) if (stored := tx.settings.get(key)) is not None]
        return [Letter(uid, did, SETTING, encode(record_of(stored))) for stored in found for uid, did in devices]

    def received(self, tx: Tx, out: Mail, uid: Uid, _did: Did, letter: ToDevice) -> None:
        """A letter "setting": from own devices only; the reader has checked that the sender is listed."""
        if uid != self._me.uid:
            raise MalformedError("a setting from a stranger")
        self.take(tx, out, decode_record(SettingRecord, letter.c))


def record_of(stored: StoredSetting) -> SettingRecord:
    """A setting as it is sealed and sent."""
    return SettingRecord(key=stored.key, value=stored.value, counter=stored.counter, did=stored.did)


class Settings:
    """`Client.settings`: for whoever embeds the client, and for what its own parts remember across devices."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def get(self, key: str) -> bytes | None:
        """The value; None when there is none or it was removed."""
        stored = await self._context.store.read(lambda tx: tx.settings.get(key))
        return None if stored is None or not stored.value else stored.value

    async def all(self, prefix: str = "") -> dict[str, bytes]:
        """The settings whose key begins so."""
        found = await self._context.store.read(lambda tx: tx.settings.all(prefix))
        return {stored.key: stored.value for stored in found}

    async def put(self, key: str, value: bytes) -> None:
        """Set a value (up to 2 KiB, under a key of up to 128 characters). Raises InputError."""
        await self._context.commit(lambda tx, out: self._context.settings.put(tx, out, key, value))

    async def remove(self, key: str) -> None:
        """Take a value away, on every device."""
        await self.put(key, b"")
