"""The headless client: what the desktop, the command line and bots use.

    client = await Client.open(profile=path)
    async with client:
        chat = await client.direct_chat("bruno")
        await chat.send_text("hola")
        async for event in client.events(): ...

Values and events are in `mensajeria.client.api`, sentences for people in `mensajeria.client.i18n`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
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
    from mensajeria.client.qr import qr_modules
    from mensajeria.client.strength import estimate as estimate_strength

# Loaded at first use: a command that only prints its help, and a window that is about to appear, need the catalogue of
# sentences and the values, not the network's libraries.
_HOMES: Final = {
    "Chat": "chat",
    "Client": "client",
    "EventStream": "engine.emitter",
    "estimate_strength": "strength",
    "qr_modules": "qr",
}
_ORIGINAL_NAMES: Final = {"estimate_strength": "estimate"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = import_module(f"{__name__}.{_HOMES.get(name, 'errors')}")
    return getattr(home, _ORIGINAL_NAMES.get(name, name))


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
    "qr_modules",
]
