"""Models of the REST API (`/v1`): strict, no unknown fields, byte strings as base64url without padding.

Authentication of a request: `Authorization: Bearer <access token>` and, on the same request, the header
`Mensajeria-Mac: <counter>.<mac>` where mac = base64url of HMAC-SHA256(HKDF(CK, info "rest"), cat(method, path with
query, SHA-256(body), counter u64)). The counter is per device and only ever grows; a counter that was used is refused
for calls that change something. The response is covered by TLS; what must not be trusted from a server is signed.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import core_schema

from mensajeria.protocol import limits
from mensajeria.protocol.encoding import cat, u64
from mensajeria.protocol.ids import b64, unb64

MAC_HEADER = "Mensajeria-Mac"
MAX_COUNTER_DIGITS = 18
_ANY = "[A-Za-z0-9_-]"
_LAST = ("", "[AQgw]", "[AEIMQUYcgkosw048]")
"""The last character of the text, by the number of bytes behind the last group of three."""


@dataclass(frozen=True)
class Base64Url:
    """Marks a bytes field: base64url text of `minimum` to `maximum` bytes in JSON, bytes in Python."""

    minimum: int
    maximum: int

    def _parse(self, value: object) -> bytes:
        data = unb64(value) if isinstance(value, str) else value
        if not isinstance(data, bytes) or not self.minimum <= len(data) <= self.maximum:
            raise ValueError(f"base64url of {self.minimum} to {self.maximum} bytes")
        return data

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self._parse,
            serialization=core_schema.plain_serializer_function_ser_schema(b64, return_schema=core_schema.str_schema()),
        )

    def _pattern(self) -> str:
        """The last character's bits that no byte uses are zero: each byte string has one text."""
        if self.minimum == self.maximum:
            return f"^{_ANY}{{{self.minimum * 8 // 6}}}{_LAST[self.minimum % 3]}$"
        return f"^(?:{_ANY}{{4}})*(?:{_ANY}{{2}}{_LAST[2]}|{_ANY}{_LAST[1]})?$"

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {
            "type": "string",
            "pattern": self._pattern(),
            "minLength": (self.minimum * 8 + 5) // 6,
            "maxLength": (self.maximum * 8 + 5) // 6,
        }


B16 = Annotated[bytes, Base64Url(16, 16)]
B32 = Annotated[bytes, Base64Url(32, 32)]
Data = Annotated[bytes, Base64Url(1, limits.MAX_SIGNED_BODY)]
Sig = Annotated[bytes, Base64Url(64, 3373)]
Handle = Annotated[str, Field(pattern=limits.HANDLE_PATTERN)]
Number = Annotated[int, Field(ge=0, lt=1 << 53)]


class Model(BaseModel):
    """Base: strict and closed."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class SignedModel(Model):
    """`records.Signed` in JSON."""

    body: Data
    sig: Sig


class ServerDescription(Model):
    """`GET /v1/server`, public."""

    server_id: B16
    name: str
    version: str
    protocol: Number
    registration: Literal["open", "approval", "invite", "closed"]
    restore_epoch: Number
    password_suites: list[Number]
    log_key: B32
    """Public key of the key log. Clients pin it; what counts is what it has signed."""


class UserKeys(Model):
    """`GET /v1/users/by-handle/{handle}` and `GET /v1/users/{uid}/keys`: identity record and newest device list."""

    uid: B16
    identity: Data
    device_list: SignedModel


class ListBodies(Model):
    """`GET /v1/users/{uid}/lists?after=N`: unsigned bodies of the versions after N up to the newest, ascending."""

    bodies: Annotated[list[Data], Field(max_length=64)]


class Successions(Model):
    """`GET /v1/users/{uid}/successions?after=N`: encoded SuccessionProofs since list version N, ascending."""

    proofs: Annotated[list[Data], Field(max_length=limits.SUCCESSIONS_PAGE)]


class ListsBroughtBack(Model):
    """`PUT /v1/devices/lists`: the caller's newest list, and the bodies between it and the one that the server has."""

    between: Annotated[list[Data], Field(max_length=limits.LISTS_BROUGHT_BACK_MAX)]
    newest: SignedModel


class ClaimRequest(Model):
    """`POST /v1/prekeys/claim`."""

    dids: Annotated[list[B16], Field(min_length=1, max_length=limits.CLAIM_BATCH_MAX)]


class ClaimedKeys(Model):
    """Keys to open an Olm session with one device; without `one_time` (over the limit) the fallback key is used."""

    did: B16
    one_time: SignedModel | None
    fallback: SignedModel | None
    pq: SignedModel | None


class ClaimResponse(Model):
    """In the order asked; unknown devices are left out."""

    keys: list[ClaimedKeys]


class PrekeyUpload(Model):
    """`PUT /v1/devices/me/prekeys`: replaces fallback and pq if given, adds one-time keys (a known one is a no-op)."""

    one_time: Annotated[list[SignedModel], Field(max_length=limits.OTK_UPLOAD_MAX)]
    fallback: SignedModel | None
    pq: SignedModel | None


class PrekeyState(Model):
    """`GET /v1/devices/me/prekeys` and the answer to an upload."""

    one_time_left: Number
    pq_prekey_id: Number
    fallback_created_ms: Number


class DirectChatRequest(Model):
    """`PUT /v1/chats/direct/{chat_id}`: registers the chat with `peer_uid` (own uid = note to self). Idempotent."""

    peer_uid: B16


class ChatState(Model):
    """A chat as the caller sees it."""

    chat_id: B32
    members: list[B16]
    last_seq: Number
    epoch: Number
    accepted: bool


class ChatPage(Model):
    """`GET /v1/chats?after=CHAT_ID`: by their ids."""

    chats: list[ChatState]
    more: bool


class ChatAnswer(Model):
    """`PUT /v1/chats/{chat_id}/answer`: accept or decline a message request."""

    accept: bool


class GroupRequest(Model):
    """`POST /v1/chats`: the signed create event of a group, whose id is the hash of its body."""

    create: SignedModel


class MemberEventRequest(Model):
    """`POST /v1/chats/{chat_id}/events`: the next event of the chat's membership chain."""

    event: SignedModel


class MemberEventStored(Model):
    """Where the event stands: in the membership chain (`member_seq`) and in the chat's log (`seq`)."""

    chat_id: B32
    seq: Number
    ts: Number
    member_seq: Number
    epoch: Number


class StoredMemberEvent(Model):
    """One event of a membership chain; `seq` and `ts` are those of its row in the chat's log."""

    seq: Number
    ts: Number
    event: SignedModel


class MemberEventPage(Model):
    """`GET /v1/chats/{chat_id}/members-events?after=N`: the chain's events N+1 and following, ascending."""

    events: list[StoredMemberEvent]
    more: bool


class EraseItem(Model):
    """A message to erase: with the token whose hash it carries, or without as an admin of the group."""

    mid: B16
    token: B32 | None = None


class EraseRequest(Model):
    """`POST /v1/chats/{chat_id}/erase`."""

    items: Annotated[list[EraseItem], Field(min_length=1, max_length=limits.MAX_ERASE_ITEMS)]


class EraseResponse(Model):
    """In the order asked. erased: its body is gone. unknown: no such message. refused: wrong token, or not an admin."""

    results: list[Literal["erased", "unknown", "refused"]]


class BlockedUser(Model):
    """One user that the caller has blocked."""

    uid: B16
    since_ms: Number


class BlockPage(Model):
    """`GET /v1/blocks?after=uid`: by uid, ascending."""

    blocks: list[BlockedUser]
    more: bool


class ReportRequest(Model):
    """`POST /v1/reports`: a claim about a user. `text` is what the reporter chooses to show: nothing proves it."""

    uid: B16
    chat_id: B32 | None = None
    text: Annotated[str, Field(min_length=1, max_length=limits.REPORT_MAX_CHARS, pattern=limits.TEXT_PATTERN)]


class ReportReceipt(Model):
    """The number under which the operator knows the report."""

    id: Number


class UnreadableReport(Model):
    """`POST /v1/unreadable`: how many messages could not be read since the last report, by cause. Numbers only."""

    lost: Annotated[int, Field(ge=0, le=limits.UNREADABLE_MAX)] = 0
    tampered: Annotated[int, Field(ge=0, le=limits.UNREADABLE_MAX)] = 0
    missing: Annotated[int, Field(ge=0, le=limits.UNREADABLE_MAX)] = 0
    healed: Annotated[int, Field(ge=0, le=limits.UNREADABLE_MAX)] = 0


class SealedProfile(Model):
    """`PUT /v1/profile`, `GET /v1/users/{uid}/profile`: name, status and picture, sealed for contacts."""

    ver: Annotated[int, Field(ge=1, lt=1 << 53)]
    sealed: Annotated[bytes, Base64Url(32, limits.PROFILE_SEALED_MAX)]


class BackupRow(Model):
    """A sealed key. `row_id` names it without telling what it belongs to; `counter` grows with each version of it."""

    row_id: B16
    counter: Number
    blob: Annotated[bytes, Base64Url(1, limits.BACKUP_BLOB_MAX)]


class BackupUpload(Model):
    """`PUT /v1/backup/rows`: `n` is the backup version of the caller's newest device list."""

    n: Number
    rows: Annotated[list[BackupRow], Field(min_length=1, max_length=limits.BACKUP_BATCH_MAX)]


class BackupUse(Model):
    """What the account's backup takes, and may take, in bytes."""

    used: Number
    quota: Number


