"""How the operator's lists, which come in pages, say that there is more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mensajeria.cli.console import Console


class _Row(Protocol):
    @property
    def id(self) -> int: ...


def tell_rest(console: Console, found: Sequence[_Row], limit: int, option: str) -> None:
    """Say where the next page begins, if more than `limit` rows were found: one more is asked for than is shown."""
    if len(found) <= limit:
        return
    last = found[limit - 1].id
    if console.as_json:
        console.record(type="next", **{option: last})
    else:
        console.say("admin.next_page", option=f"--{option} {last}")
