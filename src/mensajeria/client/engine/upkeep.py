"""Work that nobody waits for: own prekeys, wanted device lists, missing keys, read receipts, answers to envelopes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from mensajeria.client.core.ladder import Ask, GiveUp, NotYet, climb
from mensajeria.client.core.prekeys import one_time_needed
from mensajeria.client.core.receipts import ReadBatcher
from mensajeria.client.engine.context import Context
from mensajeria.client.engine.directory import Directory
from mensajeria.client.engine.envelopes import UNWEDGED, Mail
from mensajeria.client.engine.erasing import erase
from mensajeria.client.engine.groups import GroupKeeper
from mensajeria.client.engine.health import reported, unreported
from mensajeria.client.engine.letters import ACK, Letter
from mensajeria.client.engine.mailer import Mailer
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.engine.read_receipts import receipts
from mensajeria.client.engine.session import Session
from mensajeria.client.engine.waiting_rows import give_up
from mensajeria.client.errors import ClientError
from mensajeria.client.store import Tx
from mensajeria.client.store.key_values import KeyRequestRow
from mensajeria.kit.lazy import LazyModule
from mensajeria.protocol import limits
from mensajeria.protocol.encoding import encode
from mensajeria.protocol.ids import ChatId, Uid
from mensajeria.protocol.records import OlmAck, Signed

if TYPE_CHECKING:
    from mensajeria.protocol import api
else:  # its library is loaded when the network is first used
    api = LazyModule("mensajeria.protocol.api")

_log = logging.getLogger(__name__)
DAY_MS: Final = 24 * 3600 * 1000
KEYS_EVERY_S: Final = 6 * 3600.0
LISTS_EVERY_S: Final = 60.0
GONE_AGAIN_MS: Final = 24 * 3600 * 1000
"""After this long it is asked again whether an account is still gone."""
LADDER_EVERY_S: Final = 60.0
ERASE_EVERY_S: Final = 600.0


class Upkeep:
    """Runs beside one connection."""

    def __init__(
        self, context: Context, directory: Directory, mailer: Mailer, session: Session, groups: GroupKeeper
    ) -> None:
        self._context = context
        self._groups = groups
        self._directory = directory
        self._mailer = mailer
        self._session = session
        self.keys_due = asyncio.Event()
        self.reads_due = asyncio.Event()
        self._reconnected = True

    def start(self, group: asyncio.TaskGroup) -> None:
        """Begin, after the mailbox was drained: old envelopes need the old prekeys."""
        self.keys_due.set()
        self._context.lists_wanted.set()
        self._context.ladder_due.set()
        self._context.mail_due.set()
        self._context.chains_wanted.set()
        self._groups.leaves_due.set()
        self._context.erase_due.set()
        self.reads_due.set()
        group.create_task(self._every(self._context.erase_due, ERASE_EVERY_S, lambda: erase(self._context)))
        group.create_task(self._every(self.keys_due, KEYS_EVERY_S, self._renew_keys))
        group.create_task(self._every(self._context.lists_wanted, LISTS_EVERY_S, self._fetch_lists))
        group.create_task(self._every(self._context.ladder_due, LADDER_EVERY_S, self._climb))
        group.create_task(self._every(self._context.mail_due, LADDER_EVERY_S, self._answer_mail))
        group.create_task(self._every(self._context.chains_wanted, LISTS_EVERY_S, self._groups.events.catch_up))
        group.create_task(self._every(self._groups.leaves_due, LISTS_EVERY_S, self._groups.leave_pending))
        group.create_task(self._send_reads())

    @staticmethod
    async def _every(due: asyncio.Event, seconds: float, work: Callable[[], Awaitable[float | None]]) -> None:
        """Do `work` when it is due, and after `seconds` (or as many as it returned) in any case."""
        wait = seconds
        while True:
            try:
                async with asyncio.timeout(wait):
                    await due.wait()
            except TimeoutError:
                pass
            due.clear()
            try:
                wait = await work() or seconds
            except ClientError as error:
                _log.info("upkeep waits: %s", error.code)
                wait = min(seconds, 30.0)

    # --- own prekeys ---

    async def _renew_keys(self) -> None:
        """Refill and rotate; the private halves are stored before the public ones leave."""
        state = await self._context.rest.prekeys.state()
        upload = await self._context.store.run(lambda tx: self._prepare(tx, state.one_time_left))
        if upload is not None:
            await self._context.rest.prekeys.upload(upload)
            await self._context.store.run(self._mark_published)
        await self._context.store.run(self._forget_old)
        await self._report()

    async def _report(self) -> None:
        """Bare numbers of what could not be read; a server that does not take them hinders nothing."""
        counts = await self._context.store.read(unreported)
        if not counts:
            return
        try:
            await self._context.rest.account.report_unreadable(counts)
        except ClientError as error:
            _log.info("numbers wait: %s", error.code)
            return
        await self._context.store.run(lambda tx: reported(tx, counts))

    def _prepare(self, tx: Tx, left: int) -> api.PrekeyUpload | None:
        device = self._context.me.device(tx)
        rotated = device.rotate(self._context.me.clock.now_ms())
        one_time = device.new_one_time_keys(one_time_needed(left))
        if rotated is None and not one_time:
            return None
        tx.own.put_device(device.dump())
        return api.PrekeyUpload(
            one_time=[_model(key) for key in one_time],
            fallback=None if rotated is None or rotated.fallback is None else _model(rotated.fallback),
            pq=None if rotated is None or rotated.pq is None else _model(rotated.pq),
        )

    def _mark_published(self, tx: Tx) -> None:
        device = self._context.me.device(tx)
        device.mark_published()
        tx.own.put_device(device.dump())

    def _forget_old(self, tx: Tx) -> None:
        now = self._context.me.clock.now_ms()
        tx.envelopes.expire_parked(now - limits.PARKED_DAYS * DAY_MS, now)
        tx.envelopes.forget_seen(now - limits.SEEN_ENVELOPES_DAYS * DAY_MS)

    # --- device lists ---

    async def _fetch_lists(self) -> None:
        def wanted(tx: Tx) -> set[Uid]:
            asked = self._context.me.clock.now_ms() - GONE_AGAIN_MS
            return {*tx.contacts.stale(), *tx.contacts.doubted(asked), *tx.envelopes.parked_uids()}

        await self._directory.refresh_all(await self._context.store.read(wanted))

    # --- missing keys ---

    async def _climb(self) -> float:
        """Ask for what is due; seconds until the next step."""
        if not self._context.history_settled.is_set():
            return 1.0  # the backup brings most of what is missing
        letters: list[Letter] = []
        reconnected, self._reconnected = self._reconnected, False

        def step(tx: Tx, out: Outcome) -> int | None:
            now = self._context.me.clock.now_ms()
            for request in tx.requests.all() if reconnected else tx.requests.due(now):
                if request.next_ms > now:  # asked on reconnect besides: who can answer may be there now
                    letters.extend(self._context.healer.questions(tx, request))
                else:
                    self._climb_one(tx, out, request, letters)
            letters.extend(self._context.resender.questions(tx))
            return min(filter(None, (tx.requests.next_due_ms(), tx.holes.next_due_ms())), default=None)

        await self._look_into_backup(everything=reconnected)
        if reconnected:
            await self._refresh_authors()
        following = await self._context.commit(step)
        if letters:
            await self._mailer.deliver(self._session, letters)
        if following is None:
            return LADDER_EVERY_S
        return max(0.1, min(LADDER_EVERY_S, (following - self._context.me.clock.now_ms()) / 1000))

    def _climb_one(self, tx: Tx, out: Outcome, request: KeyRequestRow, letters: list[Letter]) -> None:
        now, answered = self._context.me.clock.now_ms(), self._context.healer.all_answered(tx, request)
        match climb(request.step, request.first_ms, request.next_ms, now, all_answered=answered):
            case GiveUp():
                why = self._context.healer.why_lost(tx, request)
                give_up(tx, out, request.key.chat_id, request.key.session_id, why)
            case Ask(step, next_ms):
                tx.requests.put(KeyRequestRow(request.key, request.idx, step, request.first_ms, next_ms))
                letters.extend(self._context.healer.questions(tx, request))
            case NotYet():
                pass

    async def _refresh_authors(self) -> None:
        """A key may come from a device that this one has not heard of: a server can have hidden its list."""

        def members(tx: Tx) -> set[Uid]:
            chats = {request.key.chat_id for request in tx.requests.all()}
            return {Uid(uid) for chat_id in chats for uid in self._context.memberships.of(tx, chat_id).now.members}

        await self._directory.refresh_all(await self._context.store.read(members))

    async def _look_into_backup(self, *, everything: bool) -> None:
        """The own backup comes first: what it has nobody else is asked for."""
        backup = self._context.backup
        if backup is None:
            return

        def missing(tx: Tx) -> tuple[KeyRequestRow, ...]:
            return tx.requests.all() if everything else tx.requests.due(self._context.me.clock.now_ms())

        requests = await self._context.store.read(missing)
        try:
            await backup.look_up([(request.key.chat_id, request.key.session_id) for request in requests])
        except ClientError as error:  # the devices are asked all the same
            _log.info("the backup cannot be asked: %s", error.code)

    # --- what envelopes ask for ---

    async def _answer_mail(self) -> None:
        while self._context.mail:
            mail = self._context.mail.popleft()
            letters = [Letter(uid, did, ACK, encode(OlmAck())) for uid, did in mail.acks]
            letters += [Letter(uid, did, ACK, encode(OlmAck()), fresh=True) for uid, did in mail.broken]
            letters += mail.answers

            def answers(tx: Tx) -> list[Letter]:
                for _, did in mail.broken:  # noqa: B023 - run at once
                    tx.olm.set_unwedged(did, self._context.me.clock.now_ms())
                    tx.meta.count(UNWEDGED)
                healer = self._context.healer
                return [letter for asked in mail.asked for letter in healer.answer(tx, *asked)]  # noqa: B023

            letters += await self._context.store.run(answers)
            if letters:
                await self._mailer.deliver(self._session, letters)
            if mail.broken:
                await self._context.store.run(lambda tx: self._unwedged(tx, mail))  # noqa: B023

    def _unwedged(self, tx: Tx, mail: Mail) -> None:
        """Noted again once the new session exists: before, there may have been no row to note it in."""
        for _, did in mail.broken:
            tx.olm.set_unwedged(did, self._context.me.clock.now_ms())

    # --- read receipts ---

    async def _send_reads(self) -> None:
        batch = ReadBatcher()
        loop = asyncio.get_running_loop()
        while True:
            await self.reads_due.wait()
            self.reads_due.clear()
            due = loop.time()
            for chat_id, seq in await self._context.store.read(lambda tx: tx.chats.reads_to_send()):
                due = batch.mark(chat_id, seq, loop.time())
            await asyncio.sleep(max(0.0, due - loop.time()))
            for chat_id, seq in await self._context.store.read(lambda tx: tx.chats.reads_to_send()):
                batch.mark(chat_id, seq, loop.time())
            await self._send_marks(batch.take(loop.time()))

    async def _send_marks(self, marks: dict[bytes, int]) -> None:
        if not marks:
            return
        items = [(ChatId(chat_id), seq) for chat_id, seq in marks.items()]
        letters = await self._context.store.read(
            lambda tx: receipts(tx, self._context.me, self._context.memberships, items)
        )
        try:
            await self._mailer.deliver(self._session, letters)
        except ClientError as error:
            _log.info("read receipts wait: %s", error.code)
            return

        def sent(tx: Tx) -> None:
            for chat_id, seq in items:
                tx.chats.read_sent(chat_id, seq)

        await self._context.store.run(sent)


def _model(signed: Signed) -> api.SignedModel:
    return api.SignedModel(body=signed.body, sig=signed.sig)
