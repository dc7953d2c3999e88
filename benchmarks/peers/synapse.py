"""Synapse: one process with PostgreSQL, `PUT /send` and long-polling `/sync`.

Settings in its favour: no rate limits, no presence, log level WARNING, cheap password hashes, only receivers sync (a
real sender's client would, too), events of type m.room.encrypted, so that the server takes the body as opaque.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Final, cast
from urllib.parse import urlsplit

from benchmarks.lib import proc
from benchmarks.lib.http import HttpClient
from benchmarks.lib.peer import OnBody, Peer, Session, count, each
from tests.support.lifeline import Run
from tests.support.net import free_port

PYTHON: Final = "PEERS_SYNAPSE_PYTHON"
_API: Final = "/_matrix/client/v3"
_NONE: Final = {"not_types": ["*"]}
_FILTER: Final = json.dumps(
    {
        "presence": _NONE,
        "account_data": _NONE,
        "room": {"timeline": {"limit": 100}, "ephemeral": _NONE, "account_data": _NONE},
    }
)
_ENCRYPTION: Final = {
    "type": "m.room.encryption",
    "state_key": "",
    "content": {"algorithm": "m.megolm.v1.aes-sha2"},
}
_FREE: Final = "{per_second: 100000, burst_count: 100000}"
_CONFIGURATION: Final = """
server_name: localhost
pid_file: {folder}/synapse.pid
listeners:
  - {{port: {port}, type: http, tls: false, bind_addresses: ["127.0.0.1"],
      resources: [{{names: [client], compress: false}}]}}
database:
  name: psycopg2
  args: {{user: {sql.username}, password: {sql.password}, host: 127.0.0.1, port: {sql.port}, dbname: synapse,
         cp_min: 5, cp_max: 10}}
log_config: {folder}/log.yaml
media_store_path: {folder}/media
signing_key_path: {folder}/signing.key
macaroon_secret_key: bench
form_secret: bench
report_stats: false
trusted_key_servers: []
suppress_key_server_warning: true
enable_registration: true
enable_registration_without_verification: true
bcrypt_rounds: 4
presence: {{enabled: false}}
rc_message: {free}
rc_registration: {free}
rc_login: {{address: {free}, account: {free}, failed_attempts: {free}}}
rc_joins: {{local: {free}, remote: {free}}}
rc_joins_per_room: {free}
rc_room_creation: {free}
rc_invites: {{per_room: {free}, per_user: {free}, per_issuer: {free}}}
"""
_LOG: Final = """
version: 1
handlers:
  file: {{class: logging.FileHandler, filename: '{folder}/synapse.log'}}
