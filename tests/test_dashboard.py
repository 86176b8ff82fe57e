"""The dashboard in a real browser: what people see and do there, by mouse or keyboard, in the light, the dark and on a phone.

Everywhere: no request leaves the program, and the browser has no error to report (`browser.Visitor`).
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

pytest.importorskip("playwright.sync_api", reason="needs Playwright: pip install 'kailash-monitor[e2e]'")

from playwright.sync_api import Browser, Locator, Page, Response, expect

from kailash_monitor.clock import SYSTEM_CLOCK
from kailash_monitor.delivery.outcome import Delivered, Rejected
from kailash_monitor.web.session import code_of

from browser import Visit, Visitor, chromium, violations, visitors  # isort: skip
from dashboard_program import HOSTILE, Bakery, Program, mounted, running  # isort: skip
from served import free_port, until  # isort: skip

TOKEN = "t0ken-that-nobody-guesses"

SOON = 3000.0
"""Milliseconds within which somebody who looks at the page sees what has happened."""

QUEUE = "The queue is long"
PAGES = ("overview", "alerts", "rules", "metrics", "notifications", "silences")
DETAILS = {
    "alerts/queue_long_shop": QUEUE,
    "rules/queue_long": "queue_long",
    "metrics/shop/queue": "queue",
    "metrics/shop/serving": "serving",
}
"""Pages of one thing, and the headings that they have once they know it."""
GONE = "Failed to load resource"
"""What the browser says of a program that is not there, or that refuses."""
MISTAKEN = "status of 400"
"""What it says where people have typed something that cannot be."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def bakery() -> Bakery:
    """A quiet one that has been open for ten minutes."""
    return Bakery(600)


@pytest.fixture
def program(bakery: Bakery) -> Iterator[Program]:
    """The bakery's, with a token."""
    with running(bakery, token=TOKEN) as program:
        yield program


@pytest.fixture
def visit(browser: Browser, program: Program) -> Iterator[Visit]:
    """Gives visitors, whose pages must have done nothing wrong by the end of the test."""
    with visitors(browser, program.url) as visit:
        yield visit


@pytest.fixture
def ada(visit: Visit) -> Visitor:
    """Somebody who has signed in."""
    visitor = visit()
    visitor.sign_in(TOKEN)
    return visitor


def main(page: Page) -> Locator:
    return page.get_by_role("main")


def heading(page: Page, name: str | re.Pattern[str] = "") -> Locator:
    return main(page).get_by_role("heading", name=name, level=1)


def button(inside: Page | Locator, name: str) -> Locator:
    return inside.get_by_role("button", name=name, exact=True)


def dialog(page: Page, name: str) -> Locator:
    return page.get_by_role("dialog", name=name)


def row(page: Page, text: str) -> Locator:
    return main(page).get_by_role("row").filter(has_text=text)


def rows(page: Page) -> Locator:
    """The rows of the page's list."""
    return main(page).get_by_role("table").first.locator("tbody tr")


def fire(program: Program, customers: int = 9) -> None:
    """Have the rule `queue_long` fire, and wait until it does."""
    program.bakery.queue.set(customers)
    until(lambda: "queue_long_shop" in {alert.id for alert in program.manager.get_active_alerts()})


def status(program: Program, alert_id: str = "queue_long_shop") -> str:
    return program.manager.alerts[alert_id].status.value


def settled(page: Page, address: str) -> None:
    """Wait until the page shows what it is about."""
    expect(heading(page, DETAILS.get(address, address.capitalize()))).to_be_visible()
    expect(page.get_by_text("Loading").filter(visible=True)).to_have_count(0)
    if address in DETAILS:
        expect(main(page).get_by_role("figure").first).to_be_visible()


def busy(program: Program) -> None:
    """Have everything that there can be to see: alerts of all kinds and states, silences, dead letters."""
    fire(program)
    program.bakery.heat.set("left", 240)
    program.bakery.heat.set("right", 260)
    program.bakery.crumbs.set("floor", 3)
    until(lambda: len(program.manager.dead_letters()) == 4)
    program.manager.acknowledge_alert('oven_hot_shop{oven="left"}', author="Bob")
    program.manager.silence(oven="right", duration="1h", reason="cleaning", author="Bob")
    program.manager.silence(team="nobody", duration="1h", starts_in="1h", reason="tomorrow")


