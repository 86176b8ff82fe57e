"""Sessions: signing in, what a session may do, and what is kept of it."""

import asyncio
import base64
import json
import logging
import re
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kailash_monitor.alerts import AlertManager
from kailash_monitor.delivery.bucket import Rate
from kailash_monitor.errors import ConfigurationError
from kailash_monitor.metrics import MetricsRegistry
from kailash_monitor.testing import VirtualClock
from kailash_monitor.web import Request, Response, Site
from kailash_monitor.web.access import Access
from kailash_monitor.web.deeds import LONGEST, MOST, Deeds
from kailash_monitor.web.limits import CHANGES, FAILURES, Limit
from kailash_monitor.web.session import (
    CODE_SECONDS,
    LONGEST_NAME,
    SESSION_SECONDS,
    Session,
    code_of,
    cookie_name,
    cookie_of,
    cookies_in,
    csrf_of,
    session_by_code,
    session_in,
)
from kailash_monitor.web.spent import MOST as MOST_SPENT
from kailash_monitor.web.spent import Spent

TOKEN = "t0ken-that-nobody-guesses"
HOST = "127.0.0.1:9464"
PAGE = {"host": HOST, "origin": f"http://{HOST}", "content-type": "application/json"}
ANN = Session("ann", 1000.0, "n1")


# -- what is signed


@given(st.text(st.characters(categories=("L", "N", "P", "Zs"), include_characters=" "), max_size=LONGEST_NAME))
def test_a_cookie_gives_back_the_session_it_was_made_of(name: str) -> None:
    if not name.isprintable():
        return
    session = Session(name, 1000.0, "n1")
    assert session_in(TOKEN, cookie_of(TOKEN, session), 999.0) == session


def test_a_cookie_is_of_characters_that_no_browser_changes() -> None:
    assert re.fullmatch(r"[\w.-]+", cookie_of(TOKEN, Session('jürgen; "x"', 1e9, "n-_")), re.ASCII)
    assert re.fullmatch(r"[\w.-]+", cookie_name(TOKEN), re.ASCII)


@pytest.mark.parametrize("now", [1000.0, 1000.5, 1e12])
def test_a_session_is_over_when_its_time_is(now: float) -> None:
    assert session_in(TOKEN, cookie_of(TOKEN, ANN), now) is None


def test_a_cookie_of_another_token_counts_for_nothing() -> None:
    assert session_in("another", cookie_of(TOKEN, ANN), 0.0) is None
    assert cookie_name("another") != cookie_name(TOKEN)
    assert csrf_of("another", "x") != csrf_of(TOKEN, "x")


def test_whatever_is_changed_of_a_cookie_it_counts_no_more() -> None:
    cookie = cookie_of(TOKEN, ANN)
    for place, was in enumerate(cookie):
        for other in {"A", "B", "9", "."} - {was}:
            assert session_in(TOKEN, cookie[:place] + other + cookie[place + 1 :], 0.0) is None
    longer = "9" + cookie
    bob = base64.urlsafe_b64encode(b"bob").decode().rstrip("=")
    assert session_in(TOKEN, longer, 0.0) is None
    assert session_in(TOKEN, ".".join([cookie.split(".")[0], bob, *cookie.split(".")[2:]]), 0.0) is None


@pytest.mark.parametrize("cookie", ["", ".", "...", "1.2.3.4", "x", "\udcff", "ä.b.c.d", "." * 5000])
def test_what_is_no_cookie_of_ours_counts_for_nothing(cookie: str) -> None:
    assert session_in(TOKEN, cookie, 0.0) is None
    assert session_by_code(TOKEN, cookie, 0.0) is None


def test_a_code_lets_in_for_five_minutes() -> None:
    code = code_of(TOKEN, "ann", "n2", 100.0)
    assert session_by_code(TOKEN, code, 100.0 + CODE_SECONDS - 1) == Session("ann", 100.0 + CODE_SECONDS, "n2")
    assert session_by_code(TOKEN, code, 100.0 + CODE_SECONDS) is None


def test_no_code_is_a_cookie_and_no_cookie_a_code() -> None:
    code, cookie = code_of(TOKEN, "ann", "n", 0.0), cookie_of(TOKEN, ANN)
    assert session_in(TOKEN, code, 0.0) is None
    assert session_by_code(TOKEN, cookie, 0.0) is None
    assert csrf_of(TOKEN, cookie) not in cookie


@pytest.mark.parametrize("name", ["x" * (LONGEST_NAME + 1), "a\nb", "\x1b[31m", "a\u202eb", "\ud800"])
def test_a_name_is_one_short_line(name: str) -> None:
    with pytest.raises(ConfigurationError, match="the session: a name that is too long, or has characters"):
        Session(name, 0.0, "n")


