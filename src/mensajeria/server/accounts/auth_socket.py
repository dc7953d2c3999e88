"""The conversation on `/auth/ws`, without a socket: messages in, messages out (protocol.auth has the order).

It is one object per connection because OPAQUE's server state cannot leave the process and a ticket must not leave the
connection. A failed step answers `AuthError` and the connection stays open; what ends it is malformed bytes, too many
messages or a failure of the server.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import structlog

from mensajeria.protocol import auth, limits
from mensajeria.protocol.auth import ServerAuth, decode_from_client, encode_auth
from mensajeria.protocol.encoding import MalformedError
from mensajeria.protocol.errors import Close, Code, ProtocolError
from mensajeria.server.accounts.change_socket import AccountChanges, ChangeTalk
from mensajeria.server.accounts.login import LoginService, PendingLogin, ProvenLogin
from mensajeria.server.accounts.registration import Registration, Ticket
from mensajeria.server.db.failures import DATABASE_ERRORS
from mensajeria.server.facts import Facts
from mensajeria.server.logs import failure
from mensajeria.server.settings import Settings

MAX_MESSAGES: Final = 40
"""Messages a client may send on one connection."""
IDLE_S: Final = 60
"""Seconds without a message after which the connection ends."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class AuthReply:
    """What to send, and with which code to close afterwards, if at all."""

    frames: tuple[bytes, ...]
    close: Close | None = None


class AuthSession:
    """One connection's registration or login. Messages are handled one after the other: await each before the next.

    `network` is where the client comes from, for the limits (see `server.network`).
    """

    def __init__(
        self,
        settings: Settings,
        facts: Facts,
        registration: Registration,
        login: LoginService,
        changes: AccountChanges,
        network: str | None,
    ) -> None:
        self._settings = settings
        self._facts = facts
        self._registration = registration
        self._login = login
        self._changes = ChangeTalk(changes, network)
        self._network = network
        self._messages = 0
        self._ticket: Ticket | None = None
        self._pending: PendingLogin | None = None
        self._proven: ProvenLogin | None = None

    def greeting(self) -> bytes:
        """The first message, sent unasked."""
        info = auth.ServerInfo(
            limits.PROTOCOL_VERSION,
            self._facts.server_id,
            self._facts.restore_epoch,
            self._settings.effective_registration,
            (auth.SUITE_PASSWORD,),
        )
        return encode_auth(info)

    async def on_message(self, data: bytes) -> AuthReply:
        """Handle one WebSocket message. Never raises for what a client can do."""
        self._messages += 1
        if self._messages > MAX_MESSAGES:
            return AuthReply((_refusal(Code.RATE_LIMITED, "messages on one connection"),), Close.RATE_LIMITED)
        try:
            message = decode_from_client(data)
        except MalformedError:
            return AuthReply((_refusal(Code.MALFORMED),), Close.MALFORMED)
        try:
            return AuthReply((encode_auth(await self._answer(message)),))
        except ProtocolError as error:
            return AuthReply((_refusal(error.code, error.detail, error.retry_after_ms),))
        except DATABASE_ERRORS as error:
            _log.error("auth_failed", step=type(message).__name__, **failure(error))
            return AuthReply((_refusal(Code.UNAVAILABLE),))
        except Exception as error:  # noqa: BLE001 - the edge: whatever failed fails this request alone
            _log.error("auth_failed", step=type(message).__name__, **failure(error))
            return AuthReply((_refusal(Code.INTERNAL),), Close.INTERNAL)

    async def _answer(self, message: auth.ClientAuth) -> ServerAuth:
        match message:
            case auth.CheckHandle(handle=handle, invite=invite):
                return auth.HandleState(await self._registration.is_free(handle, invite, self._network))
            case auth.RegisterStart():
                self._ticket, challenge = await self._registration.start(message, self._network)
                return challenge
            case auth.RegisterFinish():
                ticket, self._ticket = self._ticket, None  # good once, whatever comes of it
                return auth.Registered(await self._registration.finish(ticket, message))
            case auth.LoginStart():
                self._proven = None
                self._pending = await self._login.start(message, self._network)
                return auth.LoginChallenge(self._pending.ke2)
            case auth.LoginFinish(ke3=ke3):
                pending, self._pending = self._pending, None
                self._proven, answer = await self._login.finish(pending, ke3)
                return answer
            case auth.DeviceAdd():
                return auth.DeviceAdded(await self._login.add_device(self._require_proven(), message))
            case auth.DeviceLoginMessage():
                answer_to_device = await self._login.take(self._require_proven(), message)
                self._proven = None  # one login, one device
                return answer_to_device
            case _:
                answer_to_change = await self._changes.answer(message, self._require_proven)
                if self._changes.ends_login:
                    self._proven = self._pending = None
                return answer_to_change

    def _require_proven(self) -> ProvenLogin:
        if self._proven is None:
            raise ProtocolError(Code.UNAUTHORIZED, "log in first")
        return self._proven


def _refusal(code: Code, detail: str = "", retry_after_ms: int = 0) -> bytes:
    return encode_auth(auth.AuthError(code, detail[:256], min(retry_after_ms, (1 << 32) - 1)))
