"""Version 2 of the tables, one part for each subject."""

from __future__ import annotations

from typing import Final

# Not released yet: each subject's tables stand in a constant of their own, in this order.
_GROUPS: Final = ""
_KINDS: Final = ""
_BACKUP: Final = ""
_HEALING: Final = ""
_TRUST: Final = ""
_KEY_LOG: Final = ""
_FILES: Final = ""

_PARTS: Final = (_GROUPS, _KINDS, _BACKUP, _HEALING, _TRUST, _KEY_LOG, _FILES)
V2: Final = "\n".join(_PARTS)
