"""A server that shows another key log: to one of two, over time, or beside the keys that it gives out."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mensajeria.client import SecurityError
from mensajeria.client.core import keylog as core
from mensajeria.client.engine.keylog import log as keylog
from mensajeria.client.engine.keylog.mirror import LOG_KEY
from mensajeria.client.store import Tx
from mensajeria.kit.merkle import leaf_hash, root_hash
from mensajeria.protocol import frames
from mensajeria.protocol.encoding import encode
from mensajeria.protocol.ids import b64
from mensajeria.protocol.records import Signed, TransparencyLeaf, TreeHead
from mensajeria.protocol.signing import Ctx, signing_input
from mensajeria.protocol.transparency import (
    decode_leaf,
    encode_leaf,
    handle_label,
    handle_value,
    log_id,
    uid_label,
    verify_tree_head,
)
from mensajeria.server.transparency.log import append_leaf
from tests.attacks.evil import EvilServer, Json, Rule
from tests.attacks.forging import Impostor, ServeKeys, contact_of, keys_of, list_known, model, now_ms
from tests.attacks.stage import Actor, Stage

pytestmark = pytest.mark.slow
DAY_MS = 24 * 3600 * 1000


def leaves_of(evil: EvilServer) -> list[bytes]:
    """The server's real log."""
    with evil.database() as database:
        return [bytes(leaf) for (leaf,) in database.execute("SELECT leaf FROM kt_leaf ORDER BY idx")]


class OtherLog(Rule):
    """Shows a log of the attacker's making, signed with the server's own key; `only` to one person if given."""

    def __init__(self, evil: EvilServer, leaves: list[bytes], *, only: bytes | None = None, **head: Any) -> None:
        self._leaves = leaves
        self._only = only
        key: Any = evil.server.key_log._key
        fields: dict[str, Any] = {
            "size": len(leaves),
            "root": root_hash([leaf_hash(leaf) for leaf in leaves]),
            "ts": now_ms(),
        }
        fields["restore_epoch"] = evil.server.facts.restore_epoch
        key = head.pop("key", key)
        body = encode(TreeHead(log_id=log_id(evil.server.key_log.public_key), **{**fields, **head}))
        self.shown = Signed(body, key.sign(signing_input(Ctx.STH, body)))

    def rest(self, to: bytes | None, method: str, path: str, answer: Json) -> Json:
        if self._only in {None, to}:
            if path == "/v1/transparency/head":
                return model(self.shown)
            if path == "/v1/transparency/leaves":
                # The client asks from where its copy ends; the harness does not see the query.
                start = answer["size"] - len(answer["leaves"])
                return {"leaves": [b64(leaf) for leaf in self._leaves[start:]], "size": len(self._leaves)}
        return super().rest(to, method, path, answer)


def added(leaves: list[bytes], label: bytes, **fields: object) -> list[bytes]:
    """The log with one more leaf, which follows its label's last one."""
    last = max((i for i, one in enumerate(leaves) if decode_leaf(one).label == label), default=-1)
    ver = decode_leaf(leaves[last]).ver + 1 if last >= 0 else 1
    base = {"label": label, "ver": ver, "value_hash": b"v" * 32, "prev_idx": last, "ts": now_ms()}
    return [*leaves, encode_leaf(TransparencyLeaf(**{**base, **fields}))]  # type: ignore[arg-type]


async def level(*actors: Actor) -> None:
    for actor in actors:
        assert await actor.client.security.look_at_log()


async def evidence_of(actor: Actor) -> list[tuple[str, Signed, Signed | None]]:
    return [(one.code, one.head, one.other) for one in await actor.read(lambda tx: tx.key_log.evidence())]


