"""Contrast of every pair of colours that meets on screen (WCAG 2.2 AA), and one place for colours."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mensajeria.desktop import theme
from mensajeria.desktop.theme.contrast import contrast
from mensajeria.desktop.theme.tokens import DARK, LIGHT

TEXT, GRAPHIC = 4.5, 3.0
PAIRS = [
    ("text", "bg_window", TEXT),
    ("text", "surface_raised", TEXT),
    ("text", "surface_sunken", TEXT),
    ("text", "hover", TEXT),
    ("text", "accent_soft", TEXT),
    ("text", "bubble_in", TEXT),
    ("text", "bubble_out", TEXT),
    ("text", "warning_soft", TEXT),
    ("text", "danger_soft", TEXT),
    ("text", "info_soft", TEXT),
    ("text", "selection", TEXT),
    ("text", "found", TEXT),
    ("on_found_now", "found_now", TEXT),
    ("text2", "bg_window", TEXT),
    ("text2", "accent_soft", TEXT),
    ("text2", "bg_chat", TEXT),
    ("text2", "surface_sunken", TEXT),
    ("text2", "surface_raised", TEXT),
    ("bubble_in_text2", "bubble_in", TEXT),
    ("bubble_out_text2", "bubble_out", TEXT),
    ("bubble_in_text2", "quote_in", TEXT),
    ("bubble_out_text2", "quote_out", TEXT),
    ("danger", "bg_window", TEXT),
    ("danger", "bubble_out", GRAPHIC),
    ("danger", "bg_chat", TEXT),
    ("danger", "danger_soft", TEXT),
    ("warning", "warning_soft", TEXT),
    ("success", "success_soft", TEXT),
    ("success", "bg_window", TEXT),
    ("info", "info_soft", TEXT),
    ("on_accent", "accent", TEXT),
    ("on_accent", "accent_hover", TEXT),
    ("on_accent", "accent_pressed", TEXT),
    ("accent_text", "bg_window", TEXT),
    ("accent_text", "bubble_out", TEXT),
    ("accent_text", "accent_soft", TEXT),
    ("link_in", "bubble_in", TEXT),
    ("link_out", "bubble_out", TEXT),
    ("read", "bubble_out", GRAPHIC),
    ("border_strong", "surface_raised", GRAPHIC),
    ("online", "bg_window", GRAPHIC),
    ("focus", "bg_chat", GRAPHIC),
    ("focus", "bg_window", GRAPHIC),
    ("on_badge", "badge", TEXT),
    ("on_badge_muted", "badge_muted", TEXT),
    ("on_toast", "toast", TEXT),
    ("toast_action", "toast", TEXT),
    ("on_brand", "brand_top", 3.0),  # the slogan is large text
    ("on_brand_soft", "brand_bottom", TEXT),
]


@pytest.mark.parametrize("tokens", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize(("ink", "ground", "least"), PAIRS, ids=[f"{ink} on {ground}" for ink, ground, _ in PAIRS])
def test_pairs_reach_aa(tokens: dict[str, str], ink: str, ground: str, least: float) -> None:
    assert contrast(tokens[ink], tokens[ground]) >= least


@pytest.mark.parametrize("tokens", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("hue", range(8))
def test_hues_carry_their_initials_and_names(tokens: dict[str, str], hue: int) -> None:
    # The top of the gradient lies above the letters; their middle is what they stand on.
    assert contrast(tokens["on_hue"], tokens[f"hue{hue}_bottom"]) >= TEXT
    assert contrast(tokens["on_hue"], tokens[f"hue{hue}_top"]) >= GRAPHIC
    assert contrast(tokens[f"hue{hue}_name"], tokens["bubble_in"]) >= TEXT


def test_wallpaper_stays_in_the_background() -> None:
    assert contrast(LIGHT["bg_pattern"], LIGHT["bg_chat"]) <= 1.07
    assert contrast(DARK["bg_pattern"], DARK["bg_chat"]) <= 1.09


def test_themes_have_the_same_tokens() -> None:
    assert set(LIGHT) == set(DARK)


def test_contrast_knows_the_ends_of_the_scale() -> None:
    assert contrast("#000000", "#FFFFFF") == pytest.approx(21)
    assert contrast("#808080", "#808080") == pytest.approx(1)


def test_no_other_file_holds_a_colour() -> None:
    root = Path(theme.__file__).parent.parent
    colour = re.compile(r"#[0-9A-Fa-f]{6}\b|#[0-9A-Fa-f]{8}\b|QColor\(\s*\d|Qt\.GlobalColor\.(?!transparent)")
    guilty = [
        f"{path.relative_to(root)}: {line.strip()}"
        for path in root.rglob("*.py")
        if path.name != "tokens.py"
        for line in path.read_text(encoding="utf-8").splitlines()
        if colour.search(line)
    ]
    assert guilty == []
