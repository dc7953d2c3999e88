"""The client's events as updates of the windows; remembers who is typing where, which no event repeats."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mensajeria.client import api
from mensajeria.desktop.bridge import mapping, told
from mensajeria.desktop.bridge.updates import (
    Answered,
    Arrived,
    ChatsPut,
    ConnectionIs,
    MessagesPut,
    Noticed,
    ProfilesPut,
    TimerIs,
)
from mensajeria.desktop.viewmodels.asking import TrustMoved
from mensajeria.desktop.viewmodels.types import ErrorNotice

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mensajeria.desktop.bridge.updates import Update
    from mensajeria.desktop.viewmodels.types import ChatRow


class EventMapper:
    """Belongs to the client's thread. `own_title` names the note to self in the person's language."""

    def __init__(self, server: str, own_title: str, own_uid: bytes = b"") -> None:
        self._own_uid = own_uid
        self.server = server
        self.own_title = own_title
        self._views: dict[bytes, api.ChatView] = {}
        self._typing: dict[bytes, dict[bytes, str]] = {}
        self._here: set[bytes] = set()

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

    def is_group(self, chat_id: bytes) -> bool:
        """Whether several people can write in a chat."""
        view = self._views.get(chat_id)
        return view is not None and view.kind is api.ChatKind.GROUP

    def updates(self, event: api.Event) -> Iterator[Update]:  # noqa: C901, PLR0912 - one case for each kind
        """What an event changes on the screen."""
        match event:
            case api.MessageReceived(message):
                self._typing.get(message.chat_id, {}).pop(message.sender.uid, None)
                yield self._rows(message)
                yield from self._chat(message.chat_id)
                if (arrival := mapping.arrival(message)) is not None:
                    yield Arrived(arrival)
                if message.cause is api.Cause.TIMER_CHANGED:
                    yield from self._timer(message)
            case api.MessageChanged(message):
                yield self._rows(message)
            case api.MessageRemoved(chat_id, mid, order):
                yield MessagesPut(chat_id.hex(), (), mapping.keys_at(mid, order))
            case api.ChatChanged(view):
                self._views[view.chat_id] = view
                yield ChatsPut((self._row(view),))
            case api.TypingChanged(chat_id, person, typing):
                self._type(chat_id, person, typing=typing)
                yield from self._chat(chat_id)
            case api.PresenceChanged(person, here):
                yield from self._come_or_go(person, here=here)
            case api.ProfileChanged(person, profile):
                yield ProfilesPut((mapping.profile(person.uid, profile),))
            case api.PrivacyChanged(settings):
                yield Answered(told.privacy(settings))
            case api.TransferProgress(transfer):
                yield mapping.transfer_put(transfer)
            case api.ChangeFailed(_, _, code):
                yield Noticed(ErrorNotice(code))
            case api.ConnectionChanged():
                yield ConnectionIs(mapping.connection_state(event, self.server))
            case api.VerificationChanged(verification):
                yield Answered(told.comparison(verification))
            case api.TrustChanged(_, person, _):
                yield Answered(TrustMoved(person.handle))
            case api.DeviceListChanged(devices, _, _):
                yield Answered(told.devices(devices))
            case api.SecurityWarning(code, _, params):
                yield Noticed(ErrorNotice(code, params))
            case _:  # identity and device changes also come as notices in the timeline and as ChatChanged
                return

    def set_here(self, uids: frozenset[bytes]) -> None:
        """Who is here, after events were lost."""
        self._here = set(uids)

    def _come_or_go(self, person: api.Person, *, here: bool) -> Iterator[Update]:
        if here:
            self._here.add(person.uid)
        else:
            self._here.discard(person.uid)
        theirs = [view for view in self._views.values() if view.peer is not None and view.peer.uid == person.uid]
        if theirs:
            yield ChatsPut(tuple(self._row(view) for view in theirs))

    def _chat(self, chat_id: bytes) -> Iterator[Update]:
        if (view := self._views.get(chat_id)) is not None:
            yield ChatsPut((self._row(view),))

    def _type(self, chat_id: bytes, person: api.Person, *, typing: bool) -> None:
        typists = self._typing.setdefault(chat_id, {})
        if typing:
            typists[person.uid] = person.handle
        else:
            typists.pop(person.uid, None)

    def _row(self, view: api.ChatView) -> ChatRow:
        typists = tuple(self._typing.get(view.chat_id, {}).values())
        here = view.peer is not None and not view.note_to_self and view.peer.uid in self._here
        return mapping.chat_row(view, own_title=self.own_title, typists=typists, online=here)

    def _timer(self, message: api.Message) -> Iterator[Update]:
        seconds = message.params.get("seconds", "")
        if seconds.isascii() and seconds.isdigit():
            yield TimerIs(message.chat_id.hex(), int(seconds))

    def _rows(self, message: api.Message) -> MessagesPut:
        return MessagesPut(message.chat_id.hex(), (mapping.message_row(message, self._own_uid),))
