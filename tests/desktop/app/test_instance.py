from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PyQt6.QtNetwork import QLocalServer, QLocalSocket
from pytestqt.qtbot import QtBot

from mensajeria.desktop.app.instance import SingleInstance, _socket_name
from mensajeria.desktop.app.signals import SignalWatch

SECOND = """
import sys
from pathlib import Path
from PyQt6.QtCore import QCoreApplication
from mensajeria.desktop.app.instance import SingleInstance
app = QCoreApplication([])
sys.exit(7 if SingleInstance(Path(sys.argv[1])).claim() else 3)
"""


def start_second(profile: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", SECOND, str(profile)])


def test_a_second_process_asks_for_the_window_and_ends(qtbot: QtBot, tmp_path: Path) -> None:
    first = SingleInstance(tmp_path)
    assert first.claim()
    with qtbot.waitSignal(first.raise_asked, timeout=10_000):
        second = start_second(tmp_path)
    assert second.wait(10) == 3
    first.release()
    assert start_second(tmp_path).wait(10) == 7


def test_two_profiles_have_nothing_to_do_with_each_other(qtbot: QtBot, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    first, other = SingleInstance(tmp_path / "a"), SingleInstance(tmp_path / "b")
    assert first.claim()
    assert other.claim()
    first.release()
    other.release()


def test_what_a_killed_process_left_behind_is_no_obstacle(qtbot: QtBot, tmp_path: Path) -> None:
    left = QLocalServer()
    assert left.listen(_socket_name(tmp_path))
    Path(_socket_name(tmp_path)).rename(tmp_path / "kept")  # closing would remove the file
    left.close()
    (tmp_path / "kept").rename(_socket_name(tmp_path))
    first = SingleInstance(tmp_path)
    assert first.claim()
    first.release()


@pytest.mark.skipif(os.name != "posix", reason="permissions of a unix socket")
def test_only_this_user_can_reach_the_socket(qtbot: QtBot, tmp_path: Path) -> None:
    first = SingleInstance(tmp_path)
    first.claim()
    assert Path(_socket_name(tmp_path)).stat().st_mode & 0o077 == 0
    first.release()


def test_garbage_on_the_socket_raises_no_window(qtbot: QtBot, tmp_path: Path) -> None:
    first = SingleInstance(tmp_path)
    first.claim()
    asked = []
    first.raise_asked.connect(lambda: asked.append(1))
    socket = QLocalSocket()
    socket.connectToServer(_socket_name(tmp_path))
    assert socket.waitForConnected(1000)
    socket.write(b"\x00" * 100_000)
    socket.flush()
    qtbot.wait(100)
    socket.disconnectFromServer()
    qtbot.wait(50)
    assert asked == []
    first.release()


def test_a_profile_with_a_very_long_path_still_has_a_name(tmp_path: Path) -> None:
    assert len(_socket_name(tmp_path / ("x" * 200))) < 60


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_reaches_the_waiting_program(qtbot: QtBot, number: signal.Signals) -> None:
    before = signal.getsignal(number)
    watch = SignalWatch()
    with qtbot.waitSignal(watch.asked, timeout=2000):
        os.kill(os.getpid(), number)
    watch.close()
    assert signal.getsignal(number) is before
