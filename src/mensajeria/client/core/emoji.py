"""The 64 emoji that are compared: the table of the Matrix specification, whose pictures are hard to take for another.

The order is part of the protocol. Names key the words `emoji.<name>` of the catalogue.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

EMOJI: Final = (
    ("🐶", "dog"), ("🐱", "cat"), ("🦁", "lion"), ("🐎", "horse"), ("🦄", "unicorn"), ("🐷", "pig"),
    ("🐘", "elephant"), ("🐰", "rabbit"), ("🐼", "panda"), ("🐓", "rooster"), ("🐧", "penguin"), ("🐢", "turtle"),
    ("🐟", "fish"), ("🐙", "octopus"), ("🦋", "butterfly"), ("🌷", "flower"), ("🌳", "tree"), ("🌵", "cactus"),
    ("🍄", "mushroom"), ("🌏", "globe"), ("🌙", "moon"), ("☁️", "cloud"), ("🔥", "fire"), ("🍌", "banana"),
    ("🍎", "apple"), ("🍓", "strawberry"), ("🌽", "corn"), ("🍕", "pizza"), ("🎂", "cake"), ("❤️", "heart"),
    ("😀", "smiley"), ("🤖", "robot"), ("🎩", "hat"), ("👓", "glasses"), ("🔧", "spanner"), ("🎅", "santa"),
    ("👍", "thumbs_up"), ("☂️", "umbrella"), ("⌛", "hourglass"), ("⏰", "clock"), ("🎁", "gift"), ("💡", "bulb"),
    ("📕", "book"), ("✏️", "pencil"), ("📎", "paperclip"), ("✂️", "scissors"), ("🔒", "lock"), ("🔑", "key"),
    ("🔨", "hammer"), ("☎️", "telephone"), ("🏁", "flag"), ("🚂", "train"), ("🚲", "bicycle"), ("✈️", "aeroplane"),
    ("🚀", "rocket"), ("🏆", "trophy"), ("⚽", "ball"), ("🎸", "guitar"), ("🎺", "trumpet"), ("🔔", "bell"),
    ("⚓", "anchor"), ("🎧", "headphones"), ("📁", "folder"), ("📌", "pin"),
)  # fmt: skip


def emoji_of(numbers: Iterable[int]) -> tuple[tuple[str, str], ...]:
    """(symbol, name) of each number."""
    return tuple(EMOJI[number] for number in numbers)
