"""The REST calls of `protocol.api`: signed requests, checked answers, refusals as errors."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from mensajeria.client.errors import NetworkError, RefusedError
from mensajeria.client.transport.address import ServerAddress
from mensajeria.crypto.backup import SealedRow
from mensajeria.kit.lazy import LazyModule
from mensajeria.kit.secrets import Secret
from mensajeria.protocol import limits
from mensajeria.protocol.errors import Code
from mensajeria.protocol.ids import b64
from mensajeria.protocol.records import Signed

if TYPE_CHECKING:
    import httpx

    from mensajeria.protocol import api
else:  # a window is shown from the store before the network is used: these would hold it up for a third of a second
    httpx = LazyModule("httpx")
    api = LazyModule("mensajeria.protocol.api")

TIMEOUT_S: Final = 20.0
CLOSE_PATIENCE_S: Final = 1.0
MAX_ANSWER: Final = 8 << 20
MAX_CHAIN: Final = 50_000
"""Membership events of a chat that are read at most."""
USER_AGENT: Final = "mensajeria-client"
M = TypeVar("M", bound="api.Model")


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request is authenticated with. `rest_key` never leaves this device."""

    access_token: str
    rest_key: Secret


class CredentialSource(Protocol):
    """Where the calls get their credentials and counters from."""

    async def credentials(self) -> Credentials:
        """Valid ones, renewed first when they are about to expire."""
        ...

    async def renew(self, refused: str) -> Credentials:
        """New ones, after the server refused the access token `refused` as expired."""
        ...

    async def next_counter(self) -> int:
        """A number higher than every one before, also across restarts."""
        ...

    async def skip_counters(self) -> None:
        """Go on from far higher numbers: the next ones were used by a former life of this profile."""
        ...


class RestClient:
    """Raw calls: signing, timeouts, size limits and errors. One per client; close it at the end."""

    def __init__(self, address: ServerAddress, tls: ssl.SSLContext | None) -> None:
        self._address = address
        self._tls = tls
        self._connections: httpx.AsyncClient | None = None
        self._running: set[asyncio.Task[bytes]] = set()

    @property
    def _http(self) -> httpx.AsyncClient:
        """Made at the first call."""
        if self._connections is None:
            self._connections = httpx.AsyncClient(
                verify=self._tls if self._tls is not None else False,  # plain http: there is nothing to verify
                timeout=TIMEOUT_S,
                follow_redirects=False,
                trust_env=False,
                headers={"User-Agent": USER_AGENT, "Accept": "application/json"},
            )
        return self._connections

    async def close(self) -> None:
        """Give what still runs a moment to end, then close the connections."""
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=CLOSE_PATIENCE_S)
            for exchange in late:
                exchange.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        if self._connections is not None:
            await self._connections.aclose()

    async def call(self, method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None) -> bytes:
        """One request; `target` is the path with its query. Returns the answer's body.

        Who is cancelled leaves the exchange to end by itself: httpx loses the connection of a request that is cut off
        in the wrong moment.

        Raises:
            RefusedError: the server refused, with the code of its problem document.
            NetworkError: network, timeout, tls or not_a_server.
        """
        exchange = asyncio.create_task(self._exchange(method, target, body, headers))
        self._running.add(exchange)
        exchange.add_done_callback(self._ended)
        return await asyncio.shield(exchange)

    def _ended(self, exchange: asyncio.Task[bytes]) -> None:
        self._running.discard(exchange)
        if not exchange.cancelled():
            exchange.exception()  # nobody else may be there any more to look at it

    async def _exchange(self, method: str, target: str, body: bytes, headers: dict[str, str] | None) -> bytes:
        sent = dict(headers or {})
        if body:
            sent.setdefault("Content-Type", "application/json")
        try:
            async with self._http.stream(method, self._address.url + target, content=body, headers=sent) as response:
                answer = await _read_bounded(response)
        except httpx.TimeoutException as error:
            raise NetworkError("timeout", f"{method} {_path_only(target)}") from error
        except httpx.HTTPError as error:
            raise NetworkError(_network_code(error), str(error)) from error
        if response.status_code >= httpx.codes.BAD_REQUEST:
            raise _refusal(response.status_code, answer)
        return answer

    async def signed(
        self,
        rest_key: Secret,
        counter: int,
        method: str,
        target: str,
        body: bytes = b"",
        token: str = "",
        headers: dict[str, str] | None = None,
    ) -> bytes:
        """`call` with the MAC header, and the bearer token if there is one. Raises as `call`."""
        proof = self._proof(rest_key, counter, method, target, body, token)
        return await self.call(method, target, body, {**(headers or {}), **proof})

    @contextlib.asynccontextmanager
    async def streamed(
        self, rest_key: Secret, counter: int, target: str, token: str, headers: dict[str, str]
    ) -> AsyncIterator[httpx.Response]:
        """A signed GET whose answer is read by the caller, piece by piece, and bounded by it. Raises as `call`."""
        sent = {**headers, **self._proof(rest_key, counter, "GET", target, b"", token)}
        try:
            async with self._http.stream("GET", self._address.url + target, headers=sent) as response:
                if response.status_code >= httpx.codes.BAD_REQUEST:
                    raise _refusal(response.status_code, await _read_bounded(response))
                yield response
        except httpx.TimeoutException as error:
            raise NetworkError("timeout", f"GET {_path_only(target)}") from error
        except httpx.HTTPError as error:
            raise NetworkError(_network_code(error), str(error)) from error

    def _proof(
        self, rest_key: Secret, counter: int, method: str, target: str, body: bytes, token: str
    ) -> dict[str, str]:
        path = self._address.path + target
        headers = {api.MAC_HEADER: api.rest_mac(rest_key.reveal(), method, path, body, counter)}
        return {**headers, "Authorization": f"Bearer {token}"} if token else headers


