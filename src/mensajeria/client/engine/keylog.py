"""The key log as this client sees it: mirrored, checked against what it knows, and against what others were shown.

It detects and tells; except for a name that the log maps to somebody else, it never stops anything.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

from mensajeria.client.core import keylog as core
from mensajeria.client.core.keylog import LogViolationError, Newest, Verdict
from mensajeria.client.engine.context import SLICE_PAUSE_S, Context
from mensajeria.client.engine.directory import Directory
from mensajeria.client.engine.envelopes import Mail
from mensajeria.client.engine.gossip import LOG_SIZE
from mensajeria.client.engine.letters import Letter
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.engine.own_lists import may_be_behind
from mensajeria.client.errors import ClientError, NetworkError, RefusedError, SecurityError
from mensajeria.client.store import Tx
from mensajeria.client.store.keylog import Claim, Evidence
from mensajeria.client.store.values import Contact
from mensajeria.client.transport.rest import RestApi
from mensajeria.kit.merkle import leaf_hash, verify_consistency, verify_inclusion
from mensajeria.protocol.decoding import decode_record
from mensajeria.protocol.encoding import MalformedError, encode
from mensajeria.protocol.errors import Code
from mensajeria.protocol.ids import Did, Uid
from mensajeria.protocol.records import Signed, ToDevice, TreeHead
from mensajeria.protocol.records_trust import STH, LogEvidence
from mensajeria.protocol.transparency import (
    TreeHeadError,
    decode_leaf,
    handle_label,
    handle_value,
    uid_label,
    uid_value,
    verify_tree_head,
)

_log = logging.getLogger(__name__)
LOG_KEY: Final = "log_key"
"""Meta value: the log's public key, pinned by the invite's link or at the first look."""
LOOK_EVERY_S: Final = 3600.0
LEAVES_SLICE: Final = 64
NAME_PATIENCE_S = 15.0
"""How long a lookup of a name waits for the log: the first copy of a large one takes longer."""
MIN_WAIT_S: Final = 1.0
ANSWER_EVERY_MS: Final = 60_000
ASK_AGAIN_MS: Final = 24 * 3600 * 1000
DAY_MS: Final = 24 * 3600 * 1000
_STALE_TOLD: Final = "kt_stale_told"
_LOOKED: Final = "kt_looked"
Deliver = Callable[[Sequence[Letter]], Awaitable[None]]


class KeyLog:
    """Runs beside a connection; `look` may be called by anybody at any time."""

    def __init__(self, context: Context, directory: Directory) -> None:
        self._context = context
        self._directory = directory
        self._looking = asyncio.Lock()
        self._letters: deque[Letter] = deque()
        self._answered: dict[Did, int] = {}
        context.envelopes.register(STH, self._evidence_came)

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
        return _signed(await self._context.rest.log_head())

    async def run(self, deliver: Deliver) -> None:
        """Look when there is a reason, and every hour, until cancelled."""
        due = self._context.log_due
        last, now = await self._context.store.read(lambda tx: tx.meta.number(_LOOKED)), self._context.me.clock.now_ms()
        if not 0 <= now - last < LOOK_EVERY_S * 1000:
            due.set()
        while True:
            try:
                async with asyncio.timeout(LOOK_EVERY_S):
                    await due.wait()
            except TimeoutError:
                pass
            due.clear()
            for work in (self.look, partial(self._send, deliver)):  # answers go out though the log cannot be had
                try:
                    await work()
                except ClientError as error:
                    _log.info("the key log waits: %s", error.code)

    async def _send(self, deliver: Deliver) -> None:
        while self._letters:
            batch = list(self._letters)
            self._letters.clear()
            await deliver(batch)

    async def look(self) -> bool:
        """Bring the mirror level and check everything against it; whether the log was honest as far as one can see.

        Raises NetworkError, RefusedError: it could not be had.
        """
        async with self._looking:
            started = self._context.me.clock.now_ms()
            try:
                head = await self._advance()
            except LogViolationError as violation:
                _log.warning("key log: %s", violation)
                await self._context.commit(partial(self._tell_violation, violation.code, violation.args[0]))
                return False
            behind = await self._context.commit(partial(self._check, head, started))
            if behind:
                await self._directory.refresh_all(behind)
                await self._context.commit(partial(self._still_behind, behind))
            return True

    # --- bringing it level ---

    async def _advance(self) -> TreeHead:
        key = await self.key()
        signed = await self.signed_head()
        try:
            head = verify_tree_head(signed, log_key=key)
        except TreeHeadError as error:
            await self._keep_evidence(core.FORGED, signed, None)
            raise LogViolationError(core.FORGED, str(error)) from error
        known_signed, known = await self._context.store.read(_known)
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
            await self._mirror(head, signed, known, known_signed, lost)
        now = self._context.me.clock.now_ms()

        def keep(tx: Tx) -> None:
            tx.key_log.put_head(head.restore_epoch, head.size, signed, now)
            tx.meta.remove(_LOOKED)  # also when the clock was set back
            tx.meta.raise_to(_LOOKED, now)
            tx.meta.raise_to(LOG_SIZE, head.size)

        await self._context.store.run(keep)
        return head

    async def _mirror(
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
            proof = await self._context.rest.log_consistency(known.size, head.size)
        except RefusedError as error:
            if error.code != Code.MALFORMED:
                raise
            proof = [b""]  # "there is no such tree": it has signed a head that it cannot prove
        if not verify_consistency(known.size, known.root, head.size, head.root, proof):
            await self._keep_evidence(core.REWRITTEN, signed, before)
            raise LogViolationError(core.REWRITTEN, "has not grown from the last head")

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
            self._once(tx, out, told, "key_log_restored", self._context.me.clock.now_ms(), kept=shared, lost=lost)
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

    def _tell_violation(self, code: str, detail: str, tx: Tx, out: Outcome) -> None:
        """Once a day, while it lasts."""
        now = self._context.me.clock.now_ms()
        name = f"kt_told_violation:{code}"
        if now - tx.meta.number(name) >= DAY_MS:
            tx.meta.raise_to(name, now)
            out.warn(tx, code, now, None, detail=detail)

    # --- checking against it ---

    def _check(self, head: TreeHead, started: int, tx: Tx, out: Outcome) -> set[Uid]:
        """Everything known beside the log; whose lists are newer there. `started`: before the head was had."""
        now = self._context.me.clock.now_ms()
        if core.is_stale(head, now) and now - tx.meta.number(_STALE_TOLD) >= DAY_MS:
            tx.meta.raise_to(_STALE_TOLD, now)
            out.warn(tx, core.STALE, now)
        self._check_claims(tx, head)
        if head.size > core.MIRROR_MAX:
            return set()
        behind = {contact.uid for contact in tx.contacts.all() if self._check_contact(tx, out, contact, started)}
        self._check_name(tx, out, now)
        return behind

    def _check_contact(self, tx: Tx, out: Outcome, contact: Contact, started: int) -> bool:
        """Whether the log has a newer list than the one here."""
        logged = tx.key_log.newest(uid_label(contact.uid))
        if logged is not None and logged.ver > contact.list_ver:
            return True
        if logged is None or logged.ver < contact.list_ver:
            if contact.updated_ms <= started and not may_be_behind(tx, contact):  # else it may be newer than the head
                self._alarm(tx, out, "key_log_unlogged", contact, logged)
        elif logged.value_hash != uid_value(contact.identity, contact.list_body):
            self._alarm(tx, out, "key_log_keys", contact, logged)
        return False

    def _still_behind(self, uids: set[Uid], tx: Tx, out: Outcome) -> None:
        """Their lists were just fetched: what is still older than in the log is hidden from us."""
        for contact in filter(None, map(tx.contacts.get, uids)):
            logged = tx.key_log.newest(uid_label(contact.uid))
            if logged is not None and logged.ver > contact.list_ver:
                self._alarm(tx, out, "key_log_list_hidden", contact, logged)

    def _check_name(self, tx: Tx, out: Outcome, now: int) -> None:
        """The own name is the own account's, in everybody's log."""
        me = self._context.me
        logged = tx.key_log.newest(handle_label(me.server_id, me.handle))
        if logged is None or logged.value_hash != handle_value(me.uid):
            self._once(
                tx, out, f"kt_name:{0 if logged is None else logged.index}", "key_log_own_name", now, handle=me.handle
            )

    def _alarm(self, tx: Tx, out: Outcome, code: str, contact: Contact, logged: Newest | None) -> None:
        """Once for each leaf and list."""
        at = -1 if logged is None else logged.index
        name = f"kt_alarm:{contact.uid.hex()}:{at}:{contact.list_hash.hex()[:16]}:{code}"
        own = contact.uid == self._context.me.uid
        told = f"{code}_own" if own else code
        self._once(tx, out, name, told, self._context.me.clock.now_ms(), handle=contact.handle)

    @staticmethod
    def _once(tx: Tx, out: Outcome, name: str, code: str, now: int, **params: object) -> None:
        if tx.meta.get(name) is None:
            tx.meta.set(name, b"1")
            out.warn(tx, code, now, None, **{key: str(value) for key, value in params.items()})

    # --- names ---

    async def check_name(self, handle: str, uid: Uid) -> None:
        """Who has the name by the server's word must have it in the log.

        A log that cannot be reached stops nobody. Raises SecurityError (handle_remapped).
        """
        label = handle_label(self._context.me.server_id, handle)
        try:
            logged = await self._newest(label)
            if logged is None or logged.value_hash != handle_value(uid):
                async with asyncio.timeout(NAME_PATIENCE_S):
                    honest = await self.look()
                if not honest:
                    return
                logged = await self._newest(label)
        except (NetworkError, RefusedError, TimeoutError) as error:
            _log.info("a name could not be looked up in the key log: %s", error)
            return
        if logged is None or logged.value_hash != handle_value(uid):
            await self._context.commit(partial(self._remapped, handle))
            raise SecurityError("handle_remapped", params={"handle": handle})

    def _remapped(self, handle: str, tx: Tx, out: Outcome) -> None:
        out.warn(tx, "handle_remapped", self._context.me.clock.now_ms(), None, handle=handle)

    async def is_logged(self, contact: Contact) -> bool | None:
        """Whether the log holds exactly this list; None where it was not seen yet. As `_newest` without network."""

        def read(tx: Tx) -> bool | None:
            if tx.key_log.head() is None:
                return None
            logged = tx.key_log.newest(uid_label(contact.uid))
            return logged is not None and logged.value_hash == uid_value(contact.identity, contact.list_body)

        return await self._context.store.read(read)

    async def _newest(self, label: bytes) -> Newest | None:
        """The label's newest leaf: from the mirror, or of a larger log with the proof that it lies in it."""
        signed, head = await self._context.store.read(_known)
        if head is None or head.size <= core.MIRROR_MAX:
            return await self._context.store.read(lambda tx: tx.key_log.newest(label))
        assert signed is not None
        try:
            place = await self._context.rest.log_label(label)
        except RefusedError as error:
            if error.code == Code.NOT_FOUND:
                return None
            raise
        proof = await self._context.rest.log_inclusion(place.index, head.size)
        if not verify_inclusion(leaf_hash(place.leaf), place.index, head.size, proof, head.root):
            return None  # it does not lie in the log
        try:
            leaf = decode_leaf(place.leaf)
        except MalformedError:
            return None
        return Newest(place.index, leaf.ver, leaf.value_hash) if leaf.label == label else None

    # --- what others were shown ---

    def _check_claims(self, tx: Tx, head: TreeHead) -> None:
        """What others say of sizes that are here by now. A false one: their signed head is asked for, with the own."""
        now, mine = self._context.me.clock.now_ms(), tx.key_log.head()
        for claim in tx.key_log.claims():
            root = tx.key_log.root_at(claim.size) if head.size <= core.MIRROR_MAX else None
            if root == claim.root:
                tx.key_log.remove_claim(claim.did)
            elif mine is not None and now - claim.asked_ms >= ASK_AGAIN_MS:
                tx.key_log.put_claim(Claim(claim.uid, claim.did, claim.size, claim.root, now))
                question = LogEvidence(size=claim.size, ask=True, head=mine[0])
                self._letters.append(Letter(claim.uid, claim.did, STH, encode(question)))

    def _evidence_came(self, tx: Tx, out: Mail, uid: Uid, did: Did, letter: ToDevice) -> None:
        """A device shows the signed head it was given. Two that contradict each other prove what the server did."""
        shown = decode_record(LogEvidence, letter.c, max_size=2048)
        key, mine = tx.meta.get(LOG_KEY), tx.key_log.head()
        if key is None or mine is None or not _knows(tx, uid):
            return
        if shown.head is not None:
            self._judge_evidence(tx, out, uid, did, shown.head, key)
        if shown.ask:
            self._answer(tx, out, uid, did, shown.size)

    def _judge_evidence(self, tx: Tx, out: Outcome, uid: Uid, did: Did, signed: Signed, key: bytes) -> None:
        try:
            theirs = verify_tree_head(signed, log_key=key)
        except TreeHeadError:
            _log.warning("a head of the key log that its key has not signed: nothing follows from it")
            return
        my_signed, mine = _known(tx)
        assert mine is not None
        now = self._context.me.clock.now_ms()
        my_root = tx.key_log.root_at(theirs.size) if mine.size <= core.MIRROR_MAX else None
        if core.contradicts(theirs, mine, my_root):
            if tx.key_log.put_evidence(Evidence(core.FORKED, signed, my_signed, now)):
                out.warn(tx, core.FORKED, now, None, handle=tx.contacts.person(uid).handle)
        elif my_root is None:
            out.log_due = True  # they are ahead: look again
        else:
            tx.key_log.remove_claim(did)

    def _answer(self, tx: Tx, out: Outcome, uid: Uid, did: Did, size: int) -> None:
        now = self._context.me.clock.now_ms()
        if now - self._answered.get(did, 0) < ANSWER_EVERY_MS:
            return
        known = tx.key_log.head_at(size) or _known(tx)[0]
        content = encode(LogEvidence(size=size, ask=False, head=known))
        self._answered[did] = now
        out.after.append(partial(self._letters.append, Letter(uid, did, STH, content)))
        out.log_due = True


