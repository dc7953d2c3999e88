"""The link to the server."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from mensajeria.client.api.core import Event


class ConnectionPhase(StrEnum):
    """State of the link to the server."""

    OFFLINE = "offline"
    CONNECTING = "connecting"
    CATCHING_UP = "catching_up"
    ONLINE = "online"
    LOGIN_ENDED = "login_ended"
    """The login was revoked or expired: history stays readable, `Client.login_again` brings it back."""
    STOPPED = "stopped"
    """A violation or a version mismatch: not reconnecting, see `ConnectionChanged.code`."""


@dataclass(frozen=True, slots=True)
class ConnectionChanged(Event):
    """The link to the server changed. `retry_at_ms` is 0 when no retry is planned."""

    phase: ConnectionPhase
    retry_at_ms: int = 0
    code: str | None = None
    """Why it is down: a `ClientError`'s code, None when nothing is wrong."""
    pending: int = 0
    """Own messages still queued."""
