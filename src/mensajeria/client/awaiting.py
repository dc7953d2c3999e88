"""Waiting until the server has stored an own message, or until that can never be."""

from __future__ import annotations

from mensajeria.client.api import (
    ChangeFailed,
    ChangeSent,
    ConnectionChanged,
    ConnectionPhase,
    IdentityChanged,
    MessageReceived,
    MessageState,
    MessageStateChanged,
)
from mensajeria.client.engine.context import Context
from mensajeria.client.engine.emitter import EventStream
from mensajeria.client.engine.engine import Engine
from mensajeria.client.errors import MessageFailedError, SendBlockedError, StateError
from mensajeria.client.store import Tx
from mensajeria.protocol.errors import Code
from mensajeria.protocol.ids import Mid


async def wait_sent(context: Context, engine: Engine, stream: EventStream, mid: Mid) -> None:
    """See `Client.wait_sent`. `stream` was opened before the message is looked at: nothing is missed."""
    if not await _is_sent(context, mid):
        _raise_if_over(engine.phase, engine.code)
        await _await_sent(context, stream, mid)


async def _await_sent(context: Context, stream: EventStream, mid: Mid) -> None:
    async for event in stream:
        match event:
            case MessageStateChanged(message) if message.mid == mid:
                if message.state is MessageState.FAILED:
                    raise MessageFailedError(str(message.error or Code.INTERNAL))
                if message.state is not MessageState.QUEUED:
                    return
            case ChangeSent() | MessageReceived() if _tells_sent(event, mid):
                return
            case ChangeFailed(_, failed, code) if failed == mid:
                raise MessageFailedError(code)
            case IdentityChanged(blocked=True):
                if not await _is_sent(context, mid):
                    raise SendBlockedError(event.person.handle)
            case ConnectionChanged(phase):
                _raise_if_over(phase, event.code)
            case _:
                pass
    raise StateError("closed")


async def _is_sent(context: Context, mid: Mid) -> bool:
    def read(tx: Tx) -> str | bool:
        for chat in tx.chats.all():
            item = tx.outbox.get(chat.chat_id, mid) or tx.uploads.get(chat.chat_id, mid)
            if item is not None:
                return item.failed or False
        return True

    found = await context.store.read(read)
    if isinstance(found, str):
        raise MessageFailedError(found)
    return found


def _raise_if_over(phase: ConnectionPhase, code: str | None) -> None:
    if phase in {ConnectionPhase.LOGIN_ENDED, ConnectionPhase.STOPPED}:
        raise StateError(code or "login_ended")


def _tells_sent(event: ChangeSent | MessageReceived, mid: Mid) -> bool:
    """A change was acked; or an own message came in the log, because a copy of this profile had sent it."""
    if isinstance(event, ChangeSent):
        return event.mid == mid
    return event.message.outgoing and event.message.mid == mid
