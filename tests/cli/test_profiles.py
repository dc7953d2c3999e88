"""`mensajeria profile`, against a real server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mensajeria.cli.exit_codes import Exit
from mensajeria.cli.main import main
from tests.cli.servers import running_server
from tests.cli.test_exchange import lines, mensajeria


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_what_one_says_of_oneself_is_published_and_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What contacts see of it: tests/attacks/test_profiles.py."""
    picture, saved = tmp_path / "ana.png", tmp_path / "saved.jpg"
    Image.new("RGBA", (300, 200), "teal").save(picture)

    def profile(*command: str, code: Exit = Exit.OK) -> list[dict[str, Any]]:
        assert main(["profile", *command, "--profile", str(tmp_path / "ana"), "--json"]) == code
        said = capsys.readouterr()
        return [json.loads(line) for line in (said.out or said.err).splitlines()]

    with running_server(tmp_path / "server") as server:
        where = ["--profile", str(tmp_path / "ana"), "--json"]
        lines(mensajeria("register", "--server", server.url, "--username", "ana", *where))
        [mine] = profile("set", "--name", "Ana Pérez", "--picture", str(picture))
        assert (mine["of"], mine["name"], mine["status"]) == ("ana", "Ana Pérez", "")
        assert profile("show", "nobody_here", code=Exit.NOT_FOUND)[0]["code"] == "unknown_user"
    assert profile("set", "--status", "De viaje", "--no-wait")[0]["status"] == "De viaje"
    [shown] = profile("show", "@Ana", "--offline", "--picture", str(saved))
    assert (shown["name"], shown["status"]) == ("Ana Pérez", "De viaje")
    assert shown["picture_bytes"] == saved.stat().st_size
    with Image.open(saved) as image:
        assert (image.format, image.size) == ("JPEG", (200, 200))
    taken = profile("show", "--offline", "--picture", str(saved), code=Exit.USAGE)
    assert taken[0]["code"] == "target_exists"
    profile("set", "--no-picture", "--no-wait")
    none = profile("show", "--offline", "--picture", str(tmp_path / "none"), code=Exit.NOT_FOUND)
    assert none[0]["code"] == "no_picture"


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["set"], "say what to change"),
        (["set", "--picture", "a.png", "--no-picture"], "either --picture or --no-picture"),
        ([], "missing: ACTION"),
    ],
)
def test_a_wrong_command_line_is_told(
    argv: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MENSAJERIA_LANG", "en")
    assert main(["profile", *argv]) == Exit.USAGE
    assert said in capsys.readouterr().err
