"""What is answered without FastAPI's resolver is answered as FastAPI does it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, Header
from fastapi.routing import APIRoute
from pydantic import BaseModel

from mensajeria.protocol.ids import b64
from mensajeria.server.main import ROUTES
from mensajeria.server.routing import Endpoint, FixedPaths, all_routes
from mensajeria.server.state import Server
from tests.server.enrol import Person, register
from tests.server.fixtures import ON_SQLITE


class Version(BaseModel):
    """Some answer."""


ALL = [route for module in ROUTES for route in module.router.routes]
DIRECT = [route for route in ALL if isinstance(route, Endpoint) and route.needs is not None]


def said(response: httpx.Response) -> tuple[object, ...]:
    """Everything but the request's id."""
    headers = {name: value for name, value in response.headers.items() if name != "x-request-id"}
    body = response.text.replace(response.headers["x-request-id"], "ID")
    return response.status_code, headers, body


@ON_SQLITE
@pytest.mark.quick
async def test_both_ways_give_the_same_answers(
    http: httpx.AsyncClient, app_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana = await register(app_server, "ana")

    async def answers(person: Person) -> list[tuple[object, ...]]:
        found = [said(await person.call(http, "GET", route.path)) for route in DIRECT]
        return found + [said(await http.get(route.path)) for route in DIRECT]

    direct = await answers(ana)
    for route in DIRECT:
        monkeypatch.setattr(route, "needs", None)

    assert direct == await answers(ana)
    assert {status for status, _, _ in direct} == {200, 401}
    assert len(DIRECT) > 8


@ON_SQLITE
@pytest.mark.quick
async def test_an_optional_parameter_is_used_when_it_is_given(http: httpx.AsyncClient, app_server: Server) -> None:
    ana = await register(app_server, "ana")

    assert (await ana.call(http, "GET", f"/v1/chats?after={b64(bytes(32))}")).status_code == 200
    assert (await ana.call(http, "GET", "/v1/chats?after=-1")).json()["code"] == "malformed"
    assert (await ana.call(http, "GET", "/v1/blocks?aftre=x")).json()["detail"] == "query: unknown parameter"


def test_who_has_to_be_proven_is_proven_on_the_short_way() -> None:
    open_to_all = {route.path for route in DIRECT if route.needs is not None and True not in route.needs.values()}

    assert open_to_all == {"/healthz", "/version", "/v1/server"}


def judge(**options: Any) -> Any:
    """A dependency that must not be passed over."""


async def with_header(etag: Annotated[str, Header()] = "") -> Version:
    return Version()


async def with_another(_allowed: str = Depends(judge)) -> Version:
    return Version()


async def with_nothing() -> Version:
    return Version()


@pytest.mark.parametrize(
    ("endpoint", "dependencies", "short"),
    [
        pytest.param(with_nothing, [], True, id="nothing"),
        pytest.param(with_nothing, [Depends(judge)], False, id="the-route-depends-on-more"),
        pytest.param(with_another, [], False, id="the-endpoint-depends-on-more"),
        pytest.param(with_header, [], False, id="a-header-with-a-default"),
    ],
)
def test_what_depends_on_more_goes_the_long_way(endpoint: Any, dependencies: Sequence[Any], short: bool) -> None:
    route = Endpoint("/x", endpoint, response_model=Version, methods=["GET"], dependencies=dependencies)

    assert (route.needs is not None) is short


def test_every_endpoint_refuses_unknown_parameters_of_a_query() -> None:
    assert [route for route in ALL if isinstance(route, APIRoute) and not isinstance(route, Endpoint)] == []


def test_the_fixed_paths_are_those_without_parameters_and_all_others_follow() -> None:
    fixed, *others = all_routes([module.router for module in ROUTES])

    assert isinstance(fixed, FixedPaths)
    assert others == ALL
    paths = {route.path for route in ALL if isinstance(route, APIRoute) and not route.param_convertors}
    assert {path for _, path in fixed._routes} == paths
