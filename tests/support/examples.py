"""How many examples of a property are tried: as many as its test wants, and fewer in the quick tests."""

from __future__ import annotations

from typing import Any, Final

from hypothesis import settings

QUICK: Final = 10


def examples(number: int, **others: Any) -> settings:
    """Settings of Hypothesis with that many examples; `make check` tries `QUICK` of them at most."""
    quick = settings.get_current_profile_name() == "quick"
    return settings(max_examples=min(number, QUICK) if quick else number, **others)