async def fetch_leaves(rest: RestApi, after: int) -> list[bytes]:
    """The next page of leaves; a large log is read as fast as the server allows. Raises NetworkError, RefusedError."""
    while True:
        try:
            return await rest.log_leaves(after)
        except RefusedError as error:
            if error.code != Code.RATE_LIMITED:
                raise
            await asyncio.sleep(max(MIN_WAIT_S, error.retry_after_ms / 1000))


def _known(tx: Tx) -> tuple[Signed | None, TreeHead | None]:
    """The newest verified head."""
    found = tx.key_log.head()
    return (None, None) if found is None else (found[0], decode_record(TreeHead, found[0].body))


def _same_until(index: int, hashes: Sequence[bytes], tx: Tx) -> int:
    return tx.key_log.same_until(index, hashes)


def _append(start: int, leaves: Sequence[bytes], lost: TreeHead | None, tx: Tx) -> None:
    for index, encoded in enumerate(leaves, start):
        leaf = core.read_leaf(encoded)
        if lost is not None:
            core.check_after_restore(leaf, lost)
        core.check_leaf(leaf, tx.key_log.newest(leaf.label))
        tx.key_log.append(index, leaf, leaf_hash(encoded))


def _knows(tx: Tx, uid: Uid) -> bool:
    """Whether a letter to this person may leave: not before their request was accepted."""
    return any(chat is not None and chat.accepted for chat in map(tx.chats.get, tx.chats.with_member(uid)))


def _signed(model: object) -> Signed:
    return Signed(model.body, model.sig)  # type: ignore[attr-defined]
