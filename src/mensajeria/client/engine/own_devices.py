"""What the account's devices tell each other: the keys of a new backup version, and changed settings.

The reader of envelopes lets a letter through only from a device of the sender's newest list. Keys are taken from own
devices alone, for a version that the own signed list names and whose keys are not here.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Final

from mensajeria.client.core.backoff import Backoff
from mensajeria.client.engine.account_keys import PASS_KEYS, keys_of, newest_version, put_keys, wanted_version
from mensajeria.client.engine.context import Context
from mensajeria.client.engine.directory import Directory
from mensajeria.client.engine.envelopes import Mail
from mensajeria.client.engine.letters import Letter, devices_of
from mensajeria.client.engine.mailer import Mailer
from mensajeria.client.engine.session import Session
from mensajeria.client.engine.shared_settings import SETTING
from mensajeria.client.errors import ClientError
from mensajeria.client.store import Tx
from mensajeria.kit.secrets import Secret
from mensajeria.protocol.decoding import decode_record
from mensajeria.protocol.encoding import MalformedError, encode
from mensajeria.protocol.ids import Did, Uid
from mensajeria.protocol.records import ToDevice
from mensajeria.protocol.records_backup import BackupKeys, BackupKeysRequest

_log = logging.getLogger(__name__)
KEYS: Final = "backup_keys"
KEYS_REQUEST: Final = "backup_keys_request"
EVERY_S: Final = 3600.0


@dataclass(frozen=True, slots=True)
class _Due:
    """What own devices are to be told."""

    letters: list[Letter]
    told: list[tuple[str, int]]
    """Settings among them: key and counter."""
    passed: int
    """The backup version whose keys are among them; 0 = none."""


class OwnDevices:
    """Registers what it takes, and runs beside each connection."""

    def __init__(self, context: Context, directory: Directory, mailer: Mailer) -> None:
        self._context = context
        self._directory = directory
        self._mailer = mailer
        self._asked = 0
        context.envelopes.register(KEYS, self._take_keys)
        context.envelopes.register(KEYS_REQUEST, self._answer)
        context.envelopes.register(SETTING, context.settings.received)

    async def run(self, session: Session) -> None:
        """Tell and ask whatever is due; ends with the connection."""
        backoff = Backoff()
        self._asked, listed = 0, False
        await self._context.commit(self._context.marks.publish)
        self._context.keys_due.set()
        while True:
            try:
                async with asyncio.timeout(EVERY_S):
                    await self._context.keys_due.wait()
            except TimeoutError:
                self._asked = 0
            self._context.keys_due.clear()
            try:
                if not listed:
                    await self._directory.refresh(self._context.me.uid)
                    listed = True
                await self._tell(session)
                backoff.reset()
            except ClientError as error:
                _log.info("own devices are told later: %s", error.code)
                await asyncio.sleep(backoff.next_delay(self._context.chance()))
                self._context.keys_due.set()

    async def _tell(self, session: Session) -> None:
        due = await self._context.store.read(self._due)
        if due.letters:
            await self._mailer.deliver(session, due.letters)

        def settle(tx: Tx) -> None:
            if due.passed and due.passed == newest_version(tx, self._context.me):
                tx.meta.remove(PASS_KEYS)  # a device may have been removed meanwhile: then the next ones are owed
            for key, counter in due.told:
                tx.settings.told(key, counter)

        await self._context.store.run(settle)

    def _due(self, tx: Tx) -> _Due:
        me, passed = self._context.me, 0
        letters: list[Letter] = []
        wanted = wanted_version(tx, me)
        if newest_version(tx, me) < wanted and self._asked < wanted:
            self._asked = wanted
            letters += self._to_all(tx, KEYS_REQUEST, encode(BackupKeysRequest(n=wanted)))
        if tx.meta.get(PASS_KEYS) is not None:
            passed = newest_version(tx, me)
            content = self._keys(tx, passed)
            letters += [] if content is None else self._to_all(tx, KEYS, content)
        untold = tx.settings.untold()
        letters += self._context.settings.letters(tx, [stored.key for stored in untold])
        return _Due(letters, [(stored.key, stored.counter) for stored in untold], passed)

    def _to_all(self, tx: Tx, kind: str, content: bytes) -> list[Letter]:
        me = self._context.me
        return [Letter(uid, did, kind, content) for uid, did in devices_of([me.verified(tx)], but=me.did)]

    def _keys(self, tx: Tx, n: int) -> bytes | None:
        keys = keys_of(tx, self._context.me, n)
        if keys is None:
            return None
        return encode(BackupKeys(n=n, backup=keys[0].reveal(), settings=keys[1].reveal()))

    # --- what they say ---

    def _take_keys(self, tx: Tx, out: Mail, uid: Uid, _did: Did, letter: ToDevice) -> None:
        keys = decode_record(BackupKeys, letter.c)
        if uid != self._context.me.uid or not 0 < keys.n <= wanted_version(tx, self._context.me):
            raise MalformedError("keys that nobody may give")
        if put_keys(tx, keys.n, Secret(keys.backup), Secret(keys.settings)):
            out.sessions_changed = True

    def _answer(self, tx: Tx, out: Mail, uid: Uid, did: Did, letter: ToDevice) -> None:
        """For a device that stands in the own newest list: the reader has looked it up there."""
        asked = decode_record(BackupKeysRequest, letter.c)
        if uid != self._context.me.uid:
            raise MalformedError("a stranger asks for the account's keys")
        if not tx.requests.may_answer(did, self._context.me.clock.now_ms()):
            return
        content = self._keys(tx, asked.n)
        if content is not None and self._context.me.verified(tx).find(did) is not None:
            out.answers.append(Letter(uid, did, KEYS, content))
