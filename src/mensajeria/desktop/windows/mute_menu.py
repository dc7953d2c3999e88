"""For how long a chat is not told of: a menu under the button that opens it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from PyQt6.QtCore import QPoint

from mensajeria.desktop.viewmodels.asking import Mute
from mensajeria.desktop.widgets.menu import Menu

if TYPE_CHECKING:
    from PyQt6.QtWidgets import QWidget

    from mensajeria.desktop.theme.context import UiContext
    from mensajeria.desktop.viewmodels.session import SessionModel
    from mensajeria.desktop.viewmodels.types import ChatRow

LENGTHS: Final[dict[str, int | None]] = {"hour": 3600, "eight_hours": 8 * 3600, "week": 7 * 86_400, "undone": None}


def show_mute_menu(ui: UiContext, session: SessionModel, row: ChatRow, button: QWidget) -> None:
    """Offer the lengths, and the end of a mute that is in force."""
    menu = Menu(ui, button)
    if ui.wording.is_muted(row):
        menu.add("mute.off", "bell", partial(session.asks.ask, Mute(row.chat_id, 0)))
        menu.addSeparator()
    for name, length in LENGTHS.items():
        menu.add(f"mute.{name}", "bell-slash", partial(session.asks.ask, Mute(row.chat_id, length)))
    menu.popup(button.mapToGlobal(QPoint(0, button.height() + 4)))
