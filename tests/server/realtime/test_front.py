"""What the adapter relies on in picows: checked when the pinned version is changed."""

from __future__ import annotations

import asyncio
import importlib.metadata
import inspect

from picows import WSListener
from picows.picows import WSProtocol  # type: ignore[attr-defined]

from mensajeria.protocol.frames import FRAMES, FROM_CLIENT, Hello
from mensajeria.server.realtime.dispatch import Dispatcher
from mensajeria.server.realtime.picows_front import Socket


def test_the_version_is_the_one_the_adapter_was_written_for() -> None:
    assert importlib.metadata.version("picows") == "2.3.1"


def test_the_protocol_reads_into_its_own_buffer() -> None:
    assert issubclass(WSProtocol, asyncio.BufferedProtocol)
    assert callable(WSProtocol.get_buffer)
    assert callable(WSProtocol.buffer_updated)


def test_every_callback_of_the_listener_is_ours() -> None:
    callbacks = {"on_ws_connected", "on_ws_frame", "on_ws_disconnected", "pause_writing", "resume_writing"}
    assert all(name in vars(Socket) and hasattr(WSListener, name) for name in callbacks)


def test_every_frame_of_a_client_has_a_handler() -> None:
    names = inspect.getclosurevars(Dispatcher.__init__).unbound | set(inspect.getsource(Dispatcher.__init__).split())
    handled = {name.rstrip(":").removeprefix("frames.") for name in names}
    expected = {FRAMES[number].__name__ for number in FROM_CLIENT if FRAMES[number] is not Hello}
    assert expected <= handled
