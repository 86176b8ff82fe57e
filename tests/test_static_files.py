"""Static files: the page and what belongs to it, wherever the site is mounted."""

import gzip
import importlib.util
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from wsgiref.util import setup_testing_defaults

import pytest
from aiohttp import ClientSession, web

from kailash_monitor.alerts import AlertManager
from kailash_monitor.metrics import MetricsRegistry
from kailash_monitor.web import Request, Response, Site, aiohttp_app, asgi_app
from kailash_monitor.web.static_files import CONTENT_SECURITY_POLICY, PAGE, answer_file, files_of, packaged_files
from kailash_monitor.web.wsgi import wsgi_app

ROOT = Path(__file__).parent.parent
FILES = files_of(ROOT / "kailash_monitor" / "web" / "static")
BROWSER = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


@pytest.fixture
async def site(registry: MetricsRegistry) -> Site:
    return Site(AlertManager(registry))


async def get(site: Site, path: str, headers: Mapping[str, str] = BROWSER) -> Response:
    return await site.handle(Request("GET", path, headers=headers))


# -- the files of a folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "static" / "pages").mkdir(parents=True)
    (tmp_path / "secret.js").write_text("no")
    folder = tmp_path / "static"
    (folder / "main.js").write_text("let x = 1;\n" * 100)
    (folder / "pages" / "a.css").write_text("a {}")
    (folder / "icon.png").write_bytes(bytes(1000))
    (folder / "LICENSE").write_text("MIT")
    for unfit in (".hidden.js", "main.js.orig", "notes.md", "main.pyc"):
        (folder / unfit).write_text("no")
    (folder / ".git").mkdir()
    (folder / ".git" / "main.js").write_text("no")
    return folder


def test_files_are_found_by_their_paths_and_only_those_of_a_page(folder: Path) -> None:
    assert {name: file.content_type for name, file in files_of(folder).items()} == {
        "LICENSE": "text/plain; charset=utf-8",
        "icon.png": "image/png",
        "main.js": "text/javascript; charset=utf-8",
        "pages/a.css": "text/css; charset=utf-8",
    }


def test_where_there_is_no_folder_there_are_no_files(tmp_path: Path) -> None:
    assert files_of(tmp_path / "nothing") == {}


def test_a_file_is_sent_with_gzip_to_whoever_reads_that_and_where_it_is_shorter(folder: Path) -> None:
    files = files_of(folder)
    accepts = {"accept-encoding": "br, gzip"}
    packed = answer_file(Request("GET", "/", headers=accepts), files["main.js"])
    assert (packed.headers["Content-Encoding"], packed.headers["Vary"]) == ("gzip", "Accept-Encoding")
    assert gzip.decompress(packed.body) == files["main.js"].content
    for headers, name in ((accepts, "pages/a.css"), (accepts, "icon.png"), ({}, "main.js")):
        plain = answer_file(Request("GET", "/", headers=headers), files[name])
        assert ("Content-Encoding" in plain.headers, plain.body) == (False, files[name].content)


def test_a_file_that_the_browser_has_is_not_sent_again(folder: Path) -> None:
    file = files_of(folder)["main.js"]
    plain = answer_file(Request("GET", "/"), file).headers["ETag"]
    packed = answer_file(Request("GET", "/", headers={"accept-encoding": "gzip"}), file).headers["ETag"]
    assert plain != packed
    for known in (plain, packed, f"W/{plain}", f'"x", {packed}', "*"):
        answer = answer_file(Request("GET", "/", headers={"if-none-match": known}), file)
        assert (answer.status, answer.body, answer.headers["ETag"]) == (304, b"", plain)
        assert answer.headers["Cache-Control"] == "no-cache"
    for other in ('"x"', "", "x-gzip"):
        assert answer_file(Request("GET", "/", headers={"if-none-match": other}), file).status == 200
    (folder / "main.js").write_text("let x = 2;\n")
    assert answer_file(Request("GET", "/", headers={"if-none-match": plain}), files_of(folder)["main.js"]).status == 200


# -- what the site serves


