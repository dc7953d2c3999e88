from __future__ import annotations

import subprocess
import sys

import pytest

from mensajeria.kit.lazy import LazyModule


def test_a_module_is_loaded_by_its_first_use() -> None:
    code = (
        "import sys; from mensajeria.kit.lazy import LazyModule; colors = LazyModule('colorsys');"
        "before = 'colorsys' in sys.modules; colors.rgb_to_hsv(0, 0, 0); print(before, 'colorsys' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_what_a_module_lacks_is_an_attribute_error_and_a_missing_module_an_import_error() -> None:
    with pytest.raises(AttributeError):
        _ = LazyModule("colorsys").nothing
    with pytest.raises(ImportError):
        _ = LazyModule("no_such_module_here").anything
