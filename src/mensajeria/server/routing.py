"""Where a request goes: FastAPI's routes, without the two parts of FastAPI that cost more than a read does.

A path without parameters is found by one look-up, where FastAPI asks route by route. And what needs no more than the
caller and the server is called with them, without the resolver of dependencies. Both do what FastAPI would do; what
they do not know goes its way. The OpenAPI document is FastAPI's own.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from mensajeria.protocol.errors import Code, ProtocolError
from mensajeria.server.caller import caller, server_of

JSON: Final = "application/json"


class Endpoint(APIRoute):
    """One endpoint. A query parameter that it does not have is refused like an unknown field: it is a typing error."""

    def __init__(self, path: str, endpoint: Any, **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        self._query = _query_names(self.dependant)
        self.needs: Final = _needs(self)
        """The endpoint's parameters that are the caller (True) or the server; None: the resolver must find out."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request.

        Raises:
            ProtocolError: MALFORMED, or what the endpoint raises.
        """
        if scope["method"] not in (self.methods or ()):
            await super().handle(scope, receive, send)  # says so
        elif scope["query_string"]:
            if set(Request(scope).query_params) - self._query:
                raise ProtocolError(Code.MALFORMED, "query: unknown parameter")
            await super().handle(scope, receive, send)
        elif self.needs is None:
            await super().handle(scope, receive, send)
        else:
            response = await self._call(Request(scope, receive, send), self.needs)
            await response(scope, receive, send)

    async def _call(self, request: Request, needs: dict[str, bool]) -> Response:
        values: dict[str, Any] = {}
        if needs:
            server = await server_of(request)
            values = {name: await caller(request, server) if proven else server for name, proven in needs.items()}
        answer: BaseModel = await self.endpoint(**values)
        return Response(answer.model_dump_json(), media_type=JSON)


def _query_names(dependant: Dependant) -> set[str]:
    names = {parameter.alias for parameter in dependant.query_params}
    return names.union(*map(_query_names, dependant.dependencies))


def _needs(route: APIRoute) -> dict[str, bool] | None:
    """For a GET that answers 200 with a model, and depends on nothing else, but for a query that may be left out."""
    wanted = route.dependant
    calls = {one.name: one.call for one in wanted.dependencies}
    others = [one for name, one in inspect.signature(route.endpoint).parameters.items() if name not in calls]
    answers = inspect.isclass(route.response_model) and issubclass(route.response_model, BaseModel)
    plain = answers and route.methods == {"GET"} and route.status_code is None
    known = len(calls) == len(wanted.dependencies) and set(calls.values()) <= {caller, server_of}
    more = [*wanted.path_params, *wanted.header_params, *wanted.cookie_params, *wanted.body_params]
    if plain and known and not more and all(one.default is not one.empty for one in others):
        return {name: call is caller for name, call in calls.items() if name is not None}
    return None


class FixedPaths(BaseRoute):
    """All routes whose path has no parameter, in front of the others."""

    def __init__(self, routes: Iterable[BaseRoute]) -> None:
        fixed = [route for route in routes if isinstance(route, Endpoint) and not route.param_convertors]
        self._routes = {(method, route.path): route for route in fixed for method in route.methods or ()}

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """See BaseRoute."""
        if scope["type"] == "http" and not scope.get("root_path"):
            route = self._routes.get((scope["method"], scope["path"]))
            if route is not None:
                return Match.FULL, {"endpoint": route.endpoint, "path_params": {}, "route": route}
        return Match.NONE, {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See BaseRoute: of the route that `matches` has found."""
        await scope["route"].handle(scope, receive, send)


def all_routes(routers: Iterable[APIRouter]) -> list[BaseRoute]:
    """What an application's router gets."""
    routes = [route for router in routers for route in router.routes]
    return [FixedPaths(routes), *routes]
