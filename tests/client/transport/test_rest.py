"""What becomes of requests whose caller does not wait for them any more."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx  # noqa: F401 - the client loads it at its first request, which may not block a loop that is watched
import pytest

from mensajeria.client.engine.login import SKIPPED
from mensajeria.client.errors import RefusedError
from mensajeria.client.transport.address import parse_address
from mensajeria.client.transport.rest.calls import Calls, Credentials
from mensajeria.client.transport.rest.client import RestClient
from mensajeria.kit.secrets import Secret
from mensajeria.protocol.api import MAC_HEADER, Problem
from mensajeria.protocol.errors import Code

pytestmark = pytest.mark.timeout(60)
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class SlowServer:
    """Takes one request, and answers it when it is told to."""

    def __init__(self) -> None:
        self.answer = ANSWER
        self.asked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.was_heard: bool | None = None
        self.done = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.asked.set()
        answering, gone = asyncio.create_task(self.may_answer.wait()), asyncio.create_task(reader.read(1))
        await asyncio.wait({answering, gone}, return_when=asyncio.FIRST_COMPLETED)
        self.was_heard = not gone.done()
        if self.was_heard:
            writer.write(self.answer)
        answering.cancel()
        await asyncio.wait({gone})
        writer.close()
        self.done.set()


@asynccontextmanager
async def slow_server() -> AsyncIterator[tuple[SlowServer, RestClient]]:
    slow = SlowServer()
    server = await asyncio.start_server(slow.serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield slow, RestClient(parse_address(f"http://127.0.0.1:{port}"), None)


async def cancelled_in_the_middle(slow: SlowServer, client: RestClient) -> None:
    calling = asyncio.create_task(client.call("GET", "/v1/server"))
    await slow.asked.wait()
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling


async def test_a_request_whose_caller_is_cancelled_ends_by_itself() -> None:
    async with slow_server() as (slow, client):
        await cancelled_in_the_middle(slow, client)
        slow.may_answer.set()
        await client.close()
        await slow.done.wait()
        assert slow.was_heard


async def test_nobody_misses_what_a_request_without_a_caller_meets(caplog: pytest.LogCaptureFixture) -> None:
    async with slow_server() as (slow, client):
        slow.answer = b"not HTTP\r\n\r\n"
        await cancelled_in_the_middle(slow, client)
        slow.may_answer.set()
        await client.close()
        await slow.done.wait()
    gc.collect()  # an exception that nobody has looked at is logged here
    assert not caplog.records


@pytest.mark.slow
async def test_closing_does_not_wait_for_a_server_that_does_not_answer() -> None:
    async with slow_server() as (slow, client):
        await cancelled_in_the_middle(slow, client)
        async with asyncio.timeout(15):
            await client.close()
            await slow.done.wait()
        assert not slow.was_heard


class Copied:
    """What a copy of a profile has: the numbers from `first` on, many of which the copied one has used since."""

    def __init__(self, first: int) -> None:
        self.counter = first

    async def credentials(self) -> Credentials:
        return Credentials("token", Secret(b"k" * 32))

    async def renew(self, refused: str) -> Credentials:
        raise AssertionError(refused)

    async def next_counter(self) -> int:
        self.counter += 1
        return self.counter

    async def skip_counters(self) -> None:
        self.counter += SKIPPED


async def calls_until_taken(used: int, source: Copied) -> list[int]:
    """The numbers of one call's requests to a server that has seen `used`."""
    seen: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        seen.append(int(head.partition(f"{MAC_HEADER.lower()}: ")[2].partition(".")[0]))
        problem = Problem(type="t", title="t", status=401, code=Code.REPLAYED, detail="", request_id="r")
        body = b"{}" if seen[-1] > used else problem.model_dump_json().encode()
        status = b"200 OK" if seen[-1] > used else b"401 No"
        writer.write(b"HTTP/1.1 %b\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        client = RestClient(parse_address(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"), None)
        try:
            await Calls(client, source).call("POST", "/v1/invites")
        finally:
            await client.close()
    return seen


async def test_a_request_that_was_overtaken_is_sent_again_under_the_next_number() -> None:
    assert await calls_until_taken(8, Copied(7)) == [8, 9]


async def test_a_copy_of_a_profile_goes_on_far_above_the_numbers_that_were_used() -> None:
    assert await calls_until_taken(1000, Copied(7)) == [8, 9, 10 + SKIPPED]


async def test_a_server_that_takes_no_number_is_believed_in_the_end() -> None:
    with pytest.raises(RefusedError, match=Code.REPLAYED):
        await calls_until_taken(1 << 60, Copied(7))
