"""`admin doctor`: looks at what usually goes wrong on a server and says it in words."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, func, select, text

from mensajeria.kit.clock import Clock, SystemClock
from mensajeria.server.admin.audit import DAY_MS, Act
from mensajeria.server.admin.outside import bucket, public_address, redis
from mensajeria.server.admin.records import FAILED, OK, WARNING, Check
from mensajeria.server.db.engine import Database
from mensajeria.server.db.failures import DATABASE_ERRORS
from mensajeria.server.db.revision import SchemaError, require_head
from mensajeria.server.db.schema_access import audit
from mensajeria.server.facts import Facts, StateError, read_facts
from mensajeria.server.keyfiles import load_key_files
from mensajeria.server.settings import Settings

BACKUP_DAYS: Final = 8
"""A weekly one is never late."""
CLOCK_MS: Final = 5000
YEAR_2024_MS: Final = 1_704_067_200_000


def doctor(settings: Settings, clock: Clock | None = None) -> list[Check]:
    """Every check, in a fixed order. Changes nothing; a check that cannot be made is a warning."""
    return asyncio.run(_doctor(settings, clock or SystemClock()))


async def _doctor(settings: Settings, clock: Clock) -> list[Check]:
    checks = [await asyncio.to_thread(_data_folder, settings), await asyncio.to_thread(_disk, settings)]
    db = await asyncio.to_thread(Database, settings.effective_database_url)
    try:
        reachable = await _database(db)
        checks.append(reachable)
        facts = None
        if reachable.state == OK:
            facts, identity = await _identity(db)
            checks += [await _migrations(db), identity, await _clock(db, clock), await _last_backup(db, clock)]
    finally:
        await db.close()
    checks.append(await asyncio.to_thread(_secrets, settings, facts))
    if settings.redis_url is not None:
        checks.append(await redis(settings.redis_url.get_secret_value()))
    if settings.s3_bucket is not None:
        checks.append(await bucket(settings))
    checks.append(await public_address(settings, facts))
    return checks


def _data_folder(settings: Settings) -> Check:
    folder = settings.data_dir
    if not folder.is_dir():
        return Check("data_folder", FAILED, f"{folder} does not exist: run `mensajeria admin init`")
    if os.name == "posix" and folder.stat().st_mode & 0o077:
        return Check("data_folder", WARNING, f"others may look into {folder}: chmod 700 it")
    if not os.access(folder, os.W_OK):
        return Check("data_folder", FAILED, f"{folder} cannot be written")
    return Check("data_folder", OK, str(folder))


def _disk(settings: Settings) -> Check:
    where = settings.data_dir if settings.data_dir.is_dir() else Path()
    usage = shutil.disk_usage(where)
    free_mb = usage.free >> 20
    said = f"{free_mb} MiB free of {usage.total >> 20}"
    if free_mb < settings.min_free_mb:
        return Check("disk", FAILED, said)
    return Check("disk", WARNING if usage.free * 10 < usage.total else OK, said)


async def _database(db: Database) -> Check:
    if db.is_sqlite and not await asyncio.to_thread(Path(db.url.database or "").exists):
        return Check("database", FAILED, "there is no database: run `mensajeria admin init`")
    try:
        await db.ping()
    except DATABASE_ERRORS as error:
        return Check("database", FAILED, f"it does not answer ({type(error).__name__})")
    return Check("database", OK, db.url.get_backend_name())


async def _migrations(db: Database) -> Check:
    try:
        await require_head(db)
    except SchemaError as error:
        return Check("migrations", FAILED, str(error))
    except DATABASE_ERRORS as error:
        return Check("migrations", FAILED, f"the database cannot be read ({type(error).__name__})")
    return Check("migrations", OK, "at the newest revision")


async def _identity(db: Database) -> tuple[Facts | None, Check]:
    """What makes the database one server's, and which."""
    try:
        facts = await db.query(read_facts)
    except StateError as error:
        return None, Check("identity", FAILED, str(error))
    except DATABASE_ERRORS as error:
        return None, Check("identity", FAILED, f"the database cannot be read ({type(error).__name__})")
    if facts is None:
        return None, Check("identity", WARNING, "no server was made in this database yet: run `mensajeria admin init`")
    return facts, Check("identity", OK, f"server {facts.server_id.hex()}, restore epoch {facts.restore_epoch}")


async def _clock(db: Database, clock: Clock) -> Check:
    """Against PostgreSQL's, which may be another machine's; alone, only that it is not obviously wrong."""
    now_ms = clock.now_ms()
    if now_ms < YEAR_2024_MS:
        return Check("clock", FAILED, "the clock is years behind: set it")
    if db.is_sqlite:
        return Check("clock", OK, "nothing to compare with")
    try:
        theirs = await db.query(_database_ms)
    except DATABASE_ERRORS as error:
        return Check("clock", WARNING, f"the database did not say its time ({type(error).__name__})")
    off = abs(theirs - clock.now_ms())
    if off > CLOCK_MS:
        return Check("clock", FAILED, f"{off / 1000:.0f} s apart from the database's: set both by NTP")
    return Check("clock", OK, f"{off} ms apart from the database's")


def _database_ms(connection: Connection) -> int:
    return int(connection.execute(text("SELECT extract(epoch FROM clock_timestamp()) * 1000")).scalar_one())


async def _last_backup(db: Database, clock: Clock) -> Check:
    """Of `admin backup create`: who backs up by other means may live with the warning."""
    newest = select(func.max(audit.c.ts)).where(audit.c.action == Act.BACKUP_MADE.value)
    try:
        made_ms: int | None = await db.query(lambda connection: connection.execute(newest).scalar_one())
    except DATABASE_ERRORS:  # a schema that `_migrations` complains of
        made_ms = None
    if made_ms is None:
        return Check("last_backup", WARNING, "none that is remembered: run `mensajeria admin backup create`")
    days = (clock.now_ms() - made_ms) // DAY_MS
    return Check("last_backup", OK if days < BACKUP_DAYS else WARNING, f"{days} days ago")


def _secrets(settings: Settings, facts: Facts | None) -> Check:
    folder = settings.secrets_dir
    try:
        keys = load_key_files(folder)
    except StateError as error:
        return Check("secrets", FAILED, str(error))
    if keys is None:
        return Check("secrets", FAILED, f"there are none in {folder}: start the server once, or restore your backup")
    if facts is not None and facts.keys != keys.fingerprint:
        return Check("secrets", FAILED, f"those in {folder} belong to another database")
    if os.name == "posix" and stat.S_IMODE(folder.stat().st_mode) & 0o077:
        return Check("secrets", WARNING, f"others may look into {folder}: chmod 700 it")
    return Check("secrets", OK, "complete, and for nobody else to read")
