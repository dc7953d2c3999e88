"""The lock files agree with pyproject.toml and with each other, and name no address."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
EXTRAS = ("server", "client", "desktop", "build", "dev")
ALL = (*EXTRAS, "mutation")
PIN = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;]+)(?: ; (?P<marker>[^\\]+?))? \\")
HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}(?: \\)?")

Pins = dict[str, dict[str, Marker | None]]
"""Version and marker of each package (on Intel Macs one package has another version)."""


def pins_of(extra: str) -> Pins:
    """Read a lock, refusing any line that is neither a pin nor one of its hashes."""
    pins: Pins = {}
    for line in (ROOT / "locks" / f"{extra}.txt").read_text().splitlines():
        if found := PIN.fullmatch(line):
            marker = Marker(found["marker"]) if found["marker"] else None
            pins.setdefault(canonicalize_name(found["name"]), {})[found["version"]] = marker
        else:
            assert HASH.fullmatch(line), f"locks/{extra}.txt: not a pin and not a hash: {line}"
    return pins


def requirements_of(extra: str) -> Iterator[Requirement]:
    """Read pyproject.toml's requirements of an extra, following references to other extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    waiting = [*project["dependencies"], *project["optional-dependencies"][extra]]
    for text in waiting:
        requirement = Requirement(text)
        if requirement.name == project["name"]:
            waiting += [text for other in requirement.extras for text in project["optional-dependencies"][other]]
        else:
            yield requirement


@pytest.mark.parametrize("extra", ALL)
def test_a_lock_holds_pins_with_hashes_and_nothing_else(extra: str) -> None:
    text = (ROOT / "locks" / f"{extra}.txt").read_text()
    assert len(pins_of(extra)) > 15
    assert len(re.findall(r"^\S", text, re.MULTILINE)) == len(re.findall(r"^\S.*\n    --hash=", text, re.MULTILINE))
    assert not re.search(r"://|\bfile:|@|--(?:extra-)?index|--find-links", text)


@pytest.mark.parametrize("extra", ALL)
def test_a_lock_satisfies_pyproject(extra: str) -> None:
    pins = pins_of(extra)
    for requirement in requirements_of(extra):
        versions = pins.get(canonicalize_name(requirement.name))
        assert versions, f"{requirement} is not in locks/{extra}.txt: run `make locks`"
        assert any(requirement.specifier.contains(version) for version in versions), f"{requirement}: {versions}"


@pytest.mark.parametrize("extra", EXTRAS[:-1])
def test_all_locks_pin_the_same_versions(extra: str) -> None:
    everything = pins_of("dev")
    assert {name: sorted(v) for name, v in pins_of(extra).items()} == {
        name: sorted(everything[name]) for name in pins_of(extra)
    }


def test_what_is_installed_beside_the_development_environment_has_its_versions() -> None:
    everything, beside = pins_of("dev"), pins_of("mutation")
    assert {name: v.keys() for name, v in beside.items() if name in everything} == {
        name: everything[name].keys() for name in beside if name in everything
    }


def test_two_versions_of_a_package_never_apply_at_once() -> None:
    split = {name: versions for name, versions in pins_of("dev").items() if len(versions) > 1}
    assert set(split) == {"cryptography"}
    for machine, system in (("x86_64", "darwin"), ("arm64", "darwin"), ("x86_64", "linux"), ("AMD64", "win32")):
        environment = {"platform_machine": machine, "sys_platform": system}
        applying = [v for v, marker in split["cryptography"].items() if marker and marker.evaluate(environment)]
        assert len(applying) == 1, (environment, applying)
