"""Render every window in both themes and both languages, without a display, at scale 1.5.

    python tools/screenshots.py FOLDER [NAME ...]

Each picture is `<name>-<language>-<theme>.png`. The people and messages are made up; the windows are the real ones.
"""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("QT_SCALE_FACTOR", "1.5")

from PyQt6.QtCore import QBuffer, QEvent, QEventLoop, QIODevice, QPoint, QPointF, Qt, QTimer
from PyQt6.QtGui import QColor, QImage, QKeyEvent, QLinearGradient, QPainter, QPolygonF
from PyQt6.QtWidgets import QApplication, QLineEdit, QMenu

from mensajeria.client import qr_modules
from mensajeria.client.i18n import Translator
from mensajeria.desktop.theme.context import UiContext
from mensajeria.desktop.viewmodels.asking import (
    BackupInfo,
    ChatFound,
    ChatInfo,
    Comparison,
    Device,
    Devices,
    Found,
    HealthInfo,
    Invite,
    InviteMade,
    Invites,
    LinkMade,
    Member,
    PersonInfo,
    PrivacyIs,
    ProfileIs,
    ReportDrafted,
    SecurityLine,
    StorageIs,
)
from mensajeria.desktop.viewmodels.parts import (
    FilePhase,
    FileRow,
    QuoteKind,
    QuoteRow,
    ReactionRow,
    TransferRow,
    VersionRow,
)
from mensajeria.desktop.viewmodels.profiles import ProfileRow
from mensajeria.desktop.viewmodels.session import SessionModel
from mensajeria.desktop.viewmodels.types import (
    ChatRow,
    CheckState,
    ConnectionPhase,
    ConnectionState,
    ErrorNotice,
    LinkCheck,
    MessageRow,
    MessageState,
    NameCheck,
    OpenedChat,
    Page,
    PasswordStrength,
    Person,
    Phase,
    Preferences,
    ServerCheck,
    ServiceKind,
    ThemeChoice,
    Unreadable,
)
from mensajeria.desktop.viewmodels.wording import Wording
from mensajeria.desktop.widgets.emoji_picker import EmojiPicker
from mensajeria.desktop.windows.app_window import AppWindow
from mensajeria.desktop.windows.dialogs import NewChatDialog
from mensajeria.desktop.windows.group_dialogs import NewGroupDialog
from mensajeria.desktop.windows.report import ReportDialog
from mensajeria.kit.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Callable

    from mensajeria.desktop.viewmodels.asking import Request

ZONE = ZoneInfo("Europe/Madrid")
NOW = int(datetime(2026, 11, 24, 18, 9, tzinfo=ZONE).timestamp() * 1000)
CARMEN = Person("u0", "carmen", "Carmen Ruiz", 2)
LUCIA = Person("u1", "lucia", "Lucía Fernández", 3, verified=True)
PABLO = Person("u2", "pablo", "Pablo Quiroga", 6)

