"""Flask: a manager that runs where the application serves, its pages, and metrics of its requests.

monitoring = Monitoring(manager=manager)   # or Monitoring(app, manager)
...
monitoring.init_app(app)                   # all of it, below /monitor
"""

from collections.abc import Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from flask import Blueprint, Flask, Request, Response, request, request_started

from kailash_monitor.blocking import AlertManager
from kailash_monitor.errors import ConfigurationError
from kailash_monitor.instrument.http_metrics import CLIENT_LEFT, HttpMetrics
from kailash_monitor.integrations.serving import Upkeep
from kailash_monitor.metrics import get_metrics_registry
from kailash_monitor.web import Site
from kailash_monitor.web.http import MAX_BODY
from kailash_monitor.web.http import Request as Asked
from kailash_monitor.web.wsgi import answer_now

if TYPE_CHECKING:
    from types import TracebackType
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["Monitoring"]

NAME: Final = "kailash_monitor"
"""What the blueprint of the pages is called, and the extension itself in `app.extensions`."""

ERROR: Final = 500

_ROUTE: Final = "kailash_monitor.route"
"""Where in `environ` the rule of the URL stands, once Flask has found it."""

_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")


class Monitoring:
    """Monitors one application or several with one manager, by default a new one of the registry that all share.

    In each application the pages of a Site are at `prefix`, and its requests are measured, `requests` permitting, into the
    collector `http`, by the rule of their URL (`/users/<int:id>`), from when they come until the last byte of the answer
    was handed to the server. `token` and `hosts` are those of the Site: with a token the pages take changes as well. Reading
    asks for nothing: where the application can be reached from outside, keep `prefix` from there. What the application does
    before each request, it does for the pages, too; `blueprint` is what they are, to be exempted from it.

    The manager is started once, in the process that serves: at once where that is known, as in `flask run` and in a worker
    of gunicorn, else at the first request. It is never started in a shell or another command, in a test, in the parent of a
    reloader, or in a master that loads the application for its workers (`gunicorn --preload`); `start` does it by hand.
    It is stopped when that process ends in good order.

    A ConfigurationError where the prefix is none, or the manager is one for event loops.
    """

    def __init__(
        self,
        app: Flask | None = None,
        manager: AlertManager | None = None,
        *,
        prefix: str = "/monitor",
        token: str | None = None,
        hosts: Iterable[str] = (),
        requests: bool = True,
    ) -> None:
        if not prefix.startswith("/") or prefix.rstrip("/") == "":
            seen = f"prefix = {prefix!r}"
            raise ConfigurationError("Monitoring", field="prefix", seen=seen, expected="a path such as '/monitor'")
        self.manager: Final = AlertManager(get_metrics_registry()) if manager is None else _blocking(manager)
        self._site: Final = Site(self.manager, token, hosts=hosts)
        self._metrics: Final = HttpMetrics.of(self.manager.metrics_registry) if requests else None
        self._upkeep: Final = Upkeep(self.manager)
        self.blueprint: Final = Blueprint(NAME, __name__, url_prefix=prefix.rstrip("/"))
        self.blueprint.add_url_rule("/", view_func=self._page, methods=_METHODS, defaults={"path": ""}, endpoint="index")
        self.blueprint.add_url_rule("/<path:path>", view_func=self._page, methods=_METHODS, endpoint="page")
        if app is not None:
            self.init_app(app)

    def __repr__(self) -> str:
        return f"<Monitoring {self.blueprint.url_prefix}, {self.manager!r}>"

    def init_app(self, app: Flask) -> None:
        """Monitor `app` as well. A ConfigurationError where it is monitored already."""
        if NAME in app.extensions:
            raise ConfigurationError("Monitoring.init_app", seen=f"{app!r} a second time", expected="an application once")
        app.register_blueprint(self.blueprint)
        app.wsgi_app = _Monitored(app.wsgi_app, self._upkeep, self._metrics)  # type: ignore[method-assign]  # as Flask says
        request_started.connect(_note_route, app)
        app.extensions[NAME] = self
        self._upkeep.set_up()

    def start(self) -> None:
        """Start the manager in this process now, whatever it is for; returns at once, and what goes wrong is logged.

        For a worker that was forked from a master, before any request: `def post_worker_init(worker): monitoring.start()` in
        the configuration of gunicorn.
        """
        self._upkeep.start()

    def stop(self) -> None:
        """Stop the manager, within its time; it is not started by a request again."""
        self._upkeep.stop()

    def _page(self, path: str) -> Response:
        answer = answer_now(self._site, _asked(request, f"/{path}"))
        return Response(answer.chunks, status=answer.status, headers=dict(answer.headers))


