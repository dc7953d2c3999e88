"""What a person lets others notice of them, and what they are let notice in turn."""

from __future__ import annotations

from dataclasses import dataclass

from mensajeria.client.api.core import Event, Person


@dataclass(frozen=True, slots=True)
class PrivacySettings:
    """Shared by all devices of the account. Each is mutual: who does not tell is not told either."""

    read_receipts: bool = True
    """The authors learn that their messages were read."""
    typing: bool = True
    """The people of a chat learn that one is writing."""
    presence: bool = False
    """Contacts learn that a device is connected; the server sees that anyway."""


@dataclass(frozen=True, slots=True)
class PrivacyChanged(Event):
    """The settings changed, here or on another own device."""

    settings: PrivacySettings


@dataclass(frozen=True, slots=True)
class PresenceChanged(Event):
    """A contact is here, or not any more. A hint: nothing of it is stored, and nothing is promised."""

    person: Person
    here: bool