def test_cookies_of_a_name_are_found_among_others() -> None:
    assert list(cookies_in("a=1; b=2;a=3 ; aa=4; a; =5", "a")) == ["1", "3", ""]
    assert list(cookies_in("", "a")) == []


# -- what is spent


def test_what_is_spent_is_spent_once() -> None:
    spent = Spent()
    assert "n" not in spent
    assert [spent.add("n", 10.0, 0.0), spent.add("n", 10.0, 0.0)] == [True, False]
    assert "n" in spent


def test_of_what_is_spent_it_remembers_so_much_and_first_forgets_what_is_over() -> None:
    spent = Spent()
    for number in range(MOST_SPENT):
        spent.add(str(number), 10.0 if number % 2 else 20.0, 0.0)
    spent.add("new", 20.0, 15.0)
    assert (len(spent), "1" in spent, "0" in spent) == (MOST_SPENT // 2 + 1, False, True)
    for number in range(MOST_SPENT):
        spent.add(f"later {number}", 20.0, 15.0)
    assert (len(spent), "0" in spent, f"later {MOST_SPENT - 1}" in spent) == (MOST_SPENT, False, True)


# -- how often


def test_a_limit_says_how_long_to_wait() -> None:
    limit = Limit(Rate(0.5, 2), "wrong tokens", 0.0)
    assert [limit.taken(0.0), limit.taken(0.0)] == [None, None]
    refusal = limit.taken(0.5)
    assert refusal is not None
    assert (refusal.status, refusal.headers["Retry-After"]) == (429, "2")
    assert json.loads(refusal.body) == {"error": "too many wrong tokens; try again in 2 s"}
    assert limit.refusal(2.0) is None
    assert limit.taken(2.0) is None
    assert limit.refusal(2.0) is not None


# -- over HTTP


@pytest.fixture
async def manager(registry: MetricsRegistry) -> AlertManager:
    return AlertManager(registry)


@pytest.fixture
async def site(manager: AlertManager) -> Site:
    return Site(manager, TOKEN, hosts=["monitor.example"])


async def say(
    site: Site, method: str, path: str, body: object = None, headers: Mapping[str, str] = PAGE
) -> tuple[Response, dict[str, object]]:
    raw = b"" if body is None else json.dumps(body).encode()
    response = await site.handle(Request(method, path, headers=headers, body=raw))
    return response, json.loads(response.body)


async def signed_in(site: Site, body: object = None, headers: Mapping[str, str] = PAGE) -> dict[str, str]:
    """Sign in as the page does, and give the headers that it sends from then on."""
    response, document = await say(site, "POST", "/api/session", body or {"token": TOKEN, "name": "ann"}, headers)
    assert response.status == 200, document
    cookie = response.headers["Set-Cookie"].partition(";")[0]
    return {**headers, "cookie": f"theme=dark; {cookie}", "x-csrf-token": str(document["csrf"])}


NOBODY = {"can_change": False, "signed_in": False, "name": "", "csrf": None}


async def test_a_session_says_who_one_is_and_what_one_may_do(site: Site, manager: AlertManager) -> None:
    assert (await say(site, "GET", "/api/session"))[1] == {**NOBODY, "sign_in": True}
    assert (await say(Site(manager), "GET", "/api/session"))[1] == {**NOBODY, "sign_in": False}
    headers = await signed_in(site)
    expected = {"can_change": True, "signed_in": True, "name": "ann", "csrf": headers["x-csrf-token"], "sign_in": True}
    assert (await say(site, "GET", "/api/session", headers=headers))[1] == expected
    elsewhere = {**headers, "host": "evil.example"}
    assert (await say(site, "GET", "/api/session", headers=elsewhere))[1] == {**expected, "can_change": False}


async def test_the_cookie_is_for_our_pages_alone(site: Site) -> None:
    response, _ = await say(site, "POST", "/api/session", {"token": TOKEN})
    cookie = response.headers["Set-Cookie"]
    assert re.fullmatch(rf"{cookie_name(TOKEN)}=[\w.-]+; Max-Age=43200; HttpOnly; SameSite=Strict", cookie, re.ASCII)
    assert response.headers["Cache-Control"] == "no-store"


async def test_where_the_page_came_by_https_the_cookie_goes_by_nothing_else(site: Site) -> None:
    headers = {**PAGE, "host": "monitor.example", "origin": "https://monitor.example"}
    response, _ = await say(site, "POST", "/api/session", {"token": TOKEN}, headers)
    assert response.headers["Set-Cookie"].endswith("; HttpOnly; SameSite=Strict; Secure")


async def test_a_session_may_change_things_with_what_only_our_page_knows(site: Site) -> None:
    headers = await signed_in(site)
    made, document = await say(site, "POST", "/api/silences", {"matchers": "a=b"}, headers)
    assert (made.status, document["silence"]["author"]) == (201, "ann")  # type: ignore[index]
    for wrong in ("", "x", "\udcff", headers["x-csrf-token"][:-1]):
        refused, document = await say(site, "POST", "/api/silences", {"matchers": "a=b"}, {**headers, "x-csrf-token": wrong})
        assert (refused.status, document["error"]) == (
            403, "the header X-CSRF-Token is not the one of this session: load the page again",
        )  # fmt: skip
    without = {name: value for name, value in headers.items() if name != "x-csrf-token"}
    assert (await say(site, "POST", "/api/silences", {"matchers": "a=b"}, without))[0].status == 403


async def test_the_header_of_one_session_is_not_that_of_another(site: Site) -> None:
    ann, bob = await signed_in(site), await signed_in(site, {"token": TOKEN, "name": "bob"})
    mixed = {**ann, "x-csrf-token": bob["x-csrf-token"]}
    assert (await say(site, "POST", "/api/silences", {"matchers": "a=b"}, mixed))[0].status == 403


@pytest.mark.parametrize(
    "elsewhere", [{"origin": "https://evil.example"}, {"origin": "null"}, {"host": "evil.example"},
                  {"host": "evil.example", "origin": "http://evil.example"}],
)  # fmt: skip
async def test_no_other_page_signs_anybody_in_or_out_or_uses_a_session(site: Site, elsewhere: dict[str, str]) -> None:
    headers = {**await signed_in(site), **elsewhere}
    body = {"token": TOKEN}
    assert (await say(site, "POST", "/api/session", body, headers))[0].status == 403
    assert (await say(site, "DELETE", "/api/session", None, headers))[0].status == 403
    assert (await say(site, "POST", "/api/silences", {"matchers": "a=b"}, headers))[0].status == 403


async def test_a_form_cannot_sign_in(site: Site) -> None:
    headers = {**PAGE, "content-type": "text/plain"}
    assert (await say(site, "POST", "/api/session", {"token": TOKEN}, headers))[0].status == 415


async def test_without_a_token_nobody_signs_in(manager: AlertManager) -> None:
    for method, body in (("POST", {"token": ""}), ("POST", {"code": code_of("", "", "n", 1e12)}), ("DELETE", None)):
        response, document = await say(Site(manager), method, "/api/session", body)
        assert (response.status, str(document["error"])[:19]) == (403, "this API only reads")


async def test_a_token_that_is_shown_in_a_header_needs_nothing_beside(site: Site) -> None:
    cookie = (await signed_in(site))["cookie"]
    headers = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json", "cookie": cookie}
    made, document = await say(site, "POST", "/api/silences", {"matchers": "a=b"}, headers)
    assert (made.status, document["silence"]["author"]) == (201, "")  # type: ignore[index]
    wrong = {**await signed_in(site), "authorization": "Bearer wrong"}
    assert (await say(site, "POST", "/api/silences", {"matchers": "a=b"}, wrong))[0].status == 401


async def test_a_session_counts_behind_a_proxy_that_passes_its_password_on(site: Site) -> None:
    headers = {**await signed_in(site), "authorization": "Basic YW5uOnNlY3JldA=="}
    made, document = await say(site, "POST", "/api/silences", {"matchers": "a=b"}, headers)
    assert (made.status, document["silence"]["author"]) == (201, "ann")  # type: ignore[index]
    without = {name: value for name, value in headers.items() if name != "x-csrf-token"}
    assert (await say(site, "POST", "/api/silences", {"matchers": "a=b"}, without))[0].status == 403
    nobody = {name: value for name, value in headers.items() if name != "cookie"}
    assert (await say(site, "POST", "/api/silences", {"matchers": "a=b"}, nobody))[0].status == 401


async def test_an_author_that_is_stated_stands(site: Site) -> None:
    _, document = await say(site, "POST", "/api/silences", {"matchers": "a=b", "author": "bob"}, await signed_in(site))
    assert document["silence"]["author"] == "bob"  # type: ignore[index]


async def test_a_code_lets_in_once(site: Site, clock: VirtualClock) -> None:
    code = code_of(TOKEN, "ann", "n", clock.wall())
    _, document = await say(site, "POST", "/api/session", {"code": code})
    assert (document["can_change"], document["name"]) == (True, "ann")
    response, document = await say(site, "POST", "/api/session", {"code": code})
    assert (response.status, str(document["error"])[:33]) == (401, "the code is over, or was used: as")
    named = {"code": code_of(TOKEN, "ann", "other", clock.wall()), "name": " bob "}
    assert (await say(site, "POST", "/api/session", named))[1]["name"] == "bob"


async def test_a_code_is_over_after_five_minutes(site: Site, clock: VirtualClock) -> None:
    code = code_of(TOKEN, "ann", "n", clock.wall() - CODE_SECONDS)
    assert (await say(site, "POST", "/api/session", {"code": code}))[0].status == 401


async def test_a_session_lasts_twelve_hours(site: Site) -> None:
    headers = await signed_in(site)
    await asyncio.sleep(SESSION_SECONDS - 2)
    assert (await say(site, "GET", "/api/session", headers=headers))[1]["signed_in"] is True
    await asyncio.sleep(2)
    assert (await say(site, "GET", "/api/session", headers=headers))[1] == {**NOBODY, "sign_in": True}
    refused, document = await say(site, "POST", "/api/silences", {"matchers": "a=b"}, headers)
    assert (refused.status, str(document["error"]).endswith("or a session: sign in")) == (401, True)


async def test_a_session_is_known_to_every_process_with_the_token(site: Site, clock: VirtualClock) -> None:
    headers = await signed_in(site)
    another = Site(AlertManager(MetricsRegistry(clock=clock)), TOKEN)
    assert (await say(another, "POST", "/api/silences", {"matchers": "a=b"}, headers))[0].status == 201
    changed = Site(AlertManager(MetricsRegistry(clock=clock)), "another-token")
    assert (await say(changed, "POST", "/api/silences", {"matchers": "a=b"}, headers))[0].status == 401


async def test_who_has_signed_out_is_nobody_also_with_the_cookie(site: Site) -> None:
    headers = await signed_in(site)
    response, document = await say(site, "DELETE", "/api/session", None, headers)
    assert (response.status, document) == (200, {**NOBODY, "sign_in": True})
    forgotten = f"{cookie_name(TOKEN)}=; Max-Age=0; HttpOnly; SameSite=Strict"
    assert response.headers["Set-Cookie"] == forgotten
    assert (await say(site, "GET", "/api/session", headers=headers))[1]["signed_in"] is False
    assert (await say(site, "POST", "/api/silences", {"matchers": "a=b"}, headers))[0].status == 401
    assert (await say(site, "DELETE", "/api/session", None, headers))[0].status == 200


async def test_who_was_not_signed_in_learns_nothing_that_comes_of_the_token(site: Site) -> None:
    """The name of the cookie does: tokens could be tried on it as fast as a machine can, and no limit would see that."""
    response, document = await say(site, "DELETE", "/api/session", None)
    assert (response.status, document) == (200, {**NOBODY, "sign_in": True})
    assert "Set-Cookie" not in response.headers


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "token"),
        ({"name": "ann"}, "token"),
        ({"token": TOKEN, "code": "x"}, "token"),
        ({"token": 5}, "token"),
        ({"code": ["x"]}, "code"),
        ({"token": TOKEN, "name": "a\nb"}, "name"),
        ({"token": TOKEN, "name": "x" * 101}, "name"),
        ({"token": TOKEN, "zzz": 1}, "zzz"),
    ],
)
async def test_a_sign_in_that_cannot_be_meant_so_names_the_field(site: Site, body: object, field: str) -> None:
    response, document = await say(site, "POST", "/api/session", body)
    assert (response.status, document["field"]) == (400, field)
    assert TOKEN not in str(document)


