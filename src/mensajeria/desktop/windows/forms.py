"""What the sign-in pages share.

A centred column, language and theme at the top right, a server field that is checked live.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from PyQt6.QtCore import QSize, Qt, QTimer, pyqtSignal
from PyQt6.QtGui import QPainter, QPaintEvent
from PyQt6.QtWidgets import QFrame, QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from mensajeria.client.i18n import LANGUAGES
from mensajeria.desktop.theme import fonts
from mensajeria.desktop.viewmodels.types import CheckState
from mensajeria.desktop.widgets.buttons import IconButton, LinkButton
from mensajeria.desktop.widgets.fields import Field
from mensajeria.desktop.widgets.labels import Label

if TYPE_CHECKING:
    from mensajeria.desktop.theme.context import UiContext
    from mensajeria.desktop.viewmodels.session import SessionModel
    from mensajeria.desktop.viewmodels.types import ServerCheck

CHECK_MS = 500
"""How long the person must pause before a field is checked."""
FORM_WIDTH = 380


class CornerBar(QWidget):
    """Language and theme, at once and without an account."""

    def __init__(self, ui: UiContext) -> None:
        super().__init__()
        self._ui = ui
        self._language = LinkButton(ui, "language.self", icon="globe", ink="text2")
        self._language.setToolTip(ui.say("language.switch"))
        self._language.clicked.connect(self._next_language)
        self._theme = IconButton(ui, "theme.switch", "moon", side=36, glyph=20)
        self._theme.clicked.connect(ui.toggle_theme)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(16)
        row.addStretch()
        row.addWidget(self._language)
        row.addWidget(self._theme)
        ui.theme_changed.connect(self._show)
        ui.language_changed.connect(self._show)
        self._show()

    def _next_language(self) -> None:
        at = LANGUAGES.index(self._ui.translator.language)
        wanted = LANGUAGES[(at + 1) % len(LANGUAGES)]
        self._ui.change(replace(self._ui.preferences, language=wanted))

    def _show(self) -> None:
        self._theme.set_icon("sun" if self._ui.theme.dark else "moon")
        words = self._ui.say("language.switch")
        self._language.setToolTip(words)
        self._language.setAccessibleName(words)


class _Form(QWidget):
    """Exactly as high as its column is at the form's width.

    Left to themselves, nested layouts keep an old height after a field's helper line appears, and squeeze the fields.
    """

    def __init__(self, column: QVBoxLayout) -> None:
        super().__init__()
        self._column = column
        self.setFixedWidth(FORM_WIDTH)
        self.setLayout(column)

    def hasHeightForWidth(self) -> bool:
        """The width is fixed."""
        return False

    def sizeHint(self) -> QSize:
        """What the column needs."""
        return QSize(FORM_WIDTH, self._column.totalHeightForWidth(FORM_WIDTH))

    def minimumSizeHint(self) -> QSize:
        """As much: the page scrolls instead."""
        return self.sizeHint()


class Page(QWidget):
    """A form of 380 px in the middle, scrolling when the window is too low."""

    def __init__(self, ui: UiContext, title: str, subtitle: str) -> None:
        super().__init__()
        self.ui = ui
        self.column = QVBoxLayout()
        self.column.setSpacing(12)
        heading = QVBoxLayout()
        heading.setSpacing(4)
        self.title = Label(ui, title, fonts.DISPLAY)
        self.subtitle = Label(ui, subtitle, fonts.BODY, "text2", wrap=True)
        heading.addWidget(self.title)
        heading.addWidget(self.subtitle)
        self.column.addLayout(heading)
        self.column.addSpacing(4)
        form = _Form(self.column)
        self.column.setContentsMargins(0, 0, 0, 0)
        middle = QWidget()
        outer = QVBoxLayout(middle)
        # A little left of the middle: the eye starts at the brand panel.
        outer.setContentsMargins(7, 0, 25, 24)
        outer.addStretch()
        outer.addWidget(form, 0, Qt.AlignmentFlag.AlignHCenter)
        outer.addStretch()
        area = QScrollArea()
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setWidgetResizable(True)
        area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(middle)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(area)
        ui.theme_changed.connect(self.update)

    def wipe(self) -> None:
        """Forget the secrets that were typed."""

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002 - Qt's signature
        """The window's ground."""
        QPainter(self).fillRect(self.rect(), self.ui.theme["bg_window"])


class ServerField(Field):
    """The server's address; asked a moment after the person stops typing."""

    checked = pyqtSignal()

    def __init__(self, ui: UiContext, session: SessionModel, *, registering: bool) -> None:
        super().__init__(ui, "auth.server", "hard-drives", "auth.server_hint")
        self._session, self._registering = session, registering
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(CHECK_MS)
        self._timer.timeout.connect(self.check_now)
        self.line.setInputMethodHints(Qt.InputMethodHint.ImhUrlCharactersOnly)
        self.edited.connect(self._edited)
        self.line.editingFinished.connect(self.check_now)
        session.server_checked.connect(self._answered)

    @property
    def address(self) -> str:
        """The address without blanks around it."""
        return self.text.strip()

    @property
    def good(self) -> bool:
        """The address in the field has been found to be a server."""
        check = self._session.server_check
        return check.state is CheckState.OK and check.address == self.address

    def show_address(self, address: str) -> None:
        """Put an address in and check it."""
        self.line.setText(address)
        self.check_now()
        self._answered(self._session.server_check)  # what is known already is not asked again

    def check_now(self) -> None:
        """Ask without waiting longer."""
        self._timer.stop()
        self._session.check_server(self.address)

    def _edited(self) -> None:
        self.calm()
        self._timer.start()

    def _answered(self, check: ServerCheck) -> None:
        if check.address != self.address:
            return
        if check.state is CheckState.OK:
            self._tell_good(check)
        elif check.state is CheckState.BAD:
            self.fail_text(self.ui.translator.error(check.error))
        elif check.state is CheckState.RUNNING:
            self.help("auth.server_checking")
        else:
            self.calm()
        self.checked.emit()

    def _tell_good(self, check: ServerCheck) -> None:
        if self._registering:
            self.succeed("auth.registration_open" if check.registration_open else "auth.registration_invite")
        elif check.secure:
            self.succeed("auth.server_ok", version=check.version)
        else:
            self.help("auth.server_local", version=check.version)
