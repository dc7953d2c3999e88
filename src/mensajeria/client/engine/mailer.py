"""Letters to devices: claim keys, seal, put, and once more for the ones whose keys had just changed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Final

from mensajeria.client.engine.context import SLICE_PAUSE_S, Context
from mensajeria.client.engine.letters import Keys, Letter
from mensajeria.client.engine.session import Session
from mensajeria.client.store import Tx
from mensajeria.client.store.key_values import OutgoingEnvelope
from mensajeria.protocol import frames, limits
from mensajeria.protocol.frames import PutOutcome
from mensajeria.protocol.ids import Did

_MAX_PUT_BYTES: Final = limits.MAX_FRAME // 2
SEAL_SLICE: Final = 32
"""Letters of one transaction: some tens of milliseconds in the store's thread."""


class Mailer:
    """Sends letters over the session in use, one delivery at a time, so that every pairwise ratchet stays in order."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._lock = asyncio.Lock()

    async def deliver(self, session: Session, letters: Sequence[Letter]) -> None:
        """Seal, keep and send. What the server does not confirm now is sent again on the next connection.

        Raises RefusedError, NetworkError, ConnectionLostError.
        """
        async with self._lock:
            await self._seal(letters)
            stale = await self._put_all(session)
            again = [letter for letter in letters if letter.did in stale]
            if again:
                await self._seal(again)
                await self._put_all(session)

    async def flush(self, session: Session) -> None:
        """Send what an earlier connection left unconfirmed. Raises as `deliver`."""
        async with self._lock:
            await self._put_all(session)

    async def _seal(self, letters: Sequence[Letter]) -> None:
        post = self._context.post
        dids = await self._context.store.read(lambda tx: post.unprepared(tx, letters))
        claimed = await self._claim(letters, dids)
        done = 0
        while done < len(letters):
            part = letters[done : done + SEAL_SLICE]
            sealed = await self._context.store.run(lambda tx: self._context.post.seal(tx, part, claimed))  # noqa: B023
            done += sealed
            if sealed < len(part):
                await self._context.allow_more()
            await asyncio.sleep(SLICE_PAUSE_S)

    async def _claim(self, letters: Sequence[Letter], dids: Sequence[Did]) -> dict[Did, Keys]:
        found: dict[Did, Keys] = {}
        for start in range(0, len(dids), limits.CLAIM_BATCH_MAX):
            answers = await self._context.rest.prekeys.claim(dids[start : start + limits.CLAIM_BATCH_MAX])

            def verify(tx: Tx) -> dict[Did, Keys]:
                return self._context.post.verify_claimed(tx, letters, answers)  # noqa: B023 - run at once

            found |= await self._context.store.run(verify)
        return found

    async def _put_all(self, session: Session) -> set[Did]:
        """Put every queued envelope; the devices whose key was no longer the newest."""
        stale: set[Did] = set()
        while True:
            batch, gen = await self._context.store.read(lambda tx: (tx.envelopes.outgoing(), tx.own.gen()))
            for part in _parts(batch):
                stale |= await self._put(session, part, gen)
            if not batch:
                return stale

    async def _put(self, session: Session, envelopes: Sequence[OutgoingEnvelope], gen: int) -> set[Did]:
        """`gen` goes along: whoever goes on from a copy made before these is known by it at the next hello."""
        targets = tuple(frames.PutTarget(e.did, e.prekey_id, e.blob) for e in envelopes)
        result = await session.request(lambda rid: frames.PutDevice(rid, targets, gen), frames.PutResult)
        outcomes = list(zip(envelopes, result.outcomes, strict=False))

        def settle(tx: Tx) -> None:
            for envelope, outcome in outcomes:
                self._context.post.settle(tx, envelope, outcome)
            for envelope in envelopes[len(outcomes) :]:
                self._context.post.settle(tx, envelope, PutOutcome.REFUSED)

        await self._context.store.run(settle)
        return {envelope.did for envelope, outcome in outcomes if outcome is PutOutcome.STALE}


def _parts(envelopes: Sequence[OutgoingEnvelope]) -> Iterator[list[OutgoingEnvelope]]:
    """Portions that fit into one frame each."""
    part: list[OutgoingEnvelope] = []
    size = 0
    for envelope in envelopes:
        if part and size + len(envelope.blob) > _MAX_PUT_BYTES:
            yield part
            part, size = [], 0
        part.append(envelope)
        size += len(envelope.blob) + 64
    if part:
        yield part
