"""What every widget needs to look right: theme, words, text size, motion.

One object, passed in, with signals for live changes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from PyQt6.QtCore import QObject, QTimer, pyqtSignal

from mensajeria.desktop.qt import application, present
from mensajeria.desktop.theme import fonts, style, theme
from mensajeria.desktop.theme.faces import Faces
from mensajeria.desktop.viewmodels.types import TEXT_SIZES, Preferences, ThemeChoice

if TYPE_CHECKING:
    from mensajeria.client.i18n import Translator
    from mensajeria.desktop.theme.theme import Theme
    from mensajeria.desktop.viewmodels.session import SessionModel


class UiContext(QObject):
    """Look and words in force; follows the session's preferences and the system's colour scheme."""

    theme_changed = pyqtSignal()
    language_changed = pyqtSignal()
    text_size_changed = pyqtSignal()

    def __init__(self, session: SessionModel, parent: QObject | None = None) -> None:
        """Load the fonts and dress the application. Raises ``FontsMissingError``."""
        super().__init__(parent)
        fonts.load()
        self._session = session
        self.faces = Faces(session.profiles, self)
        self.wording = session.wording
        self.translator: Translator = session.wording.translator
        self._applied = session.preferences
        self.theme: Theme = theme.choose(self._applied.theme)
        self.translator.set_language(self._applied.language)
        self._dress()
        session.preferences_changed.connect(self._follow)
        present(application().styleHints()).colorSchemeChanged.connect(self._follow_system)
        self._today = self.wording.day(self.wording.now_ms())
        self._midnight = QTimer(self)
        self._midnight.setInterval(60_000)
        self._midnight.timeout.connect(self.check_day)
        self._midnight.start()

    def say(self, key: str, **params: object) -> str:
        """The sentence ``key`` of the catalogue."""
        return self.translator.tr(key, **params)

    @property
    def preferences(self) -> Preferences:
        """The settings in force."""
        return self._applied

    @property
    def text_size(self) -> int:
        """Size of message text, px."""
        return self._applied.text_size

    @property
    def enter_sends(self) -> bool:
        """Whether Enter sends (else it breaks the line and Ctrl+Enter sends)."""
        return self._applied.enter_sends

    def duration(self, milliseconds: int) -> int:
        """Length of an animation, 0 when the person wants less motion."""
        return 0 if self._applied.reduce_motion else milliseconds

    def step_text_size(self, steps: int) -> None:
        """Make message text larger or smaller by ``steps`` of the scale; 0 goes back to the usual size."""
        at = TEXT_SIZES.index(self.text_size) + steps if steps else TEXT_SIZES.index(Preferences().text_size)
        size = TEXT_SIZES[min(max(at, 0), len(TEXT_SIZES) - 1)]
        self.change(replace(self.preferences, text_size=size))

    def change(self, preferences: Preferences) -> None:
        """Apply settings at once and keep them."""
        self._session.change_preferences(preferences)

    def toggle_theme(self) -> None:
        """Swap light and dark."""
        wanted = ThemeChoice.LIGHT if self.theme.dark else ThemeChoice.DARK
        self.change(replace(self.preferences, theme=wanted))

    def check_day(self) -> None:
        """After midnight, "today" is another day: all words are taken anew, as after a change of language."""
        today = self.wording.day(self.wording.now_ms())
        if today != self._today:
            self._today = today
            self.language_changed.emit()

    def _follow(self, wanted: Preferences) -> None:
        before, self._applied = self._applied, wanted
        if wanted.language != before.language:
            self.translator.set_language(wanted.language)
            self.language_changed.emit()
        if wanted.text_size != before.text_size:
            self.text_size_changed.emit()
        self._follow_system()

    def _follow_system(self) -> None:
        chosen = theme.choose(self._applied.theme)
        if chosen is not self.theme:
            self.theme = chosen
            self._dress()
            self.theme_changed.emit()

    def _dress(self) -> None:
        app = application()
        app.setFont(fonts.font(fonts.BODY))
        app.setPalette(self.theme.palette())
        app.setStyleSheet(style.sheet(self.theme))
