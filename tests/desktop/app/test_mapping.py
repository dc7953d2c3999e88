from __future__ import annotations

from dataclasses import replace

import pytest

from mensajeria.client import api
from mensajeria.desktop.bridge import mapping
from mensajeria.desktop.viewmodels import types as vm
from mensajeria.desktop.viewmodels.parts import FilePhase, QuoteKind, TransferRow
from mensajeria.protocol.errors import Code
from mensajeria.protocol.ids import ChatId, Mid, Uid

CHAT = ChatId(b"c" * 32)
ANA = api.Person(Uid(b"a" * 16), "ana")
BRUNO = api.Person(Uid(b"b" * 16), "bruno", api.Trust.VERIFIED)
TEXT = api.Message(
    chat_id=CHAT,
    mid=Mid(b"m" * 16),
    order=7,
    seq=7,
    sender=BRUNO,
    outgoing=False,
    kind=api.MessageKind.TEXT,
    text="hola",
    state=api.MessageState.RECEIVED,
    sent_ms=1_000,
)
OWN = replace(TEXT, sender=ANA, outgoing=True, state=api.MessageState.QUEUED, seq=None, order=99)
VIEW = api.ChatView(
    CHAT, BRUNO, note_to_self=False, accepted=True, identity_changed=False, last=TEXT, unread=2, activity_ms=5
)


def notice(cause: api.Cause, **params: str) -> api.Message:
    return replace(TEXT, kind=api.MessageKind.NOTICE, text="", cause=cause, params=params, seq=None)


def test_a_chat_with_an_account_that_is_gone_is_closed() -> None:
    assert mapping.chat_row(replace(VIEW, gone=True), own_title="x").closed == "account_gone"
    assert mapping.chat_row(VIEW, own_title="x").closed == ""


def test_an_incoming_text() -> None:
    row = mapping.message_row(TEXT)
    assert (row.text, row.state, row.outgoing, row.position, row.time_ms) == (
        "hola",
        vm.MessageState.NONE,
        False,
        7,
        1_000,
    )
    assert row.sender == vm.Person("62" * 16, "bruno", "", mapping.hue_of(BRUNO.uid), verified=True)
    assert row.service is None
    assert row.unreadable is None


@pytest.mark.parametrize("state", [s for s in api.MessageState if s is not api.MessageState.RECEIVED])
def test_every_state_of_an_own_message_has_a_picture(state: api.MessageState) -> None:
    name = "SENDING" if state is api.MessageState.QUEUED else state.name
    assert mapping.message_row(replace(OWN, state=state)).state is vm.MessageState[name]


def test_a_failed_message_says_why() -> None:
    row = mapping.message_row(replace(OWN, state=api.MessageState.FAILED, error=Code.FORBIDDEN))
    assert (row.state, row.error) == (vm.MessageState.FAILED, "forbidden")


@pytest.mark.parametrize("cause", list(api.Cause))
def test_every_cause_is_shown_either_as_a_notice_or_in_the_bubble(cause: api.Cause) -> None:
    row = mapping.message_row(replace(TEXT, kind=api.MessageKind.UNREADABLE, cause=cause, text="never shown"))
    assert (row.service is None) != (row.unreadable is None)
    assert row.text == ""


def test_a_message_of_an_unknown_kind_is_never_silent() -> None:
    row = mapping.message_row(replace(TEXT, kind=api.MessageKind.UNKNOWN, text=""))
    assert row.unreadable is vm.Unreadable.UNKNOWN


def test_a_notice_keeps_its_numbers_and_names_the_person() -> None:
    row = mapping.message_row(notice(api.Cause.MISSING, count="3"))
    assert row.service is vm.ServiceKind.MESSAGES_MISSING
    assert dict(row.service_params) == {"name": "bruno", "count": "3"}


def test_the_key_of_an_own_message_survives_its_acknowledgement() -> None:
    acked = replace(OWN, seq=12, order=12, state=api.MessageState.SENT)
    assert mapping.key_of(OWN) == mapping.key_of(acked)
    assert mapping.mid_of(mapping.key_of(acked)) == OWN.mid


def test_a_replayed_row_that_claims_a_taken_id_is_a_row_of_its_own() -> None:
    replayed = replace(TEXT, kind=api.MessageKind.UNREADABLE, cause=api.Cause.TAMPERED, seq=8, order=8)
    stolen = replace(TEXT, mid=OWN.mid, seq=9, order=9)
    keys = {mapping.key_of(message) for message in (TEXT, OWN, replayed, stolen)}
    assert len(keys) == 4


def test_only_an_own_message_has_an_id_to_be_retried_by() -> None:
    with pytest.raises(ValueError, match="s7"):
        mapping.mid_of(mapping.key_of(TEXT))


def test_the_start_of_a_chat_says_that_it_is_encrypted() -> None:
    page = mapping.page("63", api.Page((TEXT,), at_start=True, at_end=True))
    assert [row.key for row in page.rows] == [mapping.ENCRYPTED_KEY, "s7"]
    assert page.rows[0].position < page.rows[1].position
    assert page.rows[0].time_ms == TEXT.sent_ms
    later = mapping.page("63", api.Page((TEXT,), at_start=False, at_end=True))
    assert [row.key for row in later.rows] == ["s7"]


