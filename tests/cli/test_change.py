"""`edit`, `react`, `delete`, `timer`, `mute`, `send --reply-to`: each a process of its own, against a real server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mensajeria.cli.exit_codes import Exit
from mensajeria.client.api import MUTED_FOREVER
from tests.cli.servers import running_server
from tests.cli.test_exchange import lines, mensajeria

MUTING = (("mute",), ("mute", "--hours", "8"), ("unmute",))

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def test_what_ana_does_to_her_messages_is_what_bruno_sees(tmp_path: Path) -> None:
    with running_server(tmp_path / "server") as server:
        for name in ("ana", "bruno"):
            lines(mensajeria("register", "--server", server.url, "--username", name, "--json", *at(tmp_path, name)))
        mid = ana(tmp_path, "send", "--to", "bruno", "ola")[0]["mid"]
        [change] = ana(tmp_path, "edit", "--with", "bruno", mid, "hola")
        assert (change["command"], change["state"]) == ("edit", "sent")
        answer = ana(tmp_path, "send", "--to", "bruno", "--reply-to", mid, "¿me lees?")[0]["mid"]
        ana(tmp_path, "react", "--with", "bruno", mid, "👋")
        gone = ana(tmp_path, "send", "--to", "bruno", "borra esto")[0]["mid"]
        ana(tmp_path, "delete", "--with", "bruno", gone)
        assert ana(tmp_path, "timer", "--with", "bruno")[0]["seconds"] == 0
        ana(tmp_path, "timer", "--with", "bruno", "3600")
        assert ana(tmp_path, "timer", "--with", "bruno")[0]["seconds"] == 3600
        muted = [ana(tmp_path, *command, "--with", "bruno")[0]["muted_until_ms"] for command in MUTING]
        assert muted[0] == MUTED_FOREVER > muted[1] > muted[2] == 0
        seen = {one["mid"]: one for one in history(tmp_path, "bruno", "ana")}
        assert (seen[mid]["text"], seen[mid]["edited_ms"] is not None) == ("hola", True)
        assert seen[mid]["reactions"] == [{"from": "ana", "emoji": "👋"}]
        assert (seen[answer]["reply"]["mid"], seen[answer]["reply"]["text"]) == (mid, "hola")
        assert (seen[gone]["type"], seen[gone]["text"], seen[gone]["deleted_by"]) == ("deleted", "", "ana")
        assert [one["params"] for one in seen.values() if one["cause"] == "timer_changed"] == [{"seconds": "3600"}]
        refused = mensajeria("edit", "--with", "ana", mid, "ajeno", *at(tmp_path, "bruno"))
        assert refused.returncode == Exit.REFUSED
        wrong = mensajeria("react", "--with", "ana", mid, "sí", *at(tmp_path, "bruno"))
        assert wrong.returncode == Exit.USAGE
        here = lines(mensajeria("delete", "--with", "ana", mid, "--here", "--json", *at(tmp_path, "bruno")))
        assert here[0]["state"] == "here"
        assert mid not in {one["mid"] for one in history(tmp_path, "bruno", "ana")}
        assert mid in {one["mid"] for one in history(tmp_path, "ana", "bruno")}


def at(folder: Path, name: str) -> list[str]:
    return ["--profile", str(folder / name)]


def ana(folder: Path, *command: str) -> list[dict[str, Any]]:
    return lines(mensajeria(*command, "--json", *at(folder, "ana")))


def history(folder: Path, name: str, peer: str) -> list[dict[str, Any]]:
    return lines(mensajeria("history", "--with", peer, "--json", *at(folder, name)))
