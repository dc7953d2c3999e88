"""`mensajeria admin` in this process, on a data folder."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from mensajeria.cli.exit_codes import Exit
from mensajeria.cli.main import main


class Admin:
    """`mensajeria admin` on one data folder."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys

    def __call__(self, *args: str) -> list[dict[str, Any]]:
        assert main(["admin", *args, "--data-dir", str(self.folder), "--json"]) == Exit.OK
        return [json.loads(line) for line in self._capsys.readouterr().out.splitlines()]

    def say(self, *args: str) -> str:
        assert main(["admin", *args, "--data-dir", str(self.folder)]) == Exit.OK
        return self._capsys.readouterr().out

    def fail(self, *args: str) -> tuple[int, dict[str, Any]]:
        status = main(["admin", *args, "--data-dir", str(self.folder), "--json"])
        return status, json.loads(self._capsys.readouterr().err)


def change(admin: Admin, statement: str, *values: object) -> None:
    """Change the database behind the program's back."""
    with sqlite3.connect(admin.folder / "mensajeria.db") as connection:
        connection.execute(statement, values)
    connection.close()


def insert_account(admin: Admin, handle: str, *, status: str = "active") -> None:
    """An account straight in the database: the command line's own way to one is tested elsewhere."""
    blobs = {"opaque_record": b"", "wrap_password": b"", "wrap_recovery": b"", "identity": b"", "idfp": bytes(32)}
    row: dict[str, object] = {
        "uid": handle.encode().ljust(16),
        "handle": handle,
        "status": status,
        "created_ms": 1,
        "opaque_suite": 1,
    }
    row |= {"root_ver": 1, "list_ver": 1}
    row |= blobs
    with sqlite3.connect(admin.folder / "mensajeria.db") as connection:
        names = ",".join(row)
        connection.execute(f"INSERT INTO account ({names}) VALUES ({','.join('?' * len(row))})", tuple(row.values()))
    connection.close()
