"""Comparisons of emoji at work: `core.sas` decides, this keeps them, sends their steps and stores the result.

They live in memory: a key pair that could be stored could be used twice. Only a request that nobody has answered yet is
kept, for the process that will.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

from mensajeria.client.api import (
    SecurityKind,
    Verification,
    VerificationChanged,
    VerificationMethod,
    VerificationPhase,
)
from mensajeria.client.core import sas
from mensajeria.client.core.emoji import emoji_of
from mensajeria.client.core.sas import Comparison, Step
from mensajeria.client.engine.context import Context
from mensajeria.client.engine.directory import Directory
from mensajeria.client.engine.envelopes import Mail
from mensajeria.client.engine.letters import Letter, devices_of
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.engine.people import list_of
from mensajeria.client.engine.trust import note
from mensajeria.client.errors import ClientError, InputError, StateError
from mensajeria.client.store import Tx
from mensajeria.client.store.trust import RequestRow
from mensajeria.crypto.sas import Party
from mensajeria.kit.ids import random16
from mensajeria.protocol.encoding import encode
from mensajeria.protocol.ids import ChatId, Did, Idfp, Uid
from mensajeria.protocol.records import ToDevice
from mensajeria.protocol.records_trust import CANCEL, REQUEST, VERIFY, Verify, decode_verify

_log = logging.getLogger(__name__)
LOOK_EVERY_S: Final = 5.0
RETRY_S: Final = 2.0
SETTLE_S: Final = 0.02
MAX_INBOX: Final = 64
REMEMBER_MS: Final = 24 * 3600 * 1000
"""How long a request's id is known after it: a request that is older than a comparison's life has no effect."""
_PHASES: Final = {
    Step.ASKED: VerificationPhase.ASKED,
    Step.KEY_SENT: VerificationPhase.ASKED,
    Step.COMMITTED: VerificationPhase.ASKED,
    Step.COMPARING: VerificationPhase.COMPARING,
    Step.CONFIRMED: VerificationPhase.CONFIRMED,
    Step.DONE: VerificationPhase.DONE,
    Step.ENDED: VerificationPhase.CANCELLED,
}
Deliver = Callable[[Sequence[Letter]], Awaitable[None]]
Wake = Callable[[ChatId], None]


class Verifier:
    """Comparisons of one client, at most one with each person. In the event loop, but for the envelopes' handler."""

    def __init__(self, context: Context, directory: Directory, wake: Wake) -> None:
        self._context = context
        self._directory = directory
        self._wake = wake
        self._running: dict[Uid, Comparison] = {}
        self._inbox: deque[tuple[Party, Verify]] = deque(maxlen=MAX_INBOX)
        self._letters: deque[Letter] = deque()
        self.due = asyncio.Event()
        context.envelopes.register(VERIFY, self._handle)

    # --- what the person does ---

    async def start(self, uid: Uid) -> Verification:
        """Ask a person to compare, or answer when they have asked.

        Raises:
            InputError: unknown_user, with oneself there is nothing to compare.
            StateError: verification_running; no_chat: nothing goes to people before a chat with them was accepted.
            NetworkError, RefusedError, SecurityError: their newest keys could not be had.
        """
        if uid == self._context.me.uid:
            raise InputError("unknown_user")
        self._look()
        if uid in self._running:
            raise StateError("verification_running")
        await self._directory.refresh(uid)
        request, me, idfp = await self._context.store.run(lambda tx: self._prepare(tx, uid))
        if request is not None and request.idfp == idfp:
            return await self._accept(me, request)
        now = self._context.me.clock.now_ms()
        made, effects = Comparison.begin(self._context.me.server_id, random16(), me, uid, idfp, now)
        self._running[uid] = made
        return await self._perform(made, effects)

    async def confirm(self, uid: Uid) -> Verification:
        """The person says that both see the same emoji. Raises StateError (no_verification)."""
        made = self._comparing(uid)
        return await self._perform(made, made.confirm(self._context.me.clock.now_ms()))

    async def cancel(self, uid: Uid, *, mismatch: bool = False) -> Verification:
        """End it; `mismatch`: the emoji are not the same. A request of theirs is declined. StateError as `confirm`."""
        if uid in self._running:
            made = self._running[uid]
            return await self._perform(made, made.end(sas.MISMATCH if mismatch else sas.BY_PERSON))
        return await self._decline(uid)

    async def state(self, uid: Uid) -> Verification | None:
        """Where the comparison with a person stands; None when there is none."""
        self._look()
        if uid in self._running:
            return await self._view(self._running[uid])
        since = self._context.me.clock.now_ms() - sas.LIFE_MS
        request = await self._context.store.read(lambda tx: tx.trust.request(uid, since))
        return None if request is None else await self._incoming(uid)

    def _comparing(self, uid: Uid) -> Comparison:
        self._look()
        made = self._running.get(uid)
        if made is None or made.step is not Step.COMPARING:
            raise StateError("no_verification")
        return made

    def _prepare(self, tx: Tx, uid: Uid) -> tuple[RequestRow | None, Party, Idfp]:
        """Their request, if there is one, which is used up; oneself; whom to expect."""
        if not _is_accepted(tx, uid):
            raise StateError("no_chat")
        contact = tx.contacts.get(uid)
        assert contact is not None, "it was just refreshed"
        request = tx.trust.request(uid, self._context.me.clock.now_ms() - sas.LIFE_MS)
        if request is not None:
            tx.trust.close_request(request.vid, uid)
        own = self._context.me.address(tx)
        return request, Party(own.uid, own.did, own.idfp), contact.idfp

    async def _accept(self, me: Party, request: RequestRow) -> Verification:
        other = Party(request.uid, request.did, request.idfp)
        now = self._context.me.clock.now_ms()
        made, effects = Comparison.accept(self._context.me.server_id, request.vid, me, other, now)
        self._running[request.uid] = made
        return await self._perform(made, effects)

    async def _decline(self, uid: Uid) -> Verification:
        since = self._context.me.clock.now_ms() - sas.LIFE_MS

        def close(tx: Tx) -> RequestRow | None:
            request = tx.trust.request(uid, since)
            if request is not None:
                tx.trust.close_request(request.vid, uid)
            return request

        request = await self._context.store.run(close)
        if request is None:
            raise StateError("no_verification")
        answer = Verify(vid=request.vid, step=CANCEL, data=sas.BY_PERSON.encode("ascii"))
        self._post([Letter(uid, request.did, VERIFY, encode(answer))])
        person = await self._context.store.read(lambda tx: tx.contacts.person(uid))
        return Verification(person, VerificationPhase.CANCELLED, reason=sas.BY_PERSON, by_me=True)

    async def settled(self) -> None:
        """Wait until every step has left this device."""
        while self._inbox or self._letters:
            self.due.set()
            await asyncio.sleep(SETTLE_S)

    # --- what arrives ---

    def _handle(self, tx: Tx, out: Mail, uid: Uid, did: Did, letter: ToDevice) -> None:
        """In the store's thread. What is no request concerns memory only."""
        message = decode_verify(letter.c)
        sender = Party(uid, did, letter.sender.idfp)
        if uid == self._context.me.uid or not _is_accepted(tx, uid):
            return
        if message.step == REQUEST:
            self._requested(tx, out, sender, message, letter.ts)
            return
        if message.step == CANCEL and tx.trust.close_request(message.vid, uid):
            view = Verification(tx.contacts.person(uid), VerificationPhase.CANCELLED, reason=sas.BY_PERSON)
            out.events.append(VerificationChanged(view))
            return
        out.after.append(partial(self._arrived, sender, message))

    def _requested(self, tx: Tx, out: Mail, sender: Party, message: Verify, sent_ms: int) -> None:
        now = self._context.me.clock.now_ms()
        tx.trust.forget_requests(now - REMEMBER_MS)
        row = RequestRow(message.vid, Uid(sender.uid), Did(sender.did), Idfp(sender.idfp), min(sent_ms, now))
        if not tx.trust.add_request(row) or now - sent_ms >= sas.LIFE_MS:
            return
        out.after.append(partial(self._arrived, sender, message))
        view = Verification(tx.contacts.person(row.uid), VerificationPhase.INCOMING)
        out.events.append(VerificationChanged(view))

    def _arrived(self, sender: Party, message: Verify) -> None:
        self._inbox.append((sender, message))
        self.due.set()

    async def _take(self, sender: Party, message: Verify) -> None:
        made = self._running.get(Uid(sender.uid))
        if message.step == REQUEST:
            if made is not None and made.step is Step.ASKED:
                await self._crossed(made, sender, message)
        elif made is not None:
            await self._perform(made, made.received(sender, message, self._context.me.clock.now_ms()))

    async def _crossed(self, made: Comparison, sender: Party, message: Verify) -> None:
        """Both have asked at once: the request of the lower uid counts, and the other side answers it."""
        uid = Uid(sender.uid)
        if self._context.me.uid < uid:
            await self._context.store.run(lambda tx: tx.trust.close_request(message.vid, uid))
            return
        if made.idfp == sender.idfp:
            del self._running[uid]
            request, me, _ = await self._context.store.run(lambda tx: self._prepare(tx, uid))
            if request is not None:
                await self._accept(me, request)

    # --- effects ---

    async def _perform(self, made: Comparison, effects: Sequence[sas.Effect]) -> Verification:
        result: Verification | None = None
        for effect in effects:
            match effect:
                case sas.Send():
                    await self._send(made.uid, effect)
                case sas.Verified(uid, idfp):
                    result = await self._verified(made, Uid(uid), idfp)
                case sas.Ended(reason, by_me):
                    result = await self._ended(made, reason, by_me=by_me)
                case sas.Show():
                    pass  # the view has them
        if made.is_over:
            self._running.pop(Uid(made.uid), None)
        view = result or await self._view(made)
        if effects:
            self._context.emitter.emit(VerificationChanged(view))
        return view

    async def _verified(self, made: Comparison, uid: Uid, idfp: bytes) -> Verification:
        def step(tx: Tx, out: Outcome) -> bool:
            for chat_id in tx.chats.with_peer(uid):
                out.after.append(partial(self._wake, chat_id))
            return self._context.marks.verify(tx, out, uid, idfp, VerificationMethod.EMOJI)

        if await self._context.commit(step):
            return await self._view(made)
        made.step = Step.ENDED  # the identity changed while the people compared
        return await self._ended(made, sas.IDENTITY, by_me=True)

    async def _ended(self, made: Comparison, reason: str, *, by_me: bool) -> Verification:
        uid, now = Uid(made.uid), self._context.me.clock.now_ms()

        def step(tx: Tx, out: Outcome) -> None:
            if reason in sas.ATTACKS:
                note(tx, now, SecurityKind.VERIFICATION_FAILED, uid, reason=reason)
                out.warn(tx, "verification_failed", now, None, handle=tx.contacts.person(uid).handle)

        await self._context.commit(step)
        person = await self._context.store.read(lambda tx: tx.contacts.person(uid))
        return Verification(person, VerificationPhase.CANCELLED, reason=reason, by_me=by_me)

    async def _view(self, made: Comparison) -> Verification:
        person = await self._context.store.read(lambda tx: tx.contacts.person(Uid(made.uid)))
        return Verification(person, _PHASES[made.step], emoji_of(made.emoji))

    async def _incoming(self, uid: Uid) -> Verification:
        person = await self._context.store.read(lambda tx: tx.contacts.person(uid))
        return Verification(person, VerificationPhase.INCOMING)

    async def _send(self, uid: bytes, effect: sas.Send) -> None:
        content = encode(effect.message)

        def devices(tx: Tx) -> list[Did]:
            theirs = list_of(tx, uid)
            found = [] if theirs is None else [did for _, did in devices_of([theirs], but=self._context.me.did)]
            wanted = found if effect.did is None else [Did(effect.did)]
            return [did for did in wanted if did != effect.but]

        dids = await self._context.store.read(devices)
        self._post([Letter(Uid(uid), did, VERIFY, content) for did in dids])

    def _post(self, letters: Sequence[Letter]) -> None:
        self._letters.extend(letters)
        self.due.set()

    # --- beside a connection ---

    async def run(self, deliver: Deliver) -> None:
        """Take what has arrived and send what is to be sent, until cancelled."""
        while True:
            try:
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self.due.wait()
            except TimeoutError:
                pass
            self.due.clear()
            try:
                await self._work(deliver)
            except ClientError as error:
                _log.info("a comparison waits: %s", error.code)
                await asyncio.sleep(RETRY_S)
                self.due.set()

    async def _work(self, deliver: Deliver) -> None:
        while self._inbox:
            await self._take(*self._inbox.popleft())
        now = self._context.me.clock.now_ms()
        for made in list(self._running.values()):
            await self._perform(made, made.look(now))
        while self._letters:
            batch = list(self._letters)
            await deliver(batch)
            for _ in batch:
                self._letters.popleft()

    def _look(self) -> None:
        """Forget what has run out while nobody was connected."""
        now = self._context.me.clock.now_ms()
        for uid in [uid for uid, made in self._running.items() if now >= made.deadline_ms]:
            del self._running[uid]


def _is_accepted(tx: Tx, uid: Uid) -> bool:
    """Whether there is a chat with the person that was accepted."""
    chats = (tx.chats.get(chat_id) for chat_id in tx.chats.with_peer(uid))
    return any(chat is not None and chat.accepted for chat in chats)
