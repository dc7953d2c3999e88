"""What the owner of an account does with it: password, devices, invites, logging out, deleting. Behind `Client`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from mensajeria.client.account import Account, AuthFlow, Credentials
from mensajeria.client.account_changes import Announced, ChangeFlow, Owner, parse_code
from mensajeria.client.api import InviteView, NewInvite
from mensajeria.client.engine import new_devices
from mensajeria.client.engine.account_keys import PASS_KEYS, put_keys
from mensajeria.client.engine.identity_moves import announce, announced_identity
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.entering import DEFAULT_DEVICE
from mensajeria.client.errors import InputError, ProfileError, RefusedError, SecurityError
from mensajeria.client.invitation import make_link
from mensajeria.client.profiles import ROLLED_BACK, mark_rolled_back
from mensajeria.client.running import Running
from mensajeria.client.store import Tx
from mensajeria.client.strength import estimate
from mensajeria.client.transport.auth_channel import AuthChannel
from mensajeria.crypto.recovery import RecoveryCode
from mensajeria.kit.secrets import Secret
from mensajeria.protocol.errors import Code
from mensajeria.protocol.ids import Did, b64

if TYPE_CHECKING:
    from mensajeria.protocol import api

T = TypeVar("T")


async def require_strong(password: Secret, handle: str) -> None:
    """Raises InputError (weak_password) for a new password that is too easy to guess."""
    strength = await asyncio.to_thread(estimate, password, handle)
    if not strength.accepted:
        raise InputError("weak_password", strength.advice or "")


class Management:
    """Over the running parts of one client. Methods raise RefusedError, NetworkError, SecurityError, InputError."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._opened = running.opened
        self._context = running.context
        self._engine = running.engine

    # --- logins ---

    async def login_again(self, password: Secret) -> None:
        """See `Client.login_again`."""
        fresh = self._engine.code == Code.ROLLED_BACK or await self._opened.store.read(
            lambda tx: tx.meta.get(ROLLED_BACK) is not None
        )
        try:
            await self._log_in(password, fresh=fresh)
        except RefusedError as error:
            if error.code == Code.BAD_CREDENTIALS and self._opened.profile.is_unconfirmed:
                raise ProfileError("account_unsure", params={"handle": self._context.me.handle}) from error
            if error.code != Code.ROLLED_BACK:
                raise
            await self._opened.store.run(mark_rolled_back)  # the login had ended before anybody could tell
            await self._log_in(password, fresh=True)

    async def _log_in(self, password: Secret, *, fresh: bool) -> None:
        me = self._context.me
        known = await self._opened.store.read(lambda tx: tx.own.known())
        who = Credentials(me.handle, password, known.reveal() if known is not None else b"")
        async with self._channel() as channel:
            flow = AuthFlow(channel, me.clock)
            if fresh:
                account = await flow.log_in(who, DEFAULT_DEVICE)
            else:
                device, contact, gen, announced = await self._opened.store.read(
                    lambda tx: (me.device(tx), me.contact(tx), tx.own.gen(), announced_identity(tx))
                )
                account = await flow.log_in_again(who, device, contact, gen, announced)
        if fresh:
            await self._running.become(account)
        else:
            await self._running.keep(account)
        self._running.engine.restart()

    async def reset_password(self, code: RecoveryCode, new: Secret) -> None:
        """See `Client.reset_password`."""
        me = self._context.me
        known = await self._opened.store.read(me.contact)
        async with self._channel() as channel:
            await ChangeFlow(channel, me.clock).reset_password(me.handle, code, new, known)
        await self._running.recovery_code_saved()  # whoever types it has it
        await self.login_again(new)

    # --- password and identity ---

    async def change_password(self, old: Secret, new: Secret, code: Secret | str | None) -> None:
        """See `Client.change_password`."""
        await require_strong(new, self._context.me.handle)
        gen = await self._opened.store.read(lambda tx: tx.own.gen())

        async def change(flow: ChangeFlow, owner: Owner) -> Account:
            return await flow.change_password(owner, new, gen)

        account = await self._with_flow(old, code, change)
        await self._running.keep(account)
        self._engine.restart()

    async def renew_identity(self, old: Secret, new: Secret, code: Secret | str) -> None:
        """See `Client.renew_identity`."""
        await require_strong(new, self._context.me.handle)
        gen = await self._opened.store.read(lambda tx: tx.own.gen())

        async def keep(announced: Announced) -> None:
            await self._opened.store.run(lambda tx: announce(tx, announced))

        async def change(flow: ChangeFlow, owner: Owner) -> Account:
            return await flow.renew_identity(owner, new, gen, keep)

        account = await self._with_flow(old, code, change)
        await self._running.keep(account)
        self._engine.restart()

    # --- devices and invites ---

    async def revoke_device(self, did: bytes, password: Secret, code: Secret | str | None) -> None:
        """See `Client.revoke_device`."""
        keys = await self._with_flow(password, code, lambda flow, owner: flow.remove_device(owner, did))

        def step(tx: Tx) -> None:
            put_keys(tx, keys.n, keys.backup, keys.settings, from_root=True)
            tx.meta.set(PASS_KEYS, b"1")

        await self._opened.store.run(step)
        if did != self._context.me.did:
            own = await self._engine.directory.refresh(self._context.me.uid)
            await self._context.commit(lambda tx, out: self._tell_chats(tx, out, own.list_ver))
            self._engine.keys_advanced()

    def _tell_chats(self, tx: Tx, out: Outcome, dl_ver: int) -> None:
        """This device has removed it, so it signs the events, and at once."""
        new_devices.tell_chats(tx, dl_ver, self._context.me.clock.now_ms())
        out.sign_events = True

    async def confirm_device(self, did: bytes) -> None:
        """See `Client.confirm_device`."""
        await self._opened.store.run(lambda tx: new_devices.confirm(tx, Did(did)))

    async def delete_account(self, password: Secret, code: Secret | str | None) -> None:
        """See `Client.delete_account`."""
        await self._with_flow(password, code, lambda flow, owner: flow.delete_account(owner))
        await self._opened.store.run(lambda tx: tx.own.clear_tokens())
        self._engine.retry_now()

    async def rename_device(self, did: bytes, name: str) -> None:
        """See `Client.rename_device`."""
        await self._context.rest.account.rename_device(did, name)

    async def create_invite(self, url: str, uses: int, days: int) -> NewInvite:
        """See `Client.create_invite`."""
        log_key = await self._engine.key_log.key()
        made = await self._context.rest.account.create_invite(uses, days)
        expires = made.expires_ms
        link = await make_link(self._context, url, log_key, made.token, uses=made.uses_left, expires_ms=expires)
        return NewInvite(made.id, Secret.from_text(b64(made.token)), link, made.uses_left, expires)

    async def invites(self) -> tuple[InviteView, ...]:
        """See `Client.invites`."""
        return tuple(_view(row) for row in await self._context.rest.account.invites())

    async def revoke_invite(self, number: int) -> None:
        """See `Client.revoke_invite`."""
        await self._context.rest.account.revoke_invite(number)

    async def _with_flow(
        self,
        password: Secret,
        code: Secret | str | None,
        work: Callable[[ChangeFlow, Owner], Awaitable[T]],
    ) -> T:
        """What the owner does, on a conversation of its own."""
        me, recovery = self._context.me, parse_code(code)

        def read(tx: Tx) -> Owner:
            known = tx.own.known()
            who = Credentials(me.handle, password, b"" if known is None else known.reveal())
            return Owner(who, me.device(tx), me.contact(tx), recovery)

        owner = await self._opened.store.read(read)
        async with self._channel() as channel:
            done = await work(ChangeFlow(channel, me.clock), owner)
        if recovery is not None:
            await self._running.recovery_code_saved()  # whoever types it has it
        return done

    @contextlib.asynccontextmanager
    async def _channel(self) -> AsyncIterator[AuthChannel]:
        """A conversation with the server that this profile belongs to. Raises SecurityError (server_changed)."""
        async with await self._running.reach.channel() as channel:
            if channel.info.server_id != self._context.me.server_id:
                raise SecurityError("server_changed")
            yield channel


def _view(row: api.InviteInfo) -> InviteView:
    return InviteView(row.id, row.uses_left, row.created_ms, row.expires_ms, row.state, tuple(row.joined))
