"""The page of a report in a browser: nothing complains, tables sort and filter, the slider slides, and it prints."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

from memtool import api
from memtool.store import run_file
from tests.unit.report.fake_run import fake_run_with_series
from tests.unit.report.many_runs import write_large_run

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    View = tuple[int, Literal["light", "dark"]]
    """Width of a window, and what its reader likes."""

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
ALLOCATORS = 4
DRAINED = "at the mark 'drained'"
PATIENCE = 300_000  # milliseconds: on a busy machine a page takes long
WIDE: View = (1440, "light")
NARROW: View = (360, "dark")
_AXE = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"], "resultTypes": ["violations"]}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the page of a workload with a mark, and with heaps at three moments."""
    folder = tmp_path_factory.mktemp("run")
    write_large_run(folder, ALLOCATORS, 1)
    return api.report([folder])


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def opening(browser: Browser, report: Path, view: View) -> Iterator[tuple[Page, list[str]]]:
    """Open the page in a window of its own; yield it and what it complains of."""
    width, scheme = view
    complaints: list[str] = []
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.on(
        "console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "request",
        lambda asked: complaints.append(asked.url) if not asked.url.startswith(("file:", "data:", "blob:")) else None,
    )
    page.goto(report.as_uri())
    page.wait_for_function("document.documentElement.dataset.ready === 'yes'")
    yield page, complaints
    context.close()


@pytest.fixture
def opened(browser: Browser, report: Path, request: pytest.FixtureRequest) -> Iterator[Page]:
    """Return the page as a reader finds it."""
    with opening(browser, report, getattr(request, "param", WIDE)) as (page, _):
        yield page


def test_thirty_allocators_on_ten_workloads_fit_on_a_page_of_3_mb(tmp_path: Path) -> None:
    write_large_run(tmp_path)
    assert api.report([tmp_path]).stat().st_size <= 3_000_000


