"""The running connection: performs what `core.link` decides, and runs everything that lives while it is open."""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
from contextlib import closing
from functools import partial
from typing import Final

from mensajeria.client.api import ConnectionChanged, ConnectionPhase
from mensajeria.client.core import link as core
from mensajeria.client.engine.backup import KeyBackup
from mensajeria.client.engine.blocking import BLOCKS_DUE, Blocking
from mensajeria.client.engine.context import Context
from mensajeria.client.engine.device_events import DeviceEvents
from mensajeria.client.engine.directory import Directory
from mensajeria.client.engine.downloads import Downloads
from mensajeria.client.engine.earlier import Earlier
from mensajeria.client.engine.giving import push_owed
from mensajeria.client.engine.groups import GroupKeeper
from mensajeria.client.engine.history import History
from mensajeria.client.engine.inbound import Inbound
from mensajeria.client.engine.keylog.log import KeyLog
from mensajeria.client.engine.linking import Linking
from mensajeria.client.engine.login import LoginKeeper
from mensajeria.client.engine.mailer import Mailer
from mensajeria.client.engine.muting import Muting
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.engine.own_devices import OwnDevices
from mensajeria.client.engine.own_lists import bring_back, note_restore
from mensajeria.client.engine.privacy import Privacy
from mensajeria.client.engine.rewinding import REWIND_DUE
from mensajeria.client.engine.rows import RESTORE_EPOCH
from mensajeria.client.engine.sending import Sending
from mensajeria.client.engine.session import Session
from mensajeria.client.engine.transfers import Transfers
from mensajeria.client.engine.upkeep import Upkeep
from mensajeria.client.engine.uploads import Uploads
from mensajeria.client.engine.user_profiles import PROFILE_BACK, UserProfiles
from mensajeria.client.engine.verifying import Verifier
from mensajeria.client.engine.welcoming import Welcoming
from mensajeria.client.errors import ClientError, RefusedError, SecurityError, StateError
from mensajeria.client.store import Tx
from mensajeria.client.transport.address import ServerAddress
from mensajeria.client.transport.websocket import NO_CLOSE_FRAME, ConnectionLostError, connect
from mensajeria.protocol import frames, limits
from mensajeria.protocol.connection import ClientConnection
from mensajeria.protocol.errors import Close, Code

_log = logging.getLogger(__name__)
STOP_AGAIN_S: Final = 0.5


