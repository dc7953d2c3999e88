"""The formats of backups are frozen: fixed inputs give the same bytes, and what was sealed once opens for ever.

`python -m tests.vectors.test_backup_vectors write` made backup.json, and refuses to replace it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Final

import pytest

from mensajeria.crypto.backup import BackupSealer, SealedRow, session_counter
from mensajeria.kit.secrets import Secret
from mensajeria.protocol import records_backup as records
from mensajeria.protocol.encoding import encode
from mensajeria.protocol.records import MembershipHead, SessionBinding, Signed

FILE: Final = Path(__file__).parent / "backup.json"
A, DID, CHAT, SESSION = b"a" * 16, b"d" * 16, b"c" * 32, b"S" * 32
SEALER = BackupSealer(A, 3, Secret(b"b" * 32), Secret(b"s" * 32))
BINDING = SessionBinding(
    chat_id=CHAT, uid=A, did=DID, session_id=SESSION, mhead=MembershipHead(1, b"h" * 32, b"t" * 32), dl_ver=1, created=9
)
SESSION_RECORD = records.SessionBackup(skb=Signed(encode(BINDING), b"s" * 64), export=b"e" * 165, first_index=4)
PAGE = records.IndexPage(did=DID, page=2, entries=(records.IndexEntry(0, b"r" * 16, session_counter(4, proven=True)),))
HEAD = records.IndexHead(did=DID, entries=201)
SETTING = records.SettingRecord(key="contact:61", value=b"value", counter=5, did=DID)


def computed() -> dict[str, str]:
    return {
        "session": encode(SESSION_RECORD).hex(),
        "page": encode(PAGE).hex(),
        "head": encode(HEAD).hex(),
        "setting": encode(SETTING).hex(),
        "contact": encode(records.ContactSetting(idfp=b"i" * 32, verified=True)).hex(),
        "chat": encode(records.ChatSetting(accepted=True)).hex(),
        "keys": encode(records.BackupKeys(n=3, backup=b"b" * 32, settings=b"s" * 32)).hex(),
        "keys_request": encode(records.BackupKeysRequest(n=3)).hex(),
        "id.session": SEALER.session_id(CHAT, SESSION).hex(),
        "id.page": SEALER.page_id(DID, 2).hex(),
        "id.head": SEALER.head_id(DID).hex(),
        "id.setting": SEALER.setting_id("contact:61").hex(),
        "counter": str(session_counter(4, proven=True)),
    }


def sealed() -> dict[str, str]:
    rows = {
        "session": SEALER.seal_session(SESSION_RECORD, BINDING, session_counter(4, proven=True)),
        "page": SEALER.seal_page(PAGE),
        "head": SEALER.seal_head(HEAD),
        "setting": SEALER.seal_setting(SETTING),
    }
    return {name: f"{row.row_id.hex()} {row.counter} {row.blob.hex()}" for name, row in rows.items()}


def row(name: str) -> SealedRow:
    row_id, counter, blob = json.loads(FILE.read_text(encoding="utf-8"))["sealed"][name].split()
    return SealedRow(bytes.fromhex(row_id), int(counter), bytes.fromhex(blob))


@pytest.mark.parametrize("name", sorted(computed()))
def test_the_same_inputs_give_the_same_bytes(name: str) -> None:
    assert computed()[name] == json.loads(FILE.read_text(encoding="utf-8"))["computed"][name]


def test_old_rows_open() -> None:
    opened = SEALER.open_session(row("session"))
    assert (opened.record, opened.binding) == (SESSION_RECORD, BINDING)
    assert SEALER.open_page(row("page"), DID, 2) == PAGE
    assert SEALER.open_head(row("head"), DID) == HEAD
    assert SEALER.open_setting(row("setting")) == SETTING


if __name__ == "__main__" and sys.argv[1:] == ["write"]:
    if FILE.exists():
        raise SystemExit(f"{FILE} exists: a format that is in use does not change; remove it by hand if none is")
    FILE.write_text(json.dumps({"computed": computed(), "sealed": sealed()}, indent=1) + "\n", encoding="utf-8")
