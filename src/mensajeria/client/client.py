"""The client's public face: one account on one device, with its chats and events.

Here are the ways to get one; what an open one offers is in `mensajeria.client.face`, a module for each concept.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

from mensajeria.client.account import (
    Account,
    AuthFlow,
    Credentials,
    Told,
    check_handle_form,
)
from mensajeria.client.account_changes import ChangeFlow, parse_code, parse_reset_code
from mensajeria.client.api import LinkView, SentMessage, ServerView
from mensajeria.client.chat import Chat
from mensajeria.client.control import DownloadRequest, Request, SendFileRequest
from mensajeria.client.engine.linking import owe_proof, parse_link
from mensajeria.client.entering import (
    DEFAULT_DEVICE,
    NewDevice,
    Password,
    Reach,
    Talk,
    as_secret,
    device_label,
    has_profile,
    optional_secret,
)
from mensajeria.client.errors import ProfileError, SecurityError
from mensajeria.client.face.account import OwnAccount
from mensajeria.client.face.backups import Backups
from mensajeria.client.face.chats import Chats
from mensajeria.client.face.connection import Connection
from mensajeria.client.face.people import People
from mensajeria.client.face.shared import Shared
from mensajeria.client.finding import find_chat
from mensajeria.client.invitation import Invitation
from mensajeria.client.management import Management, require_strong
from mensajeria.client.profiles import Opened, open_profile
from mensajeria.client.running import Running
from mensajeria.client.store import Tx
from mensajeria.client.transport.auth_channel import AuthChannel
from mensajeria.client.transport.rest.client import RestClient, describe
from mensajeria.kit.clock import Clock, SystemClock
from mensajeria.protocol import auth
from mensajeria.protocol.ids import Mid

_CHAT_ID: Final = re.compile(r"[0-9a-fA-F]{64}")


class Client(OwnAccount, Chats, People, Shared, Backups, Connection):
    """An open account. Made by `register`, `login` or `open`; `async with` closes it.

    Everything runs in the event loop it was made in. Methods raise `ClientError`s only.
    """

    def __init__(self, running: Running) -> None:
        """For the class methods."""
        super().__init__(running)
        self.awaits_approval = False
        """True after `register` on a server whose operator looks at each account first: `login_again` later."""

    # --- getting one ---

    @classmethod
    async def register(
        cls,
        server: str,
        username: str,
        password: Password,
        *,
        profile: Path | str,
        invite: str | bytes | None = None,
        device_name: str = DEFAULT_DEVICE,
        passphrase: Password | None = None,
        ca_file: Path | None = None,
        insecure_http: bool = False,
        insecure_key_file: bool = False,
        clock: Clock | None = None,
    ) -> Self:
        """Make an account and a profile for it. `recovery_code` is set on the returned client.

        Raises:
            InputError, ProfileError, NetworkError, SecurityError, RefusedError (handle_taken, invite_required, ...).
            On any of them no profile is left behind, unless the answer was lost and the account may be there: then
            `open` gives the profile with its `recovery_code` (`is_unconfirmed`), and `login_again` finishes it.
        """
        handle, secret = check_handle_form(username), as_secret(password)
        invitation, now = Invitation.parse(invite), clock or SystemClock()
        await require_strong(secret, handle)
        reach = await Reach.of(server, ca_file, insecure_http=insecure_http)
        await _check_invitation(invitation, reach)

        async def talk(channel: AuthChannel, told: Told) -> Account:
            invitation.check_server(channel.info.server_id)
            who = Credentials(handle, secret)
            return await AuthFlow(channel, now).register(who, invitation.token, device_label(device_name), told)

        device = NewDevice(Path(profile), reach, now, optional_secret(passphrase), insecure_key_file)
        return await cls._entered(device, talk, invitation.keep)

    @classmethod
    async def login(
        cls,
        server: str,
        username: str,
        password: Password,
        *,
        profile: Path | str,
        device_name: str = DEFAULT_DEVICE,
        passphrase: Password | None = None,
        ca_file: Path | None = None,
        insecure_http: bool = False,
        insecure_key_file: bool = False,
        clock: Clock | None = None,
    ) -> Self:
        """Log in: a folder without a profile becomes a new device of the account, one with a profile the same again.

        Raises as `register`; ProfileError other_account when the profile belongs to somebody else.
        """
        folder, handle, secret = Path(profile), check_handle_form(username), as_secret(password)
        now = clock or SystemClock()
        reach = await Reach.of(server, ca_file, insecure_http=insecure_http)
        if await has_profile(folder):
            client = await cls.open(folder, passphrase=passphrase, ca_file=ca_file, offline=True, clock=now)
            try:
                client._check_is(handle, reach.address.url)  # noqa: SLF001 - of this class
                await client.login_again(secret)
            except BaseException:
                await client.close()
                raise
            return client

        async def talk(channel: AuthChannel, _: Told) -> Account:
            return await AuthFlow(channel, now).log_in(Credentials(handle, secret), device_label(device_name))

        device = NewDevice(folder, reach, now, optional_secret(passphrase), insecure_key_file)
        return await cls._entered(device, talk)

    @classmethod
    async def link(
        cls,
        code: Password,
        password: Password,
        *,
        profile: Path | str,
        device_name: str = DEFAULT_DEVICE,
        passphrase: Password | None = None,
        ca_file: Path | None = None,
        insecure_http: bool = False,
        insecure_key_file: bool = False,
        clock: Clock | None = None,
    ) -> Self:
        """Become a new device of the account whose other device shows `code` (`link_code`).

        Server and identity must be the ones of the code. Raises as `register`; InputError link_code_invalid.
        """
        link, secret, now = parse_link(code), as_secret(password), clock or SystemClock()
        reach = await Reach.of(link.url, ca_file, insecure_http=insecure_http)

        async def talk(channel: AuthChannel, _: Told) -> Account:
            if channel.info.server_id != link.server_id:
                raise SecurityError("server_changed")
            who = Credentials(link.handle, secret)
            return await AuthFlow(channel, now).log_in(who, device_label(device_name), (link.uid, link.idfp))

        device = NewDevice(Path(profile), reach, now, optional_secret(passphrase), insecure_key_file)
        return await cls._entered(device, talk, lambda tx: owe_proof(tx, link))

    @classmethod
    async def open(
        cls,
        profile: Path | str,
        *,
        passphrase: Password | None = None,
        ca_file: Path | None = None,
        offline: bool = False,
        clock: Clock | None = None,
    ) -> Self:
        """Open a profile. Works without a network: history, search, drafts, outbox. Connects unless `offline`.

        Raises ProfileError.
        """
        opened = await open_profile(Path(profile), optional_secret(passphrase))
        try:
            # An address that was accepted once is the person's decision.
            reach = await Reach.of(opened.profile.info.server_url, ca_file, insecure_http=True)
        except BaseException:
            await opened.close()
            raise
        return await cls._started(opened, reach, clock or SystemClock(), offline=offline)

    @classmethod
    async def recover(
        cls,
        server: str,
        username: str,
        code: Password,
        new_password: Password,
        *,
        profile: Path | str,
        device_name: str = DEFAULT_DEVICE,
        passphrase: Password | None = None,
        ca_file: Path | None = None,
        insecure_http: bool = False,
        insecure_key_file: bool = False,
        clock: Clock | None = None,
    ) -> Self:
        """Give the account a new password by its recovery code, then log in: every other login of it ends.

        A folder without a profile becomes a new device, one with a profile the same again. Raises as `login`;
        InputError recovery_code_invalid, RefusedError recovery_invalid (unknown name or another account's code).
        """
        handle, secret, recovery = check_handle_form(username), as_secret(new_password), parse_code(code)
        assert recovery is not None
        folder, now = Path(profile), clock or SystemClock()
        await require_strong(secret, handle)
        reach = await Reach.of(server, ca_file, insecure_http=insecure_http)
        if not await has_profile(folder):

            async def talk(channel: AuthChannel, _: Told) -> Account:
                flow = ChangeFlow(channel, now)
                await flow.reset_password(handle, recovery, secret)
                return await flow.log_in(Credentials(handle, secret), device_label(device_name))

            device = NewDevice(folder, reach, now, optional_secret(passphrase), insecure_key_file)
            return await cls._entered(device, talk)
        client = await cls.open(folder, passphrase=passphrase, ca_file=ca_file, offline=True, clock=now)
        try:
            client._check_is(handle, reach.address.url)  # noqa: SLF001 - of this class
            await Management(client._running).reset_password(recovery, secret)  # noqa: SLF001 - of this class
        except BaseException:
            await client.close()
            raise
        return client

    @classmethod
    async def reset_identity(
        cls,
        server: str,
        username: str,
        reset_code: Password,
        new_password: Password,
        *,
        profile: Path | str,
        device_name: str = DEFAULT_DEVICE,
        passphrase: Password | None = None,
        ca_file: Path | None = None,
        insecure_http: bool = False,
        insecure_key_file: bool = False,
        clock: Clock | None = None,
    ) -> Self:
        """Begin anew on an account whose password and recovery code are lost, with the code that its operator gave.

        The account keeps name and chats, and nothing else: a new identity that nobody vouches for, a new
        `recovery_code`, no history. All former devices are cut off; everybody is shown the change, and groups must
        remove and add one again. Raises as `register`; InputError reset_code_invalid, RefusedError reset_invalid.
        """
        handle, secret, token = check_handle_form(username), as_secret(new_password), parse_reset_code(reset_code)
        now = clock or SystemClock()
        await require_strong(secret, handle)
        reach = await Reach.of(server, ca_file, insecure_http=insecure_http)

        async def talk(channel: AuthChannel, told: Told) -> Account:
            who = Credentials(handle, secret)
            return await ChangeFlow(channel, now).reset_identity(who, token, device_label(device_name), told)

        device = NewDevice(Path(profile), reach, now, optional_secret(passphrase), insecure_key_file)
        return await cls._entered(device, talk)

    @classmethod
    async def _entered(cls, device: NewDevice, talk: Talk, also: Callable[[Tx], None] | None = None) -> Self:
        opened, account = await device.enter(talk, also)
        client = await cls._started(opened, device.reach, device.clock)
        client.awaits_approval = account.logged_in is None
        return client

    @classmethod
    async def _started(cls, opened: Opened, reach: Reach, clock: Clock, *, offline: bool = False) -> Self:
        client = cls(Running(opened, reach, clock))
        try:
            await client._running.start(client._handed_over, offline=offline)
        except BaseException:  # whoever called may be cut off just now: the folder must not stay locked
            await client.close()
            raise
        return client

    def _check_is(self, handle: str, url: str) -> None:
        if self.me.handle != handle or self.server_url != url:
            raise ProfileError("other_account", "the profile belongs to another account")

    # --- before one is there ---

    @staticmethod
    def read_link(code: Password) -> LinkView:
        """What a code for `link` says; nothing is asked of anybody. Raises InputError (link_code_invalid)."""
        link = parse_link(code)
        return LinkView(link.url, link.handle)

    @staticmethod
    async def check_server(server: str, *, ca_file: Path | None = None, insecure_http: bool = False) -> ServerView:
        """What a server says of itself. Raises InputError, NetworkError."""
        reach = await Reach.of(server, ca_file, insecure_http=insecure_http)
        http = RestClient(reach.address, reach.tls)
        try:
            said = await describe(http)
        finally:
            await http.close()
        return ServerView(reach.address.url, said.server_id, said.name, said.version, said.registration)

    @staticmethod
    async def check_handle(
        server: str,
        username: str,
        *,
        invite: str | bytes | None = None,
        ca_file: Path | None = None,
        insecure_http: bool = False,
    ) -> bool:
        """Whether a user name is free. Raises InputError, NetworkError, RefusedError (invite_required, ...)."""
        handle, token = check_handle_form(username), Invitation.parse(invite).token
        reach = await Reach.of(server, ca_file, insecure_http=insecure_http)
        async with await reach.channel() as channel:
            return (await channel.ask(auth.CheckHandle(handle, token), auth.HandleState)).free

    # --- for other processes of this user ---

    async def _handed_over(self, request: Request) -> SentMessage | Path:
        """Another process of this user asks this one to do something."""
        if isinstance(request, DownloadRequest):
            return await (await self._chat_named(request.peer)).download(Mid(request.mid), Path(request.to))
        chat = await self._chat_named(request.to)
        if isinstance(request, SendFileRequest):
            sent = await chat.send_file(Path(request.path), request.caption, as_image=request.as_image)
        else:
            sent = await chat.send_text(request.text)
        if request.wait:
            await self.wait_sent(sent.mid)
        return sent

    async def _chat_named(self, name: str) -> Chat:
        if _CHAT_ID.fullmatch(name):
            return self.chat(bytes.fromhex(name))
        view = find_chat(await self.chats(), name)
        return await self.direct_chat(name) if view is None else self.chat(view.chat_id)


async def _check_invitation(invitation: Invitation, reach: Reach) -> None:
    http = RestClient(reach.address, reach.tls)
    try:
        await invitation.check(http)
    finally:
        await http.close()
