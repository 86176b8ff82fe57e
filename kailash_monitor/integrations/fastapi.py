"""FastAPI and Starlette: a manager that lives with the application, its pages, and metrics of its requests.

    app = FastAPI()
    monitor(app, manager)                      # all of it, below /monitor

or piece by piece: `FastAPI(lifespan=monitored(manager, lifespan=mine))`, `app.mount("/monitor", asgi_app(Site(manager)))`,
`app.add_middleware(AsgiMetrics, registry=registry)`. Starlette alone is enough.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeAlias, TypeVar

from starlette.applications import Starlette

from kailash_monitor.engine import AlertManager
from kailash_monitor.errors import ConfigurationError
from kailash_monitor.instrument.asgi import AsgiMetrics
from kailash_monitor.web import Site
from kailash_monitor.web.asgi import asgi_app

__all__ = ["AsgiMetrics", "Lifespan", "asgi_app", "monitor", "monitored"]

A = TypeVar("A", bound=Starlette)

Lifespan: TypeAlias = Callable[[A], AbstractAsyncContextManager[Mapping[str, Any] | None]]  # Any: the program's own state
"""What Starlette and FastAPI take as `lifespan`."""


def monitored(manager: AlertManager, lifespan: "Lifespan[A] | None" = None) -> "Lifespan[A]":
    """Give a lifespan in which the manager runs from before to after that of your own, whose state is handed on.

    Where the start-up of your own fails, the manager stops, and what failed is raised. Messages under way get the manager's
    `stop_timeout` at the end.
    """

    @asynccontextmanager
    async def both(app: A) -> AsyncIterator[Mapping[str, Any] | None]:
        async with manager:
            if lifespan is None:
                yield None
            else:
                async with lifespan(app) as state:
                    yield state

    return both


def monitor(
    app: A,
    manager: AlertManager,
    *,
    prefix: str = "/monitor",
    token: str | None = None,
    hosts: Iterable[str] = (),
    requests: bool = True,
) -> A:
    """Have `manager` live with the application, its pages below `prefix`, and requests measured unless told otherwise.

    To be called before the application serves, once. `token` and `hosts` are those of a Site: with a token the pages take
    changes as well. Reading asks for nothing: where the application can be reached from outside, keep `prefix` from there,
    or mount `asgi_app(Site(manager))` behind what asks. A ConfigurationError where the prefix is none.
    """
    if not prefix.startswith("/") or prefix.rstrip("/") == "":
        raise ConfigurationError(
            "monitor", field="prefix", seen=f"prefix = {prefix!r}", expected="a path such as '/monitor'"
        )
    own: Lifespan[Any] = app.router.lifespan_context  # Any: typed for the class of the application there
    app.router.lifespan_context = monitored(manager, own)  # type: ignore[assignment]  # as one or the other, there
    app.mount(prefix.rstrip("/"), asgi_app(Site(manager, token, hosts=hosts)), name="monitor")
    if requests:
        app.add_middleware(AsgiMetrics, registry=manager.metrics_registry)
    return app
