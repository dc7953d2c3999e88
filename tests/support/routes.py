"""Applications of one process share what FastAPI finds out about an endpoint; a program makes one, the tests thousands.

FastAPI reads each endpoint's signature and builds validators for it when an application gets its first request: a
twentieth of a second, which every test with a server of its own pays. What it finds depends on the endpoint and on
where its router was included. All it keeps of the application are overridden dependencies, which nobody has here.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from fastapi import routing


@cache
def share() -> None:
    """From now on."""
    kind: Any = getattr(routing, "_EffectiveRouteContext", None)
    if kind is None or "MENSAJERIA_TEST_AS_SHIPPED" in os.environ:  # it is FastAPI's own affair: without it is slower
        return
    known: dict[Any, Any] = {}
    build = kind.from_api_route

    def from_api_route(*, original_route: Any, include_context: Any) -> Any:
        dependencies = tuple(one.dependency for one in include_context.dependencies)
        key = (id(original_route), include_context.prefix, dependencies)  # what is kept keeps its route
        if key not in known:
            known[key] = build(original_route=original_route, include_context=include_context)
        return known[key]

    kind.from_api_route = from_api_route
