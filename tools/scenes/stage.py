"""The made-up people, their chats, and the window that shows them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from PyQt6.QtCore import QBuffer, QEventLoop, QIODevice, QPointF, Qt, QTimer
from PyQt6.QtGui import QColor, QImage, QLinearGradient, QPainter, QPolygonF
from PyQt6.QtWidgets import QLineEdit

from mensajeria.client.i18n import Translator
from mensajeria.desktop.theme.context import UiContext
from mensajeria.desktop.viewmodels.session import SessionModel
from mensajeria.desktop.viewmodels.types import (
    ChatRow,
    ConnectionPhase,
    ConnectionState,
    MessageRow,
    MessageState,
    OpenedChat,
    Page,
    Person,
    Phase,
    Preferences,
    ThemeChoice,
)
from mensajeria.desktop.viewmodels.wording import Wording
from mensajeria.desktop.windows.app_window import AppWindow
from scenes.texts import TEXTS

ZONE = ZoneInfo("Europe/Madrid")
NOW = int(datetime(2026, 11, 24, 18, 9, tzinfo=ZONE).timestamp() * 1000)
CARMEN = Person("u0", "carmen", "Carmen Ruiz", 2)
LUCIA = Person("u1", "lucia", "Lucía Fernández", 3, verified=True)
PABLO = Person("u2", "pablo", "Pablo Quiroga", 6)
PEOPLE = {
    "teo": Person("u4", "teo", "Teo Aranda", 4),
    "ines": Person("u5", "ines", "Inés Leal", 0),
    "lucia": LUCIA,
}


def at(day: int, hour: int, minute: int) -> int:
    """A moment of November 2026, local time."""
    return int(datetime(2026, 11, day, hour, minute, tzinfo=ZONE).astimezone(UTC).timestamp() * 1000)


class Scene:
    """A session full of made-up data, and the window that shows it."""

    def __init__(self, language: str, theme: ThemeChoice) -> None:
        wording = Wording(Translator(language), lambda: NOW, ZONE)
        self.words = TEXTS[language]
        self.session = SessionModel(wording, Preferences(language=language, theme=theme))
        self.ui = UiContext(self.session)
        self.window = AppWindow(self.ui, self.session)
        self.window.show()

    def sign_in(self, width: int = 1180, height: int = 760) -> None:
        """Show the main window with its chats."""
        self.session.set_account(CARMEN)
        self.session.set_connection(ConnectionState(ConnectionPhase.ONLINE, "chat.ruiz.es"))
        self.session.put_chats(self.chats())
        self.session.set_phase(Phase.READY)
        self.window.resize(width, height)

    def chats(self) -> list[ChatRow]:
        """The chat list."""
        text, read = self.words, MessageState.READ
        rows = [
            ChatRow("c0", "Irene Paz", 5, "irene", text["hello"], time_ms=at(24, 18, 8), request=True, unread=1),
            ChatRow("c1", LUCIA.name, 3, "lucia", "🎉🎉", time_ms=at(24, 13, 3), unread=3, verified=True, online=True),
            ChatRow("c2", "Rosa Ruiz", 5, "rosa", text["sunday"], time_ms=at(24, 12, 40), unread=12),
            ChatRow("c3", "Diego Castaño", 2, "diego", text["minutes"], time_ms=at(24, 10, 8), unread=2, verified=True),
            ChatRow("c4", "Teo Aranda", 4, "teo", text["deploy"], time_ms=at(24, 9, 22), typing=True),
            ChatRow("c5", PABLO.name, 6, "pablo", text["sun"], time_ms=at(24, 8, 13), draft=text["draft"], online=True),
            ChatRow(
                "c6",
                "Ana Belén Soto",
                5,
                "ana",
                text["photo"],
                preview_outgoing=True,
                time_ms=at(23, 20, 1),
                last_state=read,
            ),
            ChatRow("c7", "Inés Leal", 0, "ines", text["book"], time_ms=at(23, 11, 30)),
            ChatRow(
                "c8",
                text["notes"],
                7,
                "carmen",
                text["key"],
                preview_outgoing=True,
                time_ms=at(21, 9, 0),
                note_to_self=True,
            ),
            ChatRow(
                "g0",
                "Ruta Picos de Europa",
                0,
                preview=text["way"],
                time_ms=at(24, 18, 3),
                group=True,
                members=5,
                author="Teo",
            ),
            ChatRow("c9", "Marcos Ibáñez", 1, "marcos", text["way"], time_ms=at(16, 9, 0), verified=True, online=True),
        ]
        return [replace(row, sort_ms=row.time_ms) for row in rows]

    def rows(self, person: Person, script: list[tuple[str, int, MessageState]]) -> list[MessageRow]:
        """Messages from (key of the text or emoji, time, state); ``NONE`` means that the other person wrote it."""
        made = []
        for number, (key, when, state) in enumerate(script):
            mine = state is not MessageState.NONE
            text = self.words.get(key, key)
            made.append(MessageRow(f"m{number}", number, CARMEN if mine else person, mine, when, text, state))
        return made

    def open(self, chat_id: str, rows: list[MessageRow], first_unread: str = "", unread: int = 0) -> None:
        """Open a chat with these rows."""
        self.session.open_chat(chat_id)
        page = Page(chat_id, tuple(rows), at_start=True, at_end=True)
        self.session.put_opened_chat(OpenedChat(page, first_unread, unread))

    def lucia(self) -> list[MessageRow]:
        """A chat of two days."""
        other, read = MessageState.NONE, MessageState.READ
        return self.rows(
            LUCIA,
            [
                ("link", at(23, 9, 49), read),
                ("bank", at(23, 9, 55), other),
                ("❤️", at(23, 9, 55), other),
                ("view", at(24, 12, 34), other),
                ("drink", at(24, 12, 36), read),
                ("sign", at(24, 13, 2), other),
                ("later", at(24, 13, 2), other),
                ("🎉🎉", at(24, 13, 3), other),
            ],
        )


def type_into(line: QLineEdit, text: str) -> None:
    """Fill a line as if it had been typed."""
    line.setText(text)
    line.textEdited.emit(text)


def wait(milliseconds: int) -> None:
    """Let the event loop run."""
    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()


def landscape(width: int = 320, height: int = 200) -> bytes:
    """A made-up photograph as a small JPEG."""
    image = QImage(width, height, QImage.Format.Format_RGB32)
    painter = QPainter(image)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    sky = QLinearGradient(0, 0, 0, height)
    for at_, colour in ((0.0, "#6C5B9E"), (0.45, "#E8A27C"), (0.6, "#F6CF9A"), (1.0, "#C98A9A")):
        sky.setColorAt(at_, QColor(colour))
    painter.fillRect(image.rect(), sky)
    painter.setPen(Qt.PenStyle.NoPen)
    for level, colour in ((0.55, "#A06C93"), (0.7, "#6B4C82"), (0.85, "#2E2348")):
        hill = QPolygonF([QPointF(0, height)])
        for step in range(9):
            rise = 0.12 * height * ((step * 37 + round(level * 50)) % 5) / 5
            hill.append(QPointF(step * width / 8, level * height - rise))
        hill.append(QPointF(width, height))
        painter.setBrush(QColor(colour))
        painter.drawPolygon(hill)
    painter.end()
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    image.save(buffer, "JPEG", 80)
    return buffer.data().data()
