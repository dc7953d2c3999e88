"""The window before the main one: brand panel at the left, login, registration or recovery code at the right."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from PyQt6.QtCore import QSize, Qt
from PyQt6.QtGui import QPainter, QPaintEvent, QResizeEvent
from PyQt6.QtWidgets import QHBoxLayout, QStackedWidget, QVBoxLayout, QWidget

from mensajeria.desktop.viewmodels.types import Phase
from mensajeria.desktop.widgets.brand import BrandPanel
from mensajeria.desktop.widgets.toast import Toast
from mensajeria.desktop.windows.forms import CornerBar, Page
from mensajeria.desktop.windows.group_dialogs import ConfirmDialog
from mensajeria.desktop.windows.link import LinkPage
from mensajeria.desktop.windows.login import LoginPage
from mensajeria.desktop.windows.recover import ByCodePage, RecoverPage
from mensajeria.desktop.windows.recovery import RecoveryPage
from mensajeria.desktop.windows.register import RegisterPage
from mensajeria.desktop.windows.reset import ResetPage

if TYPE_CHECKING:
    from mensajeria.desktop.theme.context import UiContext
    from mensajeria.desktop.viewmodels.session import SessionModel

P = TypeVar("P", bound=Page)
_BRAND_FROM = 780
"""Narrower windows show the form only."""


class AuthWindow(QWidget):
    """Login and registration share the server's address and the name. Pages but the first are made when first shown."""

    def __init__(self, ui: UiContext, session: SessionModel, parent: QWidget) -> None:
        super().__init__(parent)
        self._ui, self._session = ui, session
        self.brand = BrandPanel(ui, "brand.login")
        self.corner = CornerBar(ui)
        self.pages = QStackedWidget()
        self._made: list[Page] = []
        self.login = self._put(LoginPage(ui, session))
        right = QVBoxLayout()
        right.setContentsMargins(16, 18, 20, 0)
        right.addWidget(self.corner)
        right.addWidget(self.pages, 1)
        whole = QHBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(0)
        whole.addWidget(self.brand)
        whole.addLayout(right, 1)
        self.toast = Toast(ui, self, 24)
        self.dialog: ConfirmDialog | None = None
        self.login.other_wanted.connect(self.show_register)
        self.login.erase_wanted.connect(self._ask_to_erase)
        session.erased.connect(self._erased)
        self.login.recover_wanted.connect(self.show_recover)
        self.login.link_wanted.connect(self.show_link)
        session.phase_changed.connect(self.follow)
        ui.theme_changed.connect(self.update)

    @cached_property
    def register(self) -> RegisterPage:
        """The page for a new account."""
        page = self._put(RegisterPage(self._ui, self._session))
        page.other_wanted.connect(self.show_login)
        return page

    @cached_property
    def recover(self) -> RecoverPage:
        """The page for people without their password."""
        page = self._put(RecoverPage(self._ui, self._session))
        page.other_wanted.connect(self.show_login)
        page.reset_wanted.connect(self.show_reset)
        return page

    @cached_property
    def reset(self) -> ResetPage:
        """The page for people without password and recovery code."""
        page = self._put(ResetPage(self._ui, self._session))
        page.other_wanted.connect(self.show_recover)
        return page

    @cached_property
    def link(self) -> LinkPage:
        """The page on which this computer is linked to an account."""
        page = self._put(LinkPage(self._ui, self._session))
        page.other_wanted.connect(self.show_login)
        return page

    @cached_property
    def recovery(self) -> RecoveryPage:
        """The page with a new recovery code."""
        page = self._put(RecoveryPage(self._ui, self._session))
        page.told.connect(lambda text, good: self.toast.tell(text, good=good))
        return page

    def _put(self, page: P) -> P:
        self.pages.addWidget(page)
        self._made.append(page)
        return page

    def sizeHint(self) -> QSize:
        """Room for the longer form."""
        return QSize(960, 760)

    def show_login(self) -> None:
        """Show the login page."""
        left = self.pages.currentWidget()
        if isinstance(left, RecoverPage | RegisterPage):
            self._carry(left.handle.text, left.server.address, self.login)
        self.pages.setCurrentWidget(self.login)
        self.brand.set_slogan("brand.login")
        self._begin(self.login)

    def show_register(self) -> None:
        """Show the registration page."""
        self._carry(self.login.handle.text, self.login.server.address, self.register)
        self.pages.setCurrentWidget(self.register)
        self.brand.set_slogan("brand.register")
        self._begin(self.register)

    def show_recover(self) -> None:
        """Show the page for people without their password."""
        current = self.pages.currentWidget()
        left = current if isinstance(current, ResetPage) else self.login
        self._carry(left.handle.text, left.server.address, self.recover)
        self.pages.setCurrentWidget(self.recover)
        self.brand.set_slogan("brand.recovery")
        self._begin(self.recover)

    def show_reset(self) -> None:
        """Show the page for people without password and recovery code."""
        self._carry(self.recover.handle.text, self.recover.server.address, self.reset)
        self.pages.setCurrentWidget(self.reset)
        self.brand.set_slogan("brand.login")
        self._begin(self.reset)

    def show_link(self) -> None:
        """Show the page on which this computer is linked to an account by the code of another device."""
        self.pages.setCurrentWidget(self.link)
        self.brand.set_slogan("brand.login")
        self.link.code.line.setFocus(Qt.FocusReason.OtherFocusReason)

    def _carry(self, handle: str, address: str, page: LoginPage | RegisterPage | ByCodePage) -> None:
        page.handle.line.setText(handle)
        if address:
            page.server.show_address(address)

    def _begin(self, page: LoginPage | RegisterPage | ByCodePage) -> None:
        middle = (page.code,) if isinstance(page, ByCodePage) else ()
        fields = (page.server, page.handle, *middle, page.password)
        first = next((field for field in fields if not field.text), page.password)
        first.line.setFocus(Qt.FocusReason.OtherFocusReason)

    def _ask_to_erase(self) -> None:
        account = self._session.account
        if account is not None and self.dialog is None:
            self.dialog = ConfirmDialog(self._ui, self, "erase", name=account.handle)
            self.dialog.confirmed.connect(self._session.erase)
            self.dialog.closed.connect(self._forget_dialog)
            self.dialog.present(self.dialog.cancel)

    def _forget_dialog(self) -> None:
        self.dialog = None

    def _erased(self) -> None:
        self.login.set_kept(kept=False)
        for field in (self.login.handle, self.login.password):
            field.line.clear()

    def follow(self, phase: Phase) -> None:
        """Bring the page of this phase to the front; what was typed into the others is wiped."""
        if phase is not Phase.SIGNED_OUT:
            for page in self._made:
                page.wipe()
        if phase is Phase.RECOVERY_CODE:
            self.brand.set_slogan("brand.recovery")
            self.pages.setCurrentWidget(self.recovery)
            self.recovery.copy.setFocus(Qt.FocusReason.OtherFocusReason)
        elif phase is Phase.SIGNED_OUT:
            self.show_login()
            self.login.set_kept(kept=self._session.account is not None)
            if (account := self._session.account) is not None:  # who was here may come back with a password only
                self._carry(account.handle, self._session.connection.server, self.login)
                self._begin(self.login)
        if "recovery" in vars(self):
            self.recovery.refresh()

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """The panel gives way to the form."""
        super().resizeEvent(event)
        self.brand.setVisible(self.width() >= _BRAND_FROM)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002 - Qt's signature
        """The window's ground."""
        QPainter(self).fillRect(self.rect(), self._ui.theme["bg_window"])
