from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mensajeria.desktop.app import preferences
from mensajeria.desktop.viewmodels.types import TEXT_SIZES, Preferences, ThemeChoice, Told

DEFAULTS = Preferences(language="en")
CHOSEN = Preferences(
    "es", ThemeChoice.DARK, 18, reduce_motion=True, enter_sends=False, notify=False, told=Told.FULL, do_not_disturb=True
)


def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    preferences.save(tmp_path / "profile", CHOSEN)
    assert preferences.load(tmp_path / "profile", DEFAULTS) == CHOSEN
    assert [path.name for path in (tmp_path / "profile").iterdir()] == [preferences.FILE_NAME]


def test_a_profile_without_settings_has_the_defaults(tmp_path: Path) -> None:
    assert preferences.load(tmp_path, DEFAULTS) == DEFAULTS


def test_a_value_that_makes_no_sense_costs_only_itself(tmp_path: Path) -> None:
    stored = {
        "language": "xx",
        "theme": "dark",
        "text_size": 1000,
        "reduce_motion": "yes",
        "enter_sends": False,
        "told": "everything",
        "notify": 0,
        "new": 1,
    }
    (tmp_path / preferences.FILE_NAME).write_text(json.dumps(stored))
    assert preferences.load(tmp_path, DEFAULTS) == Preferences("en", ThemeChoice.DARK, enter_sends=False)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
SWITCHES = ("reduce_motion", "enter_sends", "notify", "do_not_disturb")
NAMES = st.sampled_from(["language", "theme", "text_size", "told", *SWITCHES])


@given(st.binary(max_size=300) | st.dictionaries(NAMES, JSON).map(lambda value: json.dumps(value).encode()))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_file_gives_settings_that_the_windows_can_use(tmp_path: Path, data: bytes) -> None:
    (tmp_path / preferences.FILE_NAME).write_bytes(data)
    found = preferences.load(tmp_path, DEFAULTS)
    assert found.language in ("es", "en")
    assert isinstance(found.theme, ThemeChoice)
    assert found.text_size in TEXT_SIZES
    assert {type(getattr(found, name)) for name in SWITCHES} == {bool}
    assert isinstance(found.told, Told)


@pytest.mark.parametrize("data", [b"[" * 100_000, b" " * (preferences.MAX_BYTES + 1)], ids=["deep", "long"])
def test_a_hostile_file_is_bounded(tmp_path: Path, data: bytes) -> None:
    (tmp_path / preferences.FILE_NAME).write_bytes(data)
    assert preferences.load(tmp_path, DEFAULTS) == DEFAULTS


def test_a_folder_that_cannot_be_written_costs_the_settings_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("not a folder")
    preferences.save(tmp_path / "file", CHOSEN)
    assert "cannot be kept" in caplog.text
