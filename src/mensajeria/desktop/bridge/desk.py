"""The client's side of the bridge: opens the profile, signs in, and keeps the open client until the person leaves."""

from __future__ import annotations

import asyncio
import contextlib
import platform
from typing import TYPE_CHECKING, Final, assert_never

from mensajeria.client import Client, ClientError, ProfileError, estimate_strength
from mensajeria.desktop.bridge.backend import SignedIn, notice_of
from mensajeria.desktop.bridge.batch import Batcher
from mensajeria.desktop.bridge.suggestions import suggestions
from mensajeria.desktop.bridge.updates import (
    AuthFailed,
    Erased,
    LinkChecked,
    NameChecked,
    OpeningFailed,
    PassphraseNeeded,
    PasswordChecked,
    PhaseIs,
    RecoveryCodeIs,
    ServerChecked,
)
from mensajeria.desktop.viewmodels.types import (
    CheckState,
    LinkCheck,
    LinkRequest,
    LoginRequest,
    NameCheck,
    PasswordStrength,
    Phase,
    RecoverRequest,
    RegisterRequest,
    ResetRequest,
    ServerCheck,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from mensajeria.desktop.bridge.options import ProfileOptions
    from mensajeria.desktop.bridge.updates import Update
    from mensajeria.desktop.viewmodels.types import SignIn
    from mensajeria.kit.secrets import Secret

_ASKS_PASSPHRASE: Final = frozenset({"passphrase_needed", "passphrase_wrong"})


class Desk:
    """Lives on the client's thread from `run` on; every method but the constructor is called there."""

    def __init__(self, options: ProfileOptions, own_title: str, deliver: Callable[[tuple[Update, ...]], None]) -> None:
        self._options = options
        self._passphrase = options.passphrase
        self._own_title = own_title
        self._deliver = deliver
        self._client: Client | None = None
        self._waiting: SignIn | None = None
        self.signed_in: SignedIn | None = None

    async def run(self) -> None:
        """Open what is stored, then serve until `leave`."""
        self._batcher = Batcher(asyncio.get_running_loop(), self._deliver)
        self._leaving = asyncio.Event()
        self._following: asyncio.Task[None] | None = None
        try:
            await self._open_stored()
            await self._leaving.wait()
        finally:
            await self._close()
            self._batcher.flush()

    async def leave(self) -> None:
        """The person leaves: `run` closes everything and returns."""
        self._leaving.set()

    # ---- signing in --------------------------------------------------------------------------------------------------

    async def sign_in(self, request: SignIn) -> None:
        """Into an account on this profile: again where it has one, else as a new device, or as a new account."""
        self._waiting = None
        try:
            await self._try_to_sign_in(request)
        except ClientError as error:
            if error.code in _ASKS_PASSPHRASE:
                self._waiting = request
                self._batcher.put(PassphraseNeeded(wrong=error.code == "passphrase_wrong", new=True))
            else:
                self._batcher.put(AuthFailed(notice_of(error)))
                if isinstance(request, RegisterRequest | ResetRequest) and self._client is None:
                    await self._open_begun()

    async def check_link(self, code: Secret) -> None:
        """What a code for a new device says."""
        try:
            found = Client.read_link(code)
        except ClientError as error:
            check = LinkCheck(CheckState.BAD, error=error.code)
        else:
            check = LinkCheck(CheckState.OK, found.url, found.handle)
        self._batcher.put(LinkChecked(code, check))

    async def give_passphrase(self, passphrase: Secret) -> None:
        """The person has typed the profile's passphrase: go on with what waited for it."""
        self._passphrase = passphrase
        if self._waiting is None:
            await self._open_stored()
        else:
            await self.sign_in(self._waiting)

    async def check_server(self, address: str) -> None:
        """Whether a server answers at this address, and what it says of itself."""
        try:
            view = await Client.check_server(address, ca_file=self._options.ca_file)
        except ClientError as error:
            self._batcher.put(ServerChecked(ServerCheck(address, CheckState.BAD, error=error.code)))
            return
        secure = view.url.startswith("https:")
        is_open = view.registration == "open"
        self._batcher.put(ServerChecked(ServerCheck(address, CheckState.OK, view.version, is_open, secure)))

    async def check_name(self, server: str, handle: str) -> None:
        """Whether a name is well formed and free."""
        try:
            free = await Client.check_handle(server, handle, ca_file=self._options.ca_file)
        except ClientError as error:
            # A server that asks for an invite tells nobody who is there; the name is judged at registration.
            state = CheckState.IDLE if error.code.startswith("invite_") else CheckState.BAD
            check = NameCheck(handle, state, error="" if state is CheckState.IDLE else error.code)
        else:
            check = (
                NameCheck(handle, CheckState.OK)
                if free
                else NameCheck(handle, CheckState.BAD, suggestions(handle), "handle_taken")
            )
        self._batcher.put(NameChecked(check))

    async def check_password(self, password: Secret, handle: str) -> None:
        """How strong a password is."""
        found = estimate_strength(password, handle)
        advice = f"password.advice.{found.advice}" if found.advice else ""
        self._batcher.put(PasswordChecked(password, PasswordStrength(found.score, advice, found.accepted)))

    async def recovery_saved(self) -> None:
        """The recovery code is on paper: forget it here, and show the chats."""
        if self._client is not None:
            await self._client.recovery_code_saved()
            self._follow()

    async def erase(self) -> None:
        """Nobody is signed in: take what is stored away from this computer."""
        try:
            if self._client is not None and not self._client.is_closed:
                await self._client.erase()
        except ClientError as error:
            self._batcher.put(AuthFailed(notice_of(error)))
        else:
            self._batcher.put(Erased())

    # ---- inside ------------------------------------------------------------------------------------------------------

    async def _open_stored(self) -> None:
        try:
            self._client = await Client.open(
                self._options.folder, passphrase=self._passphrase, ca_file=self._options.ca_file
            )
        except ProfileError as error:
            self._batcher.put(self._on_opening(error))
            self._batcher.flush()
            return
        except ClientError as error:
            self._batcher.put(OpeningFailed(notice_of(error)))
            return
        self._begin(self._client)

    async def _open_begun(self) -> None:
        """The account may have been made, although its answer was lost: then its recovery code is here."""
        at = self._options
        with contextlib.suppress(ProfileError):
            self._client = await Client.open(at.folder, passphrase=self._passphrase, ca_file=at.ca_file)
            self._begin(self._client)

    def _on_opening(self, error: ProfileError) -> Update:
        if error.code == "profile_missing":
            return PhaseIs(Phase.SIGNED_OUT)
        if error.code in _ASKS_PASSPHRASE:
            return PassphraseNeeded(wrong=error.code == "passphrase_wrong")
        return OpeningFailed(notice_of(error))

    async def _try_to_sign_in(self, request: SignIn) -> None:
        if self._client is not None and not self._client.is_closed:
            await self._sign_in_again(self._client, request)
            self._batcher.put(PhaseIs(Phase.READY))
            return
        self._client = await self._enter(request)
        self._begin(self._client)

    def _begin(self, client: Client) -> None:
        """A recovery code that the person has not said they have comes first, also at a later start."""
        if client.recovery_code is not None:
            self._batcher.put(RecoveryCodeIs(client.recovery_code, client.begun_anew, client.is_unconfirmed))
        else:
            self._follow()

    async def _enter(self, request: SignIn) -> Client:
        """Make the profile."""
        at = self._options
        match request:
            case LoginRequest(server, handle, password):
                return await Client.login(
                    server, handle, password, profile=at.folder,
                    device_name=platform.node(), passphrase=self._passphrase, ca_file=at.ca_file,
                )  # fmt: skip
            case RecoverRequest(server, handle, code, password):
                return await Client.recover(
                    server, handle, code, password, profile=at.folder,
                    device_name=platform.node(), passphrase=self._passphrase, ca_file=at.ca_file,
                )  # fmt: skip
            case ResetRequest(server, handle, code, password):
                return await Client.reset_identity(
                    server, handle, code, password, profile=at.folder,
                    device_name=platform.node(), passphrase=self._passphrase, ca_file=at.ca_file,
                )  # fmt: skip
            case LinkRequest(code, password):
                return await Client.link(
                    code, password, profile=at.folder,
                    device_name=platform.node(), passphrase=self._passphrase, ca_file=at.ca_file,
                )  # fmt: skip
            case RegisterRequest(server, handle, password, invite):
                return await Client.register(
                    server, handle, password, profile=at.folder, invite=invite or None,
                    device_name=platform.node(), passphrase=self._passphrase, ca_file=at.ca_file,
                )  # fmt: skip
            case _:
                assert_never(request)

    @staticmethod
    async def _sign_in_again(client: Client, request: SignIn) -> None:
        """A profile whose login ended stays its account's."""
        if isinstance(request, RegisterRequest | LinkRequest | ResetRequest):
            raise ProfileError("account_kept", params={"handle": client.me.handle})
        if request.handle != client.me.handle:
            raise ProfileError("account_kept", params={"handle": client.me.handle})
        if isinstance(request, RecoverRequest):
            await client.reset_password(request.code, request.password)
        else:
            await client.login_again(request.password)

    def _follow(self) -> None:
        assert self._client is not None
        self.signed_in = SignedIn(self._client, self._batcher, self._own_title)
        self._following = asyncio.create_task(self._serve(self.signed_in))

    async def _serve(self, signed_in: SignedIn) -> None:
        """Until the client is closed; then nobody asks it for anything."""
        await signed_in.run()
        if self.signed_in is signed_in:
            self.signed_in = None

    async def _close(self) -> None:
        if self._client is not None:
            await self._client.close()
        if self._following is not None:
            await self._following
