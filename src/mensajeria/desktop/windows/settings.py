"""The settings: a list of pages at the left, the chosen page at the right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from PyQt6.QtCore import QEvent, QObject, QRectF, QSize, Qt, pyqtSignal
from PyQt6.QtGui import QKeyEvent, QPainter, QPaintEvent
from PyQt6.QtWidgets import QBoxLayout, QButtonGroup, QHBoxLayout, QSizePolicy, QStackedWidget, QVBoxLayout, QWidget

from mensajeria.desktop.theme import fonts, icons
from mensajeria.desktop.theme.context import UiContext
from mensajeria.desktop.viewmodels.session import SessionModel
from mensajeria.desktop.widgets.avatar import Avatar
from mensajeria.desktop.widgets.buttons import PaintedButton
from mensajeria.desktop.widgets.dialog import Dialog
from mensajeria.desktop.widgets.labels import ElidedLabel, Label
from mensajeria.desktop.windows.account_pages import AccountPage, BackupPage, HealthPage, InvitesPage
from mensajeria.desktop.windows.appearance import AppearancePage
from mensajeria.desktop.windows.data_page import DataPage
from mensajeria.desktop.windows.devices_page import DevicesPage
from mensajeria.desktop.windows.notifications_page import NotificationsPage
from mensajeria.desktop.windows.privacy_page import PrivacyPage
from mensajeria.desktop.windows.renewal_page import RenewalPage
from mensajeria.desktop.windows.security_page import SecurityPage
from mensajeria.desktop.windows.settings_page import SettingsPage

PAGES: Final = {
    "account": "user-circle",
    "appearance": "palette",
    "notifications": "bell",
    "privacy": "eye-slash",
    "security": "shield-check",
    "devices": "laptop",
    "data": "archive",
    "backup": "database",
    "invites": "ticket",
    "health": "info",
}
"""Name and icon of each page, in their order."""
_MAKERS: Final[dict[str, Callable[[UiContext, SessionModel], SettingsPage]]] = {
    "account": AccountPage,
    "appearance": lambda ui, _session: AppearancePage(ui),
    "notifications": NotificationsPage,
    "privacy": PrivacyPage,
    "security": SecurityPage,
    "renewal": RenewalPage,
    "devices": DevicesPage,
    "data": DataPage,
    "backup": BackupPage,
    "invites": InvitesPage,
    "health": HealthPage,
}
_ABOVE: Final = {"renewal": "security"}
"""Pages that the list does not name, and from which page one comes to them."""
NARROW: Final = 640
"""Below this width the list of pages shows icons only."""


class NavItem(PaintedButton):
    """A page of the list, 42 px high."""

    ring_radius = 10.0

    def __init__(self, ui: UiContext, page: str, icon: str) -> None:
        self._icon, self.compact = icon, False
        super().__init__(ui, f"settings.page.{page}")
        self.setCheckable(True)
        self.setFixedHeight(42)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def translate(self) -> None:
        """The words are the tooltip, too: a narrow list shows icons only."""
        super().translate()
        self.setToolTip(self.text())

    def sizeHint(self) -> QSize:
        """Icon, or icon and word."""
        return QSize(44 if self.compact else 180, 42)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002 - Qt's signature
        """Ground, icon, word."""
        painter, theme, on = self.start(), self.ui.theme, self.isChecked()
        if on or self.hovered:
            painter.setBrush(theme["accent_soft" if on else "hover"])
            painter.drawRoundedRect(QRectF(self.rect()), 10, 10)
        ink = theme["accent_text" if on else "text2"]
        icons.draw(painter, f"{self._icon}-fill" if on else self._icon, QRectF(12, 11, 20, 20), ink)
        if not self.compact:
            painter.setPen(theme["accent_text" if on else "text"])
            painter.setFont(fonts.font(fonts.BODY_STRONG if on else fonts.BODY_MEDIUM))
            box = QRectF(44, 0, self.width() - 48, self.height())
            painter.drawText(box, Qt.AlignmentFlag.AlignVCenter, self.text())


class Nav(QWidget):
    """The sunken column of pages."""

    def __init__(self, ui: UiContext) -> None:
        super().__init__()
        self._ui = ui
        ui.theme_changed.connect(self.update)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002 - Qt's signature
        """Ground, rounded at the card's corners."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self._ui.theme["surface_sunken"])
        painter.drawRoundedRect(QRectF(self.rect()), 12, 12)


