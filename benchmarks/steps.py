"""`python -m benchmarks steps`: what each step of a message through the server costs, in CPU of one core.

Best of several rounds, in this process, without sockets: what is left to the whole (see `peers`) is system calls, the
event loop and the driver of the database.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from benchmarks.lib.stats import table
from mensajeria.protocol import frames
from mensajeria.protocol.codec import HEADER, ChannelKeys, Direction, FrameReader, FrameWriter
from mensajeria.protocol.records import MessageOuter
from mensajeria.server.chats.cache import ChatInfo
from mensajeria.server.chats.committer import Pending
from mensajeria.server.chats.log import NewEvent
from mensajeria.server.metrics.numbers import Numbers
from mensajeria.server.realtime.items import batch_body, encode_item

COUNT, ROUNDS, BATCH = 2000, 15, 200
_decoder: Final = msgspec.msgpack.Decoder(MessageOuter)


def run() -> list[dict[str, Any]]:
    """A row for each step."""
    keys = ChannelKeys.derive(os.urandom(32), os.urandom(32), os.urandom(32))
    chat_id, mid = os.urandom(32), os.urandom(16)
    outer = MessageOuter(1, 1, chat_id, 0, bytes(32), 7, mid, os.urandom(300), bytes(32), 0)
    writer = FrameWriter(keys, Direction.CLIENT)
    sealed = [writer.seal(outer) for _ in range(COUNT)]
    body = sealed[0][HEADER:]
    info = ChatInfo(1, chat_id, 0, {1: bytes(16), 2: bytes(16)}, {1, 2}, audience=(1, 2))
    items = [encode_item(frames.Event(chat_id, number, 1, frames.EventKind.MESSAGE, body)) for number in range(4)]
    return [
        _row("in: frame opened (MAC, sequence, decoded)", _opening(keys, sealed)),
        _row("in: of that, decoding and checking the fields", _each(lambda: _decoder.decode(body))),
        _row("authorisation: chat, member, not blocked, accepted", _each(_authorising(info))),
        _row("idempotency: no mid twice in a batch", _each(_repeats(info), COUNT // BATCH) / BATCH),
        _row("metrics: three histograms, once for a batch of 200", _each(_metrics(), COUNT // BATCH) / BATCH),
        _row("out: ack encoded", _each(lambda: encode_item(frames.Ack(chat_id, mid, 9, 1)))),
        _row("out: event encoded, once for all who get it", _each(_event(chat_id, body))),
        _row("out: frame of four events joined and sealed, for each event", _each(_sealing(keys, items)) / 4),
    ]


def _row(step: str, seconds: float) -> dict[str, Any]:
    return {"step": step, "us": seconds * 1e6}


def _each(work: Callable[[], object], count: int = COUNT) -> float:
    """Seconds of CPU for one, of the best round."""
    best = float("inf")
    for _ in range(ROUNDS):
        begun = time.thread_time()
        for _ in range(count):
            work()
        best = min(best, (time.thread_time() - begun) / count)
    return best


def _opening(keys: ChannelKeys, sealed: Sequence[bytes]) -> float:
    best = float("inf")
    for _ in range(ROUNDS):
        reader = FrameReader(keys, Direction.CLIENT)
        begun = time.thread_time()
        for data in sealed:
            reader.open(data)
        best = min(best, (time.thread_time() - begun) / len(sealed))
    return best


def _authorising(info: ChatInfo) -> Callable[[], object]:
    chats = {info.chat_id: info}

    def work() -> bool:
        found = chats.get(info.chat_id)
        return found is not None and 1 in found.members and not found.blocked and 1 in found.accepted

    return work


def _repeats(info: ChatInfo) -> Callable[[], object]:
    batch = [Pending(NewEvent(1, os.urandom(16), 0, 1, 1, b""), info, None) for _ in range(BATCH)]
    return lambda: len({(pending.event.chat, pending.event.mid) for pending in batch}) == len(batch)


def _metrics() -> Callable[[], object]:
    timed = Numbers().fanout(lambda: None)

    def work() -> None:
        for _ in range(3):
            timed()

    return work


def _event(chat_id: bytes, body: bytes) -> Callable[[], object]:
    return lambda: encode_item(frames.Event(chat_id, 9, 1, frames.EventKind.MESSAGE, body))


def _sealing(keys: ChannelKeys, items: list[bytes]) -> Callable[[], object]:
    writer = FrameWriter(keys, Direction.SERVER)
    return lambda: writer.seal_body(frames.BATCH, batch_body(items))


def main(_arguments: Sequence[str]) -> int:
    """Print the table."""
    print(table(run(), ("step", "us")))
    return 0
