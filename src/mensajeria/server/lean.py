"""What libraries would load into every server, though no server uses it: 5 MB of the 90 that an idle one may take.

`None` in `sys.modules` is Python's own way to say that a module is not installed, and these libraries go on without.
"""

from __future__ import annotations

import importlib
import sys

_NEVER = ("pydantic.v1", "aiofastnet")
"""FastAPI asks of each type in an endpoint whether it is a model of pydantic's first version, and loads that for it.
aiofastnet is picows' transport for the connections that it opens itself; the server's are the event loop's."""
_AT_ITS_START = {"structlog": ("rich",)}
"""structlog draws coloured tracebacks for developers' terminals where rich is installed, as the command line's is."""


def _import_without(module: str, optional: tuple[str, ...]) -> None:
    absent = [name for name in optional if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]
    try:
        importlib.import_module(module)
    finally:
        for name in absent:
            del sys.modules[name]


for _module in _NEVER:
    sys.modules.setdefault(_module, None)  # type: ignore[arg-type]
for _module, _optional in _AT_ITS_START.items():
    _import_without(_module, _optional)
