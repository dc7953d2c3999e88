"""Auditing a server's key log: what an auditor keeps in a file, and one run against the server and others' files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import msgspec

from mensajeria.client.core import keylog as core
from mensajeria.client.core.audit import SeenHead, Violation, Walk
from mensajeria.client.engine.context import Context
from mensajeria.client.engine.keylog.log import KeyLog
from mensajeria.client.engine.keylog.mirror import fetch_leaves
from mensajeria.client.errors import InputError, NetworkError
from mensajeria.client.files import read_small, write_private
from mensajeria.protocol.ids import b64, unb64
from mensajeria.protocol.records import Signed, TreeHead
from mensajeria.protocol.transparency import TreeHeadError, verify_tree_head

VERSION: Final = 1
MAX_BYTES: Final = 8 << 20
MAX_HEADS: Final = 4096
_Hex16 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]
_Hex32 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
_Text = Annotated[str, msgspec.Meta(max_length=1024)]


class KeptHead(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A signed head; base64url."""

    body: _Text
    sig: _Text


class KeptProof(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the log did, with the heads that show it."""

    code: _Text
    detail: _Text
    head: KeptHead
    against: KeptHead | None = None


class AuditFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What an auditor keeps. Nothing in it is secret: files are meant to be exchanged."""

    v: int = VERSION
    server_id: _Hex16
    log_key: _Hex32
    heads: Annotated[tuple[KeptHead, ...], msgspec.Meta(max_length=MAX_HEADS)] = ()
    proofs: Annotated[tuple[KeptProof, ...], msgspec.Meta(max_length=MAX_HEADS)] = ()


@dataclass(frozen=True, slots=True)
class AuditReport:
    """One run. `checked`: earlier heads that lay in the log; `violations`: codes with `error.<code>` sentences."""

    size: int
    root: bytes
    checked: int
    violations: tuple[Violation, ...]


_file: Final = msgspec.json.Decoder(AuditFile)


def decode_audit_file(data: bytes) -> AuditFile:
    """Raises InputError (audit_file_invalid) for anything that is no such file."""
    try:
        found = _file.decode(data) if len(data) <= MAX_BYTES else None
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise InputError("audit_file_invalid") from error
    if found is None or found.v != VERSION:
        raise InputError("audit_file_invalid")
    return found


def read_audit_file(path: Path) -> AuditFile:
    """Blocks. Raises InputError (audit_file_invalid)."""
    try:
        return decode_audit_file(read_small(path, MAX_BYTES) or b"")
    except (OSError, ValueError) as error:
        raise InputError("audit_file_invalid", str(error)) from error


def write_audit_file(path: Path, kept: AuditFile) -> None:
    """Blocks."""
    write_private(path, msgspec.json.format(msgspec.json.encode(kept), indent=1) + b"\n")


def heads_of(kept: AuditFile, *, server_id: bytes, log_key: bytes, own: bool) -> list[SeenHead]:
    """The file's heads, each with its signature checked. Raises InputError: audit_file_invalid, audit_other_server."""
    if kept.server_id != server_id.hex():
        raise InputError("audit_other_server")
    if kept.log_key != log_key.hex():
        raise InputError("audit_other_server", "another log key")
    try:
        signed = [Signed(unb64(one.body), unb64(one.sig)) for one in kept.heads]
        return [SeenHead(verify_tree_head(one, log_key=log_key), one, own) for one in signed]
    except (ValueError, TreeHeadError) as error:
        raise InputError("audit_file_invalid", str(error)) from error


async def audit(
    context: Context, log: KeyLog, state: AuditFile | None, others: list[AuditFile]
) -> tuple[AuditReport, AuditFile]:
    """Read the whole log, and hold it against what was kept; the report, and what to keep from now on.

    Raises InputError (as `heads_of`), NetworkError, RefusedError.
    """
    key, server_id = await log.key(), context.me.server_id
    if state is None:
        state = AuditFile(server_id=server_id.hex(), log_key=key.hex())
    seen = heads_of(state, server_id=server_id, log_key=key, own=True)
    for other in others:
        seen += heads_of(other, server_id=server_id, log_key=key, own=False)
    signed = await log.signed_head()
    try:
        head = verify_tree_head(signed, log_key=key)
    except TreeHeadError as error:
        forged = Violation(core.FORGED, str(error))
        return AuditReport(0, b"", 0, (forged,)), _kept(state, signed, [forged], good=False)
    walk = await _walk(context, head, seen)
    report = AuditReport(head.size, head.root, walk.checked, tuple(walk.violations))
    return report, _kept(state, signed, walk.violations, good=not walk.violations)


async def _walk(context: Context, head: TreeHead, seen: list[SeenHead]) -> Walk:
    walk = Walk(head, seen)
    while walk.size < head.size:
        leaves = await fetch_leaves(context.rest, walk.size)
        if not leaves:
            raise NetworkError("not_a_server", "leaves of the key log are missing")
        for leaf in leaves[: head.size - walk.size]:
            walk.add(leaf)
    walk.finish()
    return walk


def _kept(state: AuditFile, signed: Signed, violations: list[Violation], *, good: bool) -> AuditFile:
    head = _head(signed)
    heads = state.heads if not good or head in state.heads else (*state.heads, head)[-MAX_HEADS:]
    proofs = [
        KeptProof(one.code, one.detail, head, None if one.against is None else _head(one.against.signed))
        for one in violations
    ]
    return msgspec.structs.replace(state, heads=heads, proofs=(*state.proofs, *proofs)[-MAX_HEADS:])


def _head(signed: Signed) -> KeptHead:
    return KeptHead(b64(signed.body), b64(signed.sig))
