"""What belongs to a message beside its text: the answered message, reactions, a file and its way here.

Frozen and plain like the other values of the view models; everything that people wrote is untrusted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto


class QuoteKind(Enum):
    """What the answered message is on this device."""

    TEXT = auto()
    PICTURE = auto()
    FILE = auto()
    DELETED = auto()
    MISSING = auto()
    """The original is not here: it never arrived, was deleted or has expired."""


@dataclass(frozen=True, slots=True)
class QuoteRow:
    """The message that a message answers, as it stands here now. ``position`` is its place, ``None`` when not here."""

    author: str
    hue: int
    outgoing: bool
    kind: QuoteKind
    text: str
    position: int | None


@dataclass(frozen=True, slots=True)
class ReactionRow:
    """All who put the same emoji under a message; ``mine``: one of them is the person at this window."""

    emoji: str
    count: int
    mine: bool
    names: tuple[str, ...] = ()


class FilePhase(Enum):
    """Where a message's file is."""

    REMOTE = auto()
    """On the server: nothing is fetched before it is asked for."""
    UPLOADING = auto()
    SAVED = auto()
    FAILED = auto()
    """An own file that could not be sent."""


@dataclass(frozen=True, slots=True)
class FileRow:
    """A message's file. Name, type and size are its sender's claims; ``risky``: opening it may run something.

    ``width`` and ``height`` are those of a picture, 0 for other files; ``thumb`` is a small JPEG made by the sender.
    """

    name: str
    media: str
    size: int
    phase: FilePhase
    risky: bool = False
    width: int = 0
    height: int = 0
    blurhash: str = ""
    thumb: bytes = field(default=b"", repr=False)
    saved_to: str = ""

    @property
    def is_picture(self) -> bool:
        """Whether it is shown in the timeline."""
        return self.width > 0 and self.height > 0 and self.media.startswith("image/")

    @property
    def extension(self) -> str:
        """The ending of its name in capitals, at most five letters, or empty."""
        _, dot, ending = self.name.rpartition(".")
        return ending.upper() if dot and ending.isalnum() and len(ending) <= 5 else ""


@dataclass(frozen=True, slots=True)
class TransferRow:
    """A file on its way, in bytes; ``failed``: it stopped, and nobody goes on by itself."""

    upload: bool
    done: int
    total: int
    failed: bool = False

    @property
    def part(self) -> float:
        """How much has arrived, 0 to 1."""
        return min(1.0, self.done / self.total) if self.total > 0 else 0.0


@dataclass(frozen=True, slots=True)
class VersionRow:
    """What a text said at a time, by its author's clock."""

    text: str
    time_ms: int


@dataclass(frozen=True, slots=True)
class Outgoing:
    """Files chosen to be sent, with one text that goes with the last of them."""

    paths: tuple[str, ...]
    caption: str = ""
    temporary: frozenset[str] = frozenset()
    """Those among them that were made only to be sent: they are removed after that."""
