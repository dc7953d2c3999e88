"""The client's public face: one account on one device, with its chats and events."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from mensajeria.client import backup_files
from mensajeria.client.account import (
    Account,
    AuthFlow,
    Credentials,
    check_handle_form,
)
from mensajeria.client.account_changes import ChangeFlow, parse_code, parse_reset_code
from mensajeria.client.api import (
    BackupStatus,
    ChatView,
    ConnectionPhase,
    DeviceView,
    Health,
    InviteView,
    LinkView,
    Message,
    NewInvite,
    NewLink,
    Person,
    PrivacySettings,
    Report,
    SentMessage,
    ServerView,
    Transfer,
    Trust,
    UserProfile,
)
from mensajeria.client.awaiting import wait_sent
from mensajeria.client.chat import Chat
from mensajeria.client.control import ControlServer, DownloadRequest, Request, SendFileRequest
from mensajeria.client.engine import new_chats, new_devices
from mensajeria.client.engine.backup import backup_status
from mensajeria.client.engine.context import Context
from mensajeria.client.engine.directory import own_devices
from mensajeria.client.engine.emitter import QUEUE_LIMIT, Emitter, EventStream
from mensajeria.client.engine.engine import Engine
from mensajeria.client.engine.health import health_of
from mensajeria.client.engine.hiding import shown_found, shown_view
from mensajeria.client.engine.identity_moves import announced_identity
from mensajeria.client.engine.linking import offer, owe_proof, parse_link
from mensajeria.client.engine.login import LoginKeeper
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.engine.reporting import draft
from mensajeria.client.engine.shared_settings import Settings
from mensajeria.client.engine.timers import Expiry
from mensajeria.client.engine.trust import show_changed
from mensajeria.client.entering import (
    DEFAULT_DEVICE,
    NewDevice,
    Password,
    Reach,
    Talk,
    as_secret,
    device_label,
    has_profile,
    key_file_allowed,
    optional_secret,
)
from mensajeria.client.errors import (
    InputError,
    ProfileError,
    RefusedError,
    SecurityError,
    StateError,
)
from mensajeria.client.finding import find_chat
from mensajeria.client.full_backup import BackupFile
from mensajeria.client.invitation import Invitation
from mensajeria.client.management import Management, require_strong
from mensajeria.client.profiles import (
    ROLLED_BACK,
    Opened,
    forget_sessions,
    info_of,
    keep_account,
    mark_rolled_back,
    me_of,
    open_profile,
)
from mensajeria.client.security import Security
from mensajeria.client.store import Tx
from mensajeria.client.store.profiles import ProfileWish
from mensajeria.client.transfer.pictures import portrait
from mensajeria.client.transport.auth_channel import AuthChannel
from mensajeria.client.transport.rest import RestApi, RestClient, describe
from mensajeria.crypto.device import DeviceKeys
from mensajeria.crypto.linking import code_text
from mensajeria.crypto.recovery import RecoveryCode
from mensajeria.kit.clock import Clock, SystemClock
from mensajeria.kit.secrets import Secret
from mensajeria.protocol import auth
from mensajeria.protocol.errors import Code
from mensajeria.protocol.ids import ChatId, Mid, Uid
from mensajeria.protocol.membership import direct_chat_id

_CHAT_ID: Final = re.compile(r"[0-9a-fA-F]{64}")


class Client:
    """An open account. Made by `register`, `login` or `open`; `async with` closes it.

    Everything runs in the event loop it was made in. Methods raise `ClientError`s only.
    """

    def __init__(self, opened: Opened, reach: Reach, clock: Clock, recovery_code: Secret | None = None) -> None:
        """For the class methods."""
        self._opened = opened
        self._reach = reach
        self._clock = clock
        self.recovery_code = recovery_code
        """The account's recovery code, after `register` only: to be shown once and kept by the person."""
        self.awaits_approval = False
        """True after `register` on a server whose operator looks at each account first: `login_again` later."""
        self._emitter = Emitter()
        self._control = ControlServer(self._handed_over)
        self._closing: asyncio.Task[None] | None = None
        self._wire()

    def _wire(self) -> None:
        """Make the running parts for the profile's device."""
        me = me_of(self._opened.profile.info, self._clock)
        self._http = RestClient(self._reach.address, self._reach.tls)
        keeper = LoginKeeper(me, self._opened.store, self._http)
        rest = RestApi(self._http, keeper)
        folder = self._opened.profile.folder
        self._context = Context(me, self._opened.store, rest, self._emitter, self._opened.vault, folder)
        self._expiry = Expiry(self._clock, self._context.commit, self._context.timers_due)
        self._engine = Engine(self._context, keeper, self._reach.address, self._reach.tls)
        self.security = Security(self._context, self._engine)
        """Making sure of people."""
        self._management = Management(self._opened, self._context, self._engine, self._reach.channel)

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
            On any of them no profile is left behind.
        """
        handle, secret = check_handle_form(username), as_secret(password)
        invitation, now = Invitation.parse(invite), clock or SystemClock()
        await require_strong(secret, handle)
        reach = await Reach.of(server, ca_file, insecure_http=insecure_http)
        await _check_invitation(invitation, reach)

        async def talk(channel: AuthChannel) -> Account:
            invitation.check_server(channel.info.server_id)
            who = Credentials(handle, secret)
            return await AuthFlow(channel, now).register(who, invitation.token, device_label(device_name))

        device = NewDevice(Path(profile), reach, now, optional_secret(passphrase), insecure_key_file)
        return await cls._entered(device, talk, invitation.keep)

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

            async def talk(channel: AuthChannel) -> Account:
                flow = ChangeFlow(channel, now)
                await flow.reset_password(handle, recovery, secret)
                return await flow.log_in(Credentials(handle, secret), device_label(device_name))

            device = NewDevice(folder, reach, now, optional_secret(passphrase), insecure_key_file)
            return await cls._entered(device, talk)
        client = await cls.open(folder, passphrase=passphrase, ca_file=ca_file, offline=True, clock=now)
        try:
            client._check_is(handle, reach.address.url)  # noqa: SLF001 - of this class
            await client._reset_password(recovery, secret)  # noqa: SLF001 - of this class
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

        async def talk(channel: AuthChannel) -> Account:
            who = Credentials(handle, secret)
            return await ChangeFlow(channel, now).reset_identity(who, token, device_label(device_name))

        device = NewDevice(Path(profile), reach, now, optional_secret(passphrase), insecure_key_file)
        return await cls._entered(device, talk)

    async def reset_password(self, code: Password, new_password: Password) -> None:
        """`recover` for an open client whose login ended: a new password by the code, then a login. Raises alike."""
        secret, recovery = as_secret(new_password), parse_code(code)
        assert recovery is not None
        await require_strong(secret, self.me.handle)
        await self._reset_password(recovery, secret)

    async def _reset_password(self, code: RecoveryCode, new_password: Secret) -> None:
        me = self._context.me
        known = await self._opened.store.read(me.contact)
        async with await self._reach.channel() as channel:
            if channel.info.server_id != me.server_id:
                raise SecurityError("server_changed")
            await ChangeFlow(channel, self._clock).reset_password(me.handle, code, new_password, known)
        await self.login_again(new_password)

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

        async def talk(channel: AuthChannel) -> Account:
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

        async def talk(channel: AuthChannel) -> Account:
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
        return await cls._started(opened, reach, clock or SystemClock(), None, offline=offline)

    @classmethod
    async def _entered(cls, device: NewDevice, talk: Talk, also: Callable[[Tx], None] | None = None) -> Self:
        opened, account = await device.enter(talk, also)
        client = await cls._started(opened, device.reach, device.clock, account.recovery_code)
        client.awaits_approval = account.logged_in is None
        return client

    @classmethod
    async def _started(
        cls, opened: Opened, reach: Reach, clock: Clock, code: Secret | None, *, offline: bool = False
    ) -> Self:
        client = cls(opened, reach, clock, code)
        try:
            await client._control.start(opened.profile.folder)
            await client._context.commit(client._context.rows.read_again)
            await client._expiry.start()
        except BaseException:  # whoever called may be cut off just now: the folder must not stay locked
            await client.close()
            raise
        if not offline:
            client._engine.start()
        return client

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

    # --- who and where ---

    @property
    def me(self) -> Person:
        """The account's person."""
        return Person(self._context.me.uid, self._context.me.handle, Trust.VERIFIED)

    @property
    def server_url(self) -> str:
        """Base URL of the account's server."""
        return self._reach.address.url

    @property
    def phase(self) -> ConnectionPhase:
        """State of the link to the server."""
        return self._engine.phase

    async def devices(self) -> tuple[DeviceView, ...]:
        """The account's devices, by its signed list. Raises NetworkError, RefusedError, SecurityError."""
        names = {info.did: info for info in await self._context.rest.devices()}
        await self._engine.directory.refresh(self._context.me.uid)
        me = self._context.me
        return await self._context.store.read(
            lambda tx: own_devices(me.verified(tx), me.did, names, new_devices.unconfirmed(tx))
        )

    async def health(self) -> Health:
        """What of the messages and keys does not work on this device; needs no network."""
        return await self._context.store.read(health_of)

    async def revoke_device(self, did: bytes, password: Password, *, recovery_code: Password | None = None) -> None:
        """Remove a device: cut off at once and for good. The recovery code is needed on a device of less than a day.

        Raises RefusedError (unknown_device, approval_needed, last_device, bad_credentials), NetworkError,
        SecurityError, InputError.
        """
        await self._management.revoke_device(did, as_secret(password), recovery_code)

    async def deny_device(self, did: bytes, password: Password, *, recovery_code: Password | None = None) -> None:
        """A new device is not this person's: cut it off. As `revoke_device`; then think about the password too."""
        await self._management.revoke_device(did, as_secret(password), recovery_code)

    async def link_code(self) -> NewLink:
        """A code for a new device of this account: `Client.link` there. Valid once, for ten minutes."""
        code, expires = await self._context.store.run(lambda tx: offer(tx, self._context, self.server_url))
        return NewLink(code_text(code), expires)

    async def linked(self) -> None:
        """Wait until the proof that is owed after `link` has left. Raises StateError when nothing will come of it."""
        await self.caught_up()
        await self._engine.link_proof_sent()

    async def confirm_device(self, did: bytes) -> None:
        """A new device is this person's: it is not shown as new here any more."""
        await self._management.confirm_device(did)

    async def rename_device(self, did: bytes, name: str) -> None:
        """Give a device another name. Raises RefusedError (unknown_device), NetworkError."""
        await self._management.rename_device(did, name)

    async def create_invite(self, *, uses: int = 1, days: int = 7) -> NewInvite:
        """Make an invite to register, with a link by which both sides know each other.

        Raises RefusedError (forbidden where only the operator may), NetworkError.
        """
        return await self._management.create_invite(self.server_url, uses, days)

    async def invites(self) -> tuple[InviteView, ...]:
        """The invites of this account, newest first. Raises RefusedError, NetworkError."""
        return await self._management.invites()

    async def revoke_invite(self, number: int) -> None:
        """End an invite. Raises RefusedError (not_found), NetworkError."""
        await self._management.revoke_invite(number)

    def _check_is(self, handle: str, url: str) -> None:
        if self.me.handle != handle or self.server_url != url:
            raise ProfileError("other_account", "the profile belongs to another account")

    # --- chats ---

    async def chats(self) -> tuple[ChatView, ...]:
        """All chats that were not declined, latest activity first."""
        return await self._context.store.read(lambda tx: tuple(shown_view(tx, view) for view in tx.views.chats()))

    def chat(self, chat_id: bytes) -> Chat:
        """A chat by its id."""
        return Chat(ChatId(chat_id), self._context, self._engine)

    async def direct_chat(self, username: str) -> Chat:
        """The chat with a user, made when there is none; the own name gives the note to self.

        Offline it finds chats that exist. Raises InputError, RefusedError (unknown_user), NetworkError, SecurityError.
        """
        handle, me = check_handle_form(username), self._context.me
        known = await self._context.store.read(lambda tx: self._chat_with(tx, handle))
        if known is not None:
            return self.chat(known)
        peer = me.uid if handle == me.handle else (await self._engine.directory.by_handle(handle)).uid
        chat_id = ChatId(direct_chat_id(me.server_id, me.uid, peer))
        await self._context.rest.open_direct_chat(chat_id, peer)

        def step(tx: Tx, out: Outcome) -> None:
            now = self._clock.now_ms()
            tx.chats.ensure_direct(chat_id, peer, accepted=True, note_to_self=peer == me.uid, now_ms=now)
            chat, contact = tx.chats.get(chat_id), tx.contacts.get(peer)
            # The server's word of the new chat may have overtaken its answer: then it is there already, and empty.
            begun = chat is not None and chat.last_seq == 0
            if begun and peer != me.uid and (seconds := new_chats.timer_for_new(tx)):
                tx.timers.wish(chat_id, seconds)
            if begun and contact is not None and contact.trust is Trust.CHANGED:
                show_changed(tx, out, contact, now)
            out.touched.add(chat_id)

        await self._context.commit(step)
        return self.chat(chat_id)

    async def find_person(self, username: str) -> Person:
        """Who has this name on the server; nothing is begun with them.

        Raises InputError (handle_invalid), RefusedError (unknown_user), NetworkError, SecurityError.
        """
        handle, me = check_handle_form(username), self._context.me
        if handle == me.handle:
            return self.me
        contact = await self._engine.directory.by_handle(handle)
        return Person(contact.uid, contact.handle, contact.trust)

    async def create_group(self, name: str, usernames: Sequence[str], *, description: str = "") -> Chat:
        """Make a group with these people, owned by oneself. Strangers get it as a request.

        Raises InputError (name_invalid, group_full, handle_invalid), RefusedError (unknown_user, request_limit),
        NetworkError, SecurityError.
        """
        handles = [check_handle_form(username) for username in usernames]
        return self.chat(await self._engine.groups.create(name, handles, description=description))

    async def recreate_group(self, chat_id: bytes) -> Chat:
        """The way out of a forked group: a new one, owned by oneself, with the same people and name.

        Raises InputError (unknown_chat, not_a_group), StateError (not_a_member), RefusedError, NetworkError.
        """
        return self.chat(await self._engine.groups.recreate(ChatId(chat_id)))

    def _chat_with(self, tx: Tx, handle: str) -> ChatId | None:
        contact = tx.contacts.by_handle(handle)
        if contact is None or tx.contacts.is_gone(contact.uid):
            return None  # whoever has the name now, if anybody, has another chat
        chat_id = ChatId(direct_chat_id(self._context.me.server_id, self._context.me.uid, contact.uid))
        chat = tx.chats.get(chat_id)
        return None if chat is None or chat.declined else chat_id

    async def accept(self, chat_id: bytes) -> None:
        """`Chat.accept`."""
        await self.chat(chat_id).accept()

    async def mark_read(self, chat_id: bytes, order: int) -> None:
        """`Chat.mark_read`."""
        await self.chat(chat_id).mark_read(order)

    async def search(self, text: str, *, chat_id: bytes | None = None, limit: int = 50) -> tuple[Message, ...]:
        """Messages in which every word of `text` begins a word, accents ignored, newest first."""
        within = None if chat_id is None else ChatId(chat_id)
        return await self._context.store.read(
            lambda tx: shown_found(tx, tx.views.search(text, chat_id=within, limit=limit))
        )

    # --- what the account's devices share ---

    @property
    def settings(self) -> Settings:
        """Small values that every device of the account has; sealed, also in the backup."""
        return Settings(self._context)

    async def privacy(self) -> PrivacySettings:
        """What the account's devices let others notice: read receipts, typing, presence."""
        return await self._engine.privacy.settings()

    async def set_privacy(
        self, *, read_receipts: bool | None = None, typing: bool | None = None, presence: bool | None = None
    ) -> PrivacySettings:
        """Change what is not None, for all devices of the account; what is in force then."""
        return await self._engine.privacy.change(read_receipts=read_receipts, typing=typing, presence=presence)

    async def timer_for_new_chats(self) -> int:
        """After how many seconds what is written disappears in chats that this account begins; 0 = never."""
        return await self._context.store.read(new_chats.timer_for_new)

    async def set_timer_for_new_chats(self, seconds: int) -> None:
        """Change it, on all devices of the account; chats that are there keep theirs.

        A group has it from its beginning; a direct chat with the first message, which a message of the timer precedes.
        Raises InputError (timer_invalid).
        """
        await self._context.commit(lambda tx, out: new_chats.set_timer_for_new(self._context, tx, out, seconds))

    # --- profiles ---

    async def profile(self) -> UserProfile:
        """What the account tells its contacts about itself, as last wanted here: it may not be published yet."""
        return await self._engine.profiles.own()

    async def set_profile(
        self, *, name: str | None = None, status: str | None = None, picture: Path | bytes | None = None
    ) -> UserProfile:
        """Change what is not None; empty takes it away. What the profile says then; works offline, published later.

        `picture`: a file, of which the middle square is kept, without anything but its pixels; or the bytes of such a
        small JPEG. Contacts are told once it is published.

        Raises InputError (profile_name_invalid, profile_status_invalid, image_invalid, image_too_large,
        file_unreadable).
        """
        if isinstance(picture, Path):
            picture = await asyncio.to_thread(portrait, picture)
        return await self._engine.profiles.change(ProfileWish(name=name, status=status, picture=picture))

    async def fetch_profiles(self) -> None:
        """Fetch what contacts have announced of themselves; happens by itself while connected.

        Raises NetworkError, RefusedError.
        """
        await self._engine.profiles.fetch()

    async def profile_published(self) -> None:
        """Wait until the profile is published as it was last wanted, and contacts are told of it.

        Raises StateError when nothing will come of it.
        """
        await self.caught_up()
        await self._engine.profiles.published()

    async def profile_of(self, username: str) -> UserProfile | None:
        """What somebody tells about themselves; None: nothing that is here. Offline for contacts; raises as `block`."""
        return await self._engine.profiles.of((await self._named(username)).uid)

    async def profiles(self) -> Mapping[Uid, UserProfile]:
        """Every profile that is here, one's own too. See `UserProfile` for what a name is worth."""
        return await self._engine.profiles.shown()

    # --- blocks and reports ---

    async def block(self, username: str) -> Person:
        """Block somebody, for all devices of the account; they are not told.

        The server lets nothing pass between the two any more, except the keys of groups that both are in: there their
        messages still arrive, and are not shown (Cause.BLOCKED). Needs the network.

        Raises InputError (handle_invalid, own_account), RefusedError (unknown_user, quota_exceeded), NetworkError,
        SecurityError.
        """
        person = await self._named(username)
        await self._engine.blocking.block(person.uid)
        return person

    async def unblock(self, username: str) -> Person:
        """Take a block back; none is no error. What was refused meanwhile does not come back. Raises as `block`."""
        handle = check_handle_form(username)
        blocked = {person.handle: person for person in await self.blocked()}
        person = blocked.get(handle) or await self._named(handle)
        await self._engine.blocking.unblock(person.uid)
        return person

    async def blocked(self) -> tuple[Person, ...]:
        """Whom the account has blocked, by name. Works offline."""
        return await self._engine.blocking.blocked()

    async def draft_report(
        self, username: str, words: str, *, chat_id: bytes | None = None, messages: Sequence[Mid] = ()
    ) -> Report:
        """What the operator would be told about somebody: the words, and the chosen messages of theirs in a chat.

        Nothing is sent: show it to the person, then `send_report`.

        Raises InputError (handle_invalid, own_account, empty_text, malformed_text, report_too_long, unknown_chat,
        unknown_message), RefusedError (unknown_user), NetworkError, SecurityError.
        """
        person, chat = await self._named(username), None if chat_id is None else ChatId(chat_id)
        return await self._context.store.read(lambda tx: draft(tx, person, words, chat, messages))

    async def send_report(self, report: Report) -> int:
        """Tell the operator exactly this; the number under which they know it. Raises RefusedError, NetworkError."""
        return await self._context.rest.report(report.person.uid, report.text, report.chat_id)

    async def _named(self, username: str) -> Person:
        handle = check_handle_form(username)
        if handle == self.me.handle:
            raise InputError("own_account")
        return await self._engine.blocking.person(handle)

    @property
    def here(self) -> frozenset[Uid]:
        """The contacts that show that they are connected; empty unless one shows oneself."""
        return self._context.presence.here

    async def backup_status(self) -> BackupStatus:
        """How much of this device's keys lies in the account's backup on the server. Works offline."""
        return await backup_status(self._context)

    # --- backup files ---

    async def create_backup(
        self, file: Path | str, *, passphrase: Password | None = None, recovery_code: Password | None = None
    ) -> BackupFile:
        """Write everything that can be read on this device into one encrypted file. Works offline; constant memory.

        Raises InputError (backup_exists, weak_password, recovery_code_invalid), ProfileError (store_failed).
        """
        key = await backup_files.own_key(self._opened, optional_secret(passphrase), optional_secret(recovery_code))
        return await backup_files.create(self._opened, Path(file), key, self._clock.now_ms())

    @staticmethod
    async def verify_backup(
        file: Path | str, *, passphrase: Password | None = None, recovery_code: Password | None = None
    ) -> BackupFile:
        """Read a backup file to its end and change nothing.

        Raises ProfileError: backup_missing, backup_wrong_key, backup_damaged, backup_newer. InputError.
        """
        key = backup_files.given_key(optional_secret(passphrase), optional_secret(recovery_code))
        return await backup_files.verify(Path(file), key)

    @staticmethod
    async def restore_backup(
        file: Path | str,
        profile: Path | str,
        *,
        backup_passphrase: Password | None = None,
        recovery_code: Password | None = None,
        passphrase: Password | None = None,
        insecure_key_file: bool = False,
    ) -> BackupFile:
        """Make a new profile from a backup file. It can be read at once; its next login adds a new device.

        `passphrase` is that of the new profile. Raises as `verify_backup`, and ProfileError (profile_exists, ...); on
        any error no profile is left behind.
        """
        key = backup_files.given_key(optional_secret(backup_passphrase), optional_secret(recovery_code))
        insecure = insecure_key_file or key_file_allowed()
        return await backup_files.restore(
            Path(file), Path(profile), key, optional_secret(passphrase), insecure=insecure
        )

    # --- events and connection ---

    def events(self, limit: int = QUEUE_LIMIT) -> EventStream:
        """Everything from now on: `async for event in client.events()`. Each call gives a consumer its own queue."""
        return self._emitter.stream(limit)

    @property
    def transfers(self) -> tuple[Transfer, ...]:
        """Files on their way now; `TransferProgress` tells how they go on."""
        return self._engine.transfers.running

    async def caught_up(self) -> None:
        """Wait until everything the server has for this device is stored. Raises StateError when that cannot be."""
        if self.is_closed:
            raise StateError("closed")
        await self._engine.caught_up()

    def retry_now(self) -> None:
        """Connect now instead of after the wait."""
        self._engine.retry_now()

    async def wait_sent(self, mid: Mid) -> None:
        """Wait until the server has stored an own message.

        Raises:
            MessageFailedError: it was refused for good; `code` tells why.
            SendBlockedError: a verified contact's identity changed.
            StateError: login_ended, rolled_back, ...: nothing is sent any more.
        """
        stream = self.events()
        try:
            await wait_sent(self._context, self._engine, stream, mid)
        finally:
            stream.close()

    # --- login and end ---

    async def login_again(self, password: Password) -> None:
        """Renew a login that ended. A device whose state was rolled back comes back as a new one.

        Raises RefusedError, NetworkError, SecurityError, StateError (device_removed).
        """
        fresh = self._engine.code == Code.ROLLED_BACK or await self._opened.store.read(
            lambda tx: tx.meta.get(ROLLED_BACK) is not None
        )
        try:
            await self._log_in(password, fresh=fresh)
        except RefusedError as error:
            if error.code != Code.ROLLED_BACK:
                raise
            await self._opened.store.run(mark_rolled_back)  # the login had ended before anybody could tell
            await self._log_in(password, fresh=True)

    async def _log_in(self, password: Password, *, fresh: bool) -> None:
        info, me = self._opened.profile.info, self._context.me
        known = await self._opened.store.read(lambda tx: tx.own.known())
        who = Credentials(info.handle, as_secret(password), known.reveal() if known is not None else b"")
        async with await self._reach.channel() as channel:
            if channel.info.server_id != me.server_id:
                raise SecurityError("server_changed")
            flow = AuthFlow(channel, self._clock)
            if fresh:
                account = await flow.log_in(who, DEFAULT_DEVICE)
            else:
                device, contact, gen, announced = await self._opened.store.read(
                    lambda tx: (tx.own.device(), me.contact(tx), tx.own.gen(), announced_identity(tx))
                )
                assert device is not None
                account = await flow.log_in_again(who, DeviceKeys.load(device), contact, gen, announced)
        if fresh:
            await self._become(account)
        else:
            await self._opened.store.run(lambda tx: keep_account(tx, account, self._clock.now_ms()))
        self._engine.restart()

    async def _become(self, account: Account) -> None:
        """Go on as a new device: the old one's ratchets must never encrypt again."""
        await self._engine.stop()
        await self._expiry.stop()
        await self._http.close()

        def step(tx: Tx) -> None:
            forget_sessions(tx)
            keep_account(tx, account, self._clock.now_ms())
            tx.meta.remove(ROLLED_BACK)
            tx.meta.raise_to("gen", self._opened.vault.ceiling)

        await self._opened.store.run(step)
        await asyncio.to_thread(self._opened.profile.save, info_of(account, self._reach.address))
        await self._expiry.stop()
        self._wire()
        await self._expiry.start()

    async def change_password(self, old: Password, new: Password, *, recovery_code: Password | None = None) -> None:
        """Replace the password. Every other device has to log in again; this one does so by itself.

        Raises InputError (weak_password), RefusedError (bad_credentials, approval_needed), NetworkError, SecurityError.
        """
        await self._management.change_password(as_secret(old), as_secret(new), recovery_code)

    async def renew_identity(self, old: Password, new: Password, recovery_code: Password) -> None:
        """Move the account to a new identity under a new password: for who fears that somebody else knows the password.

        The old identity and the recovery code sign for the new one, so contacts and groups follow. This device alone
        stays, all others are cut off at once; the recovery code stays the same. Raises as `change_password`, and
        RefusedError recovery_invalid.
        """
        await self._management.renew_identity(as_secret(old), as_secret(new), recovery_code)

    async def delete_account(self, password: Password, *, recovery_code: Password | None = None) -> None:
        """Delete the account on the server, for good; the profile stays readable. Raises as `change_password`."""
        await self._management.delete_account(as_secret(password), recovery_code)

    async def log_out(self, *, everywhere: bool = False, erase: bool = False) -> None:
        """End the login on the server, or those of all devices; the profile stays readable, unless `erase`.

        Raises NetworkError (nothing was erased then), RefusedError. As `erase`, if it was asked for: also a login that
        has ended before is no error then.
        """
        try:
            await self._context.rest.log_out(everywhere=everywhere)
        except (RefusedError, StateError):
            if not erase:
                raise
        if erase:
            await self.erase()
            return
        await self._opened.store.run(lambda tx: tx.own.clear_tokens())
        self._engine.retry_now()

    async def erase(self) -> None:
        """Take everything of the profile away from this computer, its key too, and close. Needs no network.

        What only this device has is gone: keys that are in no backup, what waits to be sent. The account does not
        change; the device stays in its list until another one removes it. Raises ProfileError (store_failed),
        StateError (closed).
        """
        if self._closing is not None:
            raise StateError("closed")
        self._closing = asyncio.create_task(self._close(self._opened.erase))
        await asyncio.shield(self._closing)

    @property
    def folder(self) -> Path:
        """Where the profile lies."""
        return self._opened.profile.folder

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._closing is not None

    async def close(self) -> None:
        """Disconnect and close the profile. What is queued stays queued. May be called twice.

        Who is cancelled meanwhile leaves it to end by itself: a folder that is closed by half would stay locked.
        """
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(self._opened.close))
        await asyncio.shield(self._closing)

    async def _close(self, put_away: Callable[[], Awaitable[None]]) -> None:
        await self._control.close()
        await self._engine.stop()
        await self._expiry.stop()
        await self._http.close()
        self._emitter.end()
        await put_away()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

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