async def violated(stage: Stage, actor: Actor, leaves: list[bytes], code: str, **head: Any) -> None:
    """The actor notices, tells, keeps the head as evidence, and goes on with the log it had."""
    before = await actor.read(lambda tx: tx.key_log.head())
    stage.evil.rule = rule = OtherLog(stage.evil, leaves, **head)
    assert not await actor.client.security.look_at_log()
    await actor.warned(code)
    assert (code, rule.shown) in [(found, shown) for found, shown, _ in await evidence_of(actor)]
    assert await actor.read(lambda tx: tx.key_log.head()) == before
    stage.evil.rule = Rule()
    await level(actor)


async def test_an_honest_log_is_mirrored_and_holds_everybody_s_keys(stage: Stage) -> None:
    ana, bruno = await stage.pair()
    await level(ana, bruno)
    assert await ana.read(lambda tx: tx.key_log.size()) == len(leaves_of(stage.evil))
    assert (await ana.client.security.of("bruno")).logged
    await ana.send(stage.chat_id, "con el tamaño del registro")
    await bruno.shows(stage.chat_id, "ana: con el tamaño del registro")
    assert await bruno.read(lambda tx: tx.key_log.claims()) == ()
    assert ana.warnings() == bruno.warnings() == []
    assert await evidence_of(ana) == await evidence_of(bruno) == []


async def test_two_views_are_proven_by_one_message(stage: Stage) -> None:
    """Bruno is shown another last leaf than Ana: consistent in itself, and signed."""
    ana, bruno = await stage.pair()
    await level(ana, bruno)
    common = leaves_of(stage.evil)
    await stage.evil.server.db.write(
        lambda c: append_leaf(c, label=b"n" * 32, ver=1, value_hash=b"v" * 32, now_ms=now_ms())
    )
    stage.evil.rule = OtherLog(stage.evil, added(common, b"m" * 32), only=bruno.uid)
    await level(ana, bruno)
    assert ana.warnings() == bruno.warnings() == []
    await ana.send(stage.chat_id, "hola")
    await bruno.warned(core.FORKED)
    await ana.warned(core.FORKED)
    key = await ana.read(lambda tx: tx.meta.get(LOG_KEY))
    assert key is not None
    for actor in (ana, bruno):
        [(code, head, other)] = await evidence_of(actor)
        assert code == core.FORKED
        assert other is not None
        one, two = verify_tree_head(head, log_key=key), verify_tree_head(other, log_key=key)
        assert one.size == two.size
        assert one.root != two.root


async def test_two_views_are_told_by_a_code(stage: Stage) -> None:
    """Two people who meet compare their logs too, without a message."""
    ana, bruno = await stage.pair()
    await level(ana, bruno)
    common = leaves_of(stage.evil)
    await stage.evil.server.db.write(
        lambda c: append_leaf(c, label=b"n" * 32, ver=1, value_hash=b"v" * 32, now_ms=now_ms())
    )
    stage.evil.rule = OtherLog(stage.evil, added(common, b"m" * 32), only=bruno.uid)
    await level(bruno)
    code = await bruno.client.security.code()
    await ana.client.security.check("bruno", code)
    assert ana.warnings() == []
    await level(ana)
    await ana.client.security.check("bruno", code)
    await ana.warned(core.FORKED)


async def test_of_a_log_too_large_to_copy_proofs_are_asked(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "MIRROR_MAX", 2)
    ana = await stage.open("ana")
    await ana.change(lambda tx: tx.key_log.cut(0))
    await stage.evil.server.db.write(
        lambda c: append_leaf(c, label=b"n" * 32, ver=1, value_hash=b"v" * 32, now_ms=now_ms())
    )
    await level(ana)
    assert await ana.read(lambda tx: tx.key_log.size()) == 0
    assert (await ana.client._engine.directory.by_handle("bruno")).handle == "bruno"
    stage.evil.rule = OtherLog(stage.evil, added(leaves_of(stage.evil)[:-1], b"m" * 32, ver=7) * 2)
    assert not await ana.client.security.look_at_log()
    await ana.warned(core.REWRITTEN)
    stage.evil.rule = Rule()
    await stage.evil.server.db.write(
        lambda c: append_leaf(c, label=b"o" * 32, ver=1, value_hash=b"v" * 32, now_ms=now_ms())
    )
    real = leaves_of(stage.evil)
    stage.evil.rule = OtherLog(stage.evil, [*real[1:], real[0]])  # a proof of the real log is no proof of this one
    assert not await ana.client.security.look_at_log()
    stage.evil.rule = Rule()
    await level(ana)


