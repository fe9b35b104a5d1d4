"""The HTML report, looked at in headless Chromium, by mouse and by keyboard."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from model.registry import build
from nbio.verify import IntExpr, Model, Step, check
from nbio.verify.cli import main
from nbio.verify.html import DRAWN, as_html, embedded

NASTY = "</script><b>bold</b><!-- &amp; 'quoted' \u2028"


def lamp(top: int = 3, fair: str = "") -> Model:
    """Two people at a dimmer; names that would like to be markup; a lasso."""
    m = Model(NASTY, constants={"top": top})
    who = m.index("who", 2)
    light = m.integer("light", 0, top)
    tired = m.booleans(f"tired {NASTY}", who)

    @m.action(p=who, actor="person {p}", say=f"turns up {NASTY}", fair=fair)
    def up(do: Step, p: IntExpr) -> None:
        do.when(light < top, ~tired[p])
        do.set(light, light + 1)
        do.set(tired[p], True)

    @m.action(p=who, actor="person {p}", say="rests", fair=fair)
    def rest(do: Step, p: IntExpr) -> None:
        do.when(tired[p])
        do.set(tired[p], False)

    @m.action(actor="clock", say="dims", fair="weak")
    def dim(do: Step) -> None:
        do.when(light == top)
        do.set(light, 0)

    m.always("dark", light < top, because=NASTY)
    m.leads_to("bright", light == 0, light == top, because="somebody wants light")
    m.leads_to("calm", tired[0], ~tired[0] & ~tired[1] & (light == 0), because="all rest at once")
    return m


def test_no_name_can_break_out_of_the_data() -> None:
    text = embedded({NASTY: [NASTY]})
    assert not re.search(r"[<>&\u2028]", text)
    assert json.loads(text) == {NASTY: [NASTY]}
    page = as_html(check(lamp()))
    assert page.count("</script>") == 2
    assert "http" not in re.sub(r'http-equiv="[^"]*"', "", page)


def test_the_command_line_writes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["check", "model.history:published_advice", "--html", "report.html"]) == 1
    assert "F1" in capsys.readouterr().out
    assert "<!DOCTYPE html>" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert main(["check", "model.history:published_advice", "--html", "no/where.html"]) == 2


# ------------------------------------------------------------------------- in a browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Chrome]:
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("needs Debian's chromium and chromium-driver")
    options = Options()
    options.binary_location = chromium
    for argument in ("--headless=new", "--no-sandbox", "--window-size=1200,900"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    made = Chrome(options=options, service=Service(driver))
    yield made
    made.quit()


class Page:
    """What a person sees."""

    def __init__(self, browser: Chrome) -> None:
        self.browser = browser

    def __getitem__(self, css: str) -> WebElement:
        return self.browser.find_element(By.CSS_SELECTOR, css)

    def all(self, css: str) -> list[WebElement]:
        return self.browser.find_elements(By.CSS_SELECTOR, css)

    def texts(self, css: str) -> list[str]:
        return [e.text for e in self.all(css)]

    @property
    def now(self) -> str:
        return self["#now"].text

    @property
    def changed(self) -> dict[str, str]:
        rows = [e.find_elements(By.TAG_NAME, "td") for e in self.all("#state tr.changed")]
        return {name.text.removeprefix("\u25b8 "): value.text for name, value, _ in rows}

    @property
    def current(self) -> list[str]:
        return self.texts('#trace tr[aria-current="true"] td')


@pytest.fixture
def page(browser: Chrome, tmp_path: Path) -> Iterator[Page]:
    (tmp_path / "report.html").write_text(as_html(check(lamp())), encoding="utf-8")
    browser.get(f"file://{tmp_path}/report.html")
    yield Page(browser)
    asked = browser.execute_script("return performance.getEntriesByType('resource').length")
    assert asked == 0
    log: Callable[[str], list[dict[str, str]]] = browser.get_log
    assert [entry["message"] for entry in log("browser")] == []


def test_by_mouse(page: Page) -> None:
    assert page["h1"].text.startswith(NASTY[:9])
    assert page["#verdict"].text == "REFUTED"
    assert page.all("b") == []
    assert page.now == "step 0 of 4: initial state"
    assert page.texts("#trace th") == ["step", "person 0", "person 1"]
    assert not page["#back"].is_enabled()
    before = page["#story"].text
    page["#next"].click()
    assert page.now.startswith("step 1 of 4: person 0: turns up </script><b>bold</b><!--")
    assert page.changed["light"] == "1"
    assert len(page.changed) == 2
    assert page.current[0] == "1"
    page.all("#trace tbody tr")[4].click()
    assert page.now.startswith("step 4 of 4: ")
    assert page.changed["light"] == "3"
    assert not page["#next"].is_enabled()
    assert not page["#end"].is_enabled()
    for _ in range(4):
        page["#back"].click()
    assert page["#story"].text == before


def test_by_keyboard(page: Page) -> None:
    body = page["body"]
    for _ in range(20):
        body.send_keys(Keys.TAB)
        body = page.browser.switch_to.active_element
        if body.get_attribute("id") == "trace":
            break
    assert body.get_attribute("id") == "trace"
    body.send_keys(Keys.ARROW_RIGHT)
    assert page.now.startswith("step 1 of 4")
    body.send_keys(Keys.END)
    assert page.now.startswith("step 4 of 4")
    body.send_keys(Keys.ARROW_RIGHT)
    assert page.now.startswith("step 4 of 4")
    body.send_keys(Keys.ARROW_UP)
    assert page.now.startswith("step 3 of 4")
    body.send_keys(Keys.HOME)
    assert page.now == "step 0 of 4: initial state"


def test_a_run_that_stays(page: Page) -> None:
    button = next(e for e in page.all("#properties button") if "bright" in e.text)
    button.send_keys(Keys.ENTER)
    assert page["#h-story"].text.startswith("bright is violated after ")
    page["#end"].send_keys(Keys.ENTER) if page["#end"].is_enabled() else None
    assert "there it stays, for ever" in page.now
    assert not page["#next"].is_enabled()
    assert len(page.all("#trace tr.again")) == 1


def test_a_lasso_goes_round(browser: Chrome, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text(as_html(check(lamp(fair="weak"))), encoding="utf-8")
    browser.get(f"file://{tmp_path}/report.html")
    page = Page(browser)
    button = next(e for e in page.all("#properties button") if "calm" in e.text)
    button.click()
    page["#end"].click()
    again = int(re.findall(r"then step (\d+) again, for ever", page.now)[0])
    state = page["#state tbody"].text
    page["#next"].click()
    assert page.now.startswith(f"step {again} of ")
    page["#back"].click()
    assert page["#trace tr.again"].get_attribute("aria-current") == "true"
    values = [e.text for e in page.all("#state td:nth-child(2)")]
    assert [v for v in values if v in state] == values


def test_the_graph_is_walked(page: Page) -> None:
    many = check(lamp()).found.states
    assert len(page.all("#states button")) == many
    assert page["#at"].text == "s0, initial"
    assert not page["#return"].is_enabled()
    values = page["#values"].text
    step = page.all("#steps button")[0]
    goal = step.text.rpartition("s")[2]
    step.send_keys(Keys.ENTER)
    assert page["#at"].text.startswith(f"s{goal}")
    assert page["#values"].text != values
    page["#return"].click()
    assert page["#values"].text == values
    bad = page.all("#states button.bad")
    assert bad
    bad[0].click()
    assert "violates dark" in page["#at"].text


def test_a_small_graph_is_whole_also_where_the_search_was_reduced_or_cut_off() -> None:
    def data(m: Model) -> dict[str, list[object]]:
        found = re.search(r'type="application/json"[^>]*>(.*?)</script>', as_html(check(m)))
        assert found is not None
        graph: dict[str, list[object]] = json.loads(found[1])["graph"]
        return graph

    m = Model("pair", constants={})
    who = m.index("who", 2, symmetric=True)
    at = m.integers("at", who, 0, 9)

    @m.action(p=who)
    def up(do: Step, p: IntExpr) -> None:
        do.set(at[p], at[p] + 1)

    m.within((at[0] < 3) & (at[1] < 3), because="nine states are enough")
    assert check(m).found.symmetry is not None
    assert check(m).found.states == 6
    assert len(data(m)["nodes"]) == 9
    assert len(data(m)["edges"]) == 12


def test_a_narrow_screen_scrolls_nothing_sideways(page: Page) -> None:
    page.browser.set_window_size(500, 900)
    wide = page.browser.execute_script(
        "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    page.browser.set_window_size(1200, 900)
    assert wide <= 0


def test_a_large_graph_is_left_out(browser: Chrome, tmp_path: Path) -> None:
    report = check(build("G1", {}))
    (tmp_path / "report.html").write_text(as_html(report), encoding="utf-8")
    browser.get(f"file://{tmp_path}/report.html")
    page = Page(browser)
    assert f"more than {DRAWN} states" in page["#no-graph"].text
    assert browser.execute_script("return scrollY") == 0  # it opens at its top
    assert page["#h-story"].text.startswith("P1 is violated after ")
    assert "request 0" in page.texts("#trace th")
    page["#end"].click()
    assert page.changed
