"""The settings file of a profile's window: `desktop.json`. Lost or damaged, it costs the settings and nothing else."""

from __future__ import annotations

import json
import logging
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mensajeria.client.i18n import LANGUAGES
from mensajeria.desktop.viewmodels.types import TEXT_SIZES, Preferences, ThemeChoice, Told

if TYPE_CHECKING:
    from collections.abc import Callable

FILE_NAME: Final = "desktop.json"
MAX_BYTES: Final = 64 << 10
_log = logging.getLogger(__name__)

_READERS: Final[dict[str, Callable[[Any], Any]]] = {
    "language": lambda value: value if value in LANGUAGES else None,
    "theme": lambda value: ThemeChoice(value) if value in [choice.value for choice in ThemeChoice] else None,
    "text_size": lambda value: value if type(value) is int and value in TEXT_SIZES else None,
    "reduce_motion": lambda value: value if isinstance(value, bool) else None,
    "enter_sends": lambda value: value if isinstance(value, bool) else None,
    "notify": lambda value: value if isinstance(value, bool) else None,
    "told": lambda value: Told(value) if value in [told.value for told in Told] else None,
    "do_not_disturb": lambda value: value if isinstance(value, bool) else None,
}


def load(folder: Path, defaults: Preferences) -> Preferences:
    """Settings kept in `folder`; each one that is missing or makes no sense is the default's."""
    stored = _read(folder / FILE_NAME)
    known = {name: reader(stored[name]) for name, reader in _READERS.items() if name in stored}
    return replace(defaults, **{name: value for name, value in known.items() if value is not None})


def save(folder: Path, preferences: Preferences) -> None:
    """Keep settings in `folder`, all or nothing. A disk that cannot take them is logged, not raised."""
    values = {
        "language": preferences.language,
        "theme": preferences.theme.value,
        "text_size": preferences.text_size,
        "reduce_motion": preferences.reduce_motion,
        "enter_sends": preferences.enter_sends,
        "notify": preferences.notify,
        "told": preferences.told.value,
        "do_not_disturb": preferences.do_not_disturb,
    }
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _replace(folder / FILE_NAME, json.dumps(values, indent=2) + "\n")
    except OSError as error:
        _log.warning("the settings cannot be kept: %s", error.strerror)


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as handle:
            data = handle.read(MAX_BYTES + 1)
        values = json.loads(data) if len(data) <= MAX_BYTES else {}
    except (OSError, ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}


def _replace(path: Path, text: str) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".desktop-")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
            handle.write(text)
        Path(temporary).replace(path)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise
