"""What the cryptography costs on one core, beside the targets of docs/protocol/e2ee.md §13.

Processor time of this thread, the best of several short rounds: other work on the machine only ever makes it worse. The
pre-stretch runs on four threads of the library's own and is measured by the clock on the wall.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any, Final

from mensajeria.crypto.backup import BackupSealer, session_counter
from mensajeria.crypto.message import OpenedMessage, open_message, seal_message
from mensajeria.crypto.olm import OlmPeer
from mensajeria.crypto.password import prestretch
from mensajeria.crypto.todevice import open_inner, open_outer
from mensajeria.kit.secrets import Secret
from mensajeria.protocol import frames
from mensajeria.protocol.codec import HEADER, ChannelKeys, Direction, FrameReader, FrameWriter
from mensajeria.protocol.devices import verify_device_list
from mensajeria.protocol.membership import MembershipState, Valid, judge, lookup_in
from mensajeria.protocol.records import Member, MemberEvent, Signed
from mensajeria.protocol.records_backup import SessionBackup
from tests.crypto.people import NOW, SERVER, DirectChat, Facts, Person, envelope

COLUMNS: Final = ["work", "microseconds", "per_second", "target", "bar", "ok"]
_ROUNDS: Final = 5
_EVENTS: Final = 1000


def run() -> list[dict[str, Any]]:
    """One row for each kind of work; `target` and `bar` are microseconds, `ok` says whether the bar is met."""
    ana, bruno = Person("ana"), Person("bruno")
    return [
        *_frames(),
        *_messages(DirectChat(ana, bruno)),
        *_envelopes(ana, bruno),
        *_lists(ana),
        *_backup(DirectChat(ana, bruno)),
        _membership(),
        _prestretch(),
    ]


def _row(work: str, seconds: float, target_us: float, bar_us: float) -> dict[str, Any]:
    us = seconds * 1e6
    return {
        "work": work,
        "microseconds": round(us, 1),
        "per_second": round(1 / seconds, 1),
        "target": target_us,
        "bar": bar_us,
        "ok": us <= bar_us,
    }


def _best(work: Callable[[], object], count: int, clock: Callable[[], float] = time.thread_time) -> float:
    """Seconds for one, of the best round."""
    best = float("inf")
    for _ in range(_ROUNDS):
        start = clock()
        for _ in range(count):
            work()
        best = min(best, (clock() - start) / count)
    return best


def _keys() -> ChannelKeys:
    return ChannelKeys.derive(b"k" * 32, b"c" * 32, b"s" * 32)


def _frames() -> list[dict[str, Any]]:
    body = os.urandom(500)
    writer = FrameWriter(_keys(), Direction.CLIENT)
    return [_row("frame: seal 500 bytes", _best(lambda: writer.seal_body(frames.SEND, body), 5000), 1.9, 10)]


def _messages(chat: DirectChat) -> list[dict[str, Any]]:
    draft = chat.draft("un mensaje corriente de unas sesenta letras, más o menos así")
    writer, reader = FrameWriter(_keys(), Direction.CLIENT), FrameReader(_keys(), Direction.CLIENT)

    def send() -> bytes:
        return writer.seal_body(frames.SEND, seal_message(chat.outbound, draft, now_ms=NOW, epoch=0).outer)

    sending = _best(send, 400)
    writer = FrameWriter(_keys(), Direction.CLIENT)
    waiting = iter([send() for _ in range(400 * _ROUNDS)])
    member_at, facts = chat.member_at, Facts()

    def receive() -> None:
        frame = next(waiting)
        reader.open(frame)
        opened = open_message(frame[HEADER:], chat.inbound, chat_id=chat.chat_id, facts=facts, member_at=member_at)
        assert isinstance(opened, OpenedMessage)

    return [
        _row("message: full send path", sending, 25, 100),
        _row("message: full receive path", _best(receive, 400), 38, 100),
    ]


def _envelopes(ana: Person, bruno: Person) -> list[dict[str, Any]]:
    def opened(blob: bytes, peer: OlmPeer | None) -> OlmPeer:
        outer = open_outer(bruno.device, 1, blob)
        return open_inner(bruno.device, outer, sender=ana.list, me=bruno.address, peer=peer, now_ms=NOW).peer

    cold = _best(lambda: envelope(ana, bruno, b"x" * 600), 40)
    first = envelope(ana, bruno, b"x" * 600)
    waiting = iter([envelope(ana, bruno, b"x" * 600, key=n) for n in range(1, 1 + 8 * _ROUNDS)])
    cold_open = _best(lambda: opened(next(waiting).blob, None), 8)
    peer = opened(first.blob, None)
    warm = _best(lambda: envelope(ana, bruno, b"x" * 600, peer=first.peer, new_session=False), 40)
    blob = envelope(ana, bruno, b"x" * 600, peer=first.peer, new_session=False).blob
    warm_open = _best(lambda: opened(blob, peer), 40)
    # The helper also verifies the two prekeys each time, which a client does once: the seal figures include that.
    return [
        _row("to-device: seal, new session (with prekey checks)", cold, 345, 700),
        _row("to-device: open, new session", cold_open, 220, 700),
        _row("to-device: seal (with prekey checks)", warm, 172, 500),
        _row("to-device: open", warm_open, 102, 400),
    ]


def _lists(ana: Person) -> list[dict[str, Any]]:
    def verify() -> None:
        verify_device_list(ana.signed_list, ana.record, uid=ana.uid)

    return [_row("device list: verify", _best(verify, 100), 166, 600)]


def _backup(chat: DirectChat) -> list[dict[str, Any]]:
    sealer = BackupSealer(b"u" * 16, 1, Secret(b"b" * 32), Secret(b"s" * 32))
    export, first_index, proven = chat.inbound.for_backup()
    record = SessionBackup(skb=chat.inbound.signed_binding, export=export, first_index=first_index)
    counter = session_counter(first_index, proven=proven)
    row = sealer.seal_session(record, chat.inbound.binding, counter)
    return [
        _row(
            "backup row: seal", _best(lambda: sealer.seal_session(record, chat.inbound.binding, counter), 1000), 9, 50
        ),
        _row("backup row: open", _best(lambda: sealer.open_session(row), 1000), 9, 50),
    ]


def _membership() -> dict[str, Any]:
    people = [Person(f"person{n}", bytes([n + 1]) * 16) for n in range(3)]
    events = _chain(people)
    lookup = lookup_in({person.uid: person.list for person in people})

    def fold() -> None:
        state: MembershipState | None = None
        for signed in events:
            verdict = judge(state, signed, lookup)
            assert isinstance(verdict, Valid)
            state = verdict.state
            assert state.head.seq == state.seq

    return _row(f"membership: {_EVENTS} events", _best(fold, 1), 38_000, 150_000)


def _chain(people: list[Person]) -> list[Signed]:
    owner = people[0]
    members = tuple(
        Member(uid=person.uid, idfp=person.idfp, role="owner" if person is owner else "member") for person in people
    )
    lookup = lookup_in({person.uid: person.list for person in people})
    state: MembershipState | None = None
    signed: list[Signed] = []
    for number in range(_EVENTS):
        fields: dict[str, Any] = (
            {"type": "timer", "timer_s": number}
            if state
            else {"type": "create", "members": members, "nonce": b"n" * 16}
        )
        event = MemberEvent(
            chat_id=state.chat_id if state else bytes(32),
            seq=number + 1,
            prev=state.hash if state else bytes(32),
            by_uid=owner.uid,
            by_did=owner.device.did,
            dl_ver=1,
            ts=NOW,
            **fields,
        )
        signed.append(owner.device.member_event(event))
        verdict = judge(state, signed[-1], lookup)
        assert isinstance(verdict, Valid)
        state = verdict.state
    return signed


def _prestretch() -> dict[str, Any]:
    word = Secret.from_text("una contraseña larga")
    seconds = _best(lambda: prestretch(word, SERVER, "ana"), 1, time.perf_counter)
    return _row("password: pre-stretch", seconds, 362_000, 1_400_000)


if __name__ == "__main__":
    for row in run():
        print(row)