TEXTS = {
    "es": {
        "bank": "Genial, justo lo que necesitaba. El punto `4.2` lo cambio yo ahora mismo.",
        "view": "¡Qué envidia! Guárdame sitio para el jueves",
        "drink": "Hecho. Te espero con una horchata bien fría 🥤",
        "sign": "Por cierto, la gestoría ya me ha contestado: falta solo tu firma en la página dos y queda cerrado.",
        "later": "Te lo subo en un rato",
        "go": "¿Sales ya? El tren se adelanta diez minutos",
        "way": "Voy de camino, estoy en el metro",
        "seat": "Vale, te guardo sitio en el vagón 4 🚆",
        "sun": "Gracias, eres un sol",
        "tunnel": "Me he quedado sin cobertura, esto saldrá cuando vuelva",
        "without": "Si llego tarde, subid sin mí",
        "link": "Aquí está el plano de la estación: https://osm.org/go/b0Kx9",
        "draft": "Llego en diez minutos, espérame en",
        "key": "Clave wifi del taller: ya cambiada",
        "notes": "Notas para mí",
        "sunday": "¿Comemos el domingo en casa?",
        "minutes": "Te paso el acta de la reunión de noviembre",
        "deploy": "Despliegue terminado sin errores, todo en verde",
        "photo": "Qué foto tan buena 😍",
        "book": "Para el mes que viene propongo «Nada», de Laforet",
        "stove": "¿Quién trae el hornillo? 🔥",
        "stove_reply": "Yo llevo hornillo y una bombona nueva. ¿Cabe también la tienda de tres plazas o la dejo?",
        "pass": "Así estaba el collado el año pasado a estas horas",
        "track": "El track completo, con las fuentes marcadas:",
        "meet": "Cabe de sobra 🙌 Quedamos 7:10 en la gasolinera: https://osm.org/go/b0Kx9",
        "first_aid": "¡Apuntadme! Llevo también el botiquín y",
        "hello": "Hola, soy Irene, la del curso de cerámica",
    },
    "en": {
        "bank": "Great, just what I needed. I will change point `4.2` right now.",
        "view": "I am jealous! Keep me a seat for Thursday",
        "drink": "Done. A really cold horchata is waiting for you 🥤",
        "sign": "By the way, the office has answered: only your signature on page two is missing and we are done.",
        "later": "I will send it in a while",
        "go": "Are you leaving? The train comes ten minutes early",
        "way": "On my way, I am in the underground",
        "seat": "Fine, I will keep you a seat in coach 4 🚆",
        "sun": "Thank you, you are a star",
        "tunnel": "I have lost signal, this goes out when it is back",
        "without": "If I am late, get on without me",
        "link": "Here is the station map: https://osm.org/go/b0Kx9",
        "draft": "I will be there in ten minutes, wait for me at",
        "key": "Wifi key of the workshop: changed already",
        "notes": "Note to self",
        "sunday": "Lunch at home on Sunday?",
        "minutes": "Here are the minutes of the November meeting",
        "deploy": "Deployment finished without errors, all green",
        "photo": "What a great photo 😍",
        "book": "For next month I propose “Nada” by Laforet",
        "stove": "Who brings the stove? 🔥",
        "stove_reply": "I bring the stove and a new cartridge. Is there room for the big tent or do I leave it?",
        "pass": "This is what the pass looked like last year at this time",
        "track": "The whole track, with the springs marked:",
        "meet": "Plenty of room 🙌 We meet at 7:10 at the petrol station: https://osm.org/go/b0Kx9",
        "first_aid": "Count me in! I also bring the first-aid kit and",
        "hello": "Hi, I am Irene from the pottery course",
    },
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


def main_direct(scene: Scene) -> None:
    """A chat of two days with new messages."""
    scene.sign_in()
    scene.open("c1", scene.lucia(), "m5", 3)


def search_chat(scene: Scene) -> None:
    """Search inside a chat: three found, at the second."""
    scene.sign_in()
    scene.open("c1", scene.lucia())
    pane = scene.window.main.pane
    pane.search.open()
    word = {"es": "te", "en": "you"}[scene.session.preferences.language]
    type_into(pane.search.bar.search.line, word)
    wait(250)
    scene.session.asks.put(ChatFound("c1", word, (6, 5, 4)))
    pane.search.step(1)
    wait(600)


def report(scene: Scene) -> None:
    """A person is reported with two of their messages."""
    scene.sign_in()
    scene.open("c1", [replace(row, mid=f"{row.position:032x}") for row in scene.lucia()])
    scene.window.main.report("lucia")
    dialog = scene.window.main.dialog
    assert isinstance(dialog, ReportDialog)
    dialog.choices[f"{5:032x}"].setChecked(True)
    dialog.words.lines.setPlainText(scene.words["sunday"])
    dialog.block.setChecked(True)


def report_review(scene: Scene) -> None:
    """What would be sent, shown whole."""
    report(scene)
    dialog = scene.window.main.dialog
    assert isinstance(dialog, ReportDialog)
    asked: list[Request] = []
    scene.session.asks.asked.connect(asked.append)
    dialog.go.click()
    text = f"{scene.words['sunday']}\n\n2026-11-24T12:02:00Z lucia: {scene.words['sign']}"
    scene.session.asks.put(ReportDrafted("lucia", text))
    scene.session.asks.finish(asked[-1])


def blocked(scene: Scene) -> None:
    """A chat with somebody who is blocked."""
    scene.sign_in()
    row = next(row for row in scene.chats() if row.chat_id == "c1")
    scene.session.put_chats([replace(row, blocked=True, online=False, unread=0)])
    scene.open("c1", scene.lucia())


def log_out(scene: Scene) -> None:
    """What logging out means."""
    main_direct(scene)
    scene.window.main.log_out()
    scene.session.asks.put(BackupInfo(1, current=True, saved=40, pending=2, restoring=False))


def settings_notifications(scene: Scene) -> None:
    """How one is told of new messages."""
    main_direct(scene)
    scene.window.main.settings("notifications")


def muted(scene: Scene) -> None:
    """A muted chat: its marks in the list, and its panel."""
    scene.sign_in()
    row = next(row for row in scene.chats() if row.chat_id == "c1")
    scene.session.put_chats([replace(row, muted_until_ms=at(24, 22, 0))])
    scene.open("c1", scene.lucia())
    scene.window.main.toggle_info()
    scene.session.asks.put(ChatInfo("c1", person=PersonInfo(LUCIA, " ".join(["12345"] * 12), devices=2)))


def settings_data(scene: Scene) -> None:
    """What lies on this computer."""
    main_direct(scene)
    scene.window.main.settings("data")
    scene.session.asks.put(StorageIs("/home/carmen/.local/share/mensajeria/profile", 48_300_000))


PEOPLE = {
    "teo": Person("u4", "teo", "Teo Aranda", 4),
    "ines": Person("u5", "ines", "Inés Leal", 0),
    "lucia": LUCIA,
}


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


def group_rows(scene: Scene) -> list[MessageRow]:
    """A group with everything that a message can have."""
    say, none, photo = scene.words, MessageState.NONE, landscape()

    def row(number: int, person: Person, minute: int, text: str, **more: object) -> MessageRow:
        mine = person is CARMEN
        state = MessageState.DELIVERED if mine else none
        base = MessageRow(f"m{number}", number, person, mine, at(24, 17 + minute // 60, minute % 60), text, state)
        return replace(base, mid=f"{number:032x}", **more)  # type: ignore[arg-type]

    teo, ines, lucia = PEOPLE["teo"], PEOPLE["ines"], PEOPLE["lucia"]
    picture = FileRow("collado.jpg", "image/jpeg", 2_200_000, FilePhase.REMOTE, width=1600, height=900, thumb=photo)
    track = FileRow("ruta-picos-collado-2026.gpx", "application/gpx+xml", 284_000, FilePhase.SAVED)
    asked = QuoteRow("carmen", 2, outgoing=True, kind=QuoteKind.TEXT, text=say["stove"], position=0)
    loved = (ReactionRow("😍", 5, mine=True), ReactionRow("❤️", 3, mine=False))
    return [
        row(1, CARMEN, 57, "", file=picture, reactions=loved),
        row(2, ines, 58, "", file=replace(picture, name="b.jpg", phase=FilePhase.SAVED), reactions=loved),
        row(3, ines, 58, say["pass"]),
        row(4, teo, 63, say["track"], edited=True),
        row(5, teo, 63, "", file=track),
        row(6, lucia, 66, say["stove_reply"], quote=asked),
        row(7, CARMEN, 67, say["meet"], reactions=(ReactionRow("✅", 3, mine=False),)),
        row(8, teo, 67, "", unreadable=Unreadable.DELETED),
    ]


def main_group(scene: Scene) -> None:
    """A group: answers, reactions, a picture, a file, something deleted; and an answer being written."""
    scene.sign_in(1180, 900)
    scene.session.open_chat("g0")
    rows = group_rows(scene)
    page = Page("g0", tuple(rows), at_start=True, at_end=True)
    scene.session.put_opened_chat(OpenedChat(page, "m4", 5, group=True))
    scene.window.main.pane.composer.answer(rows[5])
    scene.window.main.pane.composer.editor.insertPlainText(scene.words["first_aid"])
    wait(800)  # the picture is decoded beside the window


def attachments(scene: Scene) -> None:
    """Files in every state, and two that wait to be sent."""
    scene.sign_in(1012, 900)
    photo = landscape()
    failed, none = MessageState.FAILED, MessageState.NONE
    picture = FileRow("a.jpg", "image/jpeg", 4_600_000, FilePhase.REMOTE, width=1600, height=1000, thumb=photo)
    plain = FileRow("", "application/octet-stream", 820_000, FilePhase.REMOTE)
    script = [
        (replace(picture, thumb=b"", blurhash="LEHV6nWB2yk8pyo0adR*.7kCMdnj"), none),
        (replace(plain, name="copia-servidor-2026-11-24.tar.zst", size=1_400_000_000), none),
        (replace(plain, name="acta-reunion-noviembre.pdf"), none),
        (replace(plain, name="inventario.xlsx", size=96_000, phase=FilePhase.SAVED), none),
        (replace(picture, size=2_200_000, phase=FilePhase.UPLOADING), MessageState.SENDING),
        (
            replace(plain, name="planos-oficina-v3.dwg", size=18_300_000, phase=FilePhase.UPLOADING),
            MessageState.SENDING,
        ),
        (replace(plain, name="video-montaje.mp4", phase=FilePhase.FAILED), failed),
    ]
    rows = [
        MessageRow(
            f"m{number}",
            number,
            CARMEN if state is not none else LUCIA,
            state is not none,
            at(24, 10, 2 + number),
            state=state,
            mid=f"{number:032x}",
            file=file,
        )
        for number, (file, state) in enumerate(script)
    ]
    scene.open("c1", rows)
    for number, done in ((2, 508_400), (4, 1_600_000), (5, 4_400_000)):
        file = script[number][0]
        moving = TransferRow(upload=script[number][1] is not none, done=done, total=file.size)
        scene.session.put_transfer("c1", f"{number:032x}", moving)
    folder = Path(tempfile.mkdtemp())
    (folder / "collado.jpg").write_bytes(photo)
    (folder / "presupuesto-2027.pdf").write_bytes(b"%PDF" * 5000)
    scene.window.main.pane.take_files([str(path) for path in sorted(folder.iterdir())])


def message_menu(scene: Scene) -> None:
    """The menu of an own message."""
    main_group(scene)
    wait(60)
    pane = scene.window.main.pane
    place = scene.session.timeline.find("m7")
    box = pane.timeline.visualRect(scene.session.timeline.index(place))
    pane.acts.show_menu(scene.session.timeline.rows[place], pane.timeline.mapToGlobal(QPoint(420, box.top() - 360)))


def emoji(scene: Scene) -> None:
    """All emoji, over the composer."""
    main_group(scene)
    wait(60)
    scene.window.main.pane.composer.choose_emoji()


def message_hover(scene: Scene) -> None:
    """The bar beside the message under the pointer."""
    main_group(scene)
    wait(60)
    timeline = scene.window.main.pane.timeline
    timeline._hover_over(scene.session.timeline.find("m6"))  # noqa: SLF001 - there is no pointer here


def delete_message(scene: Scene) -> None:
    """For whom is it to go?"""
    main_group(scene)
    scene.window.main.pane.acts.delete(scene.session.timeline.rows[-2])


def message_info(scene: Scene) -> None:
    """What is known of a message."""
    main_group(scene)
    acts = scene.window.main.pane.acts
    acts.show_info(replace(scene.session.timeline.rows[-2], edited=True, expire_s=86_400))
    versions = (VersionRow(scene.words["track"], at(24, 18, 1)), VersionRow("", at(24, 18, 7)))
    scene.session.messages.put_versions(f"{7:032x}", versions)


def timer(scene: Scene) -> None:
    """Disappearing messages."""
    main_direct(scene)
    scene.session.messages.put_timer("c1", 3600)
    scene.window.main.pane.choose_timer()


def login(scene: Scene) -> None:
    """The login page, filled in."""
    scene.window.resize(960, 640)
    page = scene.window.auth.login
    page.server.show_address("chat.ruiz.es")
    scene.session.set_server_check(ServerCheck("chat.ruiz.es", CheckState.OK, "0.1.0", registration_open=True))
    page.handle.line.setText("carmen")
    page.password.line.setText("correct horse battery")
    page.password.line.setFocus()


def login_wrong(scene: Scene) -> None:
    """The login page after a wrong password."""
    login(scene)
    scene.session.fail_auth(ErrorNotice("bad_credentials"))


def recover(scene: Scene) -> None:
    """The page for people without their password, filled in."""
    login(scene)
    scene.window.resize(960, 800)
    scene.window.auth.show_recover()
    page = scene.window.auth.recover
    page.code.line.setText("7KQ4-M2XW-9RTD-H3BC-61ZF-VN8E-YP5J-A0GS-K")
    type_into(page.password.line, "girasol tranvía 47 niebla")
    asked = Secret.from_text("girasol tranvía 47 niebla")
    scene.session.check_password(asked, "carmen")
    scene.session.set_password_strength(asked, PasswordStrength(4, "", accepted=True))
    type_into(page.chosen.repeat.line, "girasol tranvía 47 niebla")


def link(scene: Scene) -> None:
    """The page for a new device, filled in."""
    scene.window.resize(960, 640)
    scene.window.auth.show_link()
    page = scene.window.auth.link
    code = Secret.from_text("mensajeria-link:" + "hKN1cmy1aHR0cHM6Ly9jaGF0" * 14)
    page.code.line.setText(code.reveal_text())
    scene.session.check_link(code)
    scene.session.set_link_check(code, LinkCheck(CheckState.OK, "https://chat.ruiz.es", "carmen"))
    page.password.line.setText("girasol tranvía 47 niebla")


def register(scene: Scene) -> None:
    """The registration page with a taken name."""
    scene.window.auth.show_register()
    page = scene.window.auth.register
    page.server.show_address("chat.ruiz.es")
    scene.session.set_server_check(ServerCheck("chat.ruiz.es", CheckState.OK, "0.1.0", registration_open=True))
    type_into(page.handle.line, "carmen")
    scene.session.check_name("chat.ruiz.es", "carmen")
    names = ("carmen.ruiz", "carmen_r")
    scene.session.set_name_check(NameCheck("carmen", CheckState.BAD, names, "handle_taken"))
    for field in (page.repeat, page.password):
        type_into(field.line, "trigo nube farol")
    secret = Secret.from_text("trigo nube farol")
    scene.session.check_password(secret, "carmen")
    strength = PasswordStrength(3, "password.advice.one_more_word", accepted=True)
    scene.session.set_password_strength(secret, strength)
    page.password.line.setFocus()


def recovery(scene: Scene) -> None:
    """The recovery code."""
    scene.session.set_account(CARMEN)
    scene.session.set_recovery_code(Secret.from_text("7K2M-9QXD-4TRB-0HVN-6PWE-3ZJF-8GAC-5SYK"))
    scene.window.auth.recovery.saved.setChecked(True)


def offline(scene: Scene) -> None:
    """No connection, a changed identity, messages waiting and one that failed."""
    scene.sign_in()
    scene.session.put_chats([replace(scene.session.chats.find("c5") or scene.chats()[5], identity_changed=True)])
    state = ConnectionState(ConnectionPhase.OFFLINE, "chat.ruiz.es", retry_at_ms=NOW + 8000)
    scene.session.set_connection(state)
    sending, none = MessageState.SENDING, MessageState.NONE
    rows = scene.rows(
        PABLO,
        [
            ("go", at(24, 8, 12), none),
            ("way", at(24, 8, 13), MessageState.READ),
            ("seat", at(24, 8, 13), none),
            ("sun", at(24, 8, 14), MessageState.DELIVERED),
            ("", at(24, 8, 20), none),
            ("tunnel", at(24, 8, 21), sending),
            ("without", at(24, 8, 22), sending),
            ("link", at(24, 8, 23), MessageState.FAILED),
        ],
    )
    rows[4] = replace(rows[4], service=ServiceKind.IDENTITY_CHANGED, service_params={"name": "Pablo"})
    scene.open("c5", rows)


def empty(scene: Scene) -> None:
    """No chat is open."""
    scene.sign_in()


def no_chats(scene: Scene) -> None:
    """A new account."""
    scene.session.set_account(CARMEN)
    scene.session.set_connection(ConnectionState(ConnectionPhase.ONLINE, "chat.ruiz.es"))
    scene.session.set_phase(Phase.READY)
    scene.window.resize(1180, 760)


def narrow(scene: Scene) -> None:
    """One pane."""
    scene.sign_in(440, 760)
    scene.open("c1", scene.lucia(), "m5", 3)


def request(scene: Scene) -> None:
    """A stranger asks."""
    scene.sign_in()
    irene = Person("u3", "irene", "Irene Paz", 5)
    rows = scene.rows(irene, [("hello", at(24, 18, 8), MessageState.NONE), ("🙂", at(24, 18, 8), MessageState.NONE)])
    rows.append(replace(rows[0], key="x", position=9, text="", unreadable=Unreadable.WAITING))
    scene.open("c0", rows)


def toast(scene: Scene) -> None:
    """A short word."""
    main_direct(scene)
    scene.window.main.pane.told.emit(scene.ui.say("message.copied"))


def new_chat(scene: Scene) -> None:
    """A name that nobody has."""
    scene.sign_in()
    scene.window.main.new_chat()
    dialog = scene.window.main.dialog
    if isinstance(dialog, NewChatDialog):
        type_into(dialog.field.line, "brunno")
    scene.session.finish_new_chat("", "unknown_user")


def jump(scene: Scene) -> None:
    """The way to a chat by letters."""
    main_direct(scene)
    scene.window.main.jump()


def settings(scene: Scene) -> None:
    """The settings."""
    main_direct(scene)
    scene.window.main.settings()


def shortcuts(scene: Scene) -> None:
    """The keys."""
    main_direct(scene)
    scene.window.main.shortcuts()


def menu(scene: Scene) -> None:
    """The menu."""
    main_direct(scene)
    scene.window.main.sidebar.menu.click()


def new_group(scene: Scene) -> None:
    """A group of two people so far."""
    scene.sign_in()
    scene.window.main.new_group()
    dialog = scene.window.main.dialog
    if isinstance(dialog, NewGroupDialog):
        type_into(dialog.name.line, "Ruta Picos de Europa")
        for person in (LUCIA, PABLO):
            type_into(dialog.people.field.line, person.handle)
            scene.session.asks.put(Found(person.handle, person))
            dialog.people.take()


def group_info(scene: Scene) -> None:
    """The panel of a group."""
    scene.sign_in()
    teo, ines = Person("u4", "teo", "Teo Aranda", 4), Person("u5", "ines", "Inés Llorente", 0, verified=True)
    rows = scene.rows(teo, [("go", at(24, 18, 1), MessageState.NONE), ("seat", at(24, 18, 2), MessageState.READ)])
    scene.open("g0", rows)
    scene.window.main.toggle_info()
    members = (
        Member(CARMEN, "owner", me=True),
        Member(LUCIA, "admin"),
        Member(teo, "member"),
        Member(ines, "member"),
        Member(PABLO, "member"),
    )
    lines = (SecurityLine(at(3, 10, 0), "membership", {"type": "create", "by": "carmen", "who": "lucia, teo"}),)
    scene.session.asks.put(ChatInfo("g0", members, "owner", timeline=lines))


def add_members(scene: Scene) -> None:
    """People for a group, and how much of the past they may read."""
    group_info(scene)
    scene.window.main.info.add_wanted.emit("g0")


def edit_group(scene: Scene) -> None:
    """Name and description of a group."""
    group_info(scene)
    scene.window.main.info.rename_wanted.emit("g0")


def person_info() -> PersonInfo:
    """What is known of Pablo."""
    number = "30741 88256 90413 77268 19055 47230 91846 22703 56948 81732 50416 69352"
    return PersonInfo(PABLO, number, devices=2, code=qr_modules("mensajeria-verify:1#" + "A7x0-" * 30))


def contact_info(scene: Scene) -> None:
    """The panel of a person."""
    scene.sign_in()
    scene.open("c5", scene.rows(PABLO, [("go", at(24, 8, 12), MessageState.NONE)]))
    scene.window.main.toggle_info()
    lines = (
        SecurityLine(at(23, 20, 1), "device_added", {"name": "pablo", "device": "portátil"}),
        SecurityLine(at(21, 9, 0), "identity_changed", {"name": "pablo"}),
    )
    scene.session.asks.put(ChatInfo("c5", person=person_info(), timeline=lines))


def verify(scene: Scene) -> None:
    """Number and code."""
    scene.sign_in()
    scene.open("c5", scene.rows(PABLO, [("go", at(24, 8, 12), MessageState.NONE)]))
    scene.window.main.verify("pablo")
    scene.session.asks.put(person_info())


def compare_emoji(scene: Scene) -> None:
    """Emoji to compare."""
    verify(scene)
    emoji = (
        ("🐶", "dog"),
        ("⚓", "anchor"),
        ("🎧", "headphones"),
        ("📁", "folder"),
        ("📌", "pin"),
        ("🐱", "cat"),
        ("🦁", "lion"),
    )
    scene.session.asks.put(Comparison(PABLO, "comparing", emoji))


def settings_devices(scene: Scene) -> None:
    """The own devices, one of them new."""
    main_direct(scene)
    scene.window.main.settings("devices")
    rows = (
        Device("d1", "portátil", at(3, 9, 0), NOW, current=True, is_new=False),
        Device("d2", "móvil", at(24, 17, 50), NOW, current=False, is_new=True),
    )
    scene.session.asks.put(Devices(rows))


def settings_link(scene: Scene) -> None:
    """The code for a new device."""
    settings_devices(scene)
    text = "mensajeria-link:" + "hKN1cmy1aHR0cHM6Ly9jaGF0" * 14
    scene.session.asks.put(LinkMade(Secret.from_text(text), qr_modules(text), NOW + 600_000))


def settings_privacy(scene: Scene) -> None:
    """What others are let notice."""
    main_direct(scene)
    scene.window.main.settings("privacy")
    scene.session.asks.put(PrivacyIs())


def settings_account(scene: Scene) -> None:
    """Password and recovery."""
    main_direct(scene)
    scene.window.main.settings("account")


def profiles(scene: Scene) -> None:
    """Pictures in the list, the header, the panel and a group's timeline; name and status in the panel."""
    contact_info(scene)
    chosen = {"c1": LUCIA, "c5": PABLO}
    rows = [replace(row, peer=chosen[row.chat_id].uid) for row in scene.chats() if row.chat_id in chosen]
    group = next(row for row in scene.chats() if row.group)
    scene.session.put_chats([*rows, replace(group, picture=landscape(128, 128))])
    status = {"es": "Hoy, en bici", "en": "On my bike today"}[scene.ui.translator.language]
    shown = [ProfileRow(PABLO.uid, "Pablo Ferrer", status, landscape(256, 256)), ProfileRow(LUCIA.uid, "Lucía")]
    scene.session.profiles.put(shown)


def settings_profile(scene: Scene) -> None:
    """The own profile."""
    profiles(scene)
    me = scene.session.account
    assert me is not None
    scene.session.profiles.put([ProfileRow(me.uid, picture=landscape(256, 256))])
    scene.window.main.settings("account")
    status = {"es": "De vacaciones", "en": "On holiday"}[scene.ui.translator.language]
    scene.session.asks.put(ProfileIs("Carmen Vidal", status, has_picture=True))


def settings_backup(scene: Scene) -> None:
    """Keys on the server, a file."""
    main_direct(scene)
    scene.window.main.settings("backup")
    status = BackupInfo(1, current=True, saved=412, pending=0, restoring=False, used=2_400_000, quota=50_000_000)
    scene.session.asks.put(status)


def settings_invites(scene: Scene) -> None:
    """A new link and former ones."""
    main_direct(scene)
    scene.window.main.settings("invites")
    rows = (Invite(2, 1, at(28, 9, 0), "valid", ()), Invite(1, 0, at(20, 9, 0), "used", ("pablo",)))
    scene.session.asks.put(InviteMade(Secret.from_text("https://chat.ruiz.es/i#AbCd" + "x7Q_" * 30)))
    scene.session.asks.put(Invites(rows))


def settings_health(scene: Scene) -> None:
    """What does not work."""
    main_direct(scene)
    scene.window.main.settings("health")
    scene.session.asks.put(
        HealthInfo(well=False, counts=(("waiting", 3), ("sessions_missing", 1), ("healed_author", 8)))
    )


def narrow_info(scene: Scene) -> None:
    """The panel over the chat."""
    group_info(scene)
    scene.window.resize(900, 700)


def focus(scene: Scene) -> None:
    """The focus ring."""
    main_direct(scene)
    pressed = QKeyEvent(QEvent.Type.KeyPress, Qt.Key.Key_Shift, Qt.KeyboardModifier.NoModifier)
    QApplication.sendEvent(scene.window, pressed)
    scene.window.main.sidebar.new_chat.setFocus(Qt.FocusReason.TabFocusReason)


SCENES: dict[str, Callable[[Scene], None]] = {
    "main": main_direct,
    "main-group": main_group,
    "attachments": attachments,
    "message-menu": message_menu,
    "emoji": emoji,
    "message-hover": message_hover,
    "message-delete": delete_message,
    "message-info": message_info,
    "timer": timer,
    "login": login,
    "login-wrong": login_wrong,
    "recover": recover,
    "register": register,
    "link": link,
    "recovery": recovery,
    "offline": offline,
    "empty": empty,
    "no-chats": no_chats,
    "narrow": narrow,
    "request": request,
    "toast": toast,
    "new-chat": new_chat,
    "jump": jump,
    "settings": settings,
    "shortcuts": shortcuts,
    "search-chat": search_chat,
    "settings-data": settings_data,
    "settings-notifications": settings_notifications,
    "muted": muted,
    "log-out": log_out,
    "report": report,
    "report-review": report_review,
    "blocked": blocked,
    "menu": menu,
    "focus": focus,
    "new-group": new_group,
    "group-info": group_info,
    "add-members": add_members,
    "edit-group": edit_group,
    "contact-info": contact_info,
    "verify": verify,
    "compare-emoji": compare_emoji,
    "settings-account": settings_account,
    "settings-profile": settings_profile,
    "profiles": profiles,
    "settings-privacy": settings_privacy,
    "settings-devices": settings_devices,
    "settings-link": settings_link,
    "settings-backup": settings_backup,
    "settings-invites": settings_invites,
    "settings-health": settings_health,
    "narrow-info": narrow_info,
}


def render(folder: Path, name: str, language: str, theme: ThemeChoice) -> None:
    """Set the scene, let it settle, and write the picture; an open menu is painted over it."""
    scene = Scene(language, theme)
    SCENES[name](scene)
    wait(60)
    picture = scene.window.grab()
    popups = (*scene.window.findChildren(QMenu), *scene.window.findChildren(EmojiPicker))
    for popup in (each for each in popups if each.isVisible()):
        popup.render(picture, popup.pos() - scene.window.pos())
        popup.close()
    picture.save(str(folder / f"{name}-{language}-{theme.value}.png"))
    scene.window.hide()
    scene.window.deleteLater()


def main(arguments: list[str]) -> int:
    """Render all windows, or those that are named, into a folder."""
    if not arguments:
        print(__doc__)
        return 2
    folder = Path(arguments[0])
    folder.mkdir(parents=True, exist_ok=True)
    app = QApplication([])
    app.setStyle("Fusion")
    names = arguments[1:] or list(SCENES)
    for name in names:
        for language in ("es", "en"):
            for theme in (ThemeChoice.LIGHT, ThemeChoice.DARK):
                render(folder, name, language, theme)
    print(f"{len(names) * 4} pictures in {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