STATIC = Path(__file__).parent.parent / "kailash_monitor" / "web" / "static"


def test_the_code_of_the_page_is_small() -> None:
    own = [path for path in STATIC.rglob("*") if path.is_file() and "vendor" not in path.parts]
    assert sum(path.stat().st_size for path in own) < 120_000


# -- what is seen ------------------------------------------------------------------------------------------------------


def test_each_page_is_reached_by_the_navigation_and_has_its_name_as_heading(visit: Visit, program: Program) -> None:
    page = visit().open()
    for name in PAGES:
        page.get_by_role("navigation").get_by_role("link", name=name.capitalize()).click()
        expect(heading(page, name.capitalize())).to_be_visible()
        assert page.url.endswith(f"#/{name}")
        expect(page).to_have_title(re.compile(name.capitalize()))


@pytest.mark.parametrize("address", ["#/overview", "#/alerts"])
def test_an_alert_that_begins_appears_within_three_seconds_without_a_reload(
    visit: Visit, program: Program, address: str
) -> None:
    page = visit().open(address)
    expect(heading(page)).to_be_visible()
    page.evaluate("window.since = 'before'")
    fire(program)
    expect(main(page).get_by_role("link", name=QUEUE)).to_be_visible(timeout=SOON)
    expect(page.get_by_role("status").filter(has_text=QUEUE)).to_be_attached()
    assert page.evaluate("window.since") == "before"


def test_a_quiet_overview_says_so_and_when_that_was_found(visit: Visit, program: Program) -> None:
    page = visit().open()
    expect(main(page)).to_contain_text(re.compile("all clear|nothing (is )?fir(es|ing)|all is well", re.IGNORECASE))
    expect(main(page).locator("time").first).to_be_visible()


def test_an_alert_shows_its_value_threshold_labels_runbook_chart_and_whom_it_was_told(
    visit: Visit, program: Program
) -> None:
    fire(program)
    until(lambda: program.manager.dead_letters())
    page = visit().open("#/alerts")
    row(page, QUEUE).get_by_role("link").first.click()
    expect(heading(page, QUEUE)).to_be_visible()
    for text in ("9 customers", "team", "counter", "phone", "letters", "HTTP 404: no such room"):
        expect(main(page)).to_contain_text(text)
    expect(main(page).get_by_role("link", name=re.compile("wiki.example.com|runbook", re.IGNORECASE))).to_have_attribute(
        "href", "https://wiki.example.com/queue"
    )
    chart = main(page).get_by_role("figure").first
    expect(chart.get_by_role("img")).to_be_visible()
    chart.get_by_text("Table", exact=True).click()
    expect(chart.get_by_role("table")).to_contain_text("9")


def test_alerts_are_found_by_text_state_severity_and_labels(visit: Visit, program: Program) -> None:
    busy(program)
    visitor = visit()
    visitor.expected.append(MISTAKEN)
    page = visitor.open("#/alerts")
    expect(rows(page)).to_have_count(5)  # one is pending
    page.get_by_label("Search").fill("qUEUe")
    expect(rows(page)).to_have_count(1)
    expect(rows(page)).to_have_text(re.compile(QUEUE))
    page.get_by_label("Search").fill("")
    page.get_by_label("State").select_option("acknowledged")
    expect(rows(page)).to_have_count(1)
    assert "state=acknowledged" in page.url
    page.reload()
    expect(rows(page)).to_have_count(1)  # the address has the filters
    page.get_by_label("State").select_option("")
    page.get_by_label("Severity").select_option("critical")
    expect(rows(page)).to_have_count(1)
    page.get_by_label("Severity").select_option("")
    page.get_by_label("Labels").fill('team="bakers"')
    expect(rows(page)).to_have_count(2)
    page.get_by_label("Labels").fill('team=~"(')
    expect(main(page).get_by_role("alert")).to_contain_text("team")
    page.get_by_label("Labels").fill('team="nobody"')
    expect(rows(page)).to_have_count(0)
    expect(main(page)).to_contain_text(re.compile("no alert", re.IGNORECASE))