async def test_a_wrong_token_lets_nobody_in_and_is_logged_but_not_repeated(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    response, document = await say(site, "POST", "/api/session", {"token": "s3cret"})
    assert response.status == 401
    assert "Set-Cookie" not in response.headers
    assert "s3cret" not in str(document)
    await say(site, "POST", "/api/session", {"code": "s3cret"})
    await say(site, "POST", "/api/silences", {}, {**PAGE, "authorization": "Bearer s3cret"})
    assert [record.getMessage() for record in caplog.records] == [
        "somebody showed a wrong token, over HTTP",
        "somebody showed a wrong sign-in code, over HTTP",
        "somebody showed a wrong token, over HTTP",
    ]


# -- how often, over HTTP


@pytest.mark.parametrize("way", ["session", "code", "header"])
async def test_after_ten_wrong_tokens_also_the_right_one_has_to_wait(site: Site, clock: VirtualClock, way: str) -> None:
    async def try_with(token: str) -> Response:
        if way == "header":
            headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
            return (await say(site, "POST", "/api/silences", {"matchers": "a=b"}, headers))[0]
        shown = {"token": token} if way == "session" else {"code": code_of(token, "", "n", clock.wall())}
        return (await say(site, "POST", "/api/session", shown))[0]

    headers = await signed_in(site)
    assert [(await try_with("wrong")).status for _ in range(FAILURES.burst + 1)] == [401] * FAILURES.burst + [429]
    refused = await try_with(TOKEN)
    assert (refused.status, refused.headers["Retry-After"]) == (429, "2")
    assert (await say(site, "POST", "/api/silences", {"matchers": "a=b"}, headers))[0].status == 201  # sessions go on
    await asyncio.sleep(2)
    assert (await try_with(TOKEN)).status in (200, 201)
    assert (await try_with("wrong")).status == 401
    assert (await try_with(TOKEN)).status == 429


async def test_changes_have_a_limit_that_only_those_use_up_who_may_make_them(site: Site) -> None:
    stranger = {**PAGE, "cookie": "x=y"}
    for _ in range(CHANGES.burst + 1):
        assert (await say(site, "DELETE", "/api/silences/x", None, stranger))[0].status == 401
    headers = await signed_in(site)
    statuses = [(await say(site, "DELETE", "/api/silences/x", None, headers))[0].status for _ in range(CHANGES.burst + 1)]
    assert statuses == [404] * CHANGES.burst + [429]
    await asyncio.sleep(0.1)
    assert (await say(site, "DELETE", "/api/silences/x", None, headers))[0].status == 404


# -- what is kept of it


async def audit(site: Site) -> list[tuple[object, object]]:
    _, document = await say(site, "GET", "/api/audit")
    deeds = document["deeds"]
    assert isinstance(deeds, list)
    return [(deed["who"], deed["what"]) for deed in deeds]


async def test_what_was_changed_is_kept_with_who_did_it(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "kailash_monitor.web")
    headers = await signed_in(site)
    bearer = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json"}
    _, document = await say(site, "POST", "/api/silences", {"matchers": "a=b", "author": "x"}, headers)
    silence_id = document["silence"]["id"]  # type: ignore[index]
    await say(site, "POST", "/api/silences", {"matchers": ["a=b", "c=d"], "author": "bob"}, bearer)
    await say(site, "POST", "/api/silences", {"alert_id": "disk\n"}, bearer)
    await say(site, "DELETE", f"/api/silences/{silence_id}", None, bearer)
    await say(site, "DELETE", "/api/silences/none", None, bearer)
    await say(site, "POST", "/api/silences", {"matchers": "a="}, {**bearer, "authorization": "Bearer wrong"})
    await say(site, "DELETE", "/api/session", None, headers)
    expected = [
        ("ann", "signed out"),
        ("token", f"ended the silence {silence_id}"),
        ("token", "silenced disk "),
        ("bob", 'silenced ["a=b", "c=d"]'),
        ("ann", "silenced a=b"),
        ("ann", "signed in"),
    ]
    kept = await audit(site)
    assert [(who, str(what).rstrip()) for who, what in kept] == [(who, what.rstrip()) for who, what in expected]
    logged = [record.getMessage() for record in caplog.records if record.levelno == logging.INFO]
    assert logged == [f"{who}, over HTTP: {what}" for who, what in reversed(kept)]
    assert TOKEN not in caplog.text


async def test_who_signs_in_without_a_name_is_somebody(site: Site) -> None:
    headers = await signed_in(site, {"token": TOKEN})
    await say(site, "POST", "/api/silences", {"matchers": "a=b"}, headers)
    assert await audit(site) == [("somebody", "silenced a=b"), ("somebody", "signed in")]


async def test_so_many_deeds_are_kept_and_each_is_short(clock: VirtualClock) -> None:
    deeds = Deeds(clock)
    for number in range(MOST + 5):
        deeds.add("ann", f"{number} " + "x" * 1000)
    latest = deeds.latest()
    assert (len(latest), latest[0].id, latest[-1].id) == (MOST, str(MOST + 5), "6")
    assert len(latest[0].what) == LONGEST + 1
    assert repr(deeds) == f"<Deeds: {MOST + 5}>"


async def test_neither_token_nor_cookie_is_shown(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    headers = await signed_in(site)
    await say(site, "POST", "/api/silences", {"matchers": "a=b"}, headers)
    shown = f"{site}{vars(site)}{Access(TOKEN)}{caplog.text}{await audit(site)}"
    assert TOKEN not in shown
    assert headers["cookie"].rpartition("=")[2] not in shown
