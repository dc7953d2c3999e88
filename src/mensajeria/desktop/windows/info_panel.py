"""The panel beside a chat: of a group its members and what one may do, of a person how sure one is who it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from PyQt6.QtCore import QPoint, Qt, QTimer, pyqtSignal
from PyQt6.QtGui import QPainter, QPaintEvent
from PyQt6.QtWidgets import QFrame, QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from mensajeria.desktop.theme import fonts
from mensajeria.desktop.viewmodels.asking import BlockMoved, ChatInfo, GroupMade, LookAtChat, RecreateGroup, TrustMoved
from mensajeria.desktop.widgets.avatar import Avatar
from mensajeria.desktop.widgets.banner import InfoCard
from mensajeria.desktop.widgets.buttons import Button, IconButton, Kind
from mensajeria.desktop.widgets.labels import Label
from mensajeria.desktop.widgets.menu import Menu
from mensajeria.desktop.widgets.number_grid import NumberGrid
from mensajeria.desktop.widgets.people import PersonRow
from mensajeria.desktop.widgets.signs import Pill
from mensajeria.desktop.windows.mute_menu import show_mute_menu

if TYPE_CHECKING:
    from mensajeria.desktop.theme.context import UiContext
    from mensajeria.desktop.viewmodels.asking import Member, PersonInfo, SecurityLine
    from mensajeria.desktop.viewmodels.session import SessionModel
    from mensajeria.desktop.viewmodels.types import ChatRow

WIDTH: Final = 332
_SETTLE_MS: Final = 120
"""Changes that come together are asked about once."""
_LINES: Final = 20
"""Lines of the security timeline that are shown."""


class InfoPanel(QWidget):
    """Says what is wanted of the window; asks for what it shows while it is visible."""

    closed = pyqtSignal()
    verify_wanted = pyqtSignal(str)
    block_wanted = pyqtSignal(str, bool)
    report_wanted = pyqtSignal(str)
    add_wanted = pyqtSignal(str)
    rename_wanted = pyqtSignal(str)
    picture_wanted = pyqtSignal(str, bool)
    """(chat id, whether another one is wanted; else it is taken away)"""
    leave_wanted = pyqtSignal(str)
    remove_wanted = pyqtSignal(str, str)
    role_wanted = pyqtSignal(str, str, str)

    def __init__(self, ui: UiContext, session: SessionModel) -> None:
        super().__init__()
        self._ui, self._session = ui, session
        self._info: ChatInfo | None = None
        self._muted_until_ms = 0
        self._remade = ""
        """The group that is being made again."""
        self.setFixedWidth(WIDTH)
        self._title = Label(ui, "info.person", fonts.HEADING)
        self.close_button = IconButton(ui, "action.close", "x", side=36, glyph=20)
        self.close_button.clicked.connect(self.closed)
        head = QWidget()
        head.setFixedHeight(64)
        top = QHBoxLayout(head)
        top.setContentsMargins(20, 0, 14, 0)
        top.addWidget(self._title, 1)
        top.addWidget(self.close_button)
        self.area = QScrollArea()
        self.area.setFrameShape(QFrame.Shape.NoFrame)
        self.area.setWidgetResizable(True)
        self.area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        column = QVBoxLayout(self)
        column.setContentsMargins(1, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(head)
        column.addWidget(self.area, 1)
        self.leave = Button(ui, "info.leave", Kind.DANGER, icon="sign-out", wide=True)
        self.leave.clicked.connect(lambda: self.leave_wanted.emit(session.current))
        foot = QHBoxLayout()
        foot.setContentsMargins(20, 8, 20, 20)
        foot.addWidget(self.leave)
        column.addLayout(foot)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_SETTLE_MS)
        self._timer.timeout.connect(self._look)
        session.asks.answered.connect(self._answered)
        session.current_changed.connect(self._moved)
        session.current_row_changed.connect(self._changed)
        session.profiles.changed.connect(self._told)
        ui.language_changed.connect(self._rebuild)
        ui.theme_changed.connect(self.update)

    def open(self) -> None:
        """Show the open chat."""
        self._info = None
        self.show()
        self._rebuild()
        self._look()

    @property
    def info(self) -> ChatInfo | None:
        """What is shown."""
        return self._info

    def _look(self) -> None:
        if self.isVisible() and self._session.current:
            self._session.asks.ask(LookAtChat(self._session.current))

    def _moved(self, chat_id: str) -> None:
        if self.isVisible():
            self.open() if chat_id else self.closed.emit()

    def _changed(self) -> None:
        row = self._session.current_row
        if self.isVisible():
            if row is not None and row.muted_until_ms != self._muted_until_ms:
                self._rebuild()
            self._timer.start()

    def _answered(self, answer: object) -> None:
        if isinstance(answer, ChatInfo) and answer.chat_id == self._session.current:
            if answer != self._info:
                self._info = answer
                self._rebuild()
        elif isinstance(answer, GroupMade) and self._remade and self._remade == self._session.current:
            self._remade = ""
            self._session.open_chat(answer.chat_id)
        elif isinstance(answer, TrustMoved | BlockMoved):
            self._changed()

    def _told(self, who: str) -> None:
        row = self._session.current_row
        if row is not None and row.face == who:
            self._rebuild()

    # ---- what is shown -----------------------------------------------------------------------------------------------

    def _rebuild(self) -> None:
        row = self._session.current_row
        if row is None or not self.isVisible():
            return
        self._muted_until_ms = row.muted_until_ms
        self._title.say("info.group" if row.group else "info.person")
        self.setAccessibleName(self._title.text())
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(20, 20, 20, 20)
        column.setSpacing(12)
        self._who(column, row)
        if self._info is not None:
            if row.group:
                self._group(column, self._info)
            elif self._info.person is not None:
                self._person(column, self._info.person)
            self._events(column, self._info.timeline)
        column.addStretch(1)
        self.leave.setVisible(row.group and self._info is not None and bool(self._info.role))
        at = self.area.verticalScrollBar()
        place = at.value() if at is not None else 0
        self.area.setWidget(inside)  # the former one is deleted by Qt
        if at is not None:
            at.setValue(place)

    def _who(self, column: QVBoxLayout, row: ChatRow) -> None:
        picture = Avatar(self._ui, 88)
        picture.show_person(row.title, row.hue, who=row.face, note=row.note_to_self)
        name = Label(self._ui, role=fonts.TITLE, wrap=True)
        name.show_text(row.title)
        below = Label(self._ui, role=fonts.CAPTION, ink="text2", wrap=True)
        if row.group:
            below.say("info.group_of", members=self._ui.say("group.members", count=row.members))
        else:
            below.show_text(f"@{row.handle}")
        told = self._session.profiles.find(row.peer)
        profile = [] if row.group else [self._told_label(key, text) for key, text in
                                        (("name", told.name), ("status", told.status)) if text]  # fmt: skip
        column.addWidget(picture, 0, Qt.AlignmentFlag.AlignHCenter)
        for label in (name, below, *profile):
            label.setAlignment(Qt.AlignmentFlag.AlignHCenter)
            column.addWidget(label)
        if not row.note_to_self:
            self._mute(column, row)

    def _mute(self, column: QVBoxLayout, row: ChatRow) -> None:
        self.mute = Button(self._ui, "mute.open", Kind.SECONDARY, icon="bell-slash", wide=True)
        self.mute.clicked.connect(lambda: show_mute_menu(self._ui, self._session, row, self.mute))
        column.addWidget(self.mute)
        if self._ui.wording.is_muted(row):
            until = Label(self._ui, role=fonts.CAPTION, ink="text2", wrap=True)
            until.show_text(self._ui.wording.until(row.muted_until_ms))
            until.setAlignment(Qt.AlignmentFlag.AlignHCenter)
            column.addWidget(until)

    def _told_label(self, key: str, text: str) -> Label:
        """Name and status are the person's own words: they stand below the user name, never instead of it."""
        label = Label(self._ui, role=fonts.PREVIEW, ink="text2", wrap=True)
        label.show_text(text)
        label.setAccessibleName(self._ui.say(f"profile.told_{key}", text=text))
        return label

    def _group(self, column: QVBoxLayout, info: ChatInfo) -> None:
        if info.description:
            text = Label(self._ui, role=fonts.PREVIEW, ink="text2", wrap=True)
            text.show_text(info.description)
            column.addWidget(text)
        if info.role in {"owner", "admin"}:
            row = QHBoxLayout()
            row.setSpacing(8)
            for key, icon, signal in (
                ("info.add", "user-plus", self.add_wanted),
                ("info.rename", "pencil-simple", self.rename_wanted),
            ):
                button = Button(self._ui, key, Kind.SECONDARY, icon=icon, wide=True)
                button.clicked.connect(lambda _on, wanted=signal: wanted.emit(info.chat_id))
                row.addWidget(button)
            column.addLayout(row)
            column.addLayout(self._picture_buttons(info.chat_id))
        others = [member for member in info.members if not member.me]
        known = sum(1 for member in others if member.person.verified)
        column.addWidget(self._encrypted("info.verified_of", known=known, all=len(others)))
        if any(member.role == "owner" and member.former_identity for member in others):
            self._without_owner(column, info.chat_id)
        self._heading(column, "info.members", str(len(info.members)))
        for member in info.members:
            column.addWidget(self._member(member, info))

    def _without_owner(self, column: QVBoxLayout, chat_id: str) -> None:
        """The owner has begun anew: nobody can take them in again, so only a new group has everybody."""
        column.addWidget(InfoCard(self._ui, "group.owner_changed", ink="warning", icon="shield-warning-fill"))
        again = Button(self._ui, "group.recreate", Kind.SECONDARY, icon="users-three", wide=True)
        again.clicked.connect(lambda: self._make_again(chat_id))
        column.addWidget(again)

    def _make_again(self, chat_id: str) -> None:
        self._remade = chat_id
        self._session.asks.ask(RecreateGroup(chat_id))

    def _picture_buttons(self, chat_id: str) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(8)
        choose = Button(self._ui, "info.picture", Kind.SECONDARY, icon="image", wide=True)
        choose.clicked.connect(lambda: self.picture_wanted.emit(chat_id, True))
        row.addWidget(choose)
        if self._session.profiles.find(chat_id).picture:
            remove = Button(self._ui, "info.no_picture", Kind.SECONDARY, icon="trash", wide=True)
            remove.clicked.connect(lambda: self.picture_wanted.emit(chat_id, False))
            row.addWidget(remove)
        return row

    def _encrypted(self, key: str, **params: object) -> InfoCard:
        card = InfoCard(self._ui, key, ink="accent_text", icon="lock-key-fill")
        card.say(key, **params)
        return card

    def _heading(self, column: QVBoxLayout, key: str, count: str = "") -> None:
        row = QHBoxLayout()
        row.addWidget(Label(self._ui, key, fonts.LABEL, "text2"), 1)
        if count:
            number = Label(self._ui, role=fonts.LABEL, ink="text2")
            number.show_text(count)
            row.addWidget(number)
        column.addSpacing(4)
        column.addLayout(row)

    def _member(self, member: Member, info: ChatInfo) -> PersonRow:
        name = member.person.shown_name
        if member.me:
            name = self._ui.say("info.me", name=name)
        told = self._session.profiles.find(member.person.uid).name
        detail = self._ui.say("info.former_identity") if member.former_identity else told
        row = PersonRow(self._ui, member.person, name=name, detail=detail)
        if member.former_identity:
            why = self._ui.say("group.former_identity")
            row.setToolTip(why)
            row.setAccessibleName(f"{row.accessibleName()}: {why}")
        if member.role != "member":
            row.row.addWidget(Pill(self._ui, f"info.role.{member.role}"))
        if member.blocked:
            row.row.addWidget(blocked_pill(self._ui))
        if not member.me:
            more = IconButton(self._ui, "info.more", "dots-three-vertical", side=32, glyph=18)
            more.say("info.more", name=member.person.shown_name)
            more.clicked.connect(lambda: self._menu(member, info, more))
            row.row.addWidget(more)
        return row

    def _menu(self, member: Member, info: ChatInfo, button: QWidget) -> None:
        menu, handle, chat = Menu(self._ui, self), member.person.handle, info.chat_id
        menu.add("info.verify", "shield-check", lambda: self.verify_wanted.emit(handle))
        if info.role == "owner":
            other = "member" if member.role == "admin" else "admin"
            menu.add(f"info.make.{other}", "user", lambda: self.role_wanted.emit(chat, handle, other))
            menu.add("info.make.owner", "star", lambda: self.role_wanted.emit(chat, handle, "owner"))
        menu.addSeparator()
        key = "info.unblock" if member.blocked else "info.block"
        menu.add(key, "prohibit", lambda: self.block_wanted.emit(handle, not member.blocked))
        menu.add("info.report", "warning", lambda: self.report_wanted.emit(handle))
        if info.role == "owner" or (info.role == "admin" and member.role == "member"):
            menu.add("info.remove", "trash", lambda: self.remove_wanted.emit(chat, handle), danger=True)
        menu.popup(
            button.mapToGlobal(
                QPoint(button.width() - max(menu.sizeHint().width(), menu.minimumWidth()), button.height() + 4)
            )
        )

    def _person(self, column: QVBoxLayout, info: PersonInfo) -> None:
        pill = trust_pill(self._ui, info)
        column.addWidget(pill, 0, Qt.AlignmentFlag.AlignHCenter)
        column.addWidget(self._encrypted("info.devices", count=info.devices))
        self._heading(column, "info.number")
        grid = NumberGrid(self._ui, fonts.BODY_MEDIUM)
        grid.show_number(info.number)
        column.addWidget(grid)
        key = "info.verify_again" if info.person.verified else "info.verify"
        verify = Button(self._ui, key, Kind.SECONDARY if info.person.verified else Kind.PRIMARY, icon="shield-check",
                        wide=True)  # fmt: skip
        verify.clicked.connect(lambda: self.verify_wanted.emit(info.person.handle))
        column.addWidget(verify)
        key, kind = ("info.unblock", Kind.SECONDARY) if info.blocked else ("info.block", Kind.DANGER)
        block = Button(self._ui, key, kind, icon="prohibit", wide=True)
        block.clicked.connect(lambda: self.block_wanted.emit(info.person.handle, not info.blocked))
        report = Button(self._ui, "info.report", Kind.DANGER, icon="warning", wide=True)
        report.clicked.connect(lambda: self.report_wanted.emit(info.person.handle))
        column.addWidget(block)
        column.addWidget(report)

    def _events(self, column: QVBoxLayout, lines: tuple[SecurityLine, ...]) -> None:
        if not lines:
            return
        self._heading(column, "info.timeline")
        for line in lines[:_LINES]:
            when = Label(self._ui, role=fonts.MICRO, ink="text2")
            wording = self._ui.wording
            when.show_text(f"{wording.long_date(wording.day(line.at_ms))}, {wording.clock(line.at_ms)}")
            text = Label(self._ui, role=fonts.CAPTION, wrap=True)
            text.show_text(security_words(self._ui, line))
            column.addWidget(when)
            column.addWidget(text)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002 - Qt's signature
        """Surface with a hairline at the left and below the title."""
        painter, theme = QPainter(self), self._ui.theme
        painter.fillRect(self.rect(), theme["bg_window"])
        painter.fillRect(0, 0, 1, self.height(), theme["border"])
        painter.fillRect(0, 63, self.width(), 1, theme["border"])