async def test_a_browser_gets_the_page_and_others_the_list_of_paths(site: Site) -> None:
    page = await get(site, "/")
    assert (page.status, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert b"static/main.js" in page.body
    assert page.headers["Vary"] == "Accept, Accept-Encoding"
    for accept in ("", "*/*", "application/json"):
        listed = await get(site, "/", {"accept": accept})
        assert (listed.headers["Content-Type"], listed.headers["Vary"]) == (
            "text/plain; charset=utf-8",
            "Accept, Accept-Encoding",
        )
        assert b"/api/alerts\n" in listed.body


async def test_every_file_of_the_page_is_served_and_runs_nothing_but_ours(site: Site) -> None:
    files = await packaged_files()
    assert {PAGE, "main.js", "vendor/uPlot.iife.min.js", "vendor/LICENSE"} <= files.keys()
    for name, file in files.items():
        answer = await get(site, f"/static/{name}")
        assert (answer.status, answer.body, answer.headers["Content-Type"]) == (200, file.content, file.content_type)
        assert answer.headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["Referrer-Policy"] == "same-origin"
        assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert answer.headers["Cache-Control"] == "no-cache"


def test_the_page_holds_neither_script_nor_style_of_its_own() -> None:
    page = FILES[PAGE].content.decode()
    assert "unsafe" not in CONTENT_SECURITY_POLICY
    assert [found for found in (" style=", "<style", "onclick=", "javascript:", "://", "<base") if found in page] == []
    assert page.count("<script") == page.count("<script src=")


@pytest.mark.parametrize(
    "name",
    [
        "nothing.js",
        "../site.py",
        "..",
        ".",
        "/etc/passwd",
        "pages",
        "pages/../main.js",
        "%2e%2e/site.py",
        "main.js\0",
        "main.js/",
    ],
)
async def test_what_is_no_file_of_the_page_is_not_there(site: Site, name: str) -> None:
    answer = await get(site, f"/static/{name}")
    assert (answer.status, answer.headers["Content-Type"]) == (404, "application/json")


async def test_files_are_only_read(site: Site) -> None:
    assert (await site.handle(Request("POST", "/static/main.js"))).headers["Allow"] == "GET, HEAD"
    head = await site.handle(Request("HEAD", "/static/main.js"))
    assert (head.status, head.body, "ETag" in head.headers) == (200, b"", True)


# -- where it is mounted


async def test_at_a_mount_without_a_slash_behind_a_browser_is_sent_to_the_one_with_it(site: Site) -> None:
    for mount, there in {"/monitor": "./monitor/", "/a/b%20c": "./b%20c/", "/a:b": "./a:b/"}.items():
        answer = await site.handle(Request("GET", "", headers=BROWSER, mount=mount))
        assert (answer.status, answer.headers["Location"]) == (308, there)
        listed = await site.handle(Request("GET", "", mount=mount))
        assert (listed.status, b"/api/alerts" in listed.body) == (200, True)


async def test_a_mount_in_asgi_has_the_page(site: Site) -> None:
    async def asked(path: str, root: str) -> tuple[int, dict[str, str]]:
        sent: list[dict[str, object]] = []

        async def receive() -> dict[str, object]:
            return {"type": "http.request"}

        async def send(message: dict[str, object]) -> None:
            sent.append(message)

        headers = [(b"accept", b"text/html"), (b"cookie", b"a=1"), (b"cookie", b"b=2")]
        scope = {"type": "http", "method": "GET", "path": path, "root_path": root, "headers": headers}
        await asgi_app(site)(scope, receive, send)  # type: ignore[arg-type]
        assert isinstance(sent[0]["headers"], list)
        return int(str(sent[0]["status"])), {name.decode(): value.decode() for name, value in sent[0]["headers"]}

    assert (await asked("/a/grün", "/a/grün"))[1]["location"] == "./gr%C3%BCn/"
    assert (await asked("/a/grün/", "/a/grün"))[0] == 200
    assert (await asked("/a/grün/static/main.js", "/a/grün"))[0] == 200
    assert (await asked("/", ""))[0] == 200


async def test_cookies_that_come_one_by_one_are_read_together(registry: MetricsRegistry) -> None:
    asked = list[Request]()

    class Noting(Site):
        async def handle(self, request: Request) -> Response:
            asked.append(request)
            return Response.text("")

    async def receive() -> dict[str, object]:
        return {"type": "http.request"}

    async def send(_: object) -> None: ...

    headers = [(b"cookie", b"a=1"), (b"x", b"1"), (b"cookie", b"b=2"), (b"x", b"2")]
    scope = {"type": "http", "method": "GET", "path": "/", "headers": headers}
    await asgi_app(Noting(AlertManager(registry)))(scope, receive, send)
    assert asked[0].headers == {"cookie": "a=1; b=2", "x": "2"}


def test_a_mount_in_wsgi_has_the_page(registry: MetricsRegistry) -> None:
    def asked(path: str, root: str) -> tuple[str, dict[str, str]]:
        environ = {"PATH_INFO": path, "SCRIPT_NAME": root, "HTTP_ACCEPT": "text/html"}
        setup_testing_defaults(environ)
        said: list[object] = []
        wsgi_app(Site(AlertManager(MetricsRegistry())))(environ, lambda *told: said.extend(told))  # type: ignore[arg-type]
        return str(said[0]), dict(said[1])  # type: ignore[call-overload]

    status, headers = asked("", "/a/grün".encode().decode("latin-1"))
    assert (status, headers["Location"]) == ("308 Permanent Redirect", "./gr%C3%BCn/")
    status, headers = asked("/", "/a")
    assert (status, headers["Content-Type"]) == ("200 OK", "text/html; charset=utf-8")
    assert asked("/static/main.js", "/a")[0] == "200 OK"


@pytest.mark.real_time
@pytest.mark.parametrize("mount", ["/monitor", "/a/b"])
async def test_an_application_of_aiohttp_has_the_page_at_its_mount(mount: str) -> None:
    app = web.Application()
    app.add_subapp(mount, aiohttp_app(Site(AlertManager(MetricsRegistry()))))
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}{mount}"
    try:
        async with ClientSession(headers=BROWSER) as session:
            async with session.get(url) as answer:
                assert [str(one.status) for one in answer.history] == ["308"]
                assert (answer.status, answer.content_type, answer.url.path) == (200, "text/html", f"{mount}/")
            async with session.get(f"{url}/static/main.js") as answer:
                assert (answer.status, answer.headers["Content-Encoding"]) == (200, "gzip")
            async with session.get(url, headers={"Accept": "*/*"}) as answer:
                assert "/api/alerts" in await answer.text()
    finally:
        await runner.cleanup()