def test_many_alerts_come_in_pages(visit: Visit, program: Program) -> None:
    for number in range(120):
        program.bakery.crumbs.set(f"shelf {number}", 9)
    until(lambda: len(program.manager.get_active_alerts()) == 120)
    page = visit().open("#/alerts")
    expect(rows(page)).to_have_count(50)
    first = rows(page).first.inner_text()
    main(page).get_by_role("button", name=re.compile("next", re.IGNORECASE)).click()
    expect(rows(page).first).not_to_have_text(first)
    expect(rows(page)).to_have_count(50)


def test_what_is_not_there_is_said_to_be_so(visit: Visit, program: Program) -> None:
    visitor = visit()
    visitor.expected.append(GONE)
    page = visitor.open()
    for address in ("alerts/absent_alert", "rules/absent_rule", "metrics/shop/absent_metric", "absent_page"):
        page.goto(f"{program.url}/#/{address}")
        expect(main(page).get_by_text(address.rpartition("/")[2]).first).to_be_visible()
        expect(heading(page)).to_be_visible()
        expect(main(page).get_by_role("link").first).to_be_visible()  # a way out


def test_markup_in_texts_stays_text(visit: Visit, program: Program) -> None:
    """Labels, titles, annotations, reasons, descriptions, what channels say: anybody may have written them."""
    program.bakery.letters = Rejected(HOSTILE)
    program.bakery.crumbs.set(HOSTILE, 9)
    until(lambda: program.manager.dead_letters())
    program.manager.silence(team=HOSTILE, duration="1h", reason=HOSTILE, author=HOSTILE)
    page = visit().open()
    for address in ("overview", "alerts", "rules/crumbs", "metrics/shop/crumbs", "notifications", "silences"):
        page.goto(f"{program.url}/#/{address}")
        expect(heading(page, re.compile(address.rpartition("/")[2], re.IGNORECASE))).to_be_visible()
        expect(main(page).get_by_text(HOSTILE).filter(visible=True).first).to_be_visible()
        assert not parsed(page)


def test_an_alert_of_markup_has_no_link_to_a_script(visit: Visit, program: Program) -> None:
    program.bakery.crumbs.set(HOSTILE, 9)
    until(lambda: program.manager.get_active_alerts())
    page = visit().open("#/alerts")
    main(page).get_by_role("table").get_by_role("link").first.click()
    expect(heading(page, HOSTILE)).to_be_visible()
    expect(main(page)).to_contain_text("javascript:document.title=1")
    assert page.locator("a[href^=javascript]").count() == 0
    assert not parsed(page)


def parsed(page: Page) -> bool:
    """Whether a text was taken for markup somewhere."""
    return page.title() == "1" or page.locator("img").or_(page.locator("b").get_by_text("bold", exact=True)).count() > 0


# -- what is done ------------------------------------------------------------------------------------------------------


def test_what_people_do_on_the_page_is_still_so_after_a_restart(browser: Browser, bakery: Bakery, tmp_path: Path) -> None:
    store, port = tmp_path / "alerts.db", free_port()
    with ExitStack() as later, ExitStack() as before:
        program = before.enter_context(running(bakery, store=store, token=TOKEN, port=port))
        visit = later.enter_context(visitors(browser, program.url))
        fire(program)
        program.bakery.heat.set("left", 240)
        until(lambda: len(program.manager.get_active_alerts()) == 2)
        visitor = visit()
        visitor.sign_in(TOKEN)
        page = visitor.open("#/alerts/queue_long_shop")
        button(main(page), "Acknowledge").click()
        expect(main(page)).to_contain_text("Ada")
        assert status(program) == "acknowledged"
        page.goto(f"{program.url}/#/alerts/" + 'oven_hot_shop{oven="left"}'.replace("{", "%7B").replace("}", "%7D"))
        button(main(page), "Silence").click()
        asked = dialog(page, "Silence")
        asked.get_by_label("Duration").fill("2h")
        asked.get_by_label("Reason").fill("being cleaned")
        expect(asked).to_contain_text("Covers 1 alert")
        button(asked, "Silence").click()
        expect(asked).to_be_hidden()
        expect(main(page)).to_contain_text("silenced")
        assert status(program, 'oven_hot_shop{oven="left"}') == "silenced"
        (silence,) = program.manager.silences()
        assert (silence.reason, silence.author) == ("being cleaned", "Ada")
        visitor.expected.append(GONE)
        before.close()
        with running(Bakery(), store=store, token=TOKEN, port=port):
            page.goto(f"{program.url}/#/silences")
            expect(row(page, "being cleaned")).to_be_visible()
            page.goto(f"{program.url}/#/alerts")
            expect(row(page, QUEUE)).to_contain_text("acknowledged")
            expect(row(page, "left")).to_contain_text("silenced")
            later.close()


