from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from mensajeria.cli.display import size_text
from mensajeria.cli.records import chat_record, device_record, event_record, message_record
from mensajeria.client import api
from mensajeria.protocol.errors import Code
from mensajeria.protocol.ids import ChatId, Did, Mid, Uid

DOCS = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
CHAT, BRUNO = ChatId(b"c" * 32), api.Person(Uid(b"b" * 16), "bruno")
TEXT = api.Message(
    CHAT, Mid(b"m" * 16), 7, 3, BRUNO, outgoing=False, kind=api.MessageKind.TEXT, text="hola 👋",
    state=api.MessageState.RECEIVED, sent_ms=1_000,
)  # fmt: skip
VIEW = api.ChatView(
    CHAT, BRUNO, note_to_self=False, accepted=True, identity_changed=False, last=TEXT, unread=2, activity_ms=5
)
DEVICE = api.DeviceView(Did(b"d" * 16), "portátil", 1, 2, current=True)
EVENTS = [
    api.MessageReceived(TEXT),
    api.MessageChanged(TEXT, 9),
    api.MessageStateChanged(TEXT, 9),
    api.MessageRemoved(CHAT, TEXT.mid, 7),
    api.ChangeSent(CHAT, TEXT.mid),
    api.ChangeFailed(CHAT, TEXT.mid, "forbidden"),
    api.ChatChanged(replace(VIEW, accepted=False)),
    api.TypingChanged(CHAT, BRUNO, typing=True),
    api.ConnectionChanged(api.ConnectionPhase.OFFLINE, 12, Code.UNAVAILABLE, 3),
    api.IdentityChanged(CHAT, BRUNO, blocked=True),
    api.DeviceListChanged((DEVICE,)),
    api.DeviceLinked(DEVICE),
    api.SecurityWarning("server_changed", CHAT, {"handle": "bruno"}),
    api.VerificationChanged(api.Verification(BRUNO, api.VerificationPhase.COMPARING, (("🐶", "dog"),))),
    api.TrustChanged(CHAT, BRUNO, api.VerificationMethod.EMOJI),
    api.EventsLost(4),
    api.RestoreProgress(200, 1000),
    api.HistoryRestored(1000, 2, 1),
    api.PresenceChanged(BRUNO, here=True),
    api.PrivacyChanged(api.PrivacySettings()),
    api.ProfileChanged(BRUNO, api.UserProfile("Bruno", "de viaje", b"jpeg")),
    api.SettingChanged("color", b"azul"),
    api.TransferProgress(api.Transfer(CHAT, TEXT.mid, api.Direction.UPLOAD, 5, 9)),
]


def test_a_message() -> None:
    assert message_record(TEXT) == {
        "type": "message", "chat": "63" * 32, "mid": "6d" * 16, "seq": 3, "order": 7, "from": "bruno",
        "from_uid": "62" * 16, "outgoing": False, "text": "hola 👋", "state": "received", "sent_ms": 1000,
        "clock_off": False, "cause": None, "params": None, "error": None, "reply": None, "edited_ms": None,
        "reactions": [], "deleted_by": None, "expire_s": None, "expires_ms": None, "attachment": None,
    }  # fmt: skip


def test_a_file_without_its_thumbnail() -> None:
    file = api.Attachment("foto.jpg", "image/jpeg", 9, api.AttachmentState.SAVED, risky=False, width=4, height=3,
                          blurhash="L0", thumb=b"thumb", saved_to="/x/foto.jpg")  # fmt: skip
    assert message_record(replace(TEXT, kind=api.MessageKind.FILE, attachment=file))["attachment"] == {
        "name": "foto.jpg", "media": "image/jpeg", "size": 9, "state": "saved", "risky": False, "width": 4, "height": 3,
        "blurhash": "L0", "saved_to": "/x/foto.jpg",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (999_999, "1 MB"), (1_234_567, "1.23 MB"), (1 << 44, "17.6 TB")],
)
def test_sizes_for_people(size: int, text: str) -> None:
    assert size_text(size) == text


def test_what_belongs_to_a_message() -> None:
    quote = api.Quote(Mid(b"q" * 16), BRUNO, api.MessageKind.TEXT, "¿vienes?", 3)
    message = replace(
        TEXT, reply=quote, edited_ms=5, reactions=(api.Reaction(BRUNO, "👍"),), expire_s=60, expires_ms=99
    )
    record = message_record(message)
    assert record["reply"] == {"mid": "71" * 16, "from": "bruno", "text": "¿vienes?", "here": True, "deleted": False}
    assert record["reactions"] == [{"from": "bruno", "emoji": "👍"}]
    assert (record["edited_ms"], record["expire_s"], record["expires_ms"]) == (5, 60, 99)
    gone = message_record(
        replace(TEXT, kind=api.MessageKind.DELETED, deleted_by=BRUNO, reply=replace(quote, kind=None))
    )
    assert (gone["type"], gone["text"], gone["deleted_by"], gone["reply"]["here"]) == ("deleted", "", "bruno", False)


@pytest.mark.parametrize("field", ["reply", "edited_ms", "reactions", "deleted_by", "expire_s", "expires_ms"])
def test_what_belongs_to_a_message_is_documented(field: str) -> None:
    assert f"`{field}`" in DOCS


@pytest.mark.parametrize("kind", list(api.MessageKind))
def test_only_a_message_that_a_person_wrote_has_a_text(kind: api.MessageKind) -> None:
    record = message_record(replace(TEXT, kind=kind, cause=api.Cause.TAMPERED, params={"count": "2"}))
    assert (
        (record["type"] == "message")
        == (record["text"] != "")
        == (kind in {api.MessageKind.TEXT, api.MessageKind.FILE})
    )
    assert (record["cause"], record["params"]) == ("tampered", {"count": "2"})


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_every_event_is_a_line_with_documented_fields(event: api.Event) -> None:
    record = event_record(event)
    assert record is not None
    json.dumps(record)
    assert f"`{record['type']}`" in DOCS
    for field in record.keys() - {"type"}:
        assert re.search(rf"`{field}`", DOCS), field


def test_an_accepted_chat_s_view_is_no_news() -> None:
    assert event_record(api.ChatChanged(VIEW)) is None


def test_every_kind_of_event_is_thought_of() -> None:
    kinds = {name for name, value in vars(api).items() if isinstance(value, type) and issubclass(value, api.Event)}
    assert {type(event).__name__ for event in EVENTS} == kinds - {"Event", "MessageDiscarded"}


def test_chats_and_devices_have_documented_fields() -> None:
    for record in (chat_record(VIEW), device_record(DEVICE)):
        assert all(f'"{field}"' in DOCS.replace("\n", " ") for field in record), record
    assert chat_record(replace(VIEW, last=None))["last"] is None