class OtherPlace(Rule):
    """Answers the newest leaf of a name with one that says something else."""

    def __init__(self, leaf: bytes) -> None:
        self._leaf = leaf

    def rest(self, to: bytes | None, method: str, path: str, answer: Json) -> Json:
        if "/transparency/labels/" in path:
            return {**answer, "leaf": b64(self._leaf)}
        return super().rest(to, method, path, answer)


async def test_a_leaf_without_a_proof_counts_for_nothing(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "MIRROR_MAX", 2)
    ana = await stage.open("ana")
    await level(ana)
    label = handle_label(stage.evil.server.facts.server_id, "bruno")
    stage.evil.rule = OtherPlace(added([], label, value_hash=handle_value(b"e" * 16))[0])
    with pytest.raises(SecurityError, match="handle_remapped"):
        await ana.client._engine.directory.by_handle("bruno")


async def test_leaves_hidden_from_one_are_proven_by_the_other_s_head(stage: Stage) -> None:
    """Bruno is kept at an old state with ever new signatures."""
    ana, bruno = await stage.pair()
    await level(ana, bruno)
    common = leaves_of(stage.evil)
    await stage.evil.server.db.write(
        lambda c: append_leaf(c, label=b"n" * 32, ver=1, value_hash=b"v" * 32, now_ms=now_ms())
    )
    await level(ana)
    stage.evil.rule = OtherLog(stage.evil, common, only=bruno.uid, ts=now_ms() + 60_000)
    await level(bruno)
    await ana.send(stage.chat_id, "hola")
    await bruno.warned(core.FORKED)


async def test_a_second_value_of_one_version_is_told(stage: Stage) -> None:
    ana, bruno = await stage.pair()
    await level(ana)
    leaves = leaves_of(stage.evil)
    same = decode_leaf(next(leaf for leaf in leaves if decode_leaf(leaf).label == uid_label(bruno.uid))).ver
    forged = added(leaves, uid_label(bruno.uid), ver=same)
    await violated(stage, ana, forged, core.SECOND_VALUE)


async def test_a_rewritten_log_is_told(stage: Stage) -> None:
    ana = await stage.open("ana")
    await level(ana)
    leaves = leaves_of(stage.evil)
    first = decode_leaf(leaves[0])
    other = encode_leaf(
        TransparencyLeaf(label=first.label, ver=first.ver, value_hash=b"x" * 32, prev_idx=-1, ts=first.ts)
    )
    await violated(stage, ana, added([other, *leaves[1:]], b"n" * 32), core.REWRITTEN)


async def test_a_log_rolled_back_is_told(stage: Stage) -> None:
    ana = await stage.open("ana")
    await level(ana)
    await violated(stage, ana, leaves_of(stage.evil)[:-1], core.ROLLED_BACK)


async def test_another_root_of_the_same_size_is_told(stage: Stage) -> None:
    ana = await stage.open("ana")
    await level(ana)
    await violated(stage, ana, leaves_of(stage.evil), core.FORKED, root=b"x" * 32)


async def test_a_head_of_another_key_is_told(stage: Stage) -> None:
    ana = await stage.open("ana")
    await level(ana)
    await violated(stage, ana, leaves_of(stage.evil), core.FORGED, key=Ed25519PrivateKey.generate())


async def test_leaves_that_do_not_name_their_predecessor_are_told(stage: Stage) -> None:
    ana = await stage.open("ana")
    await level(ana)
    await violated(stage, ana, added(leaves_of(stage.evil), b"n" * 32, prev_idx=0), core.FORGED)


