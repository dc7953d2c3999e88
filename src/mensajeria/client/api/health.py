"""What of an account's messages and keys does not work on this device, in numbers; and linking a new device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mensajeria.client.api.account import DeviceView
from mensajeria.client.api.core import Event

if TYPE_CHECKING:
    from mensajeria.kit.secrets import Secret


@dataclass(frozen=True, slots=True)
class Health:
    """Numbers of this device alone, as its store has them now. Nothing here needs a network."""

    waiting: int
    """Messages that cannot be read yet because their key is missing; it is being asked for."""
    held: int
    """Messages that wait for a membership event, a device list or a newer version of the program."""
    lost: int
    """Messages that were given up: nobody who was asked has their key. They open if it comes after all."""
    tampered: int
    """Rows that failed verification."""
    sessions_missing: int
    """Sender sessions that are being asked for."""
    oldest_missing_ms: int | None
    """When the oldest of them was missed first."""
    healed: Mapping[str, int] = field(default_factory=dict)
    """Messages that became readable late, ever, by who brought the key: backup, own_device, author, member."""
    envelopes_failed: int = 0
    """Envelopes of the last 60 days that could not be opened."""
    pairs_renewed: int = 0
    """Pairwise sessions that were started anew, ever, because the old ones were out of step."""
    chats_to_tell: int = 0
    """Chats that must still be told that an own device was removed."""
    new_devices: int = 0
    """Own devices that appeared and that nobody has confirmed or denied."""
    rolled_back: bool = False
    """The profile is an old copy: `Client.login_again` makes it a new device."""

    @property
    def is_well(self) -> bool:
        """Nothing is missing and nothing waits for the person."""
        return not (
            self.waiting or self.held or self.lost or self.chats_to_tell or self.new_devices or self.rolled_back
        )


@dataclass(frozen=True, slots=True)
class NewLink:
    """A code for a new device of the account. `text` is shown to it, as it is or as a QR picture; valid once."""

    text: Secret
    expires_ms: int


@dataclass(frozen=True, slots=True)
class LinkView:
    """What a link code says before it is used: an address and a name, as whoever made the code wrote them."""

    url: str
    handle: str


@dataclass(frozen=True, slots=True)
class DeviceLinked(Event):
    """A new device has proven that it read the code shown here: it is not `is_new` any more."""

    device: DeviceView
