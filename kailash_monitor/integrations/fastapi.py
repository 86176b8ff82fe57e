"""FastAPI and Starlette: a manager that lives with the application, its pages, and metrics of its requests.

    app = FastAPI()
    monitor(app, manager)                      # all of it, below /monitor

or piece by piece: `FastAPI(lifespan=monitored(manager, lifespan=mine))`, `app.mount("/monitor", asgi_app(Site(manager)))`
or `app.include_router(pages(Site(manager), dependencies=[Depends(admin)]), prefix="/monitor")`, and
`app.add_middleware(AsgiMetrics, registry=registry)`. Starlette alone is enough, but for `dependencies`.
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Lifespan, Receive, Scope, Send

from kailash_monitor.engine import AlertManager
from kailash_monitor.errors import ConfigurationError
from kailash_monitor.instrument.asgi import AsgiMetrics
from kailash_monitor.instrument.http_metrics import HttpMetrics
from kailash_monitor.web import Site, asgi_app

if TYPE_CHECKING:
    from fastapi import APIRouter
    from fastapi.params import Depends

__all__ = ["AsgiMetrics", "asgi_app", "monitor", "monitored", "pages"]

A = TypeVar("A", bound=Starlette)

NAME: Final = "kailash_monitor"
"""What the mounted pages are called among the routes."""

_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


def monitored(manager: AlertManager, lifespan: "Lifespan[A] | None" = None) -> "Lifespan[A]":
    """Give a lifespan in which the manager runs from before to after that of your own, whose state is handed on.

    Where the start-up of your own fails, the manager stops, and what failed is raised. A manager that cannot start, as with
    a store that another process uses, fails the start-up of the application. Messages under way get the manager's
    `stop_timeout` at the end.
    """

    @asynccontextmanager
    async def both(app: A) -> AsyncIterator[Mapping[str, Any] | None]:  # Any: the program's own state
        async with manager:
            if lifespan is None:
                yield None
            else:
                async with lifespan(app) as state:
                    yield state

    return both  # type: ignore[return-value]  # with a state, or without: as that of your own


def monitor(
    app: A,
    manager: AlertManager,
    *,
    prefix: str = "/monitor",
    token: str | None = None,
    hosts: Iterable[str] = (),
    dependencies: "Sequence[Depends]" = (),
    requests: bool = True,
) -> A:
    """Have `manager` live with the application, its pages below `prefix`, and requests measured unless told otherwise.

    To be called before the application serves, once, and before routes that match every path. `token` and `hosts` are those
    of a Site: with a token the pages take changes as well. Reading asks for nothing but the `dependencies`, which FastAPI
    asks before each page (`[Depends(admin)]`): without them, keep `prefix` from outside. None of it is in the schema.

    A ConfigurationError where the prefix is none, the application is monitored already, or `dependencies` are given for one
    that is not of FastAPI.
    """
    _check(app, prefix, dependencies)
    site = Site(manager, token, hosts=hosts)
    if requests:
        HttpMetrics.of(manager.metrics_registry)  # raises here what the middleware would at the first request
        app.add_middleware(AsgiMetrics, registry=manager.metrics_registry)
    own: Lifespan[Any] = app.router.lifespan_context  # Any: typed for the class of the application there
    app.router.lifespan_context = monitored(manager, own)
    if dependencies:
        app.include_router(pages(site, dependencies=dependencies), prefix=prefix.rstrip("/"))  # type: ignore[attr-defined]  # checked
    else:
        app.mount(prefix.rstrip("/"), asgi_app(site), name=NAME)
    setattr(app.state, NAME, True)
    return app


def _check(app: Starlette, prefix: str, dependencies: "Sequence[Depends]") -> None:
    if not prefix.startswith("/") or prefix.rstrip("/") == "":
        seen = f"prefix = {prefix!r}"
        raise ConfigurationError("monitor", field="prefix", seen=seen, expected="a path such as '/monitor'")
    if dependencies and not hasattr(app, "include_router"):
        expected = "an application of FastAPI; in Starlette put a middleware before: Mount(…, middleware=[…])"
        raise ConfigurationError("monitor", field="dependencies", seen=f"dependencies for {app!r}", expected=expected)
    if getattr(app.state, NAME, False):
        raise ConfigurationError("monitor", field="app", seen=f"{app!r} a second time", expected="an application once")


def pages(site: Site, *, dependencies: "Sequence[Depends]" = ()) -> "APIRouter":
    """Give the site as a router of FastAPI, behind dependencies of yours; none of it is in the schema.

    What they refuse is refused as they say. They must leave the body to the page.
    """
    from fastapi import APIRouter

    async def page(request: Request) -> Response:
        return _Page(asgi_app(site), request.path_params["path"])

    router = APIRouter(include_in_schema=False, dependencies=list(dependencies))
    router.add_api_route("/{path:path}", page, methods=list(_METHODS), response_class=Response)
    return router


class _Page(Response):
    """A page as the answer to a request that was let through to it."""

    def __init__(self, app: "ASGIApp", path: str) -> None:
        super().__init__()
        self._app: Final = app
        self._path: Final = f"/{path}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app({**scope, "path": self._path, "root_path": ""}, receive, send)
