"""The link to the server: when to connect, renew the login, wait, or stop for good. One table decides (`_on_close`).

The runner performs the effects and feeds back what happened:

    start / retry_now ─► Open ─► opened ─► caught_up
                          ▲  └─► lost ─► Wait ─► waited ─┐
                          │       └────► Renew ─► renewed│
                          └───────────────────────────────┘
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from mensajeria.client.api import ConnectionPhase
from mensajeria.client.core.backoff import CAP_S, Backoff
from mensajeria.protocol.errors import CLOSE_MEANINGS, Close, Code

STABLE_AFTER_S: Final = 30.0
"""A connection that lived this long was a good one: the next wait starts from the shortest."""
_ENDED: Final = frozenset(
    {
        Code.LOGIN_REVOKED,
        Code.UNAUTHORIZED,
        Code.ACCOUNT_SUSPENDED,
        Code.UNKNOWN_DEVICE,
        Code.REPLAYED,
        Code.FORBIDDEN,
    }
)


@dataclass(frozen=True, slots=True)
class Open:
    """Connect and say hello."""


@dataclass(frozen=True, slots=True)
class Renew:
    """Get a new access token, then report `renewed` or `renewal_failed`."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Report `waited` after `seconds`, unless something else happens first."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Halt:
    """No further try until the person does something."""


Effect = Open | Renew | Wait | Halt


@dataclass(slots=True)
class Link:
    """State of the link. `code` says why it is down, for people; None when it is up or never was."""

    phase: ConnectionPhase = ConnectionPhase.OFFLINE
    code: str | None = None
    _backoff: Backoff = field(default_factory=Backoff)
    _opened_at: float | None = None
    _just_renewed: bool = False

    def start(self) -> Effect:
        """Begin, or begin again after `Halt`."""
        self.phase = ConnectionPhase.CONNECTING
        self._backoff.reset()
        self._just_renewed = False
        return Open()

    def retry_now(self) -> Effect | None:
        """The person (or the system: network is back) does not want to wait."""
        if self.phase is not ConnectionPhase.OFFLINE:
            return None
        self._backoff.reset()
        return self.waited()

    def waited(self) -> Effect:
        """The wait is over."""
        self.phase = ConnectionPhase.CONNECTING
        return Open()

    def opened(self, now: float) -> None:
        """The server proved itself and takes frames."""
        self.phase = ConnectionPhase.CATCHING_UP
        self.code = None
        self._opened_at = now
        self._just_renewed = False

    def caught_up(self) -> None:
        """Mailbox and logs are level with the server."""
        if self.phase is ConnectionPhase.CATCHING_UP:
            self.phase = ConnectionPhase.ONLINE

    def lost(self, close: int, *, now: float, chance: float, code: str = "network", after_s: float = 0.0) -> Effect:
        """The connection ended, or could not be made (`close` 1006). `after_s`: the server asked to wait up to this."""
        self._forget_if_stable(now)
        meaning = CLOSE_MEANINGS.get(Close(close)) if close in _CLOSES else None
        if meaning is not None and not meaning.reconnect:
            return self.halt(_STOP_CODES.get(close, "network"))
        if meaning is not None and meaning.new_token and not self._just_renewed:
            self.phase = ConnectionPhase.CONNECTING
            return Renew()
        return self._wait(code, min(after_s, CAP_S) * chance if after_s else self._backoff.next_delay(chance))

    def renewed(self) -> Effect:
        """There is a new access token."""
        self._just_renewed = True
        self.phase = ConnectionPhase.CONNECTING
        return Open()

    def renewal_failed(self, code: str, *, chance: float) -> Effect:
        """The server refused a new token for good, or could not be asked."""
        if code in _ENDED:
            self.phase, self.code = ConnectionPhase.LOGIN_ENDED, code
            return Halt()
        return self._wait(code, self._backoff.next_delay(chance))

    def halt(self, code: str) -> Effect:
        """A violation or a version mismatch: trying again would not help."""
        self.phase, self.code = ConnectionPhase.STOPPED, code
        return Halt()

    def _wait(self, code: str, seconds: float) -> Effect:
        self.phase, self.code = ConnectionPhase.OFFLINE, code
        return Wait(seconds)

    def _forget_if_stable(self, now: float) -> None:
        if self._opened_at is not None and now - self._opened_at >= STABLE_AFTER_S:
            self._backoff.reset()
        self._opened_at = None


_CLOSES: Final = frozenset(close.value for close in Close)
_STOP_CODES: Final = {
    Close.ROLLED_BACK.value: Code.ROLLED_BACK.value,
    Close.NEWER_VERSION.value: Code.NEWER_VERSION.value,
}