class BackupQuery(Model):
    """`POST /v1/backup/rows/query`: rows by their ids."""

    n: Number
    row_ids: Annotated[list[B16], Field(min_length=1, max_length=limits.BACKUP_QUERY_MAX)]


class BackupPage(Model):
    """Rows by id, ascending; unknown ids are left out."""

    rows: list[BackupRow]
    more: bool


class FileRequest(Model):
    """`POST /v1/files`: `size` is that of the ciphertext, in bytes."""

    size: Annotated[int, Field(ge=1, lt=1 << 53)]


class FileState(Model):
    """An upload. `chunk_min` does not hold for the last step."""

    file_id: B16
    size: Number
    received: Number
    expires_ms: Number
    chunk_min: Number
    chunk_max: Number


class LogLeaves(Model):
    """`GET /v1/transparency/leaves?after=N`: leaves N and following, as they were hashed."""

    leaves: list[Annotated[bytes, Base64Url(1, 512)]]
    size: Number


class LogProof(Model):
    """An audit path or a consistency proof of RFC 6962, for the tree with `size` leaves."""

    size: Number
    hashes: list[B32]


class LogPlace(Model):
    """`GET /v1/transparency/labels/{label}`: the newest leaf of a label."""

    index: Number
    leaf: Annotated[bytes, Base64Url(1, 512)]


class DeviceInfo(Model):
    """One row of `GET /v1/devices` (own devices)."""

    did: B16
    name: str
    created_ms: Number
    last_seen_ms: Number
    current: bool


class DeviceInfos(Model):
    """`GET /v1/devices`."""

    devices: list[DeviceInfo]


class DeviceRename(Model):
    """`PUT /v1/devices/{did}/name`: what the owner calls it. The server knows it; nothing of it is signed."""

    name: Annotated[str, Field(min_length=1, max_length=limits.DEVICE_NAME_MAX_CHARS, pattern=limits.TEXT_PATTERN)]


class LogoutRequest(Model):
    """`POST /v1/auth/logout`; without a body only the calling device's login ends."""

    everywhere: bool = False


class InviteRequest(Model):
    """`POST /v1/invites`."""

    uses: Annotated[int, Field(ge=1, le=limits.INVITE_USES_MAX)] = 1
    days: Annotated[int, Field(ge=1, le=limits.INVITE_DAYS_MAX)] = 7


class CreatedInviteInfo(Model):
    """A new invite. The token is told once: the server keeps its hash."""

    id: Number
    token: B16
    uses_left: Number
    expires_ms: Number


class InviteInfo(Model):
    """An invite of the caller, and who registered with it."""

    id: Number
    uses_left: Number
    created_ms: Number
    expires_ms: Number
    state: Literal["valid", "revoked", "expired", "used"]
    joined: list[Handle]


class InvitePage(Model):
    """`GET /v1/invites?before=id`: newest first."""

    invites: list[InviteInfo]
    more: bool


class RefreshRequest(Model):
    """`POST /v1/auth/refresh` (no bearer needed; Mensajeria-Mac is, with `did`)."""

    did: B16
    refresh_token: B32


class Tokens(Model):
    """New access and refresh tokens."""

    access_token: str
    access_expires_ms: Number
    refresh_token: B32


class Problem(BaseModel):
    """RFC 9457 problem document; `code` is a protocol.errors.Code."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    code: str
    detail: str
    request_id: str
    retry_after_ms: int = 0


def rest_key(ck: bytes) -> bytes:
    """The key of `Mensajeria-Mac`: HKDF-SHA256(CK, info "rest")."""
    return HKDF(hashes.SHA256(), 32, salt=None, info=b"rest").derive(ck)


def rest_mac(key: bytes, method: str, target: str, body: bytes, counter: int) -> str:
    """The header's value. `target` is the path with its query, exactly as sent."""
    return _mac_of_hash(key, method, target, hashlib.sha256(body).digest(), counter)


def _mac_of_hash(key: bytes, method: str, target: str, body_hash: bytes, counter: int) -> str:
    message = cat(method.encode("ascii"), target.encode("ascii"), body_hash, u64(counter))
    return f"{counter}.{b64(hmac.digest(key, message, 'sha256'))}"


def check_rest_mac(key: bytes, header: str, method: str, target: str, body: bytes) -> int | None:
    """The counter if the header is authentic, else None."""
    return check_rest_mac_of_hash(key, header, method, target, hashlib.sha256(body).digest())


def check_rest_mac_of_hash(key: bytes, header: str, method: str, target: str, body_hash: bytes) -> int | None:
    """As `check_rest_mac`, for a body that was hashed while it passed by."""
    counter, _, _ = header.partition(".")
    if not counter.isascii() or not counter.isdigit() or len(counter) > MAX_COUNTER_DIGITS:
        return None
    expected = _mac_of_hash(key, method, target, body_hash, int(counter))
    return int(counter) if hmac.compare_digest(expected.encode(), header.encode("utf-8", "replace")) else None
