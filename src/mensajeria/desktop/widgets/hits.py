"""What lies under the pointer in a row of the timeline. Pure geometry over a layout."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from PyQt6.QtCore import QPointF

    from mensajeria.desktop.widgets.message_layout import MessageLayout


class Target(Enum):
    """A part of a row that can be pressed."""

    NOTHING = auto()
    RETRY = auto()
    DISCARD = auto()
    LINK = auto()
    QUOTE = auto()
    REACTION = auto()
    FILE = auto()


class Hit(NamedTuple):
    """A part, and what it says: the address of a link, the emoji of a reaction, "button" for a file's circle."""

    target: Target
    value: str = ""


NOTHING = Hit(Target.NOTHING)


def hit(layout: MessageLayout, at: QPointF) -> Hit:
    """The part of a row under a point of it; reactions lie above everything else."""
    if layout.reactions is not None and (emoji := layout.reactions.at(at)):
        return Hit(Target.REACTION, emoji)
    if layout.retry_box.contains(at):
        return Hit(Target.RETRY)
    if layout.discard_box.contains(at):
        return Hit(Target.DISCARD)
    if layout.quote is not None and layout.quote.box.contains(at):
        return Hit(Target.QUOTE)
    if layout.file_box.contains(at):
        return Hit(Target.FILE, "button" if layout.file_circle.contains(at) else "")
    url = layout.link_at(at)
    return Hit(Target.LINK, url) if url else NOTHING
