"""An open chat in the real window, and how tests point into it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from PyQt6.QtCore import QPoint, QPointF
from PyQt6.QtGui import QDesktopServices

from mensajeria.desktop.viewmodels.parts import (
    FilePhase,
    FileRow,
)
from mensajeria.desktop.viewmodels.types import MessageRow
from tests.desktop.material import chat, incoming, opened, outgoing

if TYPE_CHECKING:
    from mensajeria.desktop.viewmodels.session import SessionModel
    from mensajeria.desktop.windows.app_window import AppWindow
    from mensajeria.desktop.windows.chat_pane import ChatPane


FILE = FileRow("acta.pdf", "application/pdf", 820_000, FilePhase.REMOTE)


def with_mid(row: MessageRow, **more: object) -> MessageRow:
    return replace(row, mid=f"{row.position % 1000:032x}", **more)  # type: ignore[arg-type]


@pytest.fixture
def pane(signed_in: AppWindow, session: SessionModel) -> ChatPane:
    """An open chat with a message of Bruno's and an own one."""
    session.put_chats([chat("c", "Bruno")])
    session.open_chat("c")
    show(session, with_mid(incoming(1, "¿Vienes?")), with_mid(outgoing(2, "Voy")))
    return signed_in.main.pane


def show(session: SessionModel, *rows: MessageRow) -> None:
    session.put_opened_chat(opened("c", list(rows)))


def spot(pane: ChatPane, place: int, at: QPointF) -> QPoint:
    """A point of a row in the viewport."""
    view = pane.timeline
    view.executeDelayedItemsLayout()
    top = view.visualRect(pane._session.timeline.index(place)).topLeft()
    slack = view._delegate.slack if place == 0 else 0.0
    return (QPointF(top) + QPointF(0, slack) + at).toPoint()


class Opener:
    """Stands for the system's programs."""

    def __init__(self) -> None:
        self.opened: list[str] = []


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> Opener:
    made = Opener()
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: made.opened.append(url.toLocalFile()))
    return made
