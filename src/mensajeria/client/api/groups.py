"""Groups: what they are, who is in them with which rights."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mensajeria.client.api.core import Person
    from mensajeria.protocol.ids import ChatId


class ChatKind(StrEnum):
    """What a chat is."""

    DIRECT = "direct"
    NOTE = "note"
    """The note to self."""
    GROUP = "group"


class GroupRole(StrEnum):
    """What a member of a group may do: admins add and remove members and rename; the one owner gives roles, too."""

    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"


class HistoryChoice(StrEnum):
    """How much of what was written before a new member may read. The group is told."""

    NOTHING = "none"
    DAY = "24h"
    WEEK = "7d"
    ALL = "all"


class Closed(StrEnum):
    """Why nothing can be written into a group any more. Each has a sentence in both languages (`error.<value>`)."""

    NOT_A_MEMBER = "not_a_member"
    FORKED = "group_forked"
    """The server told different members different things: `Client.recreate_group` is the way out."""
    SUPERSEDED = "group_superseded"
    NEWER = "newer_version"


@dataclass(frozen=True, slots=True)
class MemberView:
    """A member of a group."""

    person: Person
    role: GroupRole
    former_identity: bool = False
    """The group knows them by an identity that is not theirs any more: they get nothing that is written. Removing and
    adding them again mends it; who does not lead the group, or whose owner it is, has `Client.recreate_group`."""


@dataclass(frozen=True, slots=True)
class GroupView:
    """What is particular to a group. `role` is one's own, None for who is not in it (any more)."""

    name: str
    """As its admins named it; empty until this device has got the key of the name."""
    description: str
    members: int
    role: GroupRole | None
    closed: Closed | None = None
    superseded_by: ChatId | None = None
    picture: bytes = field(default=b"", repr=False)
    """A small square JPEG, by its admins; empty = none."""
