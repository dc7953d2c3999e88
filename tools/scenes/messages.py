"""Timelines with everything that a message can have."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from PyQt6.QtCore import QPoint

from mensajeria.desktop.viewmodels.parts import (
    FilePhase,
    FileRow,
    QuoteKind,
    QuoteRow,
    ReactionRow,
    TransferRow,
    VersionRow,
)
from mensajeria.desktop.viewmodels.types import (
    MessageRow,
    MessageState,
    OpenedChat,
    Page,
    Person,
    Unreadable,
)
from scenes.chats import main_direct
from scenes.stage import CARMEN, LUCIA, PEOPLE, Scene, at, landscape, wait


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
