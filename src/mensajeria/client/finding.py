"""Which chat a person means by what they typed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from mensajeria.client.api import ChatView, Trust
from mensajeria.client.errors import InputError

_PREFIX: Final = re.compile(r"[0-9a-f]{8,63}")


def _doubts(view: ChatView) -> tuple[bool, bool, bool]:
    return view.gone, not view.accepted, view.peer is not None and view.peer.trust is Trust.CHANGED


def find_chat(views: Sequence[ChatView], name: str) -> ChatView | None:
    """The chat with this id, with this user, of this name, or the group whose id begins so (8 digits at least).

    Of two people of one name, who is still there, was accepted and raises no question; then the latest chat.

    Raises:
        InputError: ambiguous_chat, several groups are meant.
    """
    wanted = name.strip()
    handle = wanted.lower().removeprefix("@")
    for view in sorted(views, key=_doubts):
        if view.chat_id.hex() == wanted.lower() or (view.peer is not None and view.peer.handle == handle):
            return view
    groups = [view for view in views if view.peer is None]
    found = [view for view in groups if view.name == wanted]
    found = found or [view for view in groups if view.name.casefold() == wanted.casefold()]
    if not found and _PREFIX.fullmatch(wanted.lower()):
        found = [view for view in groups if view.chat_id.hex().startswith(wanted.lower())]
    if len(found) > 1:
        raise InputError("ambiguous_chat", params={"name": wanted})
    return found[0] if found else None