def test_a_dead_letter_is_resent_and_another_discarded(ada: Visitor, program: Program) -> None:
    fire(program)
    program.bakery.heat.set("left", 240)
    until(lambda: len(program.manager.dead_letters()) == 2)
    page = ada.open("#/notifications")
    program.bakery.letters = Delivered()
    resend = row(page, "no such room").filter(has=page.get_by_role("button", name="Resend"))
    expect(resend).to_have_count(2)
    button(resend.first, "Resend").click()
    until(lambda: len(program.manager.dead_letters()) == 1)
    expect(resend).to_have_count(1)
    until(lambda: any(one.channel == "letters" and one.outcome == "delivered" for one in program.manager.deliveries()))
    button(resend, "Discard").click()
    for confirm in page.get_by_role("dialog").all():
        button(confirm, "Discard").click()
    expect(resend).to_have_count(0)
    assert program.manager.dead_letters() == []


def test_a_channel_is_tried_and_what_it_answers_is_shown(ada: Visitor, program: Program) -> None:
    page = ada.open("#/notifications")
    button(row(page, "letters"), "Send a test").click()
    expect(page.get_by_text("HTTP 404: no such room").first).to_be_visible()


def test_a_rule_is_disabled_and_enabled(ada: Visitor, program: Program) -> None:
    page = ada.open("#/rules/queue_long")
    button(main(page), "Disable").click()
    expect(button(main(page), "Enable")).to_be_visible()
    assert not program.manager.rules["queue_long"].enabled
    button(main(page), "Enable").click()
    expect(button(main(page), "Disable")).to_be_visible()
    assert program.manager.rules["queue_long"].enabled


def test_a_silence_is_added_shows_what_it_covers_and_is_ended(ada: Visitor, program: Program) -> None:
    fire(program)
    ada.expected.append(MISTAKEN)
    page = ada.open("#/silences")
    button(main(page), "Add silence").click()
    asked = page.get_by_role("dialog")
    asked.get_by_label("Labels").fill('team="nobody"')
    expect(asked).to_contain_text("Covers 0 alerts")
    asked.get_by_label("Labels").fill('team="counter"')
    expect(asked).to_contain_text("Covers 1 alert")
    expect(asked).to_contain_text(QUEUE)
    asked.get_by_label("Duration").fill("nonsense")
    asked.get_by_label("Reason").fill("lunch")
    button(asked, "Silence").click()
    expect(asked.get_by_role("alert")).to_contain_text("nonsense")
    asked.get_by_label("Duration").fill("30m")
    button(asked, "Silence").click()
    expect(row(page, "lunch")).to_be_visible()
    until(lambda: status(program) == "silenced")
    button(row(page, "lunch"), "End").click()
    for confirm in page.get_by_role("dialog").all():
        button(confirm, "End").click()
    until(lambda: status(program) == "firing")
    expect(row(page, "lunch").get_by_role("button", name="End")).to_have_count(0)


def test_an_expression_is_tried_on_live_data(visit: Visit, program: Program) -> None:
    visitor = visit()
    visitor.expected.append(MISTAKEN)
    page = visitor.open("#/rules")
    page.get_by_role("combobox", name="Kind", exact=True).select_option(label="Expression")
    page.get_by_label("Expression", exact=True).fill("kailash_shop_oven_temperature > 100")
    button(main(page), "Try").click()
    result = main(page).get_by_role("table", name="Result")
    for oven in ("left", "right"):
        expect(result).to_contain_text(oven)
    expect(main(page).get_by_role("figure").get_by_role("img").last).to_be_visible()
    page.get_by_label("Expression", exact=True).fill("sum by (")
    button(main(page), "Try").click()
    expect(main(page).get_by_role("alert")).to_contain_text(re.compile("expected|position|end", re.IGNORECASE))