async def test_a_restored_server_s_log_begins_anew_and_says_so(stage: Stage) -> None:
    ana = await stage.open("ana")
    await level(ana)
    leaves = leaves_of(stage.evil)
    epoch = stage.evil.server.facts.restore_epoch + 1
    stage.evil.rule = OtherLog(stage.evil, added(leaves, b"n" * 32), restore_epoch=epoch)
    await ana.client.security.look_at_log()
    await ana.warned("key_log_restored")


async def test_a_log_that_was_rewritten_under_cover_of_a_restore_is_told(stage: Stage) -> None:
    """Behind what a restored log shares with the mirror stands only what was made since."""
    ana = await stage.open("ana")
    await level(ana)
    leaves = leaves_of(stage.evil)
    changed = decode_leaf(leaves[1])
    other = TransparencyLeaf(label=b"n" * 32, ver=1, value_hash=b"v" * 32, prev_idx=-1, ts=changed.ts - 600_000)
    epoch = stage.evil.server.facts.restore_epoch + 1
    stage.evil.rule = OtherLog(stage.evil, [leaves[0], encode_leaf(other)], restore_epoch=epoch)
    for _ in range(2):  # it does not pass by being repeated
        assert not await ana.client.security.look_at_log()
    await ana.warned(core.REWRITTEN)


async def test_a_restored_log_goes_on_from_what_it_shares(stage: Stage) -> None:
    ana = await stage.open("ana")
    await level(ana)
    leaves = leaves_of(stage.evil)
    cut = leaves[:-1]
    stage.evil.rule = OtherLog(
        stage.evil, added(cut, b"n" * 32), restore_epoch=stage.evil.server.facts.restore_epoch + 1
    )
    await ana.client.security.look_at_log()
    warning = next(one for one in await ana.read(lambda tx: tx.meta.warnings()) if one.code == "key_log_restored")
    assert dict(warning.params) == {"kept": str(len(cut)), "lost": "1"}
    assert await ana.read(lambda tx: tx.key_log.size()) == len(leaves)


async def test_leaves_that_were_copied_for_a_head_never_kept_accuse_nobody(stage: Stage) -> None:
    """The first look was cut off before its end; then the server was restored, and its log went on otherwise."""
    ana = await stage.open("ana")
    await level(ana)
    lost = decode_leaf(added(leaves_of(stage.evil), b"n" * 32)[-1])

    def interrupt(tx: Tx) -> None:
        tx.key_log.cut(2)
        tx.key_log.append(2, lost, b"h" * 32)
        tx.key_log._db.execute("DELETE FROM key_log_heads")

    await ana.change(interrupt)
    await level(ana)
    leaves = leaves_of(stage.evil)
    assert await ana.read(lambda tx: tx.key_log.root_at(len(leaves))) == root_hash([leaf_hash(one) for one in leaves])
    assert ana.warnings() == []


async def test_a_stale_head_warns_and_blocks_nothing(stage: Stage) -> None:
    ana, bruno = await stage.pair()
    await level(ana)
    stage.evil.rule = OtherLog(stage.evil, leaves_of(stage.evil), ts=now_ms() - DAY_MS - 60_000)
    await level(ana)
    await ana.warned(core.STALE)
    await ana.send(stage.chat_id, "sigue")
    await bruno.shows(stage.chat_id, "ana: sigue")


async def test_a_name_given_to_somebody_else_alarms_its_owner(stage: Stage) -> None:
    ana = await stage.open("ana")
    await level(ana)
    label = handle_label(stage.evil.server.facts.server_id, "ana")
    stage.evil.rule = OtherLog(
        stage.evil, added(leaves_of(stage.evil), label, value_hash=handle_value(b"e" * 16)), only=ana.uid
    )
    await ana.client.security.look_at_log()
    await ana.warned("key_log_own_name")