def test_a_chat_row() -> None:
    row = mapping.chat_row(replace(VIEW, draft="a medias"), own_title="Notas para mí", typists=("bruno",))
    assert row == vm.ChatRow(
        chat_id="63" * 32,
        title="bruno",
        hue=mapping.hue_of(BRUNO.uid),
        handle="bruno",
        preview="hola",
        time_ms=1_000,
        sort_ms=5,
        unread=2,
        verified=True,
        draft="a medias",
        typing=True,
        peer="62" * 16,
    )


def test_a_chat_row_of_a_request_of_oneself_and_of_an_empty_chat() -> None:
    request = mapping.chat_row(replace(VIEW, accepted=False, identity_changed=True), own_title="x")
    assert (request.request, request.identity_changed) == (True, True)
    mine = mapping.chat_row(replace(VIEW, peer=ANA, note_to_self=True, last=None), own_title="Notas para mí")
    assert (mine.title, mine.note_to_self, mine.preview, mine.time_ms) == ("Notas para mí", True, "", 0)


def test_a_chat_row_shows_the_own_message_s_state_and_what_has_no_text() -> None:
    own = mapping.chat_row(replace(VIEW, last=replace(OWN, state=api.MessageState.READ)), own_title="x")
    assert (own.preview_outgoing, own.last_state) == (True, vm.MessageState.READ)
    waiting = replace(TEXT, kind=api.MessageKind.UNREADABLE, text="", cause=api.Cause.WAITING)
    assert mapping.chat_row(replace(VIEW, last=waiting), own_title="x").preview_kind is vm.Unreadable.WAITING
    gone = notice(api.Cause.REMOVED_BY_SERVER)
    assert mapping.chat_row(replace(VIEW, last=gone), own_title="x").preview_kind is vm.ServiceKind.REMOVED_BY_SERVER


@pytest.mark.parametrize("phase", list(api.ConnectionPhase))
def test_every_phase_of_the_connection_has_a_picture(phase: api.ConnectionPhase) -> None:
    event = api.ConnectionChanged(phase, retry_at_ms=9, code=Code.UNAVAILABLE, pending=4)
    state = mapping.connection_state(event, "chat.example.org")
    assert (state.server, state.retry_at_ms, state.pending, state.error) == ("chat.example.org", 9, 4, "unavailable")


def test_the_hue_is_the_first_byte_of_the_hash() -> None:
    assert {mapping.hue_of(bytes([n])) for n in range(200)} == set(range(mapping.HUES))


def test_an_answer_names_what_it_answers_as_it_stands_here() -> None:
    quote = api.Quote(Mid(b"q" * 16), ANA, api.MessageKind.TEXT, "¿Vienes?", 3)
    row = mapping.message_row(replace(TEXT, reply=quote), ANA.uid)
    assert row.quote is not None
    assert (row.quote.outgoing, row.quote.text, row.quote.position) == (True, "¿Vienes?", 3)
    gone = mapping.quote_row(replace(quote, kind=None, text="", order=None), ANA.uid)
    assert (gone.kind, gone.position) == (QuoteKind.MISSING, None)


def test_reactions_are_gathered_by_emoji() -> None:
    given = (api.Reaction(BRUNO, "👍"), api.Reaction(BRUNO, "🙏"), api.Reaction(ANA, "👍"))
    rows = mapping.message_row(replace(TEXT, reactions=given), ANA.uid).reactions
    assert [(row.emoji, row.count, row.mine, row.names) for row in rows] == [
        ("👍", 2, True, ("bruno",)),
        ("🙏", 1, False, ("bruno",)),
    ]


@pytest.mark.parametrize("state", list(api.AttachmentState))
def test_a_file_and_where_it_is(state: api.AttachmentState) -> None:
    file = api.Attachment("a.pdf", "application/pdf", 9, state, risky=False, width=5, height=5)
    row = mapping.message_row(replace(OWN, kind=api.MessageKind.FILE, text="mira", attachment=file))
    assert row.file is not None
    assert (row.text, row.file.phase.name, row.file.is_picture) == ("mira", state.name, False)
    failed = mapping.message_row(replace(OWN, state=api.MessageState.FAILED, attachment=file))
    assert failed.file is not None
    assert failed.file.phase is FilePhase.FAILED


def test_a_transfer_that_has_arrived_is_no_longer_on_its_way() -> None:
    moving = api.Transfer(CHAT, TEXT.mid, api.Direction.DOWNLOAD, 5, 10)
    assert mapping.transfer_put(moving).transfer == TransferRow(upload=False, done=5, total=10)
    assert mapping.transfer_put(replace(moving, done=10)).transfer is None


def test_a_notice_takes_no_actions() -> None:
    assert mapping.message_row(notice(api.Cause.NEW_DEVICE)).mid == ""
