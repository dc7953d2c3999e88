"""Chats and groups: making and answering them, their membership events, erasing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Final

from mensajeria.client.errors import NetworkError
from mensajeria.client.transport.rest.calls import Calls
from mensajeria.kit.lazy import LazyModule
from mensajeria.protocol.ids import b64
from mensajeria.protocol.records import Signed

if TYPE_CHECKING:
    from mensajeria.protocol import api
else:  # its library is loaded when the network is first used
    api = LazyModule("mensajeria.protocol.api")

MAX_CHAIN: Final = 50_000
"""Membership events of a chat that are read at most."""


class Chats:
    """`rest.chats`."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def open_direct(self, chat_id: bytes, peer: bytes) -> api.ChatState:
        """Register the direct chat with `peer`; idempotent."""
        request = api.DirectChatRequest(peer_uid=peer)
        return await self._calls.ask("PUT", f"/v1/chats/direct/{b64(chat_id)}", api.ChatState, request)

    async def answer(self, chat_id: bytes, *, accept: bool) -> None:
        """Accept or decline a message request."""
        body = api.ChatAnswer(accept=accept).model_dump_json().encode()
        await self._calls.call("PUT", f"/v1/chats/{b64(chat_id)}/answer", body)

    async def create_group(self, signed: Signed) -> api.MemberEventStored:
        """Make a group from its signed create event; idempotent."""
        request = api.GroupRequest(create=api.SignedModel(body=signed.body, sig=signed.sig))
        return await self._calls.ask("POST", "/v1/chats", api.MemberEventStored, request)

    async def append_event(self, chat_id: bytes, event: Signed) -> api.MemberEventStored:
        """Append the next event of a chat's chain; event_conflict when another one came first."""
        request = api.MemberEventRequest(event=api.SignedModel(body=event.body, sig=event.sig))
        return await self._calls.ask("POST", f"/v1/chats/{b64(chat_id)}/events", api.MemberEventStored, request)

    async def events(self, chat_id: bytes, after: int) -> AsyncIterator[list[api.StoredMemberEvent]]:
        """The chain's events after the `after`-th, ascending, page by page; at most `MAX_CHAIN`."""
        upto = after + MAX_CHAIN
        while after < upto:
            target = f"/v1/chats/{b64(chat_id)}/members-events?after={after}"
            page = await self._calls.ask("GET", target, api.MemberEventPage)
            yield page.events
            if not page.more or not page.events:
                return
            after += len(page.events)

    async def erase(self, chat_id: bytes, wishes: Sequence[tuple[bytes, bytes | None]]) -> list[str]:
        """Erase messages (mid, delete token; None as an admin); for each "erased", "unknown" or "refused"."""
        request = api.EraseRequest(items=[api.EraseItem(mid=mid, token=token) for mid, token in wishes])
        answer = await self._calls.ask("POST", f"/v1/chats/{b64(chat_id)}/erase", api.EraseResponse, request)
        if len(answer.results) != len(wishes):
            raise NetworkError("not_a_server", "an answer for each message")
        return list(answer.results)
