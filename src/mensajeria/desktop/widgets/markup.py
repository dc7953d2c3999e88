"""The little markup of messages: links, ``**bold**`` and `` `code` ``. Pure; anything else stays as it was typed."""

from __future__ import annotations

import re
import unicodedata
from enum import Enum, auto
from typing import NamedTuple

MAX_SHOWN = 8000
"""Characters of one message that are laid out; a longer one ends in an ellipsis (copying takes all of it)."""
MAX_EMOJI = 400
"""Emoji of one message that are laid out: each costs 60 µs, Latin letters almost nothing."""

_TOKEN = re.compile(r"`([^`\n]{1,2000})`|\*\*([^*\n]{1,2000})\*\*|(https?://[^\s<>\"`]{1,2000})", re.IGNORECASE)
_TRAILING = ".,;:!?)]}'\"»”"
_EMOJI = re.compile(
    "(?:[\U0001f1e6-\U0001f1ff]{2}|[\U0001f000-\U0001faff\u2600-\u27bf\u2b00-\u2bff\u2190-\u21ff\u2300-\u23ff\u3030\u303d"
    "\u3297\u3299\u00a9\u00ae\u203c\u2049\u2122][\ufe0f\U0001f3fb-\U0001f3ff]*"
    "(?:\u200d[\U0001f000-\U0001faff\u2600-\u27bf\u2b00-\u2bff][\ufe0f\U0001f3fb-\U0001f3ff]*)*|[0-9#*]\ufe0f?\u20e3)"
)
_ONLY_EMOJI_LIMIT = 3


class Style(Enum):
    """How a stretch is set."""

    BOLD = auto()
    CODE = auto()
    LINK = auto()


class Span(NamedTuple):
    """A styled stretch of the shown text, ``start`` to ``end`` in characters; ``url`` for links."""

    start: int
    end: int
    style: Style
    url: str = ""


class Marked(NamedTuple):
    """Text as it is shown, and its styled stretches in order."""

    text: str
    spans: tuple[Span, ...]


def parse(text: str) -> Marked:
    """Take the marks out of ``text``. Control characters that could disturb the layout are dropped."""
    shown, spans, at = "", [], 0
    source = clean(text)
    for match in _TOKEN.finditer(source):
        code, bold, link = match.groups()
        end = match.end()
        if link is not None:
            link = link.rstrip(_TRAILING)
            end = match.start() + len(link)
        inner = code or bold or link or ""
        shown += source[at : match.start()]
        style = Style.CODE if code else Style.BOLD if bold else Style.LINK
        spans.append(Span(len(shown), len(shown) + len(inner), style, inner if style is Style.LINK else ""))
        shown += inner
        at = end
    return Marked(shown + source[at:], tuple(spans))


def clean(text: str) -> str:
    """``text`` cut to what may be laid out, without control and direction-override characters, lines kept."""
    kept = text[: MAX_SHOWN + 1]
    # Almost every message is printable as it is, and told so much faster than character by character.
    if not kept.replace("\n", "").isprintable():
        kept = "".join(char for char in kept if _harmless(char))
    emoji = [match.end() for match in _EMOJI.finditer(kept)] if len(kept) > MAX_EMOJI else []
    limit = emoji[MAX_EMOJI - 1] if len(emoji) > MAX_EMOJI else MAX_SHOWN
    return kept if len(kept) <= limit else kept[:limit] + "…"


def emoji_only(text: str) -> bool:
    """Whether a message is one to three emoji and nothing else."""
    stripped = text.strip()
    found = _EMOJI.findall(stripped) if len(stripped) <= 64 else []
    return 0 < len(found) <= _ONLY_EMOJI_LIMIT and "".join(found) == stripped.replace(" ", "")


def one_line(text: str) -> str:
    """``text`` for a preview: marks away, white space folded, at most 200 characters."""
    return " ".join(parse(text[:400]).text.split())[:200]


def _harmless(char: str) -> bool:
    if char == "\n":
        return True
    category = unicodedata.category(char)
    return category not in {"Cc", "Cs", "Co"} and not "\u202a" <= char <= "\u202e" and not "\u2066" <= char <= "\u2069"