@pytest.mark.parametrize("view", [WIDE, NARROW], ids=["wide", "narrow"])
def test_all_of_it_is_drawn_named_and_accessible(browser: Browser, report: Path, view: View) -> None:
    """In one test, for which every chart is drawn once."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    with opening(browser, report, view) as (page, complaints):
        for figure in page.query_selector_all("figure[data-part]"):
            figure.scroll_into_view_if_needed()  # a chart is drawn where it is seen
            page.wait_for_function("figure => figure.dataset.drawn === 'yes'", arg=figure)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.evaluate(
            "[...document.querySelectorAll('.chart')].every(chart => chart.querySelector('canvas').width > 200)"
        )
        assert complaints == []

        legend: dict[str, Any] = page.evaluate(
            "echarts.getInstanceByDom(document.querySelector('#w0-0 figure.lines .chart')).getOption().legend[0]"
        )
        assert legend["show"] is True
        assert [name.partition(":")[0] for name in legend["data"]] == [f"allocator-{at}" for at in range(ALLOCATORS)]

        page.evaluate("document.querySelectorAll('details').forEach(details => { details.open = true; })")
        violations: list[dict[str, Any]] = axe.Axe().run(page, options=_AXE).response["violations"]
        assert [
            (one["id"], one["impact"], one["nodes"][0]["html"])
            for one in violations
            if one["impact"] in ("serious", "critical")
        ] == []


def labels(page: Page) -> list[str]:
    return page.locator("#w0-0 table").first.locator("tbody th").all_text_contents()


def series(page: Page, form: str) -> Any:
    """Return the series of the first chart of a form, as ECharts has them."""
    return page.evaluate(
        "form => echarts.getInstanceByDom(document.querySelector(`#w0-0 figure.${form} .chart`)).getOption().series"
        ".map(one => ({ name: one.name, data: one.data }))",
        form,
    )


def test_a_table_is_sorted_by_keyboard(opened: Page) -> None:
    opened.locator("#w0-0 table").first.scroll_into_view_if_needed()
    heading = opened.locator("#w0-0 table").first.locator("thead th").nth(2)
    before = labels(opened)
    assert len(before) == ALLOCATORS
    button = heading.locator("[role=button]")
    button.focus()
    # The table is sorted when the page gets to it, not within the key.
    has_order = "([cell, order]) => cell.getAttribute('aria-sort') === order"
    opened.keyboard.press("Enter")
    opened.wait_for_function(has_order, arg=[heading.element_handle(), "ascending"])
    assert labels(opened) == before
    opened.keyboard.press("Enter")
    opened.wait_for_function(has_order, arg=[heading.element_handle(), "descending"])
    assert labels(opened) == before[::-1]


def test_the_filter_leaves_out_rows_and_lines(opened: Page) -> None:
    opened.locator("#w0-0 table").first.scroll_into_view_if_needed()
    opened.locator("#w0-0 figure.lines").first.scroll_into_view_if_needed()
    opened.wait_for_selector("#w0-0 figure.lines[data-drawn]")
    opened.fill("#filter", "allocator-2, allocator-3")
    opened.wait_for_function("document.getElementById('count').textContent === '(2 of 4)'")
    assert [name.partition(":")[0] for name in labels(opened)] == ["allocator-2", "allocator-3"]
    drawn = [one["name"].partition(":")[0] for one in series(opened, "lines")]
    assert drawn == ["noise floor", "allocator-2", "allocator-3"]
    opened.fill("#filter", "")
    opened.wait_for_function("document.getElementById('count').textContent === '(4 of 4)'")
    assert len(labels(opened)) == ALLOCATORS


@pytest.mark.parametrize("opened", [WIDE, NARROW], indirect=True)
def test_the_button_names_the_theme_that_it_gives(opened: Page) -> None:
    first, second = (
        ("Dark", "Light")
        if opened.evaluate("matchMedia('(prefers-color-scheme: light)').matches")
        else ("Light", "Dark")
    )
    assert opened.locator("#theme").text_content() == first
    opened.locator("#theme").click()
    opened.wait_for_function("word => document.getElementById('theme').textContent === word", arg=second)


def test_one_allocator_is_taken_out_by_its_box(opened: Page) -> None:
    opened.locator("#chosen summary").click()
    opened.locator("#allocators input").first.uncheck()
    opened.locator("#w0-0 table").first.scroll_into_view_if_needed()
    opened.wait_for_function("document.querySelectorAll('#w0-0 table')[0].tBodies[0].rows.length === 3")


def test_the_slider_shows_the_heaps_of_another_moment(opened: Page) -> None:
    figure = opened.locator("#w0-0 figure.strips")
    figure.scroll_into_view_if_needed()
    opened.wait_for_selector("#w0-0 figure.strips[data-drawn]")
    before = series(opened, "strips")
    slider = figure.locator("input[type=range]")
    slider.focus()
    opened.keyboard.press("ArrowRight")
    opened.wait_for_function(
        "figure => figure.querySelector('output').textContent === \"at the mark 'drained'\"",
        arg=figure.element_handle(),
    )
    assert slider.get_attribute("aria-valuetext") == "at the mark 'drained'"
    assert series(opened, "strips") != before


def test_the_figures_of_a_chart_are_a_table(opened: Page) -> None:
    figure = opened.locator("#w0-0 figure.bars").first
    figure.scroll_into_view_if_needed()
    opened.wait_for_selector("#w0-0 figure.bars[data-drawn]")
    figure.locator("summary").click()
    # The rows are made when the page hears of the opening, not within the click.
    opened.wait_for_function(
        "([figure, rows]) => figure.querySelectorAll('details tbody tr').length === rows",
        arg=[figure.element_handle(), ALLOCATORS],
    )


def test_it_prints_light_and_with_every_chart(opened: Page, tmp_path: Path) -> None:
    opened.locator("#theme").click()
    opened.wait_for_function("document.documentElement.dataset.theme === 'dark'")
    opened.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert opened.evaluate("document.documentElement.dataset.theme") == "light"
    assert opened.evaluate(
        "[...document.querySelectorAll('figure[data-part]')].every(figure => figure.dataset.drawn === 'yes')"
    )
    # A printer gets one canvas of each chart, with everything on it.
    pixels = "sheet => { const { data } = sheet.getContext('2d').getImageData(0, 0, sheet.width, sheet.height); "
    dark_blue = (
        "let count = 0; for (let at = 0; at < data.length; at += 4) count += data[at + 2] > 60 && data[at] < 60;"
    )
    assert opened.locator("figure[data-part]").count() == opened.locator("canvas.printed").count()
    assert opened.locator("figure.heat canvas.printed").first.evaluate(f"{pixels}{dark_blue} return count; }}") > 100
    in_order = "sheets => sheets.every(sheet => getComputedStyle(sheet).position === 'static')"
    assert opened.locator("canvas.printed").evaluate_all(in_order)
    opened.evaluate("dispatchEvent(new Event('afterprint'))")
    assert opened.locator("canvas.printed").count() == 0
    assert opened.evaluate("document.documentElement.dataset.theme") == "dark"
    opened.pdf(path=tmp_path / "report.pdf", format="A4")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF-")


def test_it_can_be_read_without_scripts(browser: Browser, tmp_path: Path) -> None:
    run_file.write(tmp_path, fake_run_with_series(tmp_path))
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(api.report([tmp_path]).as_uri())
    assert "is fastest" in page.inner_text("#answer")
    assert page.locator("caption", has_text="Speed, in ns").is_visible()
    assert page.locator("noscript").inner_text() != ""
    context.close()