@pytest.mark.skipif(
    importlib.util.find_spec("fastapi") is None or importlib.util.find_spec("httpx") is None, reason="no fastapi"
)
@pytest.mark.parametrize("kind", ["mount", "router", "nested"])
async def test_applications_of_starlette_and_fastapi_have_the_page_at_their_mount(kind: str, site: Site) -> None:
    import httpx
    from fastapi import FastAPI
    from starlette.applications import Starlette
    from starlette.routing import Mount

    from kailash_monitor.integrations.fastapi import pages

    app, prefix = Starlette(), "/monitor"
    if kind == "router":
        app = router = FastAPI()
        router.include_router(pages(site), prefix="/monitor")
    elif kind == "mount":
        app, prefix = Starlette(routes=[Mount("/monitor", asgi_app(site))]), "/monitor"
    else:
        app, prefix = Starlette(routes=[Mount("/a", Starlette(routes=[Mount("/b", asgi_app(site))]))]), "/a/b"
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://127.0.0.1", headers=BROWSER, follow_redirects=True
    ) as client:
        page = await client.get(prefix)
        assert (page.status_code, page.url.path, "static/main.js" in page.text) == (200, f"{prefix}/", True)
        assert (await client.get(f"{prefix}/static/main.js")).status_code == 200
        known = {"If-None-Match": (await client.get(f"{prefix}/static/main.js")).headers["ETag"]}
        assert (await client.get(f"{prefix}/static/main.js", headers=known)).status_code == 304


# -- the package


@pytest.mark.skipif(
    importlib.util.find_spec("hatchling") is None, reason="hatchling, from the extra 'e2e', is not installed"
)
@pytest.mark.real_time
def test_the_wheel_holds_every_file_of_the_page(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=60)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        held = {name.removeprefix("kailash_monitor/web/static/") for name in file.namelist() if "/web/static/" in name}
    assert FILES.keys() <= held
