"""Groups, contacts and verification."""

from __future__ import annotations

from mensajeria.client import qr_modules
from mensajeria.desktop.viewmodels.asking import (
    ChatInfo,
    Comparison,
    Found,
    Member,
    PersonInfo,
    SecurityLine,
)
from mensajeria.desktop.viewmodels.types import (
    MessageState,
    Person,
)
from mensajeria.desktop.windows.group_dialogs import NewGroupDialog
from scenes.stage import CARMEN, LUCIA, PABLO, Scene, at, type_into


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


def group_without_owner(scene: Scene) -> None:
    """Its owner has begun anew: the group knows a former identity."""
    group_info(scene)
    members = (Member(LUCIA, "owner", former_identity=True), Member(CARMEN, "member", me=True), Member(PABLO, "member"))
    scene.session.asks.put(ChatInfo("g0", members, "member"))


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


def narrow_info(scene: Scene) -> None:
    """The panel over the chat."""
    group_info(scene)
    scene.window.resize(900, 700)
