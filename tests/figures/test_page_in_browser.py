"""A real browser draws the page and runs no code but the page's own."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from rnnbench.figures.page import write_report
from rnnbench.probes.finding import drawers
from tests.figures.pages import HOSTILE, written

CHROMIUM = shutil.which("chromium")

# Continuous integration sets the variable so that these tests cannot be skipped there.
in_browser = pytest.mark.skipif(
    CHROMIUM is None and os.environ.get("RNNBENCH_TEST_CHROMIUM") != "1", reason="not installed: chromium"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser, request: pytest.FixtureRequest) -> Iterator[BrowserContext]:
    """Yields an offline browser, as large as the test's parameter says, and fails on any error, message or request."""
    wrong: list[str] = []
    context = browser.new_context(offline=True, **getattr(request, "param", {}))
    context.on("weberror", lambda error: wrong.append(str(error.error)))
    context.on("console", lambda message: wrong.append(message.text))
    context.on("request", lambda asked: wrong.append(asked.url) if asked.url.startswith("http") else None)
    yield context
    context.close()
    assert wrong == []


def opened(context: BrowserContext, folder: Path) -> Page:
    """Returns the opened page with every figure drawn."""
    page = context.new_page()
    page.goto(write_report(folder, folder / "report.html", drawers()).as_uri())
    page.evaluate("for (const folded of document.querySelectorAll('details')) folded.open = true")
    for plot in page.locator(".plot").all():
        plot.scroll_into_view_if_needed()
        plot.locator(".main-svg").first.wait_for()
    return page


@in_browser
def test_the_slider_changes_the_figure(context, root):
    page = opened(context, root)
    plot = page.locator(".plot:has(.slider-container)")
    plot.scroll_into_view_if_needed()

    def last() -> list[float]:
        return plot.evaluate("plot => [plot.data[0].y[4], plot.calcdata[1][4].y]")

    assert last() == pytest.approx([0.5**4] * 2)
    rail = plot.locator(".slider-rail-touch-rect")
    rail.click(position={"x": 1, "y": 5})
    page.wait_for_function("plot => plot.data[0].y[4] < 0.001", arg=plot.element_handle())
    assert last() == pytest.approx([0.1**4] * 2)
    assert plot.locator(".slider-label").first.text_content() == "training step 0"


@in_browser
def test_hostile_text_is_shown_and_does_not_run(context, hostile):
    page = opened(context, hostile)
    assert page.evaluate("window.hacked") is None
    assert page.locator("pre", has_text=f"optimizer.name: {HOSTILE}").first.is_visible()
    assert page.locator("h3", has_text=HOSTILE.capitalize().replace("_", " ")).first.is_visible()
    assert HOSTILE in page.locator(".legendtext").first.text_content()
    assert page.locator(".xtick text").filter(has_text=HOSTILE).first.text_content() == HOSTILE
    assert page.locator("main img").count() == 0


@in_browser
def test_nothing_but_its_own_scripts_runs_in_the_page(browser, root):
    text = written(root).replace(
        "</main>", "<img src=data:, onerror='window.hacked=1'><script>hacked=1</script></main>"
    )
    (root / "report.html").write_text(text)
    page = browser.new_page()
    page.goto((root / "report.html").as_uri())
    page.locator(".main-svg").first.wait_for()
    assert page.evaluate("window.hacked") is None
    page.close()


@in_browser
def test_runs_are_filtered_by_words(context, root):
    page = opened(context, root)
    rows = page.locator("#runs tbody tr:visible")
    assert rows.count() == 6
    page.get_by_label("filter").fill("gru 0.9")
    assert [text.split("\t")[:2] for text in rows.all_inner_texts()] == [["GRU", "1"]]
    page.get_by_label("filter").fill("")
    assert rows.count() == 6


@in_browser
@pytest.mark.parametrize("context", [{"viewport": {"width": 390, "height": 844}, "is_mobile": True}], indirect=True)
def test_a_phone_shows_it_without_scrolling_sideways(context, hostile, root):
    page = opened(context, root)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    for plot in page.locator(".plot").all():
        assert plot.bounding_box()["width"] <= 390 - 2 * 16


@in_browser
def test_figures_are_drawn_once_they_are_near_the_window(context, root):
    page = context.new_page()
    page.goto(write_report(root, root / "report.html", drawers()).as_uri())
    page.locator("#learning-curves .main-svg").first.wait_for()
    gates = page.locator("#gates-word-by-word .main-svg")
    assert gates.count() == 0
    page.locator("#gates-word-by-word").scroll_into_view_if_needed()
    gates.first.wait_for()
