"""Where a person's profile lies when nobody says otherwise."""

from __future__ import annotations

from pathlib import Path

import platformdirs


def default_profile() -> Path:
    """The user's own data folder, e.g. ~/.local/share/mensajeria/profile."""
    return Path(platformdirs.user_data_dir("mensajeria", appauthor=False)) / "profile"
