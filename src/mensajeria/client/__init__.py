"""The headless client: what the desktop, the command line and bots use.

    client = await Client.open(profile=path)
    async with client:
        chat = await client.direct_chat("bruno")
        await chat.send_text("hola")
        async for event in client.events(): ...

Values and events are in `mensajeria.client.api`, sentences for people in `mensajeria.client.i18n`.
"""

from mensajeria.client.chat import Chat
from mensajeria.client.client import Client
from mensajeria.client.engine.emitter import EventStream
from mensajeria.client.errors import (
    ClientError,
    InputError,
    MessageFailedError,
    NetworkError,
    ProfileError,
    RefusedError,
    SecurityError,
    SendBlockedError,
    StateError,
)
from mensajeria.client.strength import estimate as estimate_strength

__all__ = [
    "Chat",
    "Client",
    "ClientError",
    "EventStream",
    "InputError",
    "MessageFailedError",
    "NetworkError",
    "ProfileError",
    "RefusedError",
    "SecurityError",
    "SendBlockedError",
    "StateError",
    "estimate_strength",
]
