"""ejabberd: XMPP in plain TCP on loopback, accounts and archive in PostgreSQL.

The archive is written from the sending side before routing goes on, once for the sender and once for the receiver.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import asyncpg

from benchmarks.lib import proc
from benchmarks.lib.peer import package_version
from benchmarks.peers.xmpp import DOMAIN, ROOMS, XmppPeer
from tests.support.postgres import dsn

_LIBRARIES: Final = ("lib/*/ejabberd-[0-9]*", "lib/ejabberd-[0-9]*")
_SCHEMA: Final = ("share/ejabberd/sql/pg.sql", "share/doc/ejabberd/**/pg.sql")
_USR: Final = Path("/usr")
_CONFIGURATION: Final = """
hosts: ["{domain}"]
loglevel: warning
auth_password_format: plain
sql_type: pgsql
sql_server: "127.0.0.1"
sql_port: {sql.port}
sql_database: "ejabberd"
sql_username: "{sql.username}"
sql_password: "{sql.password}"
sql_pool_size: 10
default_db: sql
auth_method: sql
listen:
  - port: {port}
    ip: "127.0.0.1"
    module: ejabberd_c2s
    max_stanza_size: 262144
    starttls: false
    starttls_required: false
    access: all
    backlog: 4096
registration_timeout: infinity
shaper: {{}}
modules:
  mod_register:
    access: all
    ip_access: all
    password_strength: 0
    welcome_message: {{}}
  mod_roster: {{}}
  mod_offline: {{}}
  mod_disco: {{}}
  mod_mam:
    default: always
    assume_mam_usage: true
    request_activates_archiving: false
  mod_muc:
    host: "{rooms}"
    access: all
    access_create: all
    access_persistent: all
    max_users: 5000
    min_message_interval: 0
    min_presence_interval: 0
    default_room_options:
      mam: true
      max_users: 5000
      persistent: true
      allow_change_subj: false
      public: false
"""


class Ejabberd(XmppPeer):
    """See the module."""

    name = "ejabberd"
    durability = "PostgreSQL, fsync on: each archived copy commits on its own, before the message is routed on"
    install = "apt-get install ejabberd erlang-p1-pgsql"
    archive = "archive"

    @classmethod
    def is_available(cls) -> bool:
        return shutil.which("erl") is not None and bool(_found(_LIBRARIES)) and bool(_found(_SCHEMA))

    def version(self) -> str:
        return package_version("ejabberd")

    def configure(self) -> None:
        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, self._make_tables()).result()
        text = _CONFIGURATION.format(domain=DOMAIN, rooms=ROOMS, port=self.port, sql=urlsplit(self.url))
        (self.folder / "ejabberd.yml").write_text(text)
        for name in ("spool", "log"):
            proc.folder_for(self.folder / name, proc.service_user("ejabberd"))

    async def _make_tables(self) -> None:
        connection = await asyncpg.connect(dsn(self.url))
        try:
            await connection.execute(_found(_SCHEMA)[0].read_text())
        finally:
            await connection.close()

    def launch(self) -> None:
        spool, log = self.folder / "spool", self.folder / "log"
        environment = {
            "EJABBERD_CONFIG_PATH": str(self.folder / "ejabberd.yml"),
            "EJABBERD_LOG_PATH": str(log / "ejabberd.log"),
            "HOME": str(spool),
            "ERL_LIBS": os.pathsep.join(sorted({str(path.parent) for path in _found(_LIBRARIES)})),
            "ERL_CRASH_DUMP": str(log / "crash"),
            "ERL_MAX_PORTS": "32000",
        }
        self.process = proc.spawn(
            ["erl", "-noinput", "+K", "true", "+P", "250000", "-mnesia", "dir", f'"{spool}"', "-s", "ejabberd"],
            log=self.folder / "erl.log",
            environment=environment,
            cwd=spool,
            user=proc.service_user("ejabberd"),
        )
        proc.wait_for_port(self.port, self.process)


def _found(patterns: tuple[str, ...]) -> list[Path]:
    return [path for pattern in patterns for path in _USR.glob(pattern)]
