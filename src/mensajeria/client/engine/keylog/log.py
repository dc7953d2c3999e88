"""The key log as the rest of the client uses it: looked at in time, and asked for lists and names."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import Final

from mensajeria.client.core.keylog import LogViolationError
from mensajeria.client.engine.context import Context
from mensajeria.client.engine.directory import Directory
from mensajeria.client.engine.keylog.checks import Checks
from mensajeria.client.engine.keylog.evidence import Deliver, Exchange
from mensajeria.client.engine.keylog.mirror import LOOKED, Mirror
from mensajeria.client.engine.keylog.telling import tell_daily
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.errors import ClientError, NetworkError, RefusedError, SecurityError
from mensajeria.client.store import Tx
from mensajeria.client.store.values import Contact
from mensajeria.protocol.ids import Uid
from mensajeria.protocol.records import Signed, TreeHead
from mensajeria.protocol.transparency import handle_label, handle_value, uid_label, uid_value

_log = logging.getLogger(__name__)
LOOK_EVERY_S: Final = 3600.0
NAME_PATIENCE_S = 15.0
"""How long a lookup of a name waits for the log: the first copy of a large one takes longer."""


class KeyLog:
    """Runs beside a connection; `look` may be called by anybody at any time."""

    def __init__(self, context: Context, directory: Directory) -> None:
        self._context = context
        self._directory = directory
        self._mirror = Mirror(context)
        self._checks = Checks(context.me)
        self._exchange = Exchange(context.me, context.envelopes)
        self._looking = asyncio.Lock()

    async def key(self) -> bytes:
        """The log's key: pinned, or what the server says at the first look. Raises NetworkError, RefusedError."""
        return await self._mirror.key()

    async def signed_head(self) -> Signed:
        """What the server shows as head; nothing of it is checked. Raises NetworkError, RefusedError."""
        return await self._mirror.signed_head()

    async def run(self, deliver: Deliver) -> None:
        """Look when there is a reason, and every hour, until cancelled."""
        due = self._context.log_due
        last, now = await self._context.store.read(lambda tx: tx.meta.number(LOOKED)), self._context.me.clock.now_ms()
        if not 0 <= now - last < LOOK_EVERY_S * 1000:
            due.set()
        while True:
            try:
                async with asyncio.timeout(LOOK_EVERY_S):
                    await due.wait()
            except TimeoutError:
                pass
            due.clear()
            # Answers go out though the log cannot be had.
            for work in (self.look, partial(self._exchange.send, deliver)):
                try:
                    await work()
                except ClientError as error:
                    _log.info("the key log waits: %s", error.code)

    async def look(self) -> bool:
        """Bring the mirror level and check everything against it; whether the log was honest as far as one can see.

        Raises NetworkError, RefusedError: it could not be had.
        """
        async with self._looking:
            started = self._context.me.clock.now_ms()
            try:
                head = await self._mirror.advance()
            except LogViolationError as violation:
                _log.warning("key log: %s", violation)
                await self._context.commit(partial(self._tell_violation, violation.code, violation.args[0]))
                return False
            behind = await self._context.commit(partial(self._check, head, started))
            if behind:
                await self._directory.refresh_all(behind)
                await self._context.commit(partial(self._check_refreshed, behind))
            return True

    def _check(self, head: TreeHead, started: int, tx: Tx, out: Outcome) -> set[Uid]:
        self._exchange.check_claims(tx, head)
        return self._checks.check_all(tx, out, head, started)

    def _check_refreshed(self, behind: set[Uid], tx: Tx, out: Outcome) -> None:
        self._checks.check_refreshed(tx, out, behind)

    def _tell_violation(self, code: str, detail: str, tx: Tx, out: Outcome) -> None:
        now = self._context.me.clock.now_ms()
        tell_daily(tx, out, f"kt_told_violation:{code}", code, now, detail=detail)

    # --- lists and names ---

    async def is_logged(self, contact: Contact) -> bool | None:
        """Whether the log holds exactly this list; None where it was not seen yet. Asks no network."""

        def read(tx: Tx) -> bool | None:
            if tx.key_log.head() is None:
                return None
            logged = tx.key_log.newest(uid_label(contact.uid))
            return logged is not None and logged.value_hash == uid_value(contact.identity, contact.list_body)

        return await self._context.store.read(read)

    async def check_name(self, handle: str, uid: Uid) -> None:
        """Who has the name by the server's word must have it in the log.

        A log that cannot be reached stops nobody. Raises SecurityError (handle_remapped).
        """
        label = handle_label(self._context.me.server_id, handle)
        try:
            logged = await self._mirror.newest(label)
            if logged is None or logged.value_hash != handle_value(uid):
                async with asyncio.timeout(NAME_PATIENCE_S):
                    honest = await self.look()
                if not honest:
                    return
                logged = await self._mirror.newest(label)
        except (NetworkError, RefusedError, TimeoutError) as error:
            _log.info("a name could not be looked up in the key log: %s", error)
            return
        if logged is None or logged.value_hash != handle_value(uid):
            await self._context.commit(partial(self._remapped, handle))
            raise SecurityError("handle_remapped", params={"handle": handle})

    def _remapped(self, handle: str, tx: Tx, out: Outcome) -> None:
        out.warn(tx, "handle_remapped", self._context.me.clock.now_ms(), None, handle=handle)