class SettingsDialog(Dialog):
    """800 px wide, 660 high, or what the window has room for. A page is made when it is shown first."""

    log_out_wanted = pyqtSignal()

    def __init__(self, ui: UiContext, session: SessionModel, host: QWidget, page: str = "appearance") -> None:
        super().__init__(ui, host, "settings.title", width=800)
        self._session = session
        self.pages: dict[str, SettingsPage] = {}
        self.items = {name: NavItem(ui, name, icon) for name, icon in PAGES.items()}
        self._stack = QStackedWidget()
        self._page_title = Label(ui, role=fonts.HEADING)
        self._nav = Nav(ui)
        self._build(session)
        self.choose(page)

    @property
    def page(self) -> SettingsPage:
        """The page in front."""
        return next(page for page in self.pages.values() if page is self._stack.currentWidget())

    def choose(self, name: str) -> None:
        """Bring a page to the front."""
        page = self._page(name)
        self.items[_ABOVE.get(name, name)].setChecked(True)
        self._page_title.say(f"settings.page.{name}")
        self._stack.setCurrentWidget(page)
        page.shown()

    def _page(self, name: str) -> SettingsPage:
        if name not in self.pages:
            self.pages[name] = self._make(name)
            self._stack.addWidget(self.pages[name])
        return self.pages[name]

    def _make(self, name: str) -> SettingsPage:
        page = _MAKERS[name](self.ui, self._session)
        match page:
            case AccountPage():
                page.log_out_wanted.connect(self.log_out_wanted)
            case DataPage():
                page.backup_wanted.connect(lambda: self._lead_to("backup"))
            case SecurityPage():
                page.renewal_wanted.connect(lambda: self.choose("renewal"))
            case RenewalPage():
                page.left.connect(lambda: self._lead_to("security"))
            case _:
                pass
        return page

    def _lead_to(self, name: str) -> None:
        self.choose(name)
        self.items[name].setFocus(Qt.FocusReason.OtherFocusReason)

    def present(self, first: QWidget | None = None) -> None:
        """Show with the focus on the chosen page's item."""
        chosen = next(item for item in self.items.values() if item.isChecked())
        super().present(first or chosen)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Up and down walk the list of pages."""
        if isinstance(watched, NavItem) and isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            step = {Qt.Key.Key_Down: 1, Qt.Key.Key_Up: -1}.get(Qt.Key(event.key()), 0)
            if step:
                names = list(self.items)
                at = next(place for place, name in enumerate(names) if self.items[name] is watched)
                name = names[(at + step) % len(names)]
                self.items[name].setFocus(Qt.FocusReason.TabFocusReason)
                self.choose(name)
                return True
        return super().eventFilter(watched, event)

    def _build(self, session: SessionModel) -> None:
        column = QVBoxLayout(self._nav)
        column.setContentsMargins(8, 12, 8, 12)
        column.setSpacing(4)
        group = QButtonGroup(self)
        for name, item in self.items.items():
            group.addButton(item)
            item.clicked.connect(lambda _on, wanted=name: self.choose(wanted))
            item.installEventFilter(self)
            column.addWidget(item)
        column.addStretch(1)
        self._me = self._account(session)
        column.addWidget(self._me)
        right = QVBoxLayout()
        right.setSpacing(12)
        right.addWidget(self._page_title)
        right.addWidget(self._stack, 1)
        both = self._both = QHBoxLayout()
        both.addWidget(self._nav)
        both.addLayout(right, 1)
        self.card.column.addLayout(both, 1)

    def _account(self, session: SessionModel) -> QWidget:
        made = QWidget()
        row = QHBoxLayout(made)
        row.setContentsMargins(6, 6, 6, 0)
        row.setSpacing(10)
        account = session.account
        picture, lines = Avatar(self.ui, 36), QBoxLayout(QBoxLayout.Direction.TopToBottom)
        lines.setSpacing(0)
        name, server = ElidedLabel(self.ui, fonts.BODY_STRONG), ElidedLabel(self.ui, fonts.CAPTION, "text2")
        if account is not None:
            picture.show_person(account.shown_name, account.hue, who=account.uid)
            name.show_text(account.shown_name)
        server.show_text(session.connection.server.removeprefix("https://"))
        lines.addWidget(name)
        lines.addWidget(server)
        row.addWidget(picture)
        row.addLayout(lines, 1)
        return made

    def _place(self) -> None:
        width = min(800, self.width() - 32)
        height = min(660, self.height() - 32)
        compact = width < NARROW
        for item in self.items.values():
            item.compact = compact
            item.update()
        self.card.column.setContentsMargins(*((8, 20, 8, 12) if compact else (28, 24, 28, 28)))
        self._both.setSpacing(8 if compact else 20)
        self._nav.setFixedWidth(60 if compact else 224)
        self._me.setVisible(not compact)
        self.card.setGeometry((self.width() - width) // 2, (self.height() - height) // 2, width, height)
        self.update()
