"""The authenticated calls, by resource."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mensajeria.client.transport.rest.account import OwnAccount
from mensajeria.client.transport.rest.backup import Backup
from mensajeria.client.transport.rest.calls import Calls, CredentialSource
from mensajeria.client.transport.rest.chats import Chats
from mensajeria.client.transport.rest.client import RestClient, describe
from mensajeria.client.transport.rest.files import Files
from mensajeria.client.transport.rest.key_log import KeyLog
from mensajeria.client.transport.rest.prekeys import Prekeys
from mensajeria.client.transport.rest.users import Users

if TYPE_CHECKING:
    from mensajeria.protocol import api


class RestApi:
    """What a device may ask of its server. Each call raises RefusedError or NetworkError."""

    def __init__(self, client: RestClient, source: CredentialSource) -> None:
        self._client = client
        calls = Calls(client, source)
        self.users = Users(calls)
        self.account = OwnAccount(calls)
        self.prekeys = Prekeys(calls)
        self.chats = Chats(calls)
        self.files = Files(calls)
        self.backup = Backup(calls)
        self.key_log = KeyLog(calls)

    async def server(self) -> api.ServerDescription:
        """What the server says of itself, to anybody."""
        return await describe(self._client)
