"""What windows ask about groups and chats, and what they are told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from mensajeria.desktop.viewmodels.types import NO_PARAMS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mensajeria.desktop.viewmodels.asking.people import PersonInfo
    from mensajeria.desktop.viewmodels.types import Person

HISTORY: Final = ("none", "24h", "7d", "all")
"""How much of the past new members of a group may read."""


@dataclass(frozen=True, slots=True)
class FindPerson:
    """Whether somebody has this name; answered by `Found`."""

    handle: str


@dataclass(frozen=True, slots=True)
class CreateGroup:
    """Make a group; answered by `GroupMade`."""

    name: str
    handles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LookAtChat:
    """Who is in a chat and what happened to its security; answered by `ChatInfo`."""

    chat_id: str


@dataclass(frozen=True, slots=True)
class SearchChat:
    """Where in a chat these words are; answered by `ChatFound`."""

    chat_id: str
    text: str


@dataclass(frozen=True, slots=True)
class AddMembers:
    """Add people to a group. `history`: what they may read of the past, one of `HISTORY`."""

    chat_id: str
    handles: tuple[str, ...]
    history: str = "none"


@dataclass(frozen=True, slots=True)
class RemoveMember:
    """Remove a member of a group."""

    chat_id: str
    handle: str


@dataclass(frozen=True, slots=True)
class ChangeRole:
    """Give a member another role: owner, admin or member."""

    chat_id: str
    handle: str
    role: str


@dataclass(frozen=True, slots=True)
class RenameGroup:
    """Give a group another name and description."""

    chat_id: str
    name: str
    description: str


@dataclass(frozen=True, slots=True)
class SetGroupPicture:
    """Give a group a picture; None takes it away."""

    chat_id: str
    path: Path | None


@dataclass(frozen=True, slots=True)
class LeaveGroup:
    """Leave a group."""

    chat_id: str


@dataclass(frozen=True, slots=True)
class RecreateGroup:
    """The way out of a group that was forked, or whose owner began anew; answered by `GroupMade`."""

    chat_id: str


@dataclass(frozen=True, slots=True)
class Mute:
    """Do not tell of new messages in a chat: for so many seconds, None: until it is taken back, 0: take it back."""

    chat_id: str
    for_s: int | None


ChatRequest = (
    FindPerson
    | CreateGroup
    | LookAtChat
    | SearchChat
    | AddMembers
    | RemoveMember
    | ChangeRole
    | RenameGroup
    | SetGroupPicture
    | LeaveGroup
    | RecreateGroup
    | Mute
)


@dataclass(frozen=True, slots=True)
class Found:
    """Somebody has this name (`person`), or nobody."""

    handle: str
    person: Person | None


@dataclass(frozen=True, slots=True)
class GroupMade:
    """A group is there; its row was put before."""

    chat_id: str


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a chat. `role`: owner, admin or member."""

    person: Person
    role: str
    me: bool = False
    blocked: bool = False
    former_identity: bool = False
    """The group knows them by an identity that is not theirs any more."""


@dataclass(frozen=True, slots=True)
class SecurityLine:
    """One event of a chat's security; `kind` keys its sentence `security.<kind>`."""

    at_ms: int
    kind: str
    params: Mapping[str, str] = field(default_factory=lambda: NO_PARAMS)


@dataclass(frozen=True, slots=True)
class ChatInfo:
    """What the info panel shows. `role` is one's own in a group, empty for who is not in it."""

    chat_id: str
    members: tuple[Member, ...] = ()
    role: str = ""
    description: str = ""
    person: PersonInfo | None = None
    timeline: tuple[SecurityLine, ...] = ()


@dataclass(frozen=True, slots=True)
class ChatFound:
    """The places of the messages in which all words are, the newest first. `whole`: there are no more of them."""

    chat_id: str
    text: str
    positions: tuple[int, ...]
    whole: bool = True


ChatAnswer = Found | GroupMade | ChatInfo | ChatFound