def test_a_condition_is_tried_on_live_data(visit: Visit, program: Program) -> None:
    page = visit().open("#/rules")
    page.get_by_role("combobox", name="Kind", exact=True).select_option(label="Condition")
    page.get_by_label("Metric", exact=True).fill("queue")
    page.get_by_label("Condition", exact=True).fill("> -1")
    page.get_by_label("Window", exact=True).fill("1m")
    button(main(page), "Try").click()
    expect(main(page).get_by_role("table", name="Result")).to_contain_text(re.compile("breach|yes", re.IGNORECASE))


def test_a_metric_is_found_charted_and_summed_up(visit: Visit, program: Program) -> None:
    page = visit().open("#/metrics")
    page.get_by_label("Search").fill("serving")
    expect(rows(page)).to_have_count(1)
    main(page).get_by_role("link", name="serving").click()
    expect(heading(page, "serving")).to_be_visible()
    figure = main(page).get_by_role("figure").first
    expect(figure.get_by_role("img")).to_be_visible()
    for label in ("p95", "5 min"):
        expect(main(page)).to_contain_text(label)
    with page.expect_response(lambda response: "chart" in response.url and "p99" in response.url) as answer:
        main(page).get_by_label("Statistic").select_option("p99")
    document = json.loads(answer.value.body())
    assert any(value is not None for series in document["series"] for value in series["values"])


def test_below_a_mount_everything_works_as_well(browser: Browser, bakery: Bakery) -> None:
    with mounted(bakery, token=TOKEN) as program, visitors(browser, program.url) as visit:
        fire(program)
        visitor = visit()
        visitor.sign_in(TOKEN)
        page = visitor.open("#/overview")
        main(page).get_by_role("link", name=QUEUE).click()
        button(main(page), "Acknowledge").click()
        until(lambda: status(program) == "acknowledged")
        expect(main(page)).to_contain_text("acknowledged by Ada")
        assert all(path.startswith("/monitor/") for path in visitor.asked)


# -- who may do it -----------------------------------------------------------------------------------------------------

CHANGING = re.compile("^(Acknowledge|Silence|Test again|Enable|Disable|Resend|Discard|Send a test|End|Add silence)$")


@pytest.mark.parametrize("token", [None, TOKEN], ids=["no token is set", "not signed in"])
def test_who_may_not_change_anything_sees_no_buttons_and_the_api_refuses(
    browser: Browser, bakery: Bakery, token: str | None
) -> None:
    with running(bakery, token=token) as program, visitors(browser, program.url) as visit:
        busy(program)
        visitor = visit()
        page = visitor.open()
        for address in (*PAGES, *DETAILS):
            page.goto(f"{program.url}/#/{address}")
            settled(page, address)
            expect(page.get_by_role("button", name=CHANGING)).to_have_count(0)
            expect(button(page, "Sign in")).to_have_count(1 if token else 0)
        letter = program.manager.dead_letters()[0].id
        for path in ("alerts/acknowledge", f"dead-letters/{letter}/resend", "rules/queue_long/disable", "silences"):
            answer = visitor.context.request.post(f"{program.url}/api/{path}", data={"alert_id": "queue_long_shop"})
            assert answer.status in (401, 403), path
        assert status(program) == "firing"


def test_signing_in_gives_the_buttons_and_signing_out_takes_them(visit: Visit, program: Program) -> None:
    fire(program)
    visitor = visit()
    visitor.expected.append(GONE)  # the wrong token
    page = visitor.open("#/alerts/queue_long_shop")
    button(page, "Sign in").click()
    asked = dialog(page, "Sign in")
    asked.get_by_label("Token").fill("wrong")
    asked.get_by_label("Your name").fill("Ada")
    button(asked, "Sign in").click()
    expect(asked.get_by_role("alert")).not_to_be_empty()
    asked.get_by_label("Token").fill(TOKEN)
    button(asked, "Sign in").click()
    expect(asked).to_be_hidden()
    expect(button(main(page), "Acknowledge")).to_be_visible()
    page.reload()
    expect(button(main(page), "Acknowledge")).to_be_visible()
    button(page, "Sign out").click()
    expect(button(main(page), "Acknowledge")).to_have_count(0)
    expect(button(page, "Sign in")).to_be_visible()