async def _read_bounded(response: httpx.Response) -> bytes:
    data = bytearray()
    async for chunk in response.aiter_bytes():
        data += chunk
        if len(data) > MAX_ANSWER:
            raise NetworkError("not_a_server", "the answer is too large")
    return bytes(data)


def _path_only(target: str) -> str:
    return target.partition("?")[0]


def _network_code(error: httpx.HTTPError) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return "tls"
        cause = cause.__cause__ or cause.__context__
    return "not_a_server" if isinstance(error, httpx.RemoteProtocolError | httpx.DecodingError) else "network"


def _refusal(status: int, answer: bytes) -> RefusedError | NetworkError:
    try:
        problem = api.Problem.model_validate_json(answer)
    except ValueError:
        if status >= httpx.codes.INTERNAL_SERVER_ERROR:
            return NetworkError("network", f"status {status}")
        return NetworkError("not_a_server", f"status {status}")
    return RefusedError(problem.code, problem.detail[:200], retry_after_ms=problem.retry_after_ms)


def _checked(make: Callable[[], M]) -> M:
    """A request whose values a person chose. Raises RefusedError (malformed) for what the server would refuse."""
    try:
        return make()
    except ValueError as error:
        raise RefusedError(Code.MALFORMED, "out of bounds") from error


def parse(answer: bytes, model: type[M]) -> M:
    """The answer as its model. Raises NetworkError (not_a_server)."""
    try:
        return model.model_validate_json(answer)
    except ValueError as error:
        raise NetworkError("not_a_server", f"unexpected answer: {model.__name__}") from error


async def describe(client: RestClient) -> api.ServerDescription:
    """`GET /v1/server`."""
    return parse(await client.call("GET", "/v1/server"), api.ServerDescription)


