"""One chat: what a person does in it.

What it offers is in `mensajeria.client.face.chat`, a module for each concept.
"""

from __future__ import annotations

from mensajeria.client.face.chat.files import Files
from mensajeria.client.face.chat.group import Group
from mensajeria.client.face.chat.peer import Peer
from mensajeria.client.face.chat.reading import Reading
from mensajeria.client.face.chat.settings import Settings
from mensajeria.client.face.chat.writing import Writing


class Chat(Reading, Writing, Files, Settings, Peer, Group):
    """A chat of an open client. Cheap to make; methods raise InputError (unknown_chat) when there is no such chat."""

    __slots__ = ()
