"""The own account: its devices, its invites, and the server it is on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mensajeria.client.api.core import Event

if TYPE_CHECKING:
    from mensajeria.kit.secrets import Secret
    from mensajeria.protocol.ids import Did


@dataclass(frozen=True, slots=True)
class DeviceView:
    """One of the account's devices."""

    did: Did
    name: str
    created_ms: int
    last_seen_ms: int
    current: bool
    is_new: bool = False
    """It appeared while this device was part of the account, and nobody has said yet that it is theirs."""


@dataclass(frozen=True, slots=True)
class NewInvite:
    """An invite that was just made, told once.

    `link` is what to pass on: by it both sides know each other. `token` alone says neither who invites nor where.
    """

    number: int
    token: Secret
    link: Secret
    uses_left: int
    expires_ms: int


@dataclass(frozen=True, slots=True)
class InviteView:
    """An invite of this account. `state`: valid, revoked, expired or used. `joined`: who registered with it."""

    number: int
    uses_left: int
    created_ms: int
    expires_ms: int
    state: str
    joined: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ServerView:
    """What a server says of itself before login."""

    url: str
    server_id: bytes
    name: str
    version: str
    registration: str
    """"open", "invite" or "closed"."""


@dataclass(frozen=True, slots=True)
class DeviceListChanged(Event):
    """The own account has a new device (or lost one). Is one of `added` not yours? `Client.deny_device`."""

    devices: tuple[DeviceView, ...]
    added: tuple[DeviceView, ...] = ()
    removed: tuple[Did, ...] = ()
