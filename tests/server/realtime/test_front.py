"""What the adapter relies on in picows: checked when the pinned version is changed."""

from __future__ import annotations

import asyncio
import importlib.metadata
import inspect
import os
import socket
from collections.abc import Callable

import pytest
import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_connect
from picows.picows import WSProtocol  # type: ignore[attr-defined]

from mensajeria.protocol.frames import FRAMES, FROM_CLIENT, Hello
from mensajeria.server.realtime.dispatch import Dispatcher
from mensajeria.server.realtime.picows_front import Socket, protocol_class


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


class _Echo(WSListener):
    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()
        else:
            transport.send(WSMsgType.BINARY, frame.get_payload_as_bytes())


class _Heard(WSListener):
    def __init__(self) -> None:
        super().__init__()
        self.heard: asyncio.Queue[bytes] = asyncio.Queue()

    def on_ws_frame(self, _transport: WSTransport, frame: WSFrame) -> None:
        self.heard.put_nowait(frame.get_payload_as_bytes())


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_a_connection_that_is_taken_over_sends_at_once_and_ends_as_any_other(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    options: list[int] = []

    def listener(transport: asyncio.BaseTransport, _request: WSUpgradeRequest) -> WSListener:
        with socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno())) as same:
            options.append(same.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        assert transport.get_extra_info("peername")[0] == "127.0.0.1"
        return _Echo()

    async def run() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(protocol_class(listener), "127.0.0.1", 0)
        address = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ws"
        heard = _Heard()
        transport, _ = await ws_connect(lambda: heard, address)
        transport.send(WSMsgType.BINARY, b"one")
        assert await asyncio.wait_for(heard.heard.get(), 5) == b"one"
        transport.send_close()
        await asyncio.wait_for(transport.wait_disconnected(), 5)
        server.close()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(run())
    assert options == [1]
