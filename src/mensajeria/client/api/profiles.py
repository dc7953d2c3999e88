"""What people tell their contacts about themselves."""

from __future__ import annotations

from dataclasses import dataclass, field

from mensajeria.client.api.core import Event, Person


@dataclass(frozen=True, slots=True)
class UserProfile:
    """Name, status and picture as their owner wrote them; whatever is empty was not told.

    Nothing here says who somebody is: a name may be anybody's. Show it beside the user name, never instead of it.
    """

    name: str = ""
    status: str = ""
    picture: bytes = field(default=b"", repr=False)
    """A small square JPEG; empty = none."""


@dataclass(frozen=True, slots=True)
class ProfileChanged(Event):
    """A contact's profile is here, or changed; or the own one was published, by this device or another."""

    person: Person
    profile: UserProfile
