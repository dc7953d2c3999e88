"""The bridge on Qt's side: requests of the session model go to the client's thread, batches of updates come back."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from PyQt6.QtCore import QObject, pyqtSignal

from mensajeria.desktop.bridge.loop_thread import LoopThread
from mensajeria.desktop.bridge.updates import Noticed, OpeningFailed, PassphraseNeeded, Stopped, Update, apply
from mensajeria.desktop.viewmodels.types import ErrorNotice, Phase

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from mensajeria.desktop.bridge.backend import SignedIn
    from mensajeria.desktop.bridge.desk import Desk
    from mensajeria.desktop.bridge.message_desk import MessageDesk
    from mensajeria.desktop.bridge.options import ProfileOptions
    from mensajeria.desktop.viewmodels.message_actions import MessageActions
    from mensajeria.desktop.viewmodels.session import SessionModel
    from mensajeria.kit.secrets import Secret

SWITCH_INTERVAL_S: Final = 0.0005
"""How long a thread may hold the interpreter while another waits. At the default, 5 ms, the windows stutter."""


class Bridge(QObject):
    """Joins one session model and one profile. Lives on Qt's thread; `start` once, `stop` before the end."""

    opened = pyqtSignal()
    """The profile was opened, or there is none: the window has something to show."""
    passphrase_needed = pyqtSignal(bool, bool)
    """(wrong, new): ask the person and call `give_passphrase`."""
    opening_failed = pyqtSignal(ErrorNotice)
    stopped = pyqtSignal()
    """The client's thread has ended."""
    _delivered = pyqtSignal(object)

    def __init__(self, session: SessionModel, options: ProfileOptions, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._options = options
        self._own_title = session.wording.translator.tr("chat.note_to_self")
        self._desk: Desk | None = None
        self._shown = False
        self._thread = LoopThread(self._run, on_failure=self._failed, on_end=lambda: self._delivered.emit((Stopped(),)))
        self._delivered.connect(self._apply)  # emitted on the client's thread, so Qt queues it for this one
        self._connect(session)

    def start(self) -> None:
        """Start the client's thread; it opens the profile."""
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether the client's thread runs."""
        return self._thread.alive

    def leave(self) -> None:
        """Close the client; `stopped` tells when everything is put away."""
        self._on_desk(lambda desk: desk.leave())

    def stop(self) -> bool:
        """`leave`, and wait for the end of the client's thread; False when it does not come in time."""
        self.leave()
        return self._thread.join()

    def give_passphrase(self, passphrase: Secret) -> None:
        """Answer to `passphrase_needed`."""
        self._on_desk(lambda desk: desk.give_passphrase(passphrase))

    # ---- from the windows to the client ------------------------------------------------------------------------------

    def _connect(self, session: SessionModel) -> None:
        on_desk, on_client = self._on_desk, self._on_client
        session.sign_in_requested.connect(lambda request: on_desk(lambda desk: desk.sign_in(request)))
        session.link_check_requested.connect(lambda code: on_desk(lambda desk: desk.check_link(code)))
        session.server_check_requested.connect(lambda address: on_desk(lambda desk: desk.check_server(address)))
        session.name_check_requested.connect(lambda server, name: on_desk(lambda desk: desk.check_name(server, name)))
        session.password_check_requested.connect(
            lambda word, name: on_desk(lambda desk: desk.check_password(word, name))
        )
        session.recovery_saved.connect(lambda: on_desk(lambda desk: desk.recovery_saved()))
        session.erase_requested.connect(lambda: on_desk(lambda desk: desk.erase()))
        session.sign_in_again_requested.connect(lambda: session.set_phase(Phase.SIGNED_OUT))
        session.preferences_changed.connect(self._rename_own_chat)
        session.open_requested.connect(lambda chat: on_client(lambda client: client.open_chat(chat)))
        session.closed.connect(lambda chat: on_client(lambda client: client.close_chat(chat)))
        session.older_requested.connect(lambda chat, at, n: on_client(lambda client: client.older(chat, at, n)))
        session.newer_requested.connect(lambda chat, at, n: on_client(lambda client: client.newer(chat, at, n)))
        session.latest_requested.connect(lambda chat: on_client(lambda client: client.latest(chat)))
        session.send_requested.connect(lambda chat, text: on_client(lambda client: client.send(chat, text)))
        session.retry_requested.connect(lambda chat, key: on_client(lambda client: client.retry(chat, key)))
        session.discard_requested.connect(lambda chat, key: on_client(lambda client: client.discard(chat, key)))
        session.accept_requested.connect(lambda chat: on_client(lambda client: client.accept(chat)))
        session.decline_requested.connect(lambda chat: on_client(lambda client: client.decline(chat)))
        session.identity_accepted.connect(lambda chat: on_client(lambda client: client.accept_identity(chat)))
        session.typing_requested.connect(lambda chat, on: on_client(lambda client: client.typing(chat, on)))
        session.read_requested.connect(lambda chat, at: on_client(lambda client: client.mark_read(chat, at)))
        session.draft_requested.connect(lambda chat, text: on_client(lambda client: client.save_draft(chat, text)))
        session.direct_chat_requested.connect(lambda name: on_client(lambda client: client.new_direct_chat(name)))
        session.asks.asked.connect(lambda request: on_client(lambda client: client.answers.answer(request)))
        session.reconnect_requested.connect(lambda: on_client(lambda client: client.reconnect()))
        self._connect_messages(session.messages)

    def _connect_messages(self, asked: MessageActions) -> None:
        on = self._on_messages
        asked.reply_requested.connect(lambda chat, text, to: on(lambda desk: desk.reply(chat, text, to)))
        asked.edit_requested.connect(lambda chat, mid, text: on(lambda desk: desk.edit(chat, mid, text)))
        asked.react_requested.connect(lambda chat, mid, emoji: on(lambda desk: desk.react(chat, mid, emoji)))
        asked.delete_requested.connect(lambda chat, mid, all_: on(lambda desk: desk.delete(chat, mid, for_all=all_)))
        asked.files_requested.connect(lambda chat, files: on(lambda desk: desk.send_files(chat, files)))
        asked.download_requested.connect(
            lambda chat, mid, author, folder: on(lambda desk: desk.download(chat, mid, author, folder))
        )
        asked.cancel_requested.connect(lambda chat, mid, up: on(lambda desk: desk.cancel(chat, mid, upload=up)))
        asked.timer_requested.connect(lambda chat, seconds: on(lambda desk: desk.set_timer(chat, seconds)))
        asked.timer_asked.connect(lambda chat: on(lambda desk: desk.tell_timer(chat)))
        asked.versions_requested.connect(lambda chat, mid: on(lambda desk: desk.versions(chat, mid)))
        asked.jump_requested.connect(lambda chat, at: on(lambda desk: desk.jump(chat, at)))

    def _rename_own_chat(self) -> None:
        title = self._session.wording.translator.tr("chat.note_to_self")
        if title != self._own_title:
            self._own_title = title
            self._on_client(lambda client: client.rename_own_chat(title))

    def _on_desk(self, act: Callable[[Desk], Coroutine[Any, Any, None]]) -> None:
        self._thread.post(self._with_desk(act))

    def _on_client(self, act: Callable[[SignedIn], Coroutine[Any, Any, None]]) -> None:
        self._thread.post(self._with_client(act))

    def _on_messages(self, act: Callable[[MessageDesk], Coroutine[Any, Any, None]]) -> None:
        self._on_client(lambda client: act(client.messages))

    # ---- on the client's thread --------------------------------------------------------------------------------------

    async def _run(self) -> None:
        # Imported here: loading the client takes longer than drawing the window, and both happen at once.
        from mensajeria.desktop.bridge.desk import Desk  # noqa: PLC0415 - see above

        self._desk = Desk(self._options, self._own_title, self._delivered.emit)
        await self._desk.run()

    async def _with_desk(self, act: Callable[[Desk], Coroutine[Any, Any, None]]) -> None:
        if self._desk is not None:
            await act(self._desk)

    async def _with_client(self, act: Callable[[SignedIn], Coroutine[Any, Any, None]]) -> None:
        if self._desk is not None and self._desk.signed_in is not None:
            await act(self._desk.signed_in)

    def _failed(self, error: BaseException) -> None:
        self._delivered.emit((Noticed(ErrorNotice("bug", {"name": type(error).__name__})),))

    # ---- from the client to the windows ------------------------------------------------------------------------------

    def _apply(self, batch: tuple[Update, ...]) -> None:
        for update in batch:
            self._announce(update)
            apply(update, self._session)
        if not self._shown:
            self._shown = True
            self.opened.emit()

    def _announce(self, update: Update) -> None:
        if isinstance(update, PassphraseNeeded):
            self.passphrase_needed.emit(update.wrong, update.new)
        elif isinstance(update, OpeningFailed):
            self.opening_failed.emit(update.error)
        elif isinstance(update, Stopped):
            self.stopped.emit()
