"""Auditing a key log that lies: every violation is found, told by its code, and kept with the heads that prove it."""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mensajeria.client import InputError
from mensajeria.client.audit import AuditFile, AuditReport, decode_audit_file, read_audit_file, write_audit_file
from mensajeria.client.core import keylog as core
from mensajeria.protocol.transparency import decode_leaf, encode_leaf, uid_label
from mensajeria.server.transparency.log import append_leaf
from tests.attacks.evil import Rule
from tests.attacks.forging import now_ms
from tests.attacks.stage import Actor, Stage
from tests.attacks.test_keylog import OtherLog, added, leaves_of


async def audited(
    actor: Actor, state: AuditFile | None = None, *others: AuditFile
) -> tuple[AuditReport, AuditFile, list[str]]:
    report, kept = await actor.client.security.audit(state, list(others))
    return report, kept, [one.code for one in report.violations]


async def grow(stage: Stage, label: bytes = b"n" * 32) -> None:
    await stage.evil.server.db.write(
        lambda c: append_leaf(c, label=label, ver=1, value_hash=b"v" * 32, now_ms=now_ms())
    )


@pytest.mark.slow
async def test_an_honest_log_agrees_with_every_head_that_was_kept(stage: Stage, tmp_path: Path) -> None:
    ana = await stage.open("ana")
    _, kept, codes = await audited(ana)
    assert codes == []
    await grow(stage)
    write_audit_file(tmp_path / "state.json", kept)
    report, kept, codes = await audited(ana, read_audit_file(tmp_path / "state.json"))
    assert (report.checked, codes, len(kept.heads), kept.proofs) == (1, [], 2, ())


@pytest.mark.slow
async def test_a_log_that_was_rewritten_since_is_found(stage: Stage) -> None:
    ana = await stage.open("ana")
    _, state, _ = await audited(ana)
    leaves = leaves_of(stage.evil)
    other = encode_leaf(msgspec.structs.replace(decode_leaf(leaves[0]), value_hash=b"x" * 32))
    stage.evil.rule = OtherLog(stage.evil, added([other, *leaves[1:]], b"n" * 32))
    report, kept, codes = await audited(ana, state)
    assert codes == [core.REWRITTEN]
    assert kept.heads == state.heads
    [proof] = kept.proofs
    assert proof.against == state.heads[0]
    assert report.violations[0].against is not None


@pytest.mark.slow
async def test_a_log_that_has_shrunk_is_found(stage: Stage) -> None:
    ana = await stage.open("ana")
    _, state, _ = await audited(ana)
    stage.evil.rule = OtherLog(stage.evil, leaves_of(stage.evil)[:-1])
    assert (await audited(ana, state))[2] == [core.ROLLED_BACK]


@pytest.mark.slow
async def test_two_auditors_who_were_shown_two_logs_find_out(stage: Stage) -> None:
    ana, bruno = await stage.pair()
    common = leaves_of(stage.evil)
    await grow(stage)
    stage.evil.rule = OtherLog(stage.evil, added(common, b"m" * 32), only=bruno.uid)
    _, of_ana, codes = await audited(ana)
    assert codes == []
    _, of_bruno, codes = await audited(bruno)
    assert codes == []
    assert (await audited(ana, of_ana, of_bruno))[2] == [core.FORKED]
    assert (await audited(bruno, None, of_ana))[2] == [core.FORKED]


@pytest.mark.slow
async def test_leaves_hidden_from_one_auditor_are_found_by_another_s_head(stage: Stage) -> None:
    ana, bruno = await stage.pair()
    common = leaves_of(stage.evil)
    await grow(stage)
    _, of_ana, _ = await audited(ana)
    stage.evil.rule = OtherLog(stage.evil, common, only=bruno.uid, ts=now_ms() + 60_000)
    assert (await audited(bruno, None, of_ana))[2] == [core.FORKED]


@pytest.mark.slow
async def test_bad_leaves_and_false_roots_are_found(stage: Stage) -> None:
    ana, bruno = await stage.pair()
    leaves = leaves_of(stage.evil)
    ver = next(one.ver for leaf in leaves if (one := decode_leaf(leaf)).label == uid_label(bruno.uid))
    for forged, expected in (
        (added(leaves, uid_label(bruno.uid), ver=ver), [core.SECOND_VALUE]),
        (added(leaves, b"n" * 32, prev_idx=1), [core.FORGED]),
        ([*leaves, b"no leaf"], [core.FORGED]),
    ):
        stage.evil.rule = OtherLog(stage.evil, forged)
        assert (await audited(ana))[2] == expected
    stage.evil.rule = OtherLog(stage.evil, leaves, root=b"x" * 32)
    assert (await audited(ana))[2] == [core.REWRITTEN]
    stage.evil.rule = Rule()
    assert (await audited(ana))[2] == []


@pytest.mark.slow
async def test_a_file_of_another_server_or_with_a_false_head_is_refused(stage: Stage) -> None:
    ana = await stage.open("ana")
    _, kept, _ = await audited(ana)
    for field, size in (("server_id", 16), ("log_key", 32)):
        with pytest.raises(InputError, match="audit_other_server"):
            await audited(ana, msgspec.structs.replace(kept, **{field: bytes(size).hex()}))
    sig = kept.heads[0].sig
    false = msgspec.structs.replace(kept.heads[0], sig=("B" if sig[0] == "A" else "A") + sig[1:])
    with pytest.raises(InputError, match="audit_file_invalid"):
        await audited(ana, None, msgspec.structs.replace(kept, heads=(false,)))


@given(st.binary(max_size=400))
def test_any_bytes_are_an_auditor_s_file_or_refused(data: bytes) -> None:
    with contextlib.suppress(InputError):
        decode_audit_file(data)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"v":1,"server_id":"x","log_key":"y"}', "{" * 10_000])
def test_what_is_no_auditor_s_file_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="audit_file_invalid"):
        decode_audit_file(text.encode())


def test_a_missing_or_huge_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        read_audit_file(tmp_path / "none.json")
    (tmp_path / "huge.json").write_bytes(b" " * (9 << 20))
    with pytest.raises(InputError):
        read_audit_file(tmp_path / "huge.json")