def test_a_link_signs_in_once_and_its_code_leaves_the_address(visit: Visit, program: Program) -> None:
    code = code_of(TOKEN, "Ada", "nonce", SYSTEM_CLOCK.wall())
    page = visit().open(f"#sign-in={code}")
    expect(button(page, "Sign out")).to_be_visible()
    expect(heading(page, "Overview")).to_be_visible()
    assert code not in page.url
    again = visit()
    again.expected.append(GONE)  # the code is refused
    page = again.open(f"#sign-in={code}")
    expect(page.get_by_role("status").filter(has_text="Not signed in")).to_be_attached()
    expect(button(page, "Sign in")).to_be_visible()


def test_without_the_csrf_token_a_cookie_changes_nothing(ada: Visitor, program: Program) -> None:
    fire(program)
    answer = ada.context.request.post(f"{program.url}/api/alerts/acknowledge", data={"alert_id": "queue_long_shop"})
    assert answer.status == 403
    assert status(program) == "firing"


# -- how it is used ----------------------------------------------------------------------------------------------------


def tab_to(page: Page, target: Locator) -> None:
    """Press Tab until the focus is there, and see that it can be seen wherever it goes."""
    for _ in range(60):
        if target.evaluate("element => element === document.activeElement"):
            return
        page.keyboard.press("Tab")
        outline = page.evaluate(
            "() => { const s = getComputedStyle(document.activeElement); "
            "return s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) > 0 || s.boxShadow !== 'none' }"
        )
        focused = page.evaluate("document.activeElement.outerHTML")
        assert outline, f"the focus cannot be seen at {focused}"
    raise AssertionError("Tab does not reach it")


def test_an_alert_is_acknowledged_with_the_keyboard_alone(visit: Visit, program: Program) -> None:
    fire(program)
    page = visit().open()
    expect(main(page).get_by_role("link", name=QUEUE)).to_be_visible()
    sign_in = button(page, "Sign in")
    tab_to(page, sign_in)
    page.keyboard.press("Enter")
    expect(dialog(page, "Sign in")).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog(page, "Sign in")).to_be_hidden()
    expect(sign_in).to_be_focused()
    page.keyboard.press("Space")
    for label, text in (("Your name", "Ada"), ("Token", TOKEN)):
        tab_to(page, dialog(page, "Sign in").get_by_label(label))
        page.keyboard.type(text)
    page.keyboard.press("Enter")
    expect(dialog(page, "Sign in")).to_be_hidden()
    tab_to(page, main(page).get_by_role("link", name=QUEUE))
    page.keyboard.press("Enter")
    expect(heading(page, QUEUE)).to_be_visible()
    tab_to(page, button(main(page), "Silence"))
    page.keyboard.press("Enter")
    expect(dialog(page, "Silence")).to_be_visible()
    page.keyboard.press("Escape")
    expect(button(main(page), "Silence")).to_be_focused()
    page.keyboard.press("Shift+Tab")
    expect(button(main(page), "Acknowledge")).to_be_focused()
    page.keyboard.press("Space")
    until(lambda: status(program) == "acknowledged")
    expect(main(page)).to_contain_text("Ada")


def test_axe_finds_nothing_that_hinders_people_in_the_light_or_in_the_dark(visit: Visit, program: Program) -> None:
    busy(program)
    visitor = visit(bypass_csp=True, reduced_motion="reduce")
    visitor.sign_in(TOKEN)
    page = visitor.open()
    found = {}
    for address in (*PAGES, *DETAILS):
        page.goto(f"{program.url}/#/{address}")
        settled(page, address)
        for closed in page.locator("details").all():
            closed.evaluate("element => element.open = true")
        found[address] = violations(page)
    for address, opener in (("alerts/queue_long_shop", "Silence"), ("silences", "Add silence")):
        page.goto(f"{program.url}/#/{address}")
        button(main(page), opener).click()
        expect(page.get_by_role("dialog")).to_be_visible()
        found[f"{address}: {opener}"] = violations(page)
        page.keyboard.press("Escape")
    assert {address: problems for address, problems in found.items() if problems} == {}