class Engine:
    """Keeps the account connected from `start` to `stop`."""

    def __init__(
        self, context: Context, keeper: LoginKeeper, address: ServerAddress, tls: ssl.SSLContext | None
    ) -> None:
        self._context = context
        self._keeper = keeper
        self._address = address
        self._tls = tls
        self._link = core.Link()
        self.told: ConnectionChanged | None = None
        """The link as it was told last."""
        self._task: asyncio.Task[None] | None = None
        self._poke = asyncio.Event()
        self._level = asyncio.Event()
        self._session: Session | None = None
        self._upkeep: Upkeep | None = None
        self._after_s = 0.0
        self._stopping = False
        self.directory = Directory(context)
        self._mailer = Mailer(context)
        self._linking = Linking(context)
        self.sending = Sending(context, self.directory, self._mailer)
        context.marks.wake = self.sending.wake
        self.verifier = Verifier(context, self.directory, self.sending.wake)
        self.transfers = Transfers(context.emitter)
        self.uploads = Uploads(context, self.sending, self.transfers)
        self.downloads = Downloads(context, self.transfers)
        self.groups = GroupKeeper(context, self.directory, self.sending)
        self._welcoming = Welcoming(context, self.directory)
        self.key_log = KeyLog(context, self.directory)
        self.directory.check_name = self.key_log.check_name
        self.history = History(context, self.directory)
        context.backup = self.history
        self._backup = KeyBackup(context, self.directory)
        self._own_devices = OwnDevices(context, self.directory, self._mailer)
        self.privacy = Privacy(context)
        self.blocking = Blocking(context, self.directory)
        self.muting = Muting(context)
        self.profiles = UserProfiles(context, self.directory)

    # --- what the client asks ---

    def start(self) -> None:
        """Connect, and keep connected."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="mensajeria-link")

    async def stop(self) -> None:
        """Disconnect for good. What is half done is completed by the store or not at all.

        Asks more than once: a task group whose child fails at that very moment swallows a cancellation.
        """
        self._stopping = True
        while self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=STOP_AGAIN_S)
        self._task = None
        self._stopping = False

    @property
    def phase(self) -> ConnectionPhase:
        """State of the link."""
        return self._link.phase

    @property
    def code(self) -> str | None:
        """Why the link is down."""
        return self._link.code

    def retry_now(self) -> None:
        """Do not wait for the next try."""
        self._poke.set()

    def restart(self) -> None:
        """There is a new login: connect, also after the link had stopped for good."""
        if self._link.phase in {ConnectionPhase.LOGIN_ENDED, ConnectionPhase.STOPPED}:
            self._link.start()
        self.start()
        self._poke.set()

    async def caught_up(self) -> None:
        """Wait until mailbox and logs are level with the server. Raises StateError when nothing will come of it."""
        while not self._level.is_set():
            if self._link.phase in {ConnectionPhase.LOGIN_ENDED, ConnectionPhase.STOPPED}:
                raise StateError(self._link.code or "login_ended")
            try:
                async with asyncio.timeout(0.2):
                    await self._level.wait()
            except TimeoutError:
                continue

    async def link_proof_sent(self) -> None:
        """Wait until no proof of linking is owed any more."""
        await self._linking.sent.wait()

    def send_hint(self, frame: frames.Typing) -> None:
        """Send a frame that may be lost."""
        if self._session is not None:
            self._session.send(frame)

    def keys_advanced(self) -> None:
        """There is a new backup version: its keys are owed to the other own devices, everything is sealed anew."""
        self._context.keys_due.set()
        self._context.backup_due.set()

    def reads_due(self) -> None:
        """There are read positions to tell."""
        if self._upkeep is not None:
            self._upkeep.reads_due.set()

    # --- the loop ---

    async def _run(self) -> None:
        effect: core.Effect = self._link.start()
        while not self._stopping:
            match effect:
                case core.Open():
                    await self._tell()
                    effect = await self._open()
                case core.Renew():
                    effect = await self._renew()
                case core.Wait(seconds):
                    await self._tell(seconds)
                    effect = await self._wait(seconds)
                case core.Halt():
                    self._poke.clear()
                    await self._tell()
                    await self._poke.wait()
                    effect = self._link.start()

    async def _wait(self, seconds: float) -> core.Effect:
        self._poke.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._poke.wait()
        except TimeoutError:
            return self._link.waited()
        return self._link.retry_now() or self._link.waited()

    async def _renew(self) -> core.Effect:
        try:
            credentials = await self._keeper.credentials()
            await self._keeper.renew(credentials.access_token)
        except ClientError as error:
            return self._link.renewal_failed(_ending_code(error), chance=self._context.chance())
        return self._link.renewed()

    async def _open(self) -> core.Effect:
        """Connect and stay connected; why it ended decides what follows."""
        loop = asyncio.get_running_loop()
        self._after_s = 0.0
        close, code = NO_CLOSE_FRAME, "network"
        try:
            await self._connected()
        except* ConnectionLostError as group:
            lost = _first(group)
            close = lost.code if isinstance(lost, ConnectionLostError) else NO_CLOSE_FRAME
        except* SecurityError as group:
            return_code = _first(group)
            code = return_code.code if isinstance(return_code, SecurityError) else "server_changed"
            close = -1
        except* ClientError as group:
            first = _first(group)
            code = first.code if isinstance(first, ClientError) else code
        except* TimeoutError:
            code = "timeout"
        except* Exception:  # noqa: BLE001 - logged, and the account stays connected
            _log.exception("the connection ended by a fault of this program")
            code = "internal"
        finally:
            self._disconnected()
        if close == -1:
            return self._link.halt(code)
        if code == "login_ended":
            return self._link.renewal_failed(Code.LOGIN_REVOKED, chance=self._context.chance())
        return self._link.lost(close, now=loop.time(), chance=self._context.chance(), code=code, after_s=self._after_s)

    async def _connected(self) -> None:
        credentials = await self._keeper.credentials()
        gen = await self._context.store.read(lambda tx: tx.own.gen())
        socket = await connect(self._address.websocket("/ws"), tls=self._tls, max_message=limits.MAX_FRAME)
        me = self._context.me
        channel = ClientConnection(
            await self._keeper.channel_key(),
            did=me.did,
            jwt=credentials.access_token,
            nonce=os.urandom(32),
            gen=gen,
            server_id=me.server_id,
        )
        session = Session(socket, channel)
        try:
            await self._check_epoch(await self._welcome(session))
            self._link.opened(asyncio.get_running_loop().time())
            await self._tell()
            await bring_back(self._context)
            await self._live(session)
        finally:
            self._after_s = session.reconnect_after_s
            session.end()

    async def _welcome(self, session: Session) -> int:
        """The server's restore epoch, once it has proven that it is the one this device registered with."""
        try:
            return (await session.welcome()).restore_epoch
        except ConnectionLostError as error:
            if error.code != Close.BAD_MAC:
                raise

        def warn(tx: Tx, out: Outcome) -> None:
            out.warn(tx, "server_changed", self._context.me.clock.now_ms())

        await self._context.commit(warn)
        raise SecurityError("server_changed")

    async def _live(self, session: Session) -> None:
        upkeep = Upkeep(self._context, self.directory, self._mailer, session, self.groups)
        inbound = Inbound(
            self._context,
            self.directory,
            self.sending,
            self.groups,
            session,
            upkeep.keys_due.set,
            self.history.begin,
        )
        with closing(inbound):
            await self._live_with(session, upkeep, inbound)

    async def _live_with(self, session: Session, upkeep: Upkeep, inbound: Inbound) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(session.read(lambda frame: self._take(session, inbound, frame)))
            await inbound.catch_up()
            await self._mailer_flush(session)
            self._session, self._upkeep = session, upkeep
            group.create_task(inbound.run())
            await self.sending.start(session, group, inbound.level)
            upkeep.start(group)
            group.create_task(self._linking.send_owed(session, self._mailer))
            group.create_task(DeviceEvents(self._context, self.directory, inbound.level, self.sending.wake).run())
            group.create_task(self.uploads.run())
            deliver = partial(self._mailer.deliver, session)
            group.create_task(self.verifier.run(deliver))
            group.create_task(self._welcoming.run(deliver))
            group.create_task(self.key_log.run(deliver))
            group.create_task(self.downloads.sweep())
            group.create_task(self.history.run())
            group.create_task(self._backup.run())
            group.create_task(self._own_devices.run(session))
            group.create_task(self.blocking.run())
            group.create_task(self.profiles.run(deliver))
            group.create_task(self._context.presence.run(session))
            group.create_task(Earlier(self._context, session).run())
            group.create_task(push_owed(self._context, deliver, self.groups.give_history))
            self._link.caught_up()
            self._level.set()
            await self._tell()

    async def _mailer_flush(self, session: Session) -> None:
        try:
            await self._mailer.flush(session)
        except RefusedError as error:
            _log.info("kept envelopes wait: %s", error.code)

    def _take(self, session: Session, inbound: Inbound, frame: frames.ServerFrame) -> None:
        if isinstance(frame, frames.SessionEnded):
            _log.info("the server ended the login: %s", frame.code)
            raise session.end(Close.LOGIN_ENDED)
        inbound.deliver(frame)

    def _disconnected(self) -> None:
        self._session = self._upkeep = None
        self._level.clear()
        self.sending.stop()

    async def _check_epoch(self, epoch: int) -> None:
        """A server restored from a backup says so by a higher epoch; a lower one is a rollback nobody declared."""

        def step(tx: Tx, out: Outcome) -> bool:
            known = tx.meta.number(RESTORE_EPOCH)
            if epoch < known:
                out.warn(tx, "epoch_rolled_back", self._context.me.clock.now_ms())
            elif known and epoch > known:
                out.warn(tx, "server_restored", self._context.me.clock.now_ms())
                tx.backup.forget_server()
                tx.meta.raise_to(REWIND_DUE, epoch)
                tx.meta.raise_to(BLOCKS_DUE, epoch)
                tx.meta.raise_to(PROFILE_BACK, epoch)
                note_restore(tx, epoch, self._context.me.clock.now_ms())
            tx.meta.raise_to(RESTORE_EPOCH, epoch)
            return epoch >= known

        if not await self._context.commit(step):
            raise SecurityError("epoch_rolled_back")

    async def _tell(self, wait_s: float = 0.0) -> None:
        pending = await self._context.store.read(lambda tx: tx.outbox.count() + tx.uploads.count())
        retry_at = int(self._context.me.clock.now_ms() + wait_s * 1000) if wait_s else 0
        code = self._link.code
        self.told = ConnectionChanged(self._link.phase, retry_at, code, pending)
        self._context.emitter.emit(self.told)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first leaf of a group: one cause ends a connection, the others follow from it."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _ending_code(error: ClientError) -> str:
    return Code.LOGIN_REVOKED if error.code == "login_ended" else error.code