async def test_who_looks_up_a_name_refuses_another_person_than_the_log_s(stage: Stage) -> None:
    ana = await stage.open("ana")
    await level(ana)
    label = handle_label(stage.evil.server.facts.server_id, "bruno")
    stage.evil.rule = OtherLog(
        stage.evil, added(leaves_of(stage.evil), label, value_hash=handle_value(b"e" * 16)), only=ana.uid
    )
    await ana.client.security.look_at_log()
    with pytest.raises(SecurityError, match="handle_remapped"):
        await ana.client._engine.directory.by_handle("bruno")


async def test_a_name_that_is_not_in_the_log_is_refused(stage: Stage) -> None:
    ana = await stage.open("ana")
    eve = Impostor.first(b"e" * 16, "eve")
    stage.evil.rule = ServeKeys(b"e" * 16, keys_of(b"e" * 16, eve.identity.record, eve.signed), handle="eve")
    with pytest.raises(SecurityError, match="handle_remapped"):
        await ana.client.direct_chat("eve")


class NoLog(Rule):
    """The log cannot be reached."""

    def rest(self, to: bytes | None, method: str, path: str, answer: Json) -> Json:
        return {"nothing": "here"} if path.startswith("/v1/transparency/") else super().rest(to, method, path, answer)


async def test_a_log_that_cannot_be_reached_stops_nobody(stage: Stage) -> None:
    ana = await stage.open("ana")
    await ana.change(lambda tx: tx.key_log.cut(0))
    stage.evil.rule = NoLog()
    assert (await ana.client._engine.directory.by_handle("bruno")).handle == "bruno"


async def test_a_log_that_takes_its_time_stops_nobody(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    ana = await stage.open("ana")
    await ana.change(lambda tx: tx.key_log.cut(0))
    monkeypatch.setattr(keylog, "NAME_PATIENCE_S", 0.0)
    assert (await ana.client._engine.directory.by_handle("bruno")).handle == "bruno"


async def test_keys_that_are_in_no_log_are_told(stage: Stage) -> None:
    ana, bruno = await stage.pair()
    await level(ana)
    impostor = Impostor.instead_of(list_known(await ana.read(contact_of(bruno.uid))))
    stage.evil.rule = ServeKeys(bruno.uid, keys_of(bruno.uid, impostor.identity.record, impostor.signed), only=ana.uid)
    await stage.evil.tell(ana.uid, frames.ListChanged(bruno.uid, 2))
    await ana.warned("key_log_unlogged")


async def test_keys_that_the_log_has_and_the_server_hides_are_told(stage: Stage) -> None:
    ana, bruno = await stage.pair()
    await level(ana)
    stage.evil.rule = OtherLog(stage.evil, added(leaves_of(stage.evil), uid_label(bruno.uid)), only=ana.uid)
    await level(ana)
    await ana.warned("key_log_list_hidden")
    assert (await ana.client.security.of("bruno")).logged is False


async def test_keys_in_the_log_that_one_never_made_alarm_their_owner(stage: Stage) -> None:
    ana = await stage.open("ana")
    await level(ana)
    stage.evil.rule = OtherLog(stage.evil, added(leaves_of(stage.evil), uid_label(ana.uid)), only=ana.uid)
    await level(ana)
    await ana.warned("key_log_list_hidden_own")


async def test_other_keys_of_one_s_version_alarm_both_ends(stage: Stage) -> None:
    """A log that never held the true keys, shown from the start."""
    ana, bruno = await stage.pair()
    false = [
        encode_leaf(
            TransparencyLeaf(label=one.label, ver=one.ver, value_hash=b"x" * 32, prev_idx=one.prev_idx, ts=one.ts)
        )
        if (one := decode_leaf(leaf)).label in {uid_label(ana.uid), uid_label(bruno.uid)}
        else leaf
        for leaf in leaves_of(stage.evil)
    ]
    stage.evil.rule = OtherLog(stage.evil, false, restore_epoch=stage.evil.server.facts.restore_epoch + 1)
    await ana.client.security.look_at_log()
    await ana.warned("key_log_keys")
    await ana.warned("key_log_keys_own")