def trust_pill(ui: UiContext, info: PersonInfo) -> Pill:
    """How sure one is who a person is: verified, changed since, or not verified."""
    pill = Pill(ui, "trust.unverified")
    show_trust(pill, info)
    return pill


def blocked_pill(ui: UiContext) -> Pill:
    """Says that a person is blocked."""
    return Pill(ui, "chat.blocked", ink="danger", ground="danger_soft")


def show_trust(pill: Pill, info: PersonInfo) -> None:
    """Change a pill to what is known now."""
    if info.changed:
        pill.say("trust.changed", ink="warning", ground="warning_soft", icon="shield-warning-fill")
    elif info.person.verified:
        pill.say("trust.verified", ink="accent_text", ground="accent_soft", icon="shield-check-fill")
    else:
        pill.say("trust.unverified", ink="warning", ground="warning_soft", icon="shield-warning-fill")


def security_words(ui: UiContext, line: SecurityLine) -> str:
    """A line of the security timeline as a sentence."""
    params = dict(line.params)
    if line.kind == "warning":
        return ui.translator.error(params.pop("code", ""), params)
    if line.kind == "membership":
        key = f"security.membership.{params.get('type', '')}"
        return ui.say(key if ui.translator.has(key) else "security.membership.unknown", **params)
    if "method" in params:
        params["method"] = ui.say(f"verification.method.{params['method']}")
    if "reason" in params:
        params["reason"] = ui.say(f"verification.{params['reason']}")
    return ui.say(f"security.{line.kind}", **params)
