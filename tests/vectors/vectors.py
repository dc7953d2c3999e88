"""Frozen vectors of every format.

`computed()` is what fixed inputs give; it must equal computed.json byte for byte. What holds fresh randomness by nature
(Olm, Megolm, HPKE, ML-DSA) is made once into sealed.json and must stay readable for ever. To write the files, once:
`python -m tests.vectors.vectors write` refuses to replace one that exists.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

from mensajeria.crypto import aead, padding
from mensajeria.crypto.body import pack_body
from mensajeria.crypto.files import FileSealer, Metadata, sealed_size
from mensajeria.crypto.identity import DeviceCard
from mensajeria.crypto.message import delete_hash, delete_key, delete_token, seal_message
from mensajeria.crypto.password import prestretch
from mensajeria.crypto.recovery import RecoveryCode
from mensajeria.crypto.root import AccountRoot
from mensajeria.crypto.safety import safety_number
from mensajeria.crypto.sas import Party, commitment
from mensajeria.crypto.todevice import envelope_info
from mensajeria.kit.secrets import Secret
from mensajeria.protocol import frames, records, records_messages
from mensajeria.protocol.api import rest_key, rest_mac
from mensajeria.protocol.auth import CheckHandle, ServerInfo, encode_auth
from mensajeria.protocol.channel import channel_key, login_transcript
from mensajeria.protocol.codec import ChannelKeys, Direction, FrameWriter, encode_plain
from mensajeria.protocol.devices import ZERO_HASH, device_list_hash, encode_device_list
from mensajeria.protocol.encoding import H, cat, encode
from mensajeria.protocol.links import code_text, invite_id, invite_mac, link_text
from mensajeria.protocol.membership import direct_chat_id, encode_member_event, event_hash, group_chat_id, start_direct
from mensajeria.protocol.records_files import FileBody
from mensajeria.protocol.records_trust import InviteLink, InviteProof, LogEvidence, VerificationCode, Verify
from mensajeria.protocol.signing import Ctx, signing_input
from mensajeria.protocol.transparency import (
    encode_leaf,
    handle_label,
    handle_value,
    leaf_hash,
    log_id,
    uid_label,
    uid_value,
)
from tests.crypto.people import NOW, DirectChat, Person, envelope

HERE: Final = Path(__file__).parent
A, B, DID, MID = b"a" * 16, b"b" * 16, b"d" * 16, b"m" * 16
SERVER, CHAT, SESSION = b"s" * 16, b"c" * 32, b"S" * 32
CODE = RecoveryCode(Secret(bytes(range(20))))
ROOT = AccountRoot(Secret(bytes(range(32))), 1)


def computed() -> dict[str, str]:
    """Name -> hex or text, for everything that fixed inputs determine."""
    return {**_encodings(), **_accounts(), **_chats(), **_channel(), **_bodies(), **_log(), **_trust(), **_files()}


def _encodings() -> dict[str, str]:
    return {
        "cat": cat(b"", b"ab").hex(),
        "H": H("chat", b"x", b"").hex(),
        **{f"signing_input.{ctx}": signing_input(ctx, b"body").hex() for ctx in Ctx},
        **{f"pad_message.{n}": str(padding.message_size(n)) for n in (0, 60, 61, 1020, 1021, 5000, 65536)},
        **{f"pad_todevice.{n}": str(padding.todevice_size(n)) for n in (0, 1020, 1021, 4093, 16380)},
        "pad": padding.pad_message(b"hi").hex(),
        "seal": aead.seal_with_salt(Secret(b"k" * 32), "label", (A, B), b"text", bytes(16)).hex(),
        "commitment": aead.key_commitment(Secret(b"k" * 32), "label", bytes(16)).hex(),
        "body": pack_body(b"text", compress=True).hex(),
    }


def _accounts() -> dict[str, str]:
    identity = ROOT.identity(A, CODE.public)
    card = DeviceCard(DID, b"e" * 32, b"x" * 32, NOW, b"p" * 64)
    former = records.FormerDevice(did=B, ed25519=b"f" * 32, curve25519=b"g" * 32, from_ver=1, to_ver=1)
    body = encode_device_list(
        records.DeviceList(
            uid=A,
            handle="ana",
            idfp=identity.idfp,
            ver=2,
            prev=ZERO_HASH,
            ts=NOW,
            devices=(card.listed(2),),
            former=(former,),
            backup_ver=2,
        )
    )
    return {
        "prestretch": prestretch(Secret.from_text("contraseña larga"), SERVER, "ana").reveal_text(),
        "recovery.text": CODE.text,
        "recovery.public": CODE.public.hex(),
        "recovery.wrap_key": CODE.wrap_key().reveal().hex(),
        "recovery.sign": CODE.sign(Ctx.RECOVERY_LOGIN, b"body").hex(),
        "root.backup": ROOT.backup_key(1).reveal().hex(),
        "root.settings": ROOT.settings_key(1).reveal().hex(),
        "identity.record": identity.record.hex(),
        "identity.idfp": identity.idfp.hex(),
        "identity.ed25519": identity.sign(Ctx.DEVICE_LIST, b"body")[:64].hex(),
        "list.body": body.hex(),
        "list.hash": device_list_hash(body).hex(),
        "one_time_key": encode(records.OneTimeKey(uid=A, did=DID, key=b"k" * 32)).hex(),
        "pq_prekey": encode(
            records.PqPrekey(uid=A, did=DID, prekey_id=7, key=b"k" * 1216, created=NOW, expires=NOW + 1)
        ).hex(),
        "device_login": encode(records.DeviceLogin(server_id=SERVER, uid=A, did=DID, transcript=b"t" * 32)).hex(),
        "envelope_info": envelope_info(A, DID, 7).hex(),
        "safety_number": safety_number([(A, b"1" * 32), (B, b"2" * 32)]),
    }


def _chats() -> dict[str, str]:
    direct = direct_chat_id(SERVER, A, B)
    head = start_direct(direct, SERVER, A, B).head
    create = encode_member_event(
        records.MemberEvent(
            chat_id=bytes(32),
            seq=1,
            prev=bytes(32),
            by_uid=A,
            by_did=DID,
            dl_ver=1,
            type="create",
            ts=NOW,
            members=(records.Member(uid=A, idfp=b"i" * 32, role="owner"),),
            nonce=b"n" * 16,
        )
    )
    binding = records.SessionBinding(
        chat_id=direct, uid=A, did=DID, session_id=SESSION, mhead=head, dl_ver=1, created=NOW
    )
    inner = records.MessageInner(
        t="text",
        chat_id=direct,
        uid=A,
        did=DID,
        session_id=SESSION,
        mid=MID,
        ts=NOW,
        mhead=head,
        prev=records.PreviousSession(SESSION, 3),
        void=(records.VoidIndex(SESSION, 2),),
        kt=records.LogHead(5, b"r" * 32),
        expire_s=9,
        refs=(records.Reference(B, MID),),
        body=b"\x00body",
    )
    sender = records.SenderAddress(uid=A, did=DID, idfp=b"i" * 32, dl_ver=1)
    recipient = records.DeviceAddress(uid=B, did=DID, idfp=b"j" * 32)
    token = delete_token(delete_key(Secret(b"k" * 32)), direct, MID)
    signed = records.Signed(b"skb", b"s" * 64)
    return {
        "direct_chat_id": direct.hex(),
        "direct_head": encode(head).hex(),
        "create": create.hex(),
        "group_chat_id": group_chat_id(create).hex(),
        "event_hash": event_hash(create).hex(),
        "binding": encode(binding).hex(),
        "inner": encode(inner).hex(),
        "outer": encode(records.MessageOuter(1, 1, direct, 2, SESSION, 3, MID, b"ct", bytes(32), 0)).hex(),
        "room_key": encode(records.RoomKey(skb=signed, session_key=b"k" * 229, first_index=0, gpk=b"g" * 32)).hex(),
        "to_device": encode(
            records.ToDevice(t="ack", sender=sender, recipient=recipient, mid=MID, ts=NOW, c=b"\x80")
        ).hex(),
        "to_device_outer": encode(records.ToDeviceOuter(1, 0, A, DID, b"x" * 32, b"olm")).hex(),
        "read": encode(records.ReadReceipts(markers=(records.ReadMarker(direct, 4),))).hex(),
        "key_request": encode(records.KeyRequest(chat_id=direct, session_id=SESSION, uid=A, did=DID, index=1)).hex(),
        "text": encode(records.TextBody(text="hola")).hex(),
        "delete_token": token.hex(),
        "delete_hash": delete_hash(token).hex(),
    }


def _bodies() -> dict[str, str]:
    """Message types beside "text"."""
    bodies = {
        "edit": records_messages.EditBody(text="ñ"),
        "reaction": records_messages.ReactionBody(emoji="👍🏽"),
        "reaction.none": records_messages.ReactionBody(emoji=""),
        "delete": records_messages.DeleteBody(session_id=SESSION, idx=7),
        "delete.unknown": records_messages.DeleteBody(),
        "timer": records_messages.TimerBody(seconds=604_800),
    }
    return {f"body.{name}": encode(body).hex() for name, body in bodies.items()}


def _channel() -> dict[str, str]:
    ck = channel_key(b"k" * 64).reveal()
    keys = ChannelKeys.derive(ck, b"1" * 32, b"2" * 32)
    hello = frames.Hello(1, DID, "jwt", b"1" * 32, 5)
    proof = keys.welcome_proof(hello, SERVER, 1, b"2" * 32)
    writer = FrameWriter(keys, Direction.CLIENT)
    item = frames.Event(CHAT, 1, NOW, frames.EventKind.MESSAGE, b"body")
    return {
        "channel_key": ck.hex(),
        "transcript": login_transcript(b"1", b"2", b"3").hex(),
        "hello": encode_plain(hello).hex(),
        "welcome": encode_plain(frames.Welcome(SERVER, 1, b"2" * 32, proof)).hex(),
        "frame.cursor": writer.seal(frames.Cursor(CHAT, 9)).hex(),
        "frame.ping": writer.seal(frames.Ping(1)).hex(),
        "frame.batch": FrameWriter(keys, Direction.SERVER).seal(frames.Batch((item,))).hex(),
        "rest_mac": rest_mac(rest_key(ck), "POST", "/v1/x", b"{}", 7),
        "auth.check_handle": encode_auth(CheckHandle("ana")).hex(),
        "auth.server_info": encode_auth(ServerInfo(1, SERVER, 0, "open", (1,))).hex(),
    }


def _log() -> dict[str, str]:
    leaf = encode_leaf(
        records.TransparencyLeaf(label=uid_label(A), ver=1, value_hash=uid_value(b"r", b"l"), prev_idx=-1, ts=NOW)
    )
    head = records.TreeHead(log_id=log_id(b"k" * 32), size=1, root=leaf_hash(leaf), ts=NOW, restore_epoch=0)
    return {
        "leaf": leaf.hex(),
        "leaf_hash": leaf_hash(leaf).hex(),
        "handle_label": handle_label(SERVER, "ana").hex(),
        "handle_value": handle_value(A).hex(),
        "tree_head": encode(head).hex(),
    }


def _trust() -> dict[str, str]:
    starter, accepter = Party(A, DID, b"1" * 32), Party(B, MID, b"2" * 32)
    code = VerificationCode(server_id=SERVER, uid=A, idfp=b"1" * 32, nonce=MID, size=7, root=b"r" * 32)
    link = InviteLink(
        url="https://chat.example.org",
        server_id=SERVER,
        log_key=b"l" * 32,
        token=b"t" * 16,
        uid=A,
        idfp=b"1" * 32,
        secret=b"x" * 32,
    )
    return {
        "sas_commitment": commitment(MID, starter, accepter, b"k" * 32).hex(),
        "verify_accept": encode(Verify(vid=MID, step="accept", data=b"h" * 32)).hex(),
        "verify_cancel": encode(Verify(vid=MID, step="cancel", data=b"mismatch")).hex(),
        "verification_code": code_text(code),
        "invite_link": link_text(link),
        "invite_proof": encode(
            InviteProof(invite=invite_id(b"t" * 16), mac=invite_mac(b"x" * 32, invitee=b"2" * 32, inviter=b"1" * 32))
        ).hex(),
        "log_evidence": encode(LogEvidence(size=7, ask=True, head=records.Signed(b"head", b"s" * 64))).hex(),
    }


def _files() -> dict[str, str]:
    body = FileBody(
        blob=A, key=b"k" * 32, sha256=b"h" * 32, size=5, name="día.jpg", media="image/jpeg", width=4, height=3,
        blurhash="L00000fQfQfQfQfQfQfQfQfQfQfQ", thumb=b"thumb", caption="en la playa",
    )  # fmt: skip
    metadata = Metadata("día.jpg", "image/jpeg", 70_000)
    sealer = FileSealer(metadata)
    vars(sealer)["key"] = Secret(b"k" * 32)  # the sealer's own way is a key that nobody chooses
    ciphertext = b"".join(sealer.seal([bytes(range(250)) * 280]))
    return {
        "file.body": encode(body).hex(),
        "file.ad": metadata.additional_data().hex(),
        "file.ciphertext_sha256": sealer.sha256.hex(),
        "file.first_bytes": ciphertext[:64].hex(),
        "file.last_tag": ciphertext[-16:].hex(),
        **{f"file.sealed_size.{n}": str(sealed_size(n)) for n in (0, 4096, 4097, 65_536, 10**6, 10**10)},
    }


def sealed() -> dict[str, Any]:
    """One run of everything that holds randomness, with the private state that opens it."""
    ana, bruno = Person("ana", A), Person("bruno", B)
    chat = DirectChat(ana, bruno)
    room_key = chat.outbound.room_key(b"g" * 32)
    bruno_before = bruno.device.dump().reveal()
    blob = envelope(ana, bruno, room_key).blob
    message = seal_message(chat.outbound, chat.draft("hola desde el pasado"), now_ms=NOW, epoch=0)
    export_key = Secret(b"e" * 64)
    values = {
        "uid_ana": ana.uid,
        "uid_bruno": bruno.uid,
        "record_ana": ana.record,
        "list_ana": encode(ana.signed_list),
        "record_bruno": bruno.record,
        "list_bruno": encode(bruno.signed_list),
        "device_bruno": bruno_before,
        "envelope": blob,
        "inbound": chat.inbound.dump().reveal(),
        "outbound": message.session.reveal(),
        "outer": message.outer,
        "chat_id": chat.chat_id,
        "succession": ana.identity.succession(Person("ana", A).record, ana.code, NOW),
        "wrap_password": ana.root.wrap_password(A, export_key),
        "wrap_recovery": ana.root.wrap_recovery(A, ana.code),
        "backup_key": ana.root.backup_key(1).reveal(),
    }
    return {**{name: value.hex() for name, value in values.items()}, "recovery_code": ana.code.text}


def _write(name: str, value: dict[str, Any]) -> None:
    path = HERE / name
    if path.exists():
        raise SystemExit(f"{path} exists: a format that is in use does not change; remove it by hand if none is")
    path.write_text(json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:] == ["write"]:
        _write("computed.json", computed())
        _write("sealed.json", sealed())