def _blocking(manager: object) -> AlertManager:
    if isinstance(manager, AlertManager):
        return manager
    expected = "a kailash_monitor.blocking.AlertManager, which needs no event loop"
    raise ConfigurationError("Monitoring", field="manager", seen=f"{manager!r} as manager", expected=expected)


def _note_route(app: Flask, **_: object) -> None:
    request.environ[_ROUTE] = "" if request.url_rule is None else request.url_rule.rule


def _asked(of: Request, path: str) -> Asked:
    return Asked(
        "GET" if of.method == "HEAD" else of.method,  # Flask leaves the body out by itself, and says how long it would be
        path,
        of.args.to_dict(flat=False),
        {name.lower(): value for name, value in of.headers.items()},
        _body(of),
    )


def _body(of: Request) -> bytes:
    """Give the body, or of one that is too long a byte more than may be."""
    if of.content_length is not None and of.content_length <= MAX_BODY:
        return of.get_data()  # what the application has read before is kept there
    body: bytes = of.stream.read(MAX_BODY + 1)
    return body


class _Monitored:
    """The WSGI application of a Flask application, seen from outside."""

    def __init__(self, app: "WSGIApplication", upkeep: Upkeep, metrics: HttpMetrics | None) -> None:
        self._app: Final = app
        self._upkeep: Final = upkeep
        self._metrics: Final = metrics

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if _lives_on(environ):
            self._upkeep.asked()
        if self._metrics is None:
            return self._app(environ, start_response)
        answer = _Answer(self._metrics, environ)
        try:
            chunks = self._app(environ, partial(answer.begin, start_response))
        except BaseException:
            answer.end(ERROR)
            raise
        wrapper = environ.get("wsgi.file_wrapper")
        if isinstance(wrapper, type) and isinstance(chunks, wrapper):
            answer.end(answer.status)  # the server knows a quicker way to send a file, if it gets this very object
            return chunks
        answer.chunks = chunks
        return answer


def _lives_on(environ: "WSGIEnvironment") -> bool:
    """Whether the process will serve more than this request; Werkzeug's server with `processes` forks one for each."""
    forks = environ.get("wsgi.multiprocess") and str(environ.get("SERVER_SOFTWARE")).startswith("Werkzeug")
    return not (environ.get("wsgi.run_once") or forks)


class _Answer:
    """One answer as it is handed to the server, measured until its last byte. Mutable: what is known of it by now."""

    __slots__ = ("_begun", "_environ", "_metrics", "_rest", "chunks", "status")

    def __init__(self, metrics: HttpMetrics, environ: "WSGIEnvironment") -> None:
        self.status = ERROR
        self.chunks: Iterable[bytes] = ()
        self._rest: Iterator[bytes] | None = None
        self._metrics = metrics
        self._environ = environ
        self._begun: float | None = metrics.begin()

    def begin(
        self,
        start_response: "StartResponse",
        status: str,
        headers: list[tuple[str, str]],
        error: "tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None] | None" = None,
    ) -> Any:  # Any: how the server writes, of old
        """Take note of the status, and hand it on."""
        self.status = int(status[:3])
        return start_response(status, headers) if error is None else start_response(status, headers, error)

    def end(self, status: int) -> None:
        """Take note that it was answered; the first time counts."""
        if self._begun is not None:
            begun, self._begun = self._begun, None
            self._metrics.end(begun, self._environ["REQUEST_METHOD"], self._route(), status)

    def _route(self) -> str:
        return str(self._environ.get(_ROUTE, ""))

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._rest is None:
            self._rest = iter(self.chunks)
        try:
            return next(self._rest)
        except StopIteration:
            self.end(self.status)
            raise
        except BaseException:
            self.end(ERROR)
            raise

    def close(self) -> None:
        """Let go of it. Where it was not taken to its end, there was nobody to take it; a HEAD need not be."""
        try:
            close = getattr(self.chunks, "close", None)
            if close is not None:
                close()
        finally:
            self.end(self.status if self._environ["REQUEST_METHOD"] == "HEAD" else CLIENT_LEFT)
