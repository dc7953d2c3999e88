"""The copy of the key log: brought level with the head that the server signs; of a larger log proofs are asked."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Final

from mensajeria.client.core import keylog as core
from mensajeria.client.core.keylog import LogViolationError, Newest, Verdict
from mensajeria.client.engine.context import SLICE_PAUSE_S, Context
from mensajeria.client.engine.keylog.gossip import LOG_SIZE
from mensajeria.client.engine.keylog.telling import tell_once
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.errors import ClientError, NetworkError, RefusedError
from mensajeria.client.store import Tx
from mensajeria.client.store.keylog import Evidence
from mensajeria.client.transport.rest.api import RestApi
from mensajeria.kit.merkle import leaf_hash, verify_consistency, verify_inclusion
from mensajeria.protocol.decoding import decode_record
from mensajeria.protocol.encoding import MalformedError
from mensajeria.protocol.errors import Code
from mensajeria.protocol.records import Signed, TreeHead
from mensajeria.protocol.transparency import TreeHeadError, decode_leaf, verify_tree_head

LOG_KEY: Final = "log_key"
"""Meta value: the log's public key, pinned by the invite's link or at the first look."""
LOOKED: Final = "kt_looked"
"""Counter of the meta table: when the mirror was last brought level."""
LEAVES_SLICE: Final = 64
MIN_WAIT_S: Final = 1.0


class Mirror:
    """Raises LogViolationError for what an honest log cannot show; the heads that show it are kept as evidence."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def key(self) -> bytes:
        """The log's key: pinned, or what the server says at the first look. Raises NetworkError, RefusedError."""
        pinned = await self._context.store.read(lambda tx: tx.meta.get(LOG_KEY))
        if pinned is not None:
            return pinned
        said = (await self._context.rest.server()).log_key

        def pin(tx: Tx) -> bytes:
            known = tx.meta.get(LOG_KEY)
            if known is None:
                tx.meta.set(LOG_KEY, said)
            return known or said

        return await self._context.store.run(pin)

    async def signed_head(self) -> Signed:
        """What the server shows as head; nothing of it is checked. Raises NetworkError, RefusedError."""
        head = await self._context.rest.key_log.head()
        return Signed(head.body, head.sig)

    async def advance(self) -> TreeHead:
        """Copy what was added, or have it proved; the new head.

        Raises LogViolationError, and NetworkError or RefusedError: it could not be had.
        """
        key = await self.key()
        signed = await self.signed_head()
        try:
            head = verify_tree_head(signed, log_key=key)
        except TreeHeadError as error:
            await self._keep_evidence(core.FORGED, signed, None)
            raise LogViolationError(core.FORGED, str(error)) from error
        known_signed, known = await self._context.store.read(known_head)
        try:
            verdict = core.judge_head(known, head)
        except LogViolationError as violation:
            await self._keep_evidence(violation.code, signed, known_signed)
            raise
        lost = None
        if known is None:  # what was copied for a head that was never kept may be of a log from before a restore
            await self._context.store.run(lambda tx: tx.key_log.cut(0))
        elif verdict is Verdict.RESTORED:
            lost = await self._restored(head, known)
            known = None
        if head.size > core.MIRROR_MAX:
            await self._prove(head, signed, known, known_signed)
        elif verdict is not Verdict.SAME or known is None:
            await self._copy(head, signed, known, known_signed, lost)
        await self._context.store.run(partial(_keep_head, head, signed, self._context.me.clock.now_ms()))
        return head

    async def newest(self, label: bytes) -> Newest | None:
        """The label's newest leaf: from the mirror, or of a larger log with the proof that it lies in it."""
        signed, head = await self._context.store.read(known_head)
        if head is None or head.size <= core.MIRROR_MAX:
            return await self._context.store.read(lambda tx: tx.key_log.newest(label))
        assert signed is not None
        try:
            place = await self._context.rest.key_log.label(label)
        except RefusedError as error:
            if error.code == Code.NOT_FOUND:
                return None
            raise
        proof = await self._context.rest.key_log.inclusion(place.index, head.size)
        if not verify_inclusion(leaf_hash(place.leaf), place.index, head.size, proof, head.root):
            return None  # it does not lie in the log
        try:
            leaf = decode_leaf(place.leaf)
        except MalformedError:
            return None
        return Newest(place.index, leaf.ver, leaf.value_hash) if leaf.label == label else None

    # --- a head that follows the last one ---

    async def _copy(
        self, head: TreeHead, signed: Signed, known: TreeHead | None, before: Signed | None, lost: TreeHead | None
    ) -> None:
        """Copy what was added; the copy must have the head's root, or nothing of it is kept.

        `lost`: the last head before a declared restore, after which everything must have been made that is added.
        """
        start = await self._context.store.read(lambda tx: tx.key_log.size())
        try:
            await self._pull(start, head, lost)
        except (LogViolationError, ClientError) as error:
            kept = start if lost is not None else 0 if known is None else min(known.size, start)
            await self._context.store.run(lambda tx: tx.key_log.cut(kept))
            if isinstance(error, LogViolationError):
                await self._keep_evidence(error.code, signed, before)
            raise

    async def _pull(self, size: int, head: TreeHead, lost: TreeHead | None) -> None:
        while size < head.size:
            leaves = (await fetch_leaves(self._context.rest, size))[: head.size - size]
            if not leaves:
                raise NetworkError("not_a_server", "leaves of the key log are missing")
            for start in range(0, len(leaves), LEAVES_SLICE):
                part = leaves[start : start + LEAVES_SLICE]
                await self._context.store.run(partial(_append, size, part, lost))
                size += len(part)
                if size < head.size:
                    await asyncio.sleep(SLICE_PAUSE_S)
        if await self._context.store.read(lambda tx: tx.key_log.root_at(head.size)) != head.root:
            raise LogViolationError(core.REWRITTEN, "the leaves are not those of the head")

    async def _prove(self, head: TreeHead, signed: Signed, known: TreeHead | None, before: Signed | None) -> None:
        """Too large to copy: that it has grown from the last one is proven."""
        if known is None or known.size == 0:
            return
        try:
            proof = await self._context.rest.key_log.consistency(known.size, head.size)
        except RefusedError as error:
            if error.code != Code.MALFORMED:
                raise
            proof = [b""]  # "there is no such tree": it has signed a head that it cannot prove
        if not verify_consistency(known.size, known.root, head.size, head.root, proof):
            await self._keep_evidence(core.REWRITTEN, signed, before)
            raise LogViolationError(core.REWRITTEN, "has not grown from the last head")

    # --- a declared restore ---

    async def _restored(self, head: TreeHead, known: TreeHead) -> TreeHead | None:
        """The server came back from a backup and says so: what was logged since is logged again, and nothing else.

        The last head before it if the mirror held its whole log: then what is not shared must be newer than that head.
        """
        shared = await self._shared(head) if head.size <= core.MIRROR_MAX else 0
        told = f"kt_restored:{head.restore_epoch}"

        def cut(tx: Tx, out: Outcome) -> bool:
            whole = tx.meta.get(told) is not None or tx.key_log.size() >= known.size > 0
            lost = max(known.size, tx.key_log.size()) - shared
            tx.key_log.cut(shared)
            tx.meta.remove(LOG_SIZE)
            tell_once(tx, out, told, "key_log_restored", self._context.me.clock.now_ms(), kept=shared, lost=lost)
            return whole

        return known if await self._context.commit(cut) and head.size <= core.MIRROR_MAX else None

    async def _shared(self, head: TreeHead) -> int:
        """How many leaves the restored log has in common with the mirror, from the first one on."""
        shared, size = 0, min(head.size, await self._context.store.read(lambda tx: tx.key_log.size()))
        while shared < size:
            hashes = [leaf_hash(leaf) for leaf in (await fetch_leaves(self._context.rest, shared))[: size - shared]]
            same = await self._context.store.read(partial(_same_until, shared, hashes))
            shared += same
            if not hashes or same < len(hashes):
                break
        return shared

    async def _keep_evidence(self, code: str, head: Signed, other: Signed | None) -> None:
        evidence = Evidence(code, head, other, self._context.me.clock.now_ms())
        await self._context.store.run(lambda tx: tx.key_log.put_evidence(evidence))


