"""Everything the running server is made of, in one value that is passed to whoever needs it. No module-level state."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import IO

from mensajeria.kit.clock import Clock
from mensajeria.kit.secrets import Secret
from mensajeria.server.accounts.auth_socket import AuthSession
from mensajeria.server.accounts.change_socket import AccountChanges
from mensajeria.server.accounts.ended import EndedLogins
from mensajeria.server.accounts.login import LoginService
from mensajeria.server.accounts.opaque import PasswordVerifier
from mensajeria.server.accounts.refresh import RefreshService
from mensajeria.server.accounts.registration import Registration
from mensajeria.server.accounts.sessions import Authenticator
from mensajeria.server.accounts.signals import SignalWatch
from mensajeria.server.accounts.tokens import AccessTokens, ChannelKeySealer
from mensajeria.server.admin.audit import AuditSweep
from mensajeria.server.chats.retention import Retention
from mensajeria.server.db.engine import Database
from mensajeria.server.facts import Facts
from mensajeria.server.files.service import Files
from mensajeria.server.keyfiles import KeyFiles
from mensajeria.server.push import Relay
from mensajeria.server.ratelimit.limiter import Limiter
from mensajeria.server.settings import Settings
from mensajeria.server.transparency.tree import KeyLog


@dataclass(slots=True, kw_only=True)
class Server:
    """The services of one process. The real-time part attaches itself to `hub` before the first request."""

    settings: Settings
    clock: Clock
    db: Database
    keys: KeyFiles
    facts: Facts
    limiter: Limiter
    hub: Relay
    opaque: PasswordVerifier
    tokens: AccessTokens
    sealer: ChannelKeySealer
    authenticator: Authenticator
    registration: Registration
    login: LoginService
    refresh: RefreshService
    changes: AccountChanges
    signals: SignalWatch
    audit: AuditSweep
    ends: EndedLogins
    key_log: KeyLog
    files: Files
    retention: Retention
    unreadable: Counter[str] = field(default_factory=Counter)
    """Messages that clients say they could not read, by cause, since the start: numbers, of nobody in particular."""
    lock: IO[bytes] | None = None
    """Of the database's file, with SQLite: see `startup.only_server`."""
    first_invite: Secret | None = None
    """The owner's invite, only right after the very first start of a server that needs invites: to be shown once."""

    def auth_session(self, network: str | None) -> AuthSession:
        """The conversation of one connection to `/auth/ws` from `network` (see `network.client_network`)."""
        return AuthSession(self.settings, self.facts, self.registration, self.login, self.changes, network)

    async def close(self) -> None:
        """Finish what was accepted, then give everything up."""
        await self.signals.close()
        await self.audit.close()
        await self.files.close()
        await self.retention.close()
        await self.db.close()
        await self.limiter.close()
        self.opaque.close()
        if self.lock is not None:
            self.lock.close()
