"""Every frozen record is what the table of the document says, and nothing else passes for one."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.second.document import SHAPES, record
from tests.second.encoding import RefusedError, read
from tests.second.vectors import BACKUP, COMPUTED, GROUPS, HEALING, PROFILES, SEALED
from tests.support.examples import examples

RECORDS: dict[str, str] = {
    "binding": "skb",
    "body.delete": "delete",
    "body.delete.unknown": "delete",
    "body.edit": "edit",
    "body.reaction": "reaction",
    "body.reaction.none": "reaction",
    "body.timer": "timer",
    "create": "member_event",
    "device_login": "device_login",
    "direct_head": "mhead",
    "file.body": "file",
    "identity.record": "identity_record",
    "inner": "inner",
    "invite_proof": "invite_proof",
    "key_request": "key_request",
    "leaf": "leaf",
    "list.body": "device_list",
    "log_evidence": "sth",
    "one_time_key": "prekey",
    "outer": "outer",
    "pq_prekey": "pq_prekey",
    "read": "read",
    "room_key": "room_key",
    "text": "text",
    "to_device": "to_device",
    "to_device_outer": "to_device_outer",
    "tree_head": "tree_head",
    "verify_accept": "verify",
    "verify_cancel": "verify",
}
MADE_ONCE = {
    "list_ana": "signed",
    "list_bruno": "signed",
    "outer": "outer",
    "record_ana": "identity_record",
    "record_bruno": "identity_record",
    "succession": "succession_proof",
    "wrap_password": "account_wrap",
    "wrap_recovery": "account_wrap",
}
OF_BACKUPS = {
    "chat": "chat_setting",
    "contact": "contact_setting",
    "head": "index_head",
    "keys": "backup_keys",
    "keys_request": "backup_request",
    "page": "index_page",
    "session": "session_backup",
    "setting": "setting",
}
EVERY = [
    *[(kind, COMPUTED[name]) for name, kind in RECORDS.items()],
    *[(kind, SEALED[name]) for name, kind in MADE_ONCE.items()],
    *[(kind, BACKUP["computed"][name]) for name, kind in OF_BACKUPS.items()],
    *HEALING.items(),
    ("group_profile", GROUPS["group_profile"]),
    ("user_profile", PROFILES["user_profile"]),
    ("profile_key", PROFILES["profile_key"]),
]


@pytest.mark.parametrize(("kind", "data"), EVERY, ids=[f"{at}-{kind}" for at, (kind, _) in enumerate(EVERY)])
def test_a_frozen_record_is_what_the_document_says(kind: str, data: str) -> None:
    assert record(kind, data)


def test_every_line_of_the_table_is_met_by_a_vector() -> None:
    """Inside others: what stands in a field. Read by other tests here: links and codes, which are texts."""
    elsewhere = {"invite_link", "verification_code", "succession", "ack"}
    inside = {kind.rstrip("*?") for _, fields in SHAPES.values() for _, kind in fields}
    assert SHAPES.keys() - {kind for kind, _ in EVERY} - inside - elsewhere == set()
    assert len(SHAPES) > 50


@pytest.mark.parametrize(
    "data",
    [
        "82a161000a62",  # cut off
        "82a16101a16102",  # a key twice
        "82a16201a16102",  # keys not sorted
        "cc05",  # not the shortest number
        "d90161",  # not the shortest text
        "c5000161",  # not the shortest bytes
        "dc000101",  # not the shortest list
        "0101",  # bytes behind the value
        "cb3ff0000000000000",  # a fraction: no record has one
        "91" * 20 + "01",  # too deep
    ],
)
def test_a_second_form_of_a_value_is_refused(data: str) -> None:
    with pytest.raises(RefusedError):
        read(bytes.fromhex(data))


@examples(100, database=None)
@given(st.data())
def test_a_record_with_another_byte_is_another_record_or_none(data: st.DataObject) -> None:
    kind, frozen = data.draw(st.sampled_from(EVERY))
    good = bytes.fromhex(frozen)
    at = data.draw(st.integers(0, len(good) - 1))
    bad = good[:at] + bytes([good[at] ^ data.draw(st.integers(1, 255))]) + good[at + 1 :]
    try:
        changed = record(kind, bad)
    except (RefusedError, ValueError, KeyError, TypeError):
        return
    assert changed != record(kind, good)


def test_nothing_of_the_program_is_used_here() -> None:
    for path in Path(__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not [name for name in names if name.split(".")[0] in {"mensajeria", "msgspec", "vodozemac"}], path
