"""Pages of the settings about the account: profile, backup, invites, and what does not work on this device."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from PyQt6.QtCore import pyqtSignal
from PyQt6.QtWidgets import QFileDialog, QHBoxLayout, QLineEdit, QVBoxLayout, QWidget

from mensajeria.desktop.qt import application, present
from mensajeria.desktop.theme import fonts
from mensajeria.desktop.viewmodels.asking import (
    BackupInfo,
    BackupMade,
    HealthInfo,
    InviteMade,
    Invites,
    LoadBackup,
    LoadHealth,
    LoadInvites,
    LoadProfile,
    MakeBackup,
    MakeInvite,
    ProfileIs,
    RevokeInvite,
    SetProfile,
)
from mensajeria.desktop.widgets.buttons import Button, IconButton, Kind
from mensajeria.desktop.widgets.fields import Field, Helper
from mensajeria.desktop.widgets.labels import ElidedLabel, Label
from mensajeria.desktop.widgets.picture_choice import PictureChoice
from mensajeria.desktop.windows.new_password import NewPassword
from mensajeria.desktop.windows.settings_page import AskingPage
from mensajeria.protocol.limits import PROFILE_NAME_CHARS, PROFILE_STATUS_CHARS

if TYPE_CHECKING:
    from mensajeria.desktop.theme.context import UiContext
    from mensajeria.desktop.viewmodels.asking import Invite, Request
    from mensajeria.desktop.viewmodels.session import SessionModel
    from mensajeria.desktop.viewmodels.types import ErrorNotice

INVITE_DAYS: Final = 7
_MB: Final = 1_000_000


class AccountPage(AskingPage):
    """Who one is here, what one tells contacts, and the way out."""

    log_out_wanted = pyqtSignal()

    def __init__(self, ui: UiContext, session: SessionModel) -> None:
        super().__init__(ui, session)
        name = Label(ui, role=fonts.TITLE)
        handle = session.account.handle if session.account is not None else ""
        name.show_text(f"@{handle}")
        self.column.addWidget(name)
        self._profile(ui, session)
        self.column.addWidget(self.outcome)
        self.heading("log_out.title")
        self.text("log_out.text")
        self.log_out = Button(ui, "log_out.open", Kind.DANGER, icon="sign-out")
        self.log_out.clicked.connect(self.log_out_wanted)
        self.column.addWidget(self.log_out)
        self.column.addStretch(1)

    def _profile(self, ui: UiContext, session: SessionModel) -> None:
        self.heading("profile.title")
        self.text("profile.text")
        self.picture = PictureChoice(ui, session.account)
        self.name = Field(ui, "profile.name", "user", "profile.name_hint")
        self.name.line.setMaxLength(PROFILE_NAME_CHARS)
        self.status = Field(ui, "profile.status", "note-pencil", "profile.status_hint")
        self.status.line.setMaxLength(PROFILE_STATUS_CHARS)
        self.save = Button(ui, "profile.save")
        self.saved = Helper(ui)
        self.saved.hide()
        for part in (self.picture, self.name, self.status, self.save, self.saved):
            self.column.addWidget(part)
        self.save.clicked.connect(self.publish)
        for field in (self.name, self.status):
            field.submitted.connect(self.publish)
            field.edited.connect(lambda _text: self.saved.hide())

    @property
    def busy(self) -> bool:
        """Something is being changed: looking at the profile holds nothing up."""
        return any(not isinstance(request, LoadProfile) for request in self._running)

    def shown(self) -> None:
        """Ask what the profile says."""
        self.ask(LoadProfile())

    def answered(self, answer: object) -> None:
        """The profile as it was last wanted."""
        if isinstance(answer, ProfileIs):
            self.name.line.setText(answer.name)
            self.status.line.setText(answer.status)
            self.picture.remove.setEnabled(answer.has_picture)

    def publish(self) -> None:
        """Change the profile to what stands in the form."""
        if not self.busy:
            name, status = (" ".join(field.text.split()) for field in (self.name, self.status))
            self.ask(SetProfile(name, status, self.picture.chosen, self.picture.removed))

    def failed(self, request: Request, error: ErrorNotice) -> None:
        """What is wrong with the profile is said under its form."""
        if isinstance(request, SetProfile):
            self._say_saved("danger", self.ui.translator.error(error.code, error.params))
        else:
            super().failed(request, error)

    def _say_saved(self, ink: str, sentence: str) -> None:
        self.saved.set_ink(ink)
        self.saved.label.show_text(sentence)
        self.saved.setAccessibleName(sentence)
        self.saved.show()

    def done(self, request: Request) -> None:
        """The profile is what was typed."""
        if isinstance(request, SetProfile):
            self.picture.take(None)
            self._say_saved("success", self.ui.say("profile.saved"))


class BackupPage(AskingPage):
    """What lies on the server, and a file with everything."""

    def __init__(self, ui: UiContext, session: SessionModel) -> None:
        super().__init__(ui, session)
        self.heading("backup_page.server")
        self.status = self.text("backup_page.loading")
        self.space = self.text("backup_page.offline")
        self.heading("backup_page.file")
        self.text("backup_page.file_text")
        self.chosen = NewPassword(ui, session, "backup_page.passphrase", lambda: "")
        for part in self.chosen.parts:
            self.column.addWidget(part)
        self.go = Button(ui, "backup_page.make", icon="floppy-disk")
        self.column.addWidget(self.go)
        self.column.addWidget(self.outcome)
        self.column.addStretch(1)
        self.go.clicked.connect(self._ask_where)

    def shown(self) -> None:
        """Ask how the backup stands."""
        self.ask(LoadBackup())

    def answered(self, answer: object) -> None:
        """How it stands; or the file is written."""
        if isinstance(answer, BackupInfo):
            self._show(answer)
        elif isinstance(answer, BackupMade):
            self.chosen.wipe()
            self.tell("success", self.ui.say("backup_page.made", name=answer.name, count=answer.messages))

    def make(self, path: Path) -> None:
        """Write the file."""
        self.go.setEnabled(False)
        self.ask(MakeBackup(path, self.chosen.secret))

    def tell(self, ink: str, sentence: str) -> None:
        """Another file can be made."""
        self.go.setEnabled(True)
        super().tell(ink, sentence)

    def _show(self, info: BackupInfo) -> None:
        if not info.current:
            self.status.say("cli.backup.keys_missing")
        elif info.restoring:
            self.status.say("cli.backup.restoring")
        else:
            self.status.say("backup_page.status", saved=info.saved, pending=info.pending)
        if info.used is None or info.quota is None:
            self.space.say("backup_page.offline")
        else:
            self.space.say("backup_page.space", used=f"{info.used / _MB:.1f}", quota=f"{info.quota / _MB:.0f}")

    def _ask_where(self) -> None:
        if self.busy:
            return
        if (wrong := self.chosen.first_wrong()) is not None:
            wrong.line.setFocus()
            return
        proposed = str(Path.home() / self.ui.say("backup_page.file_name"))
        chosen, _ = QFileDialog.getSaveFileName(self, self.ui.say("backup_page.make"), proposed)
        if chosen:
            self.make(Path(chosen))


class InvitesPage(AskingPage):
    """Make a link, pass it on, end it."""

    def __init__(self, ui: UiContext, session: SessionModel) -> None:
        super().__init__(ui, session)
        self.text("invites.text")
        self.make = Button(ui, "invites.make", icon="ticket")
        self.make.clicked.connect(self._make)
        self.column.addWidget(self.make)
        self.link = QLineEdit()
        self.link.setReadOnly(True)
        self.link.setFont(fonts.code(12))
        self.copy = Button(ui, "invites.copy", Kind.SECONDARY, icon="copy")
        self.copy.clicked.connect(self._copy)
        self._fresh = QWidget()
        row = QHBoxLayout(self._fresh)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.link, 1)
        row.addWidget(self.copy)
        self._fresh.hide()
        self.column.addWidget(self._fresh)
        self.column.addWidget(self.outcome)
        self._list = QVBoxLayout()
        self._list.setSpacing(2)
        self.column.addLayout(self._list)
        self.column.addStretch(1)
        self.rows: list[QWidget] = []
        ui.language_changed.connect(self._name)
        self._name()

    def shown(self) -> None:
        """Ask for the list."""
        self.ask(LoadInvites())

    def answered(self, answer: object) -> None:
        """The list, or a new link."""
        if isinstance(answer, InviteMade):
            self.link.setText(answer.link.reveal_text())
            self.link.setCursorPosition(0)
            self._fresh.show()
            self.copy.setFocus()
        elif isinstance(answer, Invites):
            self._show(answer)

    def _name(self) -> None:
        self.link.setAccessibleName(self.ui.say("invites.link"))

    def _make(self) -> None:
        if not self.busy:
            self.ask(MakeInvite(1, INVITE_DAYS))

    def _copy(self) -> None:
        present(application().clipboard()).setText(self.link.text())
        self.tell("success", self.ui.say("invites.copied"))

    def _show(self, answer: Invites) -> None:
        for row in self.rows:
            self._list.removeWidget(row)
            row.hide()
            row.deleteLater()
        self.rows = [self._row(invite) for invite in answer.rows]
        for row in self.rows:
            self._list.addWidget(row)

    def _row(self, invite: Invite) -> QWidget:
        made, words = QWidget(), ElidedLabel(self.ui, fonts.PREVIEW)
        state = self.ui.say(f"invites.state.{invite.state}")
        until = self.ui.wording.long_date(self.ui.wording.day(invite.expires_ms))
        joined = ", ".join(f"@{name}" for name in invite.joined)
        text = self.ui.say("invites.row", number=invite.number, state=state, until=until)
        words.show_text(f"{text} · {joined}" if joined else text)
        row = QHBoxLayout(made)
        row.setContentsMargins(0, 2, 0, 2)
        row.addWidget(words, 1)
        if invite.state == "valid":
            end = IconButton(self.ui, "invites.revoke", "prohibit", side=32, glyph=18)
            end.say("invites.revoke", number=invite.number)
            end.clicked.connect(lambda: self.ask(RevokeInvite(invite.number)))
            row.addWidget(end)
        made.setAccessibleName(words.text)
        return made


class HealthPage(AskingPage):
    """What of the messages and keys does not work on this device."""

    def __init__(self, ui: UiContext, session: SessionModel) -> None:
        super().__init__(ui, session)
        self.verdict = Label(ui, "backup_page.loading", fonts.BODY_STRONG, wrap=True)
        self.counts = Label(ui, role=fonts.PREVIEW, ink="text2", wrap=True)
        again = Button(ui, "health.again", Kind.SECONDARY, icon="arrow-clockwise")
        again.clicked.connect(self.shown)
        self.column.addWidget(self.verdict)
        self.column.addWidget(self.counts)
        self.column.addWidget(again)
        self.column.addWidget(self.outcome)
        self.column.addStretch(1)

    def shown(self) -> None:
        """Ask how it stands."""
        self.ask(LoadHealth())

    def answered(self, answer: object) -> None:
        """How it stands."""
        if isinstance(answer, HealthInfo):
            self.verdict.say("cli.health.well" if answer.well else "cli.health.not_well")
            self.counts.show_text("\n".join(self._line(key, count) for key, count in answer.counts))

    def _line(self, key: str, count: int) -> str:
        own = f"health.{key}"
        words = self.ui.say(own if self.ui.translator.has(own) else f"cli.health.{key}", count=count)
        return f"· {words.strip()}"
