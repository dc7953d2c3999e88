"""The contract between the windows and the client: what a person asks for, and what the windows show.

**Actions** are plain methods that widgets call. Each emits exactly one ``*_requested`` signal; the bridge connects to
those and does the
work on the client's thread. Nothing here waits.

**State** is set by the bridge through the ``set_*``/``put_*`` slots (on the UI thread: connect a queued signal of the
bridge to them) and read by widgets
from the properties; each change emits one ``*_changed`` signal. Setting an equal value emits nothing.

Sequences the bridge must keep:

1. ``check_server(address)`` → ``set_server_check`` with the same ``address``, first ``RUNNING`` is set here already.
   Answers for an address that
   is no longer in the field are dropped here. The same holds for ``check_name`` and ``check_password``.
2. ``sign_in`` sets ``busy``; the bridge ends with ``set_phase`` (or ``set_recovery_code``, which moves to
   ``RECOVERY_CODE``) or ``fail_auth``.
   ``confirm_recovery_saved`` moves to ``READY`` and forgets the code.
3. ``open_chat(id)`` → ``put_opened_chat``. Answers for a chat that is no longer open are dropped. The timeline asks
   for more through
   ``older_requested``/``newer_requested`` → ``put_older``/``put_newer``. ``jump_to_latest`` → ``latest_requested`` →
   ``put_opened_chat`` again.
4. New and changed rows arrive as ONE ``put_messages`` per batch, chat rows as one ``put_chats`` per batch.
   What is done with messages (answers, reactions, files) is asked for by ``messages`` (see MessageActions).
5. ``new_direct_chat(handle)`` → ``finish_new_chat`` with the chat's id or an error code.
6. Groups, people, verification and the account's pages: ``asks.ask(request)`` → ``asks.put`` for what there is to show,
   then exactly one ``asks.finish`` (see asking.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from PyQt6.QtCore import QObject, pyqtSignal

from mensajeria.desktop.viewmodels.asking import AskModel
from mensajeria.desktop.viewmodels.chat_list import ChatListModel
from mensajeria.desktop.viewmodels.message_actions import MessageActions
from mensajeria.desktop.viewmodels.profiles import ProfileRow, ProfilesModel
from mensajeria.desktop.viewmodels.timeline import TimelineModel
from mensajeria.desktop.viewmodels.types import (
    ChatRow,
    CheckState,
    ConnectionPhase,
    ConnectionState,
    ErrorNotice,
    LinkCheck,
    MessageRow,
    NameCheck,
    OpenedChat,
    Page,
    PasswordStrength,
    Person,
    Phase,
    Preferences,
    ServerCheck,
    SignIn,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mensajeria.desktop.viewmodels.parts import TransferRow
    from mensajeria.desktop.viewmodels.wording import Wording
    from mensajeria.kit.secrets import Secret


class SessionModel(QObject):
    """One signed-in (or not yet signed-in) person: actions, and everything the windows show.

    See the module's docstring.
    """

    # Requests: what a person asked for.
    sign_in_requested = pyqtSignal(object)
    """(SignIn)"""
    link_check_requested = pyqtSignal(object)
    """(Secret)"""
    server_check_requested = pyqtSignal(str)
    name_check_requested = pyqtSignal(str, str)
    """(server address, handle)"""
    password_check_requested = pyqtSignal(object, str)
    """(Secret, handle)"""
    recovery_saved = pyqtSignal()
    open_requested = pyqtSignal(str)
    closed = pyqtSignal(str)
    older_requested = pyqtSignal(str, object, int)
    """(chat id, position of the oldest row held, how many)"""
    newer_requested = pyqtSignal(str, object, int)
    """(chat id, position of the newest row held, how many)"""
    latest_requested = pyqtSignal(str)
    send_requested = pyqtSignal(str, str)
    """(chat id, text)"""
    retry_requested = pyqtSignal(str, str)
    """(chat id, message key)"""
    discard_requested = pyqtSignal(str, str)
    """(chat id, message key)"""
    accept_requested = pyqtSignal(str)
    decline_requested = pyqtSignal(str)
    identity_accepted = pyqtSignal(str)
    """The person has read the identity-change banner of this chat and closed it."""
    typing_requested = pyqtSignal(str, bool)
    read_requested = pyqtSignal(str, object)
    """(chat id, position up to which the person has seen the chat)"""
    draft_requested = pyqtSignal(str, str)
    direct_chat_requested = pyqtSignal(str)
    reconnect_requested = pyqtSignal()
    sign_in_again_requested = pyqtSignal()
    erase_requested = pyqtSignal()
    preferences_requested = pyqtSignal(Preferences)
    """The person changed a setting: keep it."""
    quit_requested = pyqtSignal()

    # State: what the windows show.
    phase_changed = pyqtSignal(Phase)
    busy_changed = pyqtSignal(bool)
    auth_failed = pyqtSignal(ErrorNotice)
    erased = pyqtSignal()
    server_checked = pyqtSignal(ServerCheck)
    name_checked = pyqtSignal(NameCheck)
    link_checked = pyqtSignal(LinkCheck)
    password_checked = pyqtSignal(PasswordStrength)
    account_changed = pyqtSignal(Person)
    connection_changed = pyqtSignal(ConnectionState)
    current_changed = pyqtSignal(str)
    """Id of the open chat; empty when none is open."""
    current_row_changed = pyqtSignal(ChatRow)
    new_chat_finished = pyqtSignal(str, str)
    """(chat id or empty, error code or empty)"""
    preferences_changed = pyqtSignal(Preferences)
    noticed = pyqtSignal(ErrorNotice)
    arrived = pyqtSignal(object)
    """(Arrival) a message of somebody else: perhaps the person is to be told."""

    def __init__(self, wording: Wording, preferences: Preferences | None = None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.wording = wording
        self.profiles = ProfilesModel(self)
        self.chats = ChatListModel(wording, self.profiles, self)
        self.timeline = TimelineModel(wording, self)
        self.asks = AskModel(self)
        self.messages = MessageActions(lambda: self._current, self)
        self._phase = Phase.SIGNED_OUT
        self._busy = False
        self._preferences = preferences or Preferences()
        self._account: Person | None = None
        self._connection = ConnectionState(ConnectionPhase.CONNECTING)
        self._current = ""
        self._recovery: Secret | None = None
        self._begins_anew = False
        self._is_unsure = False
        self._server_check = ServerCheck("", CheckState.IDLE)
        self._name_check = NameCheck("", CheckState.IDLE)
        self._password: Secret | None = None
        self._link: Secret | None = None
        self._read: dict[str, int] = {}
        self.timeline.need_older.connect(self._ask_older)
        self.timeline.need_newer.connect(self._ask_newer)

    # ---- state, for reading ----------------------------------------------------------------------------------------

    @property
    def phase(self) -> Phase:
        """Which window is shown."""
        return self._phase

    @property
    def busy(self) -> bool:
        """A login or registration is under way."""
        return self._busy

    @property
    def preferences(self) -> Preferences:
        """The settings in force."""
        return self._preferences

    @property
    def account(self) -> Person | None:
        """The signed-in person."""
        return self._account

    @property
    def connection(self) -> ConnectionState:
        """The link to the server."""
        return self._connection

    @property
    def current(self) -> str:
        """Id of the open chat, or empty."""
        return self._current

    @property
    def current_row(self) -> ChatRow | None:
        """The open chat's row."""
        return self.chats.find(self._current) if self._current else None

    @property
    def recovery_code(self) -> Secret | None:
        """The recovery code while it must be shown; forgotten once it is confirmed."""
        return self._recovery

    @property
    def begins_anew(self) -> bool:
        """The account was just given another identity by its operator's leave: there is more to be done."""
        return self._begins_anew

    @property
    def is_unsure(self) -> bool:
        """The server's answer was lost: whether the account of the recovery code was made, the next login tells."""
        return self._is_unsure

    @property
    def server_check(self) -> ServerCheck:
        """The newest answer about the address in the form."""
        return self._server_check

    @property
    def name_check(self) -> NameCheck:
        """The newest answer about the name in the form."""
        return self._name_check

    # ---- actions of the sign-in windows ----------------------------------------------------------------------------

    def sign_in(self, request: SignIn) -> None:
        """Log in, register, recover, begin anew or link. Ignored while another attempt is under way."""
        if not self._busy:
            self.set_busy(True)
            self.sign_in_requested.emit(request)

    def check_link(self, code: Secret) -> None:
        """Ask what a code for a new device says."""
        self._link = code
        self.link_check_requested.emit(code)

    def check_server(self, address: str) -> None:
        """Ask whether a server answers at ``address``; an empty one only clears the last answer."""
        if not address:
            self._put_server_check(ServerCheck("", CheckState.IDLE))
        elif address != self._server_check.address or self._server_check.state is CheckState.BAD:
            self._put_server_check(ServerCheck(address, CheckState.RUNNING))
            self.server_check_requested.emit(address)

    def check_name(self, server: str, handle: str) -> None:
        """Ask whether ``handle`` is well formed and free on ``server``; an empty one only clears the last answer."""
        state = CheckState.RUNNING if handle else CheckState.IDLE
        self._put_name_check(NameCheck(handle, state))
        if handle:
            self.name_check_requested.emit(server, handle)

    def check_password(self, password: Secret, handle: str) -> None:
        """Ask how strong ``password`` is, knowing the ``handle`` it must not contain."""
        self._password = password
        self.password_check_requested.emit(password, handle)

    def confirm_recovery_saved(self) -> None:
        """The person has written the recovery code down: forget it and go on."""
        self._recovery = None
        self.recovery_saved.emit()
        self.set_phase(Phase.READY)

    # ---- actions of the main window --------------------------------------------------------------------------------

    def open_chat(self, chat_id: str) -> None:
        """Show this chat."""
        if chat_id == self._current:
            return
        self.leave_chat()
        self._current = chat_id
        self.timeline.clear(chat_id)
        self.current_changed.emit(chat_id)
        self.open_requested.emit(chat_id)
        self.messages.ask_timer()

    def leave_chat(self) -> None:
        """Show no chat."""
        if self._current:
            left, self._current = self._current, ""
            self.timeline.clear("")
            self.closed.emit(left)
            self.current_changed.emit("")

    def jump_to_latest(self) -> None:
        """Load the end of the open chat; the answer is a new ``put_opened_chat``."""
        if self._current:
            self.latest_requested.emit(self._current)

    def send_text(self, text: str) -> None:
        """Send to the open chat; blank text is not sent."""
        if self._current and text.strip():
            self.send_requested.emit(self._current, text.strip())

    def retry(self, key: str) -> None:
        """Try a failed message again."""
        if self._current:
            self.retry_requested.emit(self._current, key)

    def discard(self, key: str) -> None:
        """Drop a failed message."""
        if self._current:
            self.discard_requested.emit(self._current, key)

    def accept_request(self) -> None:
        """Accept the open chat's request."""
        if self._current:
            self.accept_requested.emit(self._current)

    def decline_request(self) -> None:
        """Decline the open chat's request and leave it."""
        if declined := self._current:
            self.leave_chat()
            self.decline_requested.emit(declined)

    def dismiss_identity_change(self) -> None:
        """Close the identity-change banner of the open chat."""
        if self._current:
            self.identity_accepted.emit(self._current)

    def set_typing(self, typing: bool) -> None:
        """Tell the peer of the open chat that one is (not) writing. The caller has already thinned it out."""
        if self._current:
            self.typing_requested.emit(self._current, typing)

    def mark_read(self, position: int) -> None:
        """The person has seen the open chat up to ``position``.

        Older positions than the last one told are not told again.
        """
        if self._current and position > self._read.get(self._current, -1):
            self._read[self._current] = position
            self.read_requested.emit(self._current, position)

    def save_draft(self, chat_id: str, text: str) -> None:
        """Keep what is in the composer of ``chat_id``."""
        self.draft_requested.emit(chat_id, text)

    def new_direct_chat(self, handle: str) -> None:
        """Open a chat with a user by name."""
        self.direct_chat_requested.emit(handle)

    def retry_connection(self) -> None:
        """Connect now instead of waiting for the next try."""
        self.reconnect_requested.emit()

    def erase(self) -> None:
        """Take everything of the account away from this computer; it is signed out."""
        self.erase_requested.emit()

    def sign_in_again(self) -> None:
        """The login has expired: go back to the login window."""
        self.sign_in_again_requested.emit()

    def change_preferences(self, preferences: Preferences) -> None:
        """Apply settings at once and ask the bridge to keep them."""
        if preferences != self._preferences:
            self._preferences = preferences
            self.preferences_changed.emit(preferences)
            self.preferences_requested.emit(preferences)

    def quit(self) -> None:
        """Close the program."""
        self.quit_requested.emit()

    # ---- state, for setting (the bridge) ---------------------------------------------------------------------------

    def set_phase(self, phase: Phase) -> None:
        """Show the windows of this phase; ends ``busy``."""
        self.set_busy(False)
        if phase is not self._phase:
            self._phase = phase
            self.phase_changed.emit(phase)

    def set_busy(self, busy: bool) -> None:
        """A login or registration runs (or not)."""
        if busy != self._busy:
            self._busy = busy
            self.busy_changed.emit(busy)

    def fail_auth(self, error: ErrorNotice) -> None:
        """The login or registration failed."""
        self.set_busy(False)
        self.auth_failed.emit(error)

    def set_recovery_code(self, code: Secret, *, anew: bool = False, unsure: bool = False) -> None:
        """Show the recovery code (UTF-8 text, as the person must write it down), before the main window."""
        self._recovery, self._begins_anew, self._is_unsure = code, anew, unsure
        self.set_phase(Phase.RECOVERY_CODE)

    def set_server_check(self, check: ServerCheck) -> None:
        """Answer to ``check_server``; dropped if the form holds another address by now."""
        if check.address == self._server_check.address:
            self._put_server_check(check)

    def set_name_check(self, check: NameCheck) -> None:
        """Answer to ``check_name``; dropped if the form holds another name by now."""
        if check.handle == self._name_check.handle:
            self._put_name_check(check)

    def set_link_check(self, code: Secret, check: LinkCheck) -> None:
        """Answer to ``check_link``; dropped unless it is about the code checked last."""
        if self._link is code:
            self.link_checked.emit(check)

    def set_password_strength(self, password: Secret, strength: PasswordStrength) -> None:
        """Answer to ``check_password``; dropped unless it is about the password checked last."""
        if self._password is password:
            self.password_checked.emit(strength)

    def set_account(self, account: Person) -> None:
        """Who is signed in."""
        if account != self._account:
            self._account = account
            self.account_changed.emit(account)

    def forget(self) -> None:
        """Nothing of the account is on this computer any more: show nothing of it, and the entrance."""
        self.leave_chat()
        self.chats.put((), [row.chat_id for row in self.chats.matching("")])
        self.profiles.clear()
        self._read.clear()
        self._account = None
        self._connection = ConnectionState(ConnectionPhase.CONNECTING)
        self.erased.emit()
        self.set_phase(Phase.SIGNED_OUT)

    def set_connection(self, state: ConnectionState) -> None:
        """State of the link to the server."""
        if state != self._connection:
            self._connection = state
            self.connection_changed.emit(state)

    def put_chats(self, rows: Sequence[ChatRow], gone: Sequence[str] = ()) -> None:
        """Insert or replace rows of the chat list, and take away those whose id is in ``gone``."""
        self.profiles.put(ProfileRow(row.chat_id, picture=row.picture) for row in rows if row.group)
        self.chats.put(rows, gone)
        if self._current in gone:
            self.leave_chat()
        for row in rows:
            if row.chat_id == self._current:
                self.current_row_changed.emit(row)

    def put_opened_chat(self, opened: OpenedChat) -> None:
        """First page of the open chat."""
        if opened.page.chat_id == self._current:
            self.timeline.open(opened)

    def put_transfer(self, chat_id: str, mid: str, transfer: TransferRow | None) -> None:
        """A file of a chat has come further, or (``None``) is no longer on its way; ignored unless the chat is open."""
        if chat_id == self._current:
            self.timeline.put_transfer(mid, transfer)

    def put_older(self, page: Page) -> None:
        """Rows before the oldest one held."""
        if page.chat_id == self._current:
            self.timeline.put_older(page)

    def put_newer(self, page: Page) -> None:
        """Rows after the newest one held."""
        if page.chat_id == self._current:
            self.timeline.put_newer(page)

    def put_messages(self, chat_id: str, rows: Sequence[MessageRow], gone: Sequence[str] = ()) -> None:
        """New or changed rows of a chat in one batch, and keys that are no more; ignored unless the chat is open."""
        if chat_id == self._current:
            self.timeline.put(rows, gone)

    def finish_new_chat(self, chat_id: str, error: str = "") -> None:
        """Answer to ``new_direct_chat``: the chat's id, or an error code. The chat's row must have been put before."""
        self.new_chat_finished.emit(chat_id, error)

    def set_preferences(self, preferences: Preferences) -> None:
        """Settings read from disk."""
        if preferences != self._preferences:
            self._preferences = preferences
            self.preferences_changed.emit(preferences)

    def notify(self, notice: ErrorNotice) -> None:
        """Tell the person about an error that no field or row shows."""
        self.noticed.emit(notice)

    # ---- inside ----------------------------------------------------------------------------------------------------

    def _put_server_check(self, check: ServerCheck) -> None:
        self._server_check = check
        self.server_checked.emit(check)

    def _put_name_check(self, check: NameCheck) -> None:
        self._name_check = check
        self.name_checked.emit(check)

    def _ask_older(self, position: int, count: int) -> None:
        self.older_requested.emit(self._current, position, count)

    def _ask_newer(self, position: int, count: int) -> None:
        self.newer_requested.emit(self._current, position, count)
