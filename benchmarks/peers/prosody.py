"""Prosody: XMPP in plain TCP on loopback, the archive in PostgreSQL."""

from __future__ import annotations

import shutil
from typing import Final
from urllib.parse import urlsplit

from benchmarks.lib import proc
from benchmarks.lib.peer import package_version
from benchmarks.peers.xmpp import DOMAIN, ROOMS, XmppPeer

_CONFIGURATION: Final = """
pidfile = "{data}/prosody.pid"
data_path = "{data}"
interfaces = {{ "127.0.0.1" }}
local_interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {port} }}
s2s_ports = {{ }}
http_ports = {{ }}
https_ports = {{ }}
modules_enabled = {{ "roster", "saslauth", "disco", "mam", "register", "register_ibr", "offline" }}
modules_disabled = {{ "s2s", "tls" }}
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
allow_registration = true
authentication = "internal_plain"
default_archive_policy = true
archive_expires_after = "never"
network_settings = {{ tcp_backlog = 4096 }}
limits = {{ }}
log = {{ warn = "{data}/prosody.log" }}
storage = {{ archive = "sql"; muc_log = "sql"; }}
sql = {{ driver = "PostgreSQL", database = "prosody", username = "{sql.username}", password = "{sql.password}",
  host = "127.0.0.1", port = {sql.port} }}
VirtualHost "{domain}"
Component "{rooms}" "muc"
  modules_enabled = {{ "muc_mam" }}
  muc_log_by_default = true
  muc_log_expires_after = "never"
  restrict_room_creation = false
"""


class Prosody(XmppPeer):
    """See the module."""

    name = "prosody"
    durability = "PostgreSQL, fsync on: one transaction per archived copy, in the event loop"
    install = "apt-get install prosody lua-dbi-postgresql"
    archive = "prosodyarchive"

    @classmethod
    def is_available(cls) -> bool:
        return shutil.which("prosody") is not None

    def version(self) -> str:
        return package_version("prosody")

    def configure(self) -> None:
        data = proc.folder_for(self.folder / "data", proc.service_user("prosody"))
        text = _CONFIGURATION.format(data=data, port=self.port, domain=DOMAIN, rooms=ROOMS, sql=urlsplit(self.url))
        (self.folder / "prosody.cfg.lua").write_text(text)

    def launch(self) -> None:
        self.process = proc.spawn(
            ["prosody", "-F", "--config", self.folder / "prosody.cfg.lua"],
            log=self.folder / "prosody.out",
            cwd=self.folder / "data",
            user=proc.service_user("prosody"),
        )
        proc.wait_for_port(self.port, self.process)
