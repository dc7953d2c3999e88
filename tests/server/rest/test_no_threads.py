"""No endpoint, and nothing that one depends on, is run in a thread: the visit costs more than the work."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from mensajeria.server.main import ROUTES


def calls(dependant: Dependant) -> Iterator[object]:
    yield dependant.call
    for one in dependant.dependencies:
        yield from calls(one)


def test_endpoints_and_what_they_depend_on_are_coroutines() -> None:
    routes = [route for module in ROUTES for route in module.router.routes if isinstance(route, APIRoute)]

    found = {call for route in routes for call in calls(route.dependant)}

    assert len(found) > len(routes) > 30
    assert [call for call in found if not inspect.iscoroutinefunction(call)] == []