def test_nothing_scrolls_sideways_on_a_narrow_phone(visit: Visit, program: Program) -> None:
    busy(program)
    program.bakery.crumbs.set("shelf" * 50, 9)
    visitor = visit(viewport={"width": 360, "height": 740}, has_touch=True)
    visitor.sign_in(TOKEN)
    page = visitor.open()
    wide = {}
    for address in (*PAGES, *DETAILS):
        page.goto(f"{program.url}/#/{address}")
        settled(page, address)
        if page.evaluate("document.documentElement.scrollWidth") > 360:
            wide[address] = page.evaluate(
                "() => [...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > 361"
                " && !e.closest('.unseen')).map(e => e.outerHTML.slice(0, 120)).slice(0, 5)"
            )
    assert wide == {}


# -- how it is kept up to date -----------------------------------------------------------------------------------------


def test_a_hidden_tab_asks_nothing_and_asks_at_once_when_it_is_seen_again(visit: Visit, program: Program) -> None:
    visitor = visit()
    visitor.context.add_init_script(
        "Object.defineProperty(document, 'hidden', { get: () => window.unseen === true });"
        "Object.defineProperty(document, 'visibilityState', { get: () => window.unseen ? 'hidden' : 'visible' });"
    )
    page = visitor.context.new_page()
    page.clock.install()
    page.goto(f"{program.url}/#/alerts")
    expect(heading(page, "Alerts")).to_be_visible()
    with page.expect_response(re.compile("since=")):
        page.clock.run_for(10_000)
    page.evaluate("window.unseen = true; document.dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_load_state("networkidle")
    before = len(visitor.asked)
    page.clock.run_for(600_000)
    assert visitor.asked[before:] == []
    with page.expect_response(re.compile("/api/alerts")):
        page.evaluate("window.unseen = false; document.dispatchEvent(new Event('visibilitychange'))")


WATCH_FOR_SHIFTS = """() => {
  window.moved = [];
  const told = ({ value, sources }) => [value, ...sources.map(({ node }) => node?.outerHTML?.slice(0, 100) ?? node?.data)];
  new PerformanceObserver((list) => window.moved.push(...list.getEntries().map(told))).observe({ type: "layout-shift" });
}"""
DRAWN = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 50))))"


def count(answers: Counter[str], address: str, _: Response) -> None:
    answers[address] += 1


def test_polling_moves_nothing(visit: Visit, program: Program) -> None:
    busy(program)
    visitor = visit()
    tabs = {address: visitor.open(f"#/{address}") for address in (*PAGES, "alerts/queue_long_shop", "rules/queue_long")}
    answers = Counter[str]()
    for address, page in tabs.items():
        settled(page, address)
        page.evaluate(WATCH_FOR_SHIFTS)
        page.on("response", partial(count, answers, address))
    for customers in (10, 100, 7):
        program.bakery.queue.set(customers)
        answers.clear()
        for address, page in tabs.items():
            while not answers[address]:
                page.wait_for_event("response")
    for address, page in tabs.items():
        page.bring_to_front()  # others draw a frame a second
        page.evaluate(DRAWN)
        moved = page.evaluate("window.moved")
        assert sum(value for value, *_ in moved) < 0.02, (address, moved)
        page.evaluate("document.querySelector('main').style.paddingTop = '200px'")
        page.evaluate(DRAWN)
        assert page.evaluate("window.moved.length") > len(moved), "a shift would not have been seen"


def test_two_open_pages_agree(ada: Visitor, visit: Visit, program: Program) -> None:
    fire(program)
    other = visit().open("#/alerts")
    expect(row(other, QUEUE)).to_contain_text("firing")
    page = ada.open("#/alerts/queue_long_shop")
    button(main(page), "Acknowledge").click()
    expect(row(other, QUEUE)).to_contain_text("acknowledged", timeout=SOON)


def test_a_page_says_when_the_program_is_gone_and_goes_on_when_it_is_back(browser: Browser, bakery: Bakery) -> None:
    port = free_port()
    with ExitStack() as later, ExitStack() as before:
        program = before.enter_context(running(bakery, port=port))
        visitor = later.enter_context(visitors(browser, program.url))()
        page = visitor.open("#/alerts")
        expect(heading(page, "Alerts")).to_be_visible()
        visitor.expected.append(GONE)
        before.close()
        banner = page.get_by_text(re.compile("no connection", re.IGNORECASE))
        expect(banner).to_be_visible()
        with running(Bakery(), port=port) as program:
            expect(banner).to_be_hidden()
            fire(program)
            expect(row(page, QUEUE)).to_be_visible()
            later.close()
