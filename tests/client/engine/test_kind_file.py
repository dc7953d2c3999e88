"""The type "file" in a timeline: what is shown, searched and kept of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mensajeria.client.api import Attachment, AttachmentState, MessageKind, MessageState
from mensajeria.client.store import Tx
from mensajeria.client.store.files import NOT_YET, Upload, attachment_of, file_body
from mensajeria.client.store.values import NewMessage
from mensajeria.protocol import limits
from mensajeria.protocol.encoding import MalformedError, encode
from mensajeria.protocol.ids import ChatId, Mid
from mensajeria.protocol.records_files import FILE, FileBody
from tests.client.engine.test_kinds_registry import say
from tests.client.engine.test_rows_and_sealing import bodies, give_key, read
from tests.client.engine.world import NOW, Desk, chat_of

FIELDS: dict[str, Any] = {
    "blob": b"b" * 16, "key": b"k" * 32, "sha256": b"h" * 32, "size": 5000, "name": "playa.jpg", "media": "image/jpeg",
    "width": 800, "height": 600, "blurhash": "L00000fQfQfQfQfQfQfQfQfQfQfQ", "thumb": b"\xff\xd8thumb",
    "caption": "el verano pasado",
}  # fmt: skip
MID = Mid(b"m" * 16)


def body(**changes: Any) -> bytes:
    return encode(FileBody(**{**FIELDS, **changes}))


async def shown_file(ana: Desk, bruno: Desk, content: bytes) -> Any:
    """What Bruno sees of a message of the type "file" from Ana."""
    chat_id = chat_of(ana.who, bruno.who)
    items, (key,) = await say(ana, chat_id, FILE, content)
    await give_key(bruno, ana, key)
    await read(bruno, chat_id, 1, bodies(items))
    [message] = (await bruno.store.read(lambda tx: tx.messages.page(chat_id))).messages
    return message


async def test_a_file_has_a_place_with_everything_to_show_it(ana: Desk, bruno: Desk) -> None:
    message = await shown_file(ana, bruno, body())
    assert (message.kind, message.text, message.state) == (
        MessageKind.FILE,
        "el verano pasado",
        MessageState.RECEIVED,
    )
    assert message.attachment == Attachment(
        "playa.jpg", "image/jpeg", 5000, AttachmentState.REMOTE, risky=False, width=800, height=600,
        blurhash=FIELDS["blurhash"], thumb=FIELDS["thumb"],
    )  # fmt: skip


async def test_what_goes_with_a_file_is_found_by_the_search(ana: Desk, bruno: Desk) -> None:
    await shown_file(ana, bruno, body())
    found = await bruno.store.read(lambda tx: tx.views.search("verano"))
    assert [message.text for message in found] == ["el verano pasado"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80",
        body()[:-1],
        body() + b"\x00",
        encode({**FIELDS, "v": 1, "size": -1}),
        encode({**FIELDS, "v": 1, "size": limits.FILE_MAX_BYTES + 1}),
        encode({**FIELDS, "v": 1, "thumb": bytes(limits.FILE_THUMB_MAX_BYTES + 1)}),
        encode({**FIELDS, "v": 1, "media": "image/jpeg\n"}),
        encode({**FIELDS, "v": 1, "blurhash": "<b>"}),
        encode({**FIELDS, "v": 1, "name": ""}),
        encode({**FIELDS, "v": 1, "width": 70_000}),
        encode({**FIELDS, "v": 1, "key": bytes(31)}),
        encode({**FIELDS, "v": 1, "more": 1}),
        encode({**FIELDS, "v": 2}),
    ],
    ids=[
        "empty", "a map", "cut", "longer", "negative size", "huge size", "large thumb", "media", "blurhash", "no name",
        "width", "key", "extra field", "newer version",
    ],
)  # fmt: skip
async def test_what_is_no_file_keeps_a_place_and_shows_nothing(ana: Desk, bruno: Desk, content: bytes) -> None:
    message = await shown_file(ana, bruno, content)
    assert (message.kind, message.text, message.attachment) == (MessageKind.UNKNOWN, "", None)


@given(st.binary(max_size=400), st.integers(0, 400))
def test_any_bytes_are_a_file_or_the_declared_error(noise: bytes, at: int) -> None:
    good = body()
    for data in (noise, good[:at] + noise[:3] + good[at + 3 :]):
        try:
            assert attachment_of(encode(file_body(data)), None) is not None
        except MalformedError:
            continue


def test_the_key_is_not_in_a_repr() -> None:
    assert "kkkk" not in repr(FileBody(**FIELDS))
    assert "thumb" not in repr(attachment_of(body(), None))


def own(chat_id: ChatId, desk: Desk, content: bytes) -> NewMessage:
    return NewMessage(
        chat_id, MID, desk.who.uid, outgoing=True, kind=MessageKind.FILE, state=MessageState.QUEUED, sent_ms=NOW,
        text="adjunto", file=content,
    )  # fmt: skip


async def test_an_own_file_is_on_its_way_until_the_server_has_named_it(ana: Desk, bruno: Desk) -> None:
    chat_id = chat_of(ana.who, bruno.who)

    def step(tx: Tx) -> list[AttachmentState | None]:
        states = [tx.messages.add(own(chat_id, ana, body(blob=NOT_YET))).attachment]
        tx.attachments.set_body(chat_id, MID, ana.who.uid, body())
        states.append(tx.messages.find(chat_id, MID).attachment)  # type: ignore[union-attr]
        tx.attachments.set_saved(chat_id, MID, ana.who.uid, "/x")
        states.append(tx.messages.find(chat_id, MID).attachment)  # type: ignore[union-attr]
        return [None if one is None else one.state for one in states]

    assert await ana.store.run(step) == [AttachmentState.UPLOADING, AttachmentState.REMOTE, AttachmentState.SAVED]


@pytest.mark.parametrize("how", ["discarded", "replaced"])
async def test_the_key_goes_with_its_message(ana: Desk, bruno: Desk, how: str) -> None:
    chat_id = chat_of(ana.who, bruno.who)

    def step(tx: Tx) -> bytes | None:
        message = tx.messages.add(own(chat_id, ana, body()))
        assert tx.attachments.body(chat_id, MID, ana.who.uid) == body()
        if how == "discarded":
            tx.own_messages.discard(chat_id, MID, ana.who.uid)
        else:
            gone = replace(own(chat_id, ana, b""), kind=MessageKind.UNREADABLE, file=None)
            tx.messages.replace(message.order, gone)
        return tx.attachments.body(chat_id, MID, ana.who.uid)

    assert await ana.store.run(step) is None
    assert await ana.store.read(lambda tx: tx.views.search("adjunto")) == ()


async def test_uploads_go_on_in_their_order_and_a_failed_one_stands_aside(ana: Desk, bruno: Desk) -> None:
    chat_id, one, two = chat_of(ana.who, bruno.who), Mid(b"1" * 16), Mid(b"2" * 16)

    def step(tx: Tx) -> list[Mid | None]:
        order: list[Mid | None] = []
        for mid in (one, two):
            tx.uploads.add(Upload(chat_id, mid, mid.hex(), 9, body()))
        for act in (
            lambda: None,
            lambda: tx.uploads.fail(chat_id, one, "quota_exceeded"),
            lambda: tx.uploads.requeue(chat_id, one),
            lambda: tx.uploads.complete(chat_id, two, body()),
            lambda: tx.uploads.remove(chat_id, one),
        ):
            act()
            following = tx.uploads.next()
            order.append(None if following is None else following.mid)
        return order

    assert await ana.store.run(step) == [one, two, two, one, None]
    assert await ana.store.read(lambda tx: (tx.uploads.count(), tx.uploads.stages())) == (0, frozenset({two.hex()}))


async def test_two_members_who_claim_one_id_are_told_apart(ana: Desk, bruno: Desk) -> None:
    chat_id = chat_of(ana.who, bruno.who)

    def step(tx: Tx) -> tuple[object, ...]:
        tx.messages.add(own(chat_id, ana, body(name="mio.txt")))
        theirs = replace(own(chat_id, ana, body(name="suyo.txt")), sender=bruno.who.uid, outgoing=False, seq=1)
        tx.messages.add(replace(theirs, state=MessageState.RECEIVED))
        found = [tx.attachments.body(chat_id, MID, one.who.uid) for one in (ana, bruno)]
        return set(tx.attachments.authors(chat_id, MID)), found

    assert await ana.store.run(step) == (
        {ana.who.uid, bruno.who.uid},
        [body(name="mio.txt"), body(name="suyo.txt")],
    )


@pytest.mark.parametrize("how", ["removed", "replaced"])
async def test_a_message_that_goes_takes_its_upload_along(ana: Desk, bruno: Desk, how: str) -> None:
    """Deleted or expired before the server has its file: the upload must not go on, nor its key stay."""
    chat_id = chat_of(ana.who, bruno.who)

    def step(tx: Tx) -> Upload | None:
        message = tx.messages.add(own(chat_id, ana, body(blob=NOT_YET)))
        tx.uploads.add(Upload(chat_id, MID, "x", 9, body(blob=NOT_YET)))
        if how == "removed":
            tx.messages.remove(chat_id, message.order)
        else:
            tx.messages.replace(message.order, replace(own(chat_id, ana, b""), kind=MessageKind.TEXT, file=None))
        return tx.uploads.get(chat_id, MID)

    assert await ana.store.run(step) is None