class RestApi:
    """The authenticated calls. Each raises RefusedError or NetworkError."""

    def __init__(self, client: RestClient, source: CredentialSource) -> None:
        self._client = client
        self._source = source

    async def user_by_handle(self, handle: str) -> api.UserKeys:
        """The keys of the user that has this name now; unknown_user when there is none."""
        return await self._ask("GET", f"/v1/users/by-handle/{handle}", api.UserKeys)

    async def user_keys(self, uid: bytes) -> api.UserKeys:
        """Identity record and newest list of a user."""
        return await self._ask("GET", f"/v1/users/{b64(uid)}/keys", api.UserKeys)

    async def list_bodies(self, uid: bytes, after: int) -> tuple[bytes, ...]:
        """Unsigned bodies of the list versions after `after`, ascending."""
        answer = await self._ask("GET", f"/v1/users/{b64(uid)}/lists?after={after}", api.ListBodies)
        return tuple(answer.bodies)

    async def successions(self, uid: bytes, after: int) -> tuple[bytes, ...]:
        """What a user's former identities have signed for their successors since list version `after`, ascending."""
        answer = await self._ask("GET", f"/v1/users/{b64(uid)}/successions?after={after}", api.Successions)
        return tuple(answer.proofs)

    async def claim(self, dids: Sequence[bytes]) -> list[api.ClaimedKeys]:
        """Prekeys of up to 64 devices; unknown devices are left out."""
        request = api.ClaimRequest(dids=list(dids[: limits.CLAIM_BATCH_MAX]))
        return (await self._ask("POST", "/v1/prekeys/claim", api.ClaimResponse, request)).keys

    async def upload_prekeys(self, upload: api.PrekeyUpload) -> api.PrekeyState:
        """Add one-time keys, replace fallback and hybrid prekey. The same upload again has no effect."""
        return await self._ask("PUT", "/v1/devices/me/prekeys", api.PrekeyState, upload)

    async def prekey_state(self) -> api.PrekeyState:
        """What the server still has of this device's keys."""
        return await self._ask("GET", "/v1/devices/me/prekeys", api.PrekeyState)

    async def open_direct_chat(self, chat_id: bytes, peer: bytes) -> api.ChatState:
        """Register the direct chat with `peer`; idempotent."""
        request = api.DirectChatRequest(peer_uid=peer)
        return await self._ask("PUT", f"/v1/chats/direct/{b64(chat_id)}", api.ChatState, request)

    async def answer_request(self, chat_id: bytes, *, accept: bool) -> None:
        """Accept or decline a message request."""
        body = api.ChatAnswer(accept=accept).model_dump_json().encode()
        await self._call("PUT", f"/v1/chats/{b64(chat_id)}/answer", body)

    async def block(self, uid: bytes) -> None:
        """Block a user; idempotent. unknown_user, quota_exceeded."""
        await self._call("PUT", f"/v1/blocks/{b64(uid)}")

    async def unblock(self, uid: bytes) -> None:
        """Take a block back; idempotent. unknown_user."""
        await self._call("DELETE", f"/v1/blocks/{b64(uid)}")

    async def put_profile(self, ver: int, sealed: bytes) -> None:
        """Publish the own sealed profile; idempotent. profile_conflict when the stored one is not older."""
        body = _checked(lambda: api.SealedProfile(ver=ver, sealed=sealed)).model_dump_json().encode()
        await self._call("PUT", "/v1/profile", body)

    async def profile(self, uid: bytes) -> api.SealedProfile:
        """The sealed profile of oneself or of a contact; not_found when there is none, or none for the caller."""
        return await self._ask("GET", f"/v1/users/{b64(uid)}/profile", api.SealedProfile)

    async def report(self, uid: bytes, text: str, chat_id: bytes | None) -> int:
        """Tell the operator about a user; the report's number. unknown_user, rate_limited."""
        request = _checked(lambda: api.ReportRequest(uid=uid, chat_id=chat_id, text=text))
        return (await self._ask("POST", "/v1/reports", api.ReportReceipt, request)).id

    async def create_group(self, signed: Signed) -> api.MemberEventStored:
        """Make a group from its signed create event; idempotent."""
        request = api.GroupRequest(create=api.SignedModel(body=signed.body, sig=signed.sig))
        return await self._ask("POST", "/v1/chats", api.MemberEventStored, request)

    async def append_member_event(self, chat_id: bytes, event: Signed) -> api.MemberEventStored:
        """Append the next event of a chat's chain; event_conflict when another one came first."""
        request = api.MemberEventRequest(event=api.SignedModel(body=event.body, sig=event.sig))
        return await self._ask("POST", f"/v1/chats/{b64(chat_id)}/events", api.MemberEventStored, request)

    async def member_events(self, chat_id: bytes, after: int) -> AsyncIterator[list[api.StoredMemberEvent]]:
        """The chain's events after the `after`-th, ascending, page by page; at most `MAX_CHAIN`."""
        upto = after + MAX_CHAIN
        while after < upto:
            target = f"/v1/chats/{b64(chat_id)}/members-events?after={after}"
            page = await self._ask("GET", target, api.MemberEventPage)
            yield page.events
            if not page.more or not page.events:
                return
            after += len(page.events)

    async def erase(self, chat_id: bytes, wishes: Sequence[tuple[bytes, bytes | None]]) -> list[str]:
        """Erase messages (mid, delete token; None as an admin); for each "erased", "unknown" or "refused"."""
        request = api.EraseRequest(items=[api.EraseItem(mid=mid, token=token) for mid, token in wishes])
        answer = await self._ask("POST", f"/v1/chats/{b64(chat_id)}/erase", api.EraseResponse, request)
        if len(answer.results) != len(wishes):
            raise NetworkError("not_a_server", "an answer for each message")
        return list(answer.results)

    async def put_backup(self, n: int, rows: Sequence[SealedRow]) -> api.BackupUse:
        """Store up to 200 rows; list_conflict unless `n` is the newest list's backup version, quota_exceeded."""
        models = [api.BackupRow(row_id=row.row_id, counter=row.counter, blob=row.blob) for row in rows]
        return await self._ask("PUT", "/v1/backup/rows", api.BackupUse, api.BackupUpload(n=n, rows=models))

    async def find_backup(self, n: int, row_ids: Sequence[bytes]) -> list[SealedRow]:
        """The rows with these ids (up to 1,000), as far as the server has them."""
        query = api.BackupQuery(n=n, row_ids=list(row_ids))
        page = await self._ask("POST", "/v1/backup/rows/query", api.BackupPage, query)
        return [SealedRow(row.row_id, row.counter, row.blob) for row in page.rows]

    async def drop_backup(self, below: int) -> None:
        """Remove the rows of the backup versions below `below`."""
        await self._call("DELETE", f"/v1/backup/rows?below={below}")

    async def backup_use(self) -> api.BackupUse:
        """What the backup takes, and may take."""
        return await self._ask("GET", "/v1/backup/use", api.BackupUse)

    async def report_unreadable(self, counts: Mapping[str, int]) -> None:
        """Tell the operator's metrics how many messages could not be read, by cause."""
        body = api.UnreadableReport.model_validate(dict(counts)).model_dump_json().encode()
        await self._call("POST", "/v1/unreadable", body)

    async def devices(self) -> list[api.DeviceInfo]:
        """The account's devices as the server shows them: names and times are the server's word."""
        return (await self._ask("GET", "/v1/devices", api.DeviceInfos)).devices

    async def log_out(self, *, everywhere: bool = False) -> None:
        """End this login on the server, or those of all devices."""
        body = api.LogoutRequest(everywhere=True).model_dump_json().encode() if everywhere else b""
        await self._call("POST", "/v1/auth/logout", body)

    async def bring_back_lists(self, between: Sequence[bytes], newest: Signed) -> None:
        """Give a restored server the own lists that it lacks; list_conflict, list_invalid, forbidden."""
        signed = api.SignedModel(body=newest.body, sig=newest.sig)
        body = _checked(lambda: api.ListsBroughtBack(between=list(between), newest=signed)).model_dump_json().encode()
        await self._call("PUT", "/v1/devices/lists", body)

    async def rename_device(self, did: bytes, name: str) -> None:
        """Give a device of the account another name."""
        body = _checked(lambda: api.DeviceRename(name=name)).model_dump_json().encode()
        await self._call("PUT", f"/v1/devices/{b64(did)}/name", body)

    async def create_invite(self, uses: int, days: int) -> api.CreatedInviteInfo:
        """Make an invite; forbidden where only the operator may."""
        request = _checked(lambda: api.InviteRequest(uses=uses, days=days))
        return await self._ask("POST", "/v1/invites", api.CreatedInviteInfo, request)

    async def invites(self) -> list[api.InviteInfo]:
        """The caller's invites, newest first, all pages."""
        found: list[api.InviteInfo] = []
        while True:
            before = f"?before={found[-1].id}" if found else ""
            page = await self._ask("GET", f"/v1/invites{before}", api.InvitePage)
            found.extend(page.invites)
            if not page.more or not page.invites:
                return found

    async def revoke_invite(self, number: int) -> None:
        """End an invite."""
        await self._call("DELETE", f"/v1/invites/{number}")

    # --- files: the bytes are `client.engine`'s ---

    async def create_file(self, size: int) -> api.FileState:
        """Ask for room for a ciphertext: quota_exceeded, too_large."""
        return await self._ask("POST", "/v1/files", api.FileState, api.FileRequest(size=size))

    async def file_state(self, file_id: bytes) -> api.FileState:
        """How far an own upload is: not_found when the server has forgotten it."""
        return await self._ask("GET", f"/v1/files/{b64(file_id)}/upload", api.FileState)

    async def upload(self, file_id: bytes, offset: int, data: bytes) -> None:
        """The next bytes of an upload, durable when this returns: upload_conflict when it is at another place."""
        headers = {"Content-Type": "application/offset+octet-stream", "Upload-Offset": str(offset)}
        await self._call("PATCH", f"/v1/files/{b64(file_id)}", data, headers)

    async def delete_file(self, file_id: bytes) -> None:
        """Delete an own file or upload: not_found."""
        await self._call("DELETE", f"/v1/files/{b64(file_id)}")

    @contextlib.asynccontextmanager
    async def download(self, file_id: bytes, offset: int) -> AsyncIterator[httpx.Response]:
        """The ciphertext from `offset` on, to be read piece by piece: not_found, range_invalid."""
        target, headers = f"/v1/files/{b64(file_id)}", {"Accept-Encoding": "identity"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
        async with contextlib.AsyncExitStack() as stack:
            credentials = await self._source.credentials()
            try:
                response = await stack.enter_async_context(await self._streamed(credentials, target, headers))
            except RefusedError as error:
                if error.code != Code.TOKEN_EXPIRED:
                    raise
                renewed = await self._source.renew(credentials.access_token)
                response = await stack.enter_async_context(await self._streamed(renewed, target, headers))
            yield response

    # --- the key log ---

    async def server(self) -> api.ServerDescription:
        """What the server says of itself, to anybody."""
        return await describe(self._client)

    async def log_head(self) -> api.SignedModel:
        """The signed head of the key log."""
        return await self._ask("GET", "/v1/transparency/head", api.SignedModel)

    async def log_leaves(self, after: int) -> list[bytes]:
        """Leaves of the key log from index `after` on, as many as one page holds."""
        return list((await self._ask("GET", f"/v1/transparency/leaves?after={after}", api.LogLeaves)).leaves)

    async def log_label(self, label: bytes) -> api.LogPlace:
        """The newest leaf of a label; not_found when it was never logged."""
        return await self._ask("GET", f"/v1/transparency/labels/{b64(label)}", api.LogPlace)

    async def log_inclusion(self, index: int, size: int) -> list[bytes]:
        """The proof that a leaf lies in the log of a size."""
        target = f"/v1/transparency/inclusion?index={index}&size={size}"
        return list((await self._ask("GET", target, api.LogProof)).hashes)

    async def log_consistency(self, old: int, size: int) -> list[bytes]:
        """The proof that the log of a size has grown from an older one."""
        target = f"/v1/transparency/consistency?old={old}&size={size}"
        return list((await self._ask("GET", target, api.LogProof)).hashes)

    # --- inside ---

    async def _streamed(
        self, credentials: Credentials, target: str, headers: dict[str, str]
    ) -> contextlib.AbstractAsyncContextManager[httpx.Response]:
        counter = await self._source.next_counter()
        return self._client.streamed(credentials.rest_key, counter, target, credentials.access_token, headers)

    async def _ask(self, method: str, target: str, model: type[M], request: api.Model | None = None) -> M:
        body = request.model_dump_json().encode() if request is not None else b""
        return parse(await self._call(method, target, body), model)

    async def _call(self, method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None) -> bytes:
        credentials = await self._source.credentials()
        try:
            return await self._signed(credentials, method, target, body, headers)
        except RefusedError as error:
            if error.code == Code.TOKEN_EXPIRED:
                credentials = await self._source.renew(credentials.access_token)
            elif error.code != Code.REPLAYED:  # overtaken by a later request while its body was on its way
                raise
        try:
            return await self._signed(credentials, method, target, body, headers)
        except RefusedError as error:
            if error.code != Code.REPLAYED:
                raise
        # Twice: this is an older copy of the profile, whose numbers were used. What it is will show in its chats' rows.
        await self._source.skip_counters()
        return await self._signed(credentials, method, target, body, headers)

    async def _signed(
        self, credentials: Credentials, method: str, target: str, body: bytes, headers: dict[str, str] | None
    ) -> bytes:
        counter = await self._source.next_counter()
        token = credentials.access_token
        return await self._client.signed(credentials.rest_key, counter, method, target, body, token, headers)


async def refresh(client: RestClient, rest_key: Secret, counter: int, did: bytes, refresh_token: Secret) -> api.Tokens:
    """`POST /v1/auth/refresh`: the old refresh token is used up, the new ones must be stored before they are used."""
    request = api.RefreshRequest(did=did, refresh_token=refresh_token.reveal())
    body = request.model_dump_json().encode()
    return parse(await client.signed(rest_key, counter, "POST", "/v1/auth/refresh", body), api.Tokens)
