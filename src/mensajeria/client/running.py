"""What runs behind an open client: its profile and its device's engine, from the start to the end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from mensajeria.client.account import Account
from mensajeria.client.control import ControlServer, Handler
from mensajeria.client.engine.context import Context
from mensajeria.client.engine.emitter import Emitter
from mensajeria.client.engine.engine import Engine
from mensajeria.client.engine.login import LoginKeeper
from mensajeria.client.engine.timers import Expiry
from mensajeria.client.entering import Reach
from mensajeria.client.errors import StateError
from mensajeria.client.kept_code import forget_code, is_anew, kept_code
from mensajeria.client.profiles import ROLLED_BACK, Opened, forget_sessions, info_of, keep_account, me_of
from mensajeria.client.security import Security
from mensajeria.client.store import Tx
from mensajeria.client.transport.rest.api import RestApi
from mensajeria.client.transport.rest.client import RestClient
from mensajeria.kit.clock import Clock
from mensajeria.kit.secrets import Secret


class Running:
    """The parts of one open account. They are made anew when the profile becomes another device (`become`)."""

    def __init__(self, opened: Opened, reach: Reach, clock: Clock) -> None:
        self.opened = opened
        self.reach = reach
        self.clock = clock
        self.emitter = Emitter()
        self.recovery_code: Secret | None = None
        """While nobody has said that they have it."""
        self.begun_anew = False
        """Whether that is the code of an account that has just begun anew."""
        self._control: ControlServer | None = None
        self._closing: asyncio.Task[None] | None = None
        self._wire()

    def _wire(self) -> None:
        """Make the parts for the profile's device."""
        me = me_of(self.opened.profile.info, self.clock)
        self.http = RestClient(self.reach.address, self.reach.tls)
        keeper = LoginKeeper(me, self.opened.store, self.http)
        rest = RestApi(self.http, keeper)
        folder = self.opened.profile.folder
        self.context = Context(me, self.opened.store, rest, self.emitter, self.opened.vault, folder)
        self._expiry = Expiry(self.clock, self.context.commit, self.context.timers_due)
        self.engine = Engine(self.context, keeper, self.reach.address, self.reach.tls)
        self.security = Security(self.context, self.engine)

    async def start(self, handed_over: Handler, *, offline: bool) -> None:
        """Begin, and connect unless `offline`. `handed_over` answers the user's other processes."""
        self._control = ControlServer(handed_over)
        await self._control.start(self.opened.profile.folder)
        self.recovery_code, self.begun_anew = await self.opened.store.read(lambda tx: (kept_code(tx), is_anew(tx)))
        await self.context.commit(self.context.rows.read_again)
        await self._expiry.start()
        if not offline:
            self.engine.start()

    async def caught_up(self) -> None:
        """See `Client.caught_up`."""
        if self.is_closed:
            raise StateError("closed")
        await self.engine.caught_up()

    async def keep(self, account: Account) -> None:
        """Store a login of this device."""
        await self.opened.store.run(lambda tx: keep_account(tx, account, self.clock.now_ms()))
        if self.opened.profile.is_unconfirmed:
            await asyncio.to_thread(self.opened.profile.save, info_of(account, self.reach.address))

    async def recovery_code_saved(self) -> None:
        """See `Client.recovery_code_saved`."""
        await self.opened.store.run(forget_code)
        self.recovery_code, self.begun_anew = None, False

    async def become(self, account: Account) -> None:
        """Go on as a new device: the old one's ratchets must never encrypt again."""
        await self._stop()

        def step(tx: Tx) -> None:
            forget_sessions(tx)
            keep_account(tx, account, self.clock.now_ms())
            tx.meta.remove(ROLLED_BACK)
            tx.meta.raise_to("gen", self.opened.vault.ceiling)

        await self.opened.store.run(step)
        await asyncio.to_thread(self.opened.profile.save, info_of(account, self.reach.address))
        await self._expiry.stop()
        self._wire()
        await self._expiry.start()

    async def _stop(self) -> None:
        await self.engine.stop()
        await self._expiry.stop()
        await self.http.close()

    # --- the end ---

    @property
    def is_closed(self) -> bool:
        """Whether the end has begun."""
        return self._closing is not None

    async def close(self) -> None:
        """See `Client.close`."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(self.opened.close))
        await asyncio.shield(self._closing)

    async def erase(self) -> None:
        """See `Client.erase`."""
        if self._closing is not None:
            raise StateError("closed")
        self._closing = asyncio.create_task(self._close(self.opened.erase))
        await asyncio.shield(self._closing)

    async def _close(self, put_away: Callable[[], Awaitable[None]]) -> None:
        if self._control is not None:
            await self._control.close()
        await self._stop()
        self.emitter.end()
        await put_away()