async def fetch_leaves(rest: RestApi, after: int) -> list[bytes]:
    """The next page of leaves; a large log is read as fast as the server allows. Raises NetworkError, RefusedError."""
    while True:
        try:
            return await rest.key_log.leaves(after)
        except RefusedError as error:
            if error.code != Code.RATE_LIMITED:
                raise
            await asyncio.sleep(max(MIN_WAIT_S, error.retry_after_ms / 1000))


def known_head(tx: Tx) -> tuple[Signed | None, TreeHead | None]:
    """The newest verified head."""
    found = tx.key_log.head()
    return (None, None) if found is None else (found[0], decode_record(TreeHead, found[0].body))


def _keep_head(head: TreeHead, signed: Signed, now: int, tx: Tx) -> None:
    tx.key_log.put_head(head.restore_epoch, head.size, signed, now)
    tx.meta.remove(LOOKED)  # also when the clock was set back
    tx.meta.raise_to(LOOKED, now)
    tx.meta.raise_to(LOG_SIZE, head.size)


def _same_until(index: int, hashes: Sequence[bytes], tx: Tx) -> int:
    return tx.key_log.same_until(index, hashes)


def _append(start: int, leaves: Sequence[bytes], lost: TreeHead | None, tx: Tx) -> None:
    for index, encoded in enumerate(leaves, start):
        leaf = core.read_leaf(encoded)
        if lost is not None:
            core.check_after_restore(leaf, lost)
        core.check_leaf(leaf, tx.key_log.newest(leaf.label))
        tx.key_log.append(index, leaf, leaf_hash(encoded))
