"""The options of libpq in the address count for every connection: TLS that is asked for is TLS that is checked."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from mensajeria.server.chats.log import UNKNOWN_CHAT, NewEvent
from mensajeria.server.chats.log_postgres import PostgresEventLog
from mensajeria.server.db.engine import Database
from mensajeria.server.db.revision import require_head
from mensajeria.server.findings import Finding, Found, cause_of, of_system
from tests.server.fixtures import migrate_in_a_process

SSL_REQUEST = bytes([0, 0, 0, 8, 4, 210, 22, 47])
HOST = "127.0.0.1"


def certify(file: Path) -> Path:
    """Write a certificate of this machine, with its key, that is its own authority."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, HOST)])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(HOST))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(made.public_bytes(Encoding.PEM) + secret)
    return file


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with closing(writer):
        while data := await reader.read(1 << 16):
            writer.write(data)


@asynccontextmanager
async def encrypting(url: str, certificate: Path) -> AsyncIterator[str]:
    """The same database behind TLS alone; its address. The tests' own PostgreSQL is built without."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    await asyncio.to_thread(context.load_cert_chain, certificate)
    there, talks = urlsplit(url), []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.append(asyncio.current_task())
        with suppress(OSError, asyncio.IncompleteReadError), closing(writer):
            if await reader.readexactly(8) == SSL_REQUEST:
                writer.write(b"S")
                await writer.start_tls(context)
                database = await asyncio.open_connection(HOST, there.port)
                await asyncio.gather(_pass_on(reader, database[1]), _pass_on(database[0], writer))

    server = await asyncio.start_server(handle, HOST, 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield there._replace(netloc=f"{there.username}:{there.password}@{HOST}:{port}").geturl()
        await asyncio.wait_for(asyncio.gather(*filter(None, talks)), 10)


@pytest.fixture
def made_url(made_on_postgres: tuple[str, Path], postgres_database: Callable[[str | None], str]) -> str:
    """A server's database."""
    return postgres_database(made_on_postgres[0])


async def test_every_connection_is_encrypted_and_the_server_is_who_it_must_be(made_url: str, tmp_path: Path) -> None:
    trusted = certify(tmp_path / "trusted.pem")
    async with encrypting(made_url, trusted) as address:
        db = await asyncio.to_thread(Database, f"{address}?sslmode=verify-full&sslrootcert={trusted}")
        log = PostgresEventLog(db.postgres_dsn)
        try:
            assert await db.write(_one) == await db.query(_one) == 1
            assert [row[0] for row in await db.look_up("SELECT 1")] == [1]
            assert [row[0] for row in await db.mark("SELECT 1")] == [1]
            [(outcome, _, _)] = await log.append([NewEvent(404, bytes(16), 0, 0, 1, b"x")])
            assert outcome == UNKNOWN_CHAT
        finally:
            await log.close()
            await db.close()


@pytest.mark.slow
async def test_a_migration_is_encrypted_too(postgres_url: str, tmp_path: Path) -> None:
    trusted = certify(tmp_path / "trusted.pem")
    async with encrypting(postgres_url, trusted) as address:
        await asyncio.to_thread(migrate_in_a_process, f"{address}?sslmode=verify-full&sslrootcert={trusted}")
    db = await asyncio.to_thread(Database, postgres_url)
    try:
        await require_head(db)
    finally:
        await db.close()


async def test_another_certificate_is_refused(postgres_url: str, tmp_path: Path) -> None:
    trusted, other = certify(tmp_path / "trusted.pem"), certify(tmp_path / "other.pem")
    async with encrypting(postgres_url, other) as address:
        found = await refusal(f"{address}?sslmode=verify-full&sslrootcert={trusted}")
    assert found == Finding.DATABASE_UNREACHABLE(cause="SSLCertVerificationError")


async def test_a_server_without_tls_is_refused_where_it_is_asked_for(postgres_url: str) -> None:
    found = await refusal(f"{postgres_url}?sslmode=require")
    assert found == Finding.DATABASE_UNREACHABLE(cause="ConnectionError")


@pytest.mark.parametrize(
    ("option", "cause"),
    [("sslmode=perhaps", "ClientConfigurationError"), ("ssl_mode=require", "UndefinedObjectError")],
)
async def test_an_option_that_does_not_exist_is_refused(postgres_url: str, option: str, cause: str) -> None:
    db = await asyncio.to_thread(Database, f"{postgres_url}?{option}")
    try:
        with pytest.raises(DBAPIError) as caught:
            await db.ping()
    finally:
        await db.close()
    assert cause_of(caught.value) == cause


def _one(connection: Connection) -> int:
    return int(connection.execute(text("SELECT 1")).scalar_one())


async def refusal(url: str) -> Found:
    """What the operator is told."""
    db = await asyncio.to_thread(Database, url)
    try:
        with pytest.raises(OSError) as caught:  # noqa: PT011 - what it says is asserted by each test
            await db.ping()
    finally:
        await db.close()
    return of_system(caught.value)
