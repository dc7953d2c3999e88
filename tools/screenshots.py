"""Render every window in both themes and both languages, without a display, at scale 1.5.

    python tools/screenshots.py FOLDER [NAME ...]

Each picture is `<name>-<language>-<theme>.png`. The people and messages are made up (`scenes/`); the windows are the
real ones.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("QT_SCALE_FACTOR", "1.5")

from PyQt6.QtWidgets import QApplication, QMenu
from scenes import chats, messages, people, settings, sign_in
from scenes.stage import Scene, wait

from mensajeria.desktop.viewmodels.types import ThemeChoice
from mensajeria.desktop.widgets.emoji_picker import EmojiPicker

if TYPE_CHECKING:
    from collections.abc import Callable

SCENES: dict[str, Callable[[Scene], None]] = {
    "main": chats.main_direct,
    "main-group": messages.main_group,
    "attachments": messages.attachments,
    "message-menu": messages.message_menu,
    "emoji": messages.emoji,
    "message-hover": messages.message_hover,
    "message-delete": messages.delete_message,
    "message-info": messages.message_info,
    "timer": messages.timer,
    "login": sign_in.login,
    "login-kept": sign_in.login_kept,
    "login-wrong": sign_in.login_wrong,
    "recover": sign_in.recover,
    "reset": sign_in.reset,
    "began-anew": sign_in.began_anew,
    "register": sign_in.register,
    "link": sign_in.link,
    "recovery": sign_in.recovery,
    "recovery-unsure": sign_in.recovery_unsure,
    "offline": chats.offline,
    "empty": chats.empty,
    "no-chats": chats.no_chats,
    "narrow": chats.narrow,
    "request": chats.request,
    "toast": chats.toast,
    "new-chat": chats.new_chat,
    "jump": chats.jump,
    "settings": settings.settings,
    "shortcuts": chats.shortcuts,
    "search-chat": chats.search_chat,
    "settings-data": settings.settings_data,
    "settings-notifications": settings.settings_notifications,
    "muted": chats.muted,
    "log-out-erase": chats.log_out_erase,
    "log-out": chats.log_out,
    "report": chats.report,
    "report-review": chats.report_review,
    "blocked": chats.blocked,
    "menu": chats.menu,
    "focus": chats.focus,
    "new-group": people.new_group,
    "group-info": people.group_info,
    "group-without-owner": people.group_without_owner,
    "add-members": people.add_members,
    "edit-group": people.edit_group,
    "contact-info": people.contact_info,
    "verify": people.verify,
    "compare-emoji": people.compare_emoji,
    "settings-account": settings.settings_account,
    "settings-security": settings.settings_security,
    "settings-renewal": settings.settings_renewal,
    "renewal-unsure": settings.renewal_unsure,
    "settings-profile": settings.settings_profile,
    "profiles": chats.profiles,
    "settings-privacy": settings.settings_privacy,
    "settings-devices": settings.settings_devices,
    "settings-link": settings.settings_link,
    "settings-backup": settings.settings_backup,
    "settings-invites": settings.settings_invites,
    "settings-health": settings.settings_health,
    "narrow-info": people.narrow_info,
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