root: {{level: WARNING, handlers: [file]}}
"""


class MatrixSession:
    """See `Session`."""

    def __init__(self, http: HttpClient, token: str, user_id: str) -> None:
        self._http = http
        self._headers = {"Authorization": f"Bearer {token}"}
        self.user_id = user_id
        self.rooms: dict[int, str] = {}
        self.group = ""
        self._transactions = 0
        self._tasks: set[asyncio.Task[Any]] = set()

    async def call(self, method: str, path: str, body: object = None, **query: str) -> dict[str, Any]:
        """Call the API."""
        found: dict[str, Any] = await self._http.json(method, _API + path, body, headers=self._headers, query=query)
        return found

    async def sync(self, on_body: OnBody) -> None:
        """Synchronise once, then go on in the background."""
        since = (await self.call("GET", "/sync", filter=_FILTER, timeout="0"))["next_batch"]
        self._start(self._listen(since, on_body))

    async def _listen(self, since: str, on_body: OnBody) -> None:
        while True:
            found = await self.call("GET", "/sync", filter=_FILTER, timeout="30000", since=since)
            since = found["next_batch"]
            for room in found.get("rooms", {}).get("join", {}).values():
                for event in room["timeline"]["events"]:
                    if event["type"] == "m.room.encrypted" and "ciphertext" in event["content"]:
                        on_body(base64.b64decode(event["content"]["ciphertext"][:12])[:8])

    def send(self, to: int, body: bytes) -> None:
        self._start(self._put(self.rooms[to], body))

    def send_group(self, body: bytes) -> None:
        self._start(self._put(self.group, body))

    async def _put(self, room: str, body: bytes) -> None:
        self._transactions += 1
        content = {
            "algorithm": "m.megolm.v1.aes-sha2",
            "ciphertext": base64.b64encode(body).decode(),
            "device_id": "D",
            "sender_key": "k",
            "session_id": "s",
        }
        await self.call("PUT", f"/rooms/{room}/send/m.room.encrypted/t{self._transactions}", content)

    def _start(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Synapse(Peer):
    """See the module."""

    name = "synapse"
    durability = "PostgreSQL, fsync on: committed before /send answers and before /sync returns it"
    install = (
        "python3 -m venv VENV && VENV/bin/pip install 'matrix-synapse[postgres]', "
        f"then {PYTHON}=VENV/bin/python (an environment of its own)"
    )
    works: ClassVar[tuple[str, ...]] = ("W1", "W2", "W3")

    def __init__(self, folder: Path, own: Run) -> None:
        super().__init__(folder, own)
        self._port = free_port()
        self._url = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._http: HttpClient | None = None
        self._accounts: dict[int, tuple[str, str]] = {}

    @classmethod
    def is_available(cls) -> bool:
        given = os.environ.get(PYTHON, "")
        return shutil.which(given) is not None

    def version(self) -> str:
        program = "from importlib.metadata import version; print(version('matrix-synapse'))"
        found = subprocess.run([_python(), "-c", program], capture_output=True, text=True, check=False)
        return found.stdout.strip() or "?"

    def start(self) -> None:
        self._url = self.start_postgres().create_database("synapse")
        folder = self.folder
        (folder / "log.yaml").write_text(_LOG.format(folder=folder))
        text = _CONFIGURATION.format(folder=folder, port=self._port, sql=urlsplit(self._url), free=_FREE)
        (folder / "homeserver.yaml").write_text(text)
        command = [_python(), "-m", "synapse.app.homeserver", "-c", str(folder / "homeserver.yaml")]
        subprocess.run([*command, "--generate-keys"], check=True, capture_output=True, cwd=folder)
        self._process = proc.spawn(command, log=folder / "synapse.out", cwd=folder)
        proc.wait_for_port(self._port, self._process, 90)

    def stop(self) -> None:
        proc.stop(self._process)

    def roots(self) -> dict[str, int]:
        assert self._process is not None
        return {"server": self._process.pid, **self.postgres_root()}

    async def prepare(self, users: int) -> None:
        http = self._http = HttpClient(self._port)

        async def register(user: int) -> None:
            body = {"username": f"u{user}", "password": "pw-bench-1", "auth": {"type": "m.login.dummy"}}
            answer = await http.json("POST", f"{_API}/register", body)
            self._accounts[user] = (answer["access_token"], answer["user_id"])

        await each(register, range(users), 8)

    async def session(self, user: int, on_body: OnBody, *, receives: bool) -> Session:
        assert self._http is not None
        session = MatrixSession(self._http, *self._accounts[user])
        if receives:
            await session.sync(on_body)
        return session

    async def link(self, pairs: Sequence[tuple[Session, Session]]) -> None:
        async def make(number: int) -> None:
            sender, receiver = (cast("MatrixSession", one) for one in pairs[number])
            options = {"preset": "trusted_private_chat", "is_direct": True, "invite": [receiver.user_id]}
            room = await sender.call("POST", "/createRoom", {**options, "initial_state": [_ENCRYPTION]})
            await receiver.call("POST", f"/join/{room['room_id']}", {})
            sender.rooms[number + len(pairs)] = room["room_id"]

        await each(make, range(len(pairs)))

    async def group(self, sessions: Sequence[Session]) -> None:
        owner = cast("MatrixSession", sessions[0])
        options = {"preset": "public_chat", "initial_state": [_ENCRYPTION]}
        owner.group = (await owner.call("POST", "/createRoom", options))["room_id"]
        for session in sessions[1:]:
            await cast("MatrixSession", session).call("POST", f"/join/{owner.group}", {})

    async def close(self) -> None:
        if self._http is not None:
            self._http.close()

    async def stored(self) -> int | None:
        return await count(self._url, "events WHERE type = 'm.room.encrypted'")


def _python() -> str:
    """The interpreter that Synapse is installed for."""
    return os.environ.get(PYTHON) or sys.executable
