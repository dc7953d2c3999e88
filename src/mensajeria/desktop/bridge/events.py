"""The client's events as updates of the windows; remembers who is typing where, which no event repeats."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mensajeria.client import api
from mensajeria.desktop.bridge import mapping
from mensajeria.desktop.bridge.updates import ChatsPut, ConnectionIs, MessagesPut, Noticed
from mensajeria.desktop.viewmodels.types import ErrorNotice

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mensajeria.desktop.bridge.updates import Update
    from mensajeria.desktop.viewmodels.types import ChatRow


class EventMapper:
    """Belongs to the client's thread. `own_title` names the note to self in the person's language."""

    def __init__(self, server: str, own_title: str) -> None:
        self.server = server
        self.own_title = own_title
        self._views: dict[bytes, api.ChatView] = {}
        self._typing: set[bytes] = set()

    def chats(self, views: list[api.ChatView] | tuple[api.ChatView, ...]) -> ChatsPut:
        """All chats, and the ones that were there before and are no more."""
        gone = tuple(chat_id.hex() for chat_id in self._views.keys() - {view.chat_id for view in views})
        self._views = {view.chat_id: view for view in views}
        return ChatsPut(tuple(self._row(view) for view in views), gone)

    def gone(self, chat_id: bytes) -> ChatsPut:
        """A chat was declined."""
        self._views.pop(chat_id, None)
        return ChatsPut((), (chat_id.hex(),))

    def unread(self, chat_id: bytes) -> int:
        """How many messages of a chat wait to be read."""
        view = self._views.get(chat_id)
        return view.unread if view is not None else 0

    def updates(self, event: api.Event) -> Iterator[Update]:
        """What an event changes on the screen."""
        match event:
            case api.MessageReceived(message):
                self._typing.discard(message.chat_id)
                yield _rows(message)
                yield from self._chat(message.chat_id)
            case api.MessageChanged(message):
                yield _rows(message)
            case api.MessageRemoved(chat_id, mid, order):
                yield MessagesPut(chat_id.hex(), (), mapping.keys_at(mid, order))
            case api.ChatChanged(view):
                self._views[view.chat_id] = view
                yield ChatsPut((self._row(view),))
            case api.TypingChanged(chat_id, _, typing):
                (self._typing.add if typing else self._typing.discard)(chat_id)
                yield from self._chat(chat_id)
            case api.ConnectionChanged():
                yield ConnectionIs(mapping.connection_state(event, self.server))
            case api.SecurityWarning(code, _, params):
                yield Noticed(ErrorNotice(code, params))
            case _:  # identity and device changes also come as notices in the timeline and as ChatChanged
                return

    def _chat(self, chat_id: bytes) -> Iterator[Update]:
        if (view := self._views.get(chat_id)) is not None:
            yield ChatsPut((self._row(view),))

    def _row(self, view: api.ChatView) -> ChatRow:
        return mapping.chat_row(view, own_title=self.own_title, typing=view.chat_id in self._typing)


def _rows(message: api.Message) -> MessagesPut:
    return MessagesPut(message.chat_id.hex(), (mapping.message_row(message),))
