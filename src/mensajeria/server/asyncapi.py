"""`python -m mensajeria.server.asyncapi [--check]`: writes asyncapi.yaml, the description of both WebSockets.

Everything in it comes from the tables that the codec itself uses: `protocol.frames.FRAMES` and the unions of
`protocol.auth`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final, get_args

import msgspec

from mensajeria.protocol import auth, frames, limits
from mensajeria.protocol.errors import CLOSE_MEANINGS
from mensajeria.server.spec import to_yaml
from mensajeria.server.version import VERSION
from mensajeria.server.wire_schema import REF, WireSchemas, summary

PATH: Final = Path(__file__).with_name("asyncapi.yaml")
Node = dict[str, Any]
_ABOUT: Final = (
    "One binary WebSocket message is one frame or one auth message; text messages, fragments and compression are "
    "refused. Bodies are MessagePack arrays: the schemas name their places. A byte string is MessagePack `bin`, its "
    "length is in bytes."
)
_WS: Final = (
    "A logged-in device. Frame: tag(32) | type u8 | seq u64 | length u32 | body, big-endian, at most "
    f"{limits.MAX_FRAME} bytes. tag = HMAC-SHA256(K, conn | direction | type | seq | length | body); conn, and K of "
    "each direction, come from the channel key of the login and both nonces. `seq` grows by exactly one. Hello and "
    "Welcome have seq 0 and a tag of zeros. A hello takes effect with the first frame after it that verifies."
)
_AUTH: Final = (
    "Registration, login (OPAQUE) and adding a device, each on one connection; no header, the first element of a "
    "message is its tag. The server begins with ServerInfo. register: CheckHandle* RegisterStart/RegisterChallenge "
    "RegisterFinish/Registered, then login: LoginStart/LoginChallenge LoginFinish/LoginOk [DeviceAdd/DeviceAdded] "
    "DeviceLoginMessage/LoggedIn. After LoginOk an account can be changed, approved by a device: PasswordChangeStart/"
    "PasswordChangeChallenge PasswordChangeFinish/PasswordChanged, DeviceRemove/DeviceRemoved, AccountDelete/"
    "AccountDeleted. Without a login: RecoveryStart/RecoveryChallenge RecoveryFinish/Recovered. A failed step answers "
    f"AuthError. At most {limits.MAX_AUTH_FRAME} bytes a message."
)


def document() -> Node:
    """The AsyncAPI 3 document."""
    all_frames = [frames.FRAMES[kind] for kind in sorted(frames.FRAMES)]
    auth_messages = (*get_args(auth.ClientAuth), *get_args(auth.ServerAuth))
    schemas = WireSchemas()
    schemas.add(auth_messages)
    schemas.add(frames.FRAMES.values())
    schemas.add([frames.Tombstone])
    messages = {f"{one.__name__}": _message(one, {}) for one in auth_messages}
    messages |= {one.__name__: _message(one, {"x-frame-type": frames.TYPE_OF[one]}) for one in all_frames}
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "MensajeriaApp WebSockets", "version": VERSION, "description": _ABOUT},
        "defaultContentType": "application/msgpack",
        "servers": {"own": {"host": "chat.example.org", "protocol": "wss"}},
        "channels": {
            "ws": _channel("/ws", _WS, all_frames),
            "auth": _channel("/auth/ws", _AUTH, auth_messages),
        },
        "operations": {
            "fromDevice": _operation("receive", "ws", [frames.FRAMES[kind] for kind in sorted(frames.FROM_CLIENT)]),
            "toDevice": _operation("send", "ws", [frames.FRAMES[kind] for kind in sorted(frames.FROM_SERVER)]),
            "fromPerson": _operation("receive", "auth", get_args(auth.ClientAuth)),
            "toPerson": _operation("send", "auth", get_args(auth.ServerAuth)),
        },
        "components": {"messages": dict(sorted(messages.items())), "schemas": dict(sorted(schemas.found.items()))},
        "x-close-codes": [
            {"code": int(code), "name": code.name.lower(), "meaning": meaning.text, "reconnect": meaning.reconnect}
            for code, meaning in CLOSE_MEANINGS.items()
        ],
    }


def _message(struct: type[msgspec.Struct], extra: Node) -> Node:
    name = struct.__name__
    return {"name": name, "summary": summary(struct), **extra, "payload": {"$ref": REF + name}}


def _channel(address: str, about: str, structs: Any) -> Node:
    names = [struct.__name__ for struct in structs]
    return {
        "address": address,
        "description": about,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
        "bindings": {"ws": {"method": "GET", "bindingVersion": "0.1.0"}},
    }


def _operation(action: str, channel: str, structs: Any) -> Node:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{struct.__name__}"} for struct in structs],
    }


def main(arguments: list[str]) -> int:
    """Write or check; 0 when the file is current afterwards."""
    text = to_yaml(document())
    if "--check" not in arguments:
        PATH.write_text(text, encoding="utf-8")
        return 0
    return 0 if PATH.exists() and PATH.read_text(encoding="utf-8") == text else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
