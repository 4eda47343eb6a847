"""The report in a real browser: what a person sees, at desktop and phone width, on light and dark."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page

from leadline import Sweep
from leadline.analysis import notes
from leadline.analysis.report import document
from leadline.finding import Finding
from tests.leadline.analysis.conftest import SETTINGS, Synthetic

LONG = "a_metric_with_a_very_long_name_that_has_no_place_to_break_in_a_narrow_window" * 2
CONTRAST = """element => {
  const channel = x => (x /= 255) <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4;
  const weights = [0.2126, 0.7152, 0.0722];
  const light = color => color.match(/[\\d.]+/g).slice(0, 3).reduce((sum, x, i) => sum + weights[i] * channel(Number(x)), 0);
  const opaque = node => {
    const color = getComputedStyle(node).backgroundColor;
    return /, 0\\)$|transparent/.test(color) ? opaque(node.parentElement) : color;
  };
  const pair = [light(getComputedStyle(element).color), light(opaque(element))].sort((a, b) => a - b);
  return (pair[1] + 0.05) / (pair[0] + 0.05);
}"""  # noqa: E501
"""The contrast ratio of an element's text with what is behind it (WCAG 2.1, 1.4.3)."""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with everything in it: enough trials for importances, findings, notes, several metrics, long words."""
    settings = dataclasses.replace(
        SETTINGS, trials=44, question="How far ahead must it look?", beside=("logged_violations",)
    )
    made = Synthetic(tmp_path_factory.mktemp("browser") / "demo", settings)
    made.open()
    made.baselines()
    made.train()
    sweep = Sweep.open(made.close())
    for number in (0, 1, 2):
        trial = sweep.history.trials[number]
        found = Finding("gradient_coverage", True, 0.0625, f"{LONG} has a gradient on 1 step of 16", "body")
        trial.reports[-1] = dataclasses.replace(trial.reports[-1], findings=(found,))
    notes.add(sweep, 1, LONG, "ada")
    path = Path(str(sweep.folder)) / "report.html"
    path.write_text(document.page(sweep, 1.2), encoding="utf-8")
    return path


@pytest.fixture(
    scope="module",
    params=[(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")],
    ids=lambda p: f"{p[0]}-{p[1]}",
)
def shown(request: pytest.FixtureRequest, browser: Browser, source: Path) -> Iterator[tuple[Page, list[str]]]:
    """The report in one window, and what went wrong there."""
    width, scheme = request.param
    problems: list[str] = []
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)
    page = context.new_page()
    page.on("console", lambda message: problems.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(source.as_uri())
    page.evaluate("dispatchEvent(new Event('beforeprint'))")  # which draws all; otherwise they are drawn when near
    page.wait_for_function("[...document.querySelectorAll('.figure')].every(box => box.querySelector('svg.main-svg'))")
    yield page, problems
    context.close()


def figures(page: Page) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = page.evaluate(
        """[...document.querySelectorAll('.figure')].map(box => {
          const size = box.querySelector('svg.main-svg').getBoundingClientRect();
          const marks = box.querySelectorAll('.trace path, .trace rect, .trace .points path, .points path').length;
          return { name: box.getAttribute('aria-label'), width: size.width, height: size.height, marks };
        })"""
    )
    return found


def test_nothing_goes_wrong(shown: tuple[Page, list[str]]) -> None:
    assert shown[1] == []


def test_every_figure_is_drawn(shown: tuple[Page, list[str]]) -> None:
    found = figures(shown[0])
    assert len(found) == 1 + 1 + 2 + 3 + 2 + 2, (
        "answer, another metric, curves, parameters, importances, parallel coordinates"
    )
    for figure in found:
        assert figure["width"] >= 200, figure
        assert figure["height"] >= 100, figure
        assert figure["marks"] > 0, figure


def test_the_page_does_not_overflow(shown: tuple[Page, list[str]]) -> None:
    wide, window = shown[0].evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert wide <= window
    outside = shown[0].evaluate(
        """[...document.querySelectorAll('main p, main li, main h1, main h2, main .figure, main .scroll')]
          .filter(node => !node.closest('.swipe, .scroll .figure') && node.getBoundingClientRect().right > innerWidth + 0.5)
          .map(node => node.textContent.slice(0, 60))"""  # noqa: E501
    )
    assert outside == []


ON_FIRST_SCREEN = ("main > header > p", ".sentence", ".line .num", ".ends", ".verdict", ".chosen .one", "mark")


@pytest.mark.parametrize(
    "selector",
    [*ON_FIRST_SCREEN, ".soft", ".answers li", ".answers .luck", "nav a", "td", "tr.dim td", "th", "summary"],
)
def test_text_is_readable(shown: tuple[Page, list[str]], selector: str) -> None:
    elements = shown[0].locator(selector)
    assert elements.count() > 0
    assert elements.first.evaluate(CONTRAST) >= 4.5


def test_axes_are_readable(shown: tuple[Page, list[str]]) -> None:
    colours = shown[0].evaluate(
        "[...document.querySelectorAll('.xtick text, .ytick text')].map(text => getComputedStyle(text).fill)"
    )
    expected = shown[0].evaluate("getComputedStyle(document.body).color")
    assert set(colours) == {expected}


def test_tables_sort_on_click(shown: tuple[Page, list[str]]) -> None:
    page = shown[0]
    heading = page.locator("table.sortable th", has_text="trial")

    def column() -> list[int]:
        cells: list[str] = page.locator("table.sortable tbody tr td:nth-child(2)").all_inner_texts()
        return [int(cell) for cell in cells]

    heading.locator("button").click()
    assert column() == sorted(column())
    assert heading.get_attribute("aria-sort") == "ascending"
    heading.locator("button").click()
    assert column() == sorted(column(), reverse=True)
    assert heading.get_attribute("aria-sort") == "descending"


def test_links_lead_somewhere(shown: tuple[Page, list[str]]) -> None:
    missing = shown[0].evaluate(
        "[...document.querySelectorAll('nav a')].map(a => a.getAttribute('href')).filter(href => !document.querySelector(href))"  # noqa: E501
    )
    assert missing == []


FIRST = {"desktop": (1366, 768), "phone": (390, 844)}


@pytest.mark.parametrize("size", FIRST.values(), ids=FIRST)
@pytest.mark.parametrize("script", [True, False], ids=["script", "noscript"])
def test_the_answer_is_seen_without_scrolling(
    browser: Browser, source: Path, size: tuple[int, int], script: bool
) -> None:
    """Question, sentence and figure; the navigation stays when scrolled, and nothing of it needs a script."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]}, offline=True, java_script_enabled=script
    )
    page = context.new_page()
    page.goto(source.as_uri())
    places = [page.locator(selector).first.bounding_box() for selector in ("h1", ".sentence", "figure.drawn")]
    assert all(place and place["y"] + place["height"] <= size[1] and place["width"] > 200 for place in places), places
    assert page.locator(".sentence").inner_text().startswith("At lookahead 10 and 100 the trained model is better than")
    bars = page.locator("figure.drawn .bar circle")
    assert bars.count() == 2
    for index, row in enumerate(page.locator(".winners tbody tr").all()):
        cells = row.locator("td").all_inner_texts()
        assert cells[2] == "better"
        assert page.locator(".forest .line .num").nth(index).inner_text() == cells[3]
    assert page.locator("noscript .notice").count() == (0 if script else 1)
    if script:
        page.evaluate("scrollTo(0, document.body.scrollHeight)")
        assert page.locator("nav").bounding_box() == {
            "x": 0,
            "y": 0,
            "width": size[0],
            "height": pytest.approx(39, abs=9),
        }
    context.close()


def test_without_a_script_every_figure_that_is_missing_is_named(browser: Browser, source: Path) -> None:
    context = browser.new_context(viewport={"width": 1366, "height": 768}, offline=True, java_script_enabled=False)
    page = context.new_page()
    page.goto(source.as_uri())
    count = page.locator(".figure").count()
    assert count == 1 + 1 + 2 + 3 + 2 + 2, "as many as are drawn with a script"
    assert not any(box.is_visible() for box in page.locator(".figure").all())
    named = page.locator("noscript p.soft").all_inner_texts()
    assert len(set(named)) == count, named
    assert "Not drawn without JavaScript: learning curves, lookahead 10." in named
    context.close()


EDGE = """([shot, width, height]) => new Promise(done => {
  const image = new Image();
  image.onload = () => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [width, height];
    const drawn = canvas.getContext("2d");
    drawn.drawImage(image, 0, 0);
    done(Math.min(...[...Array(height).keys()].map(y => drawn.getImageData(width - 4, y, 1, 1).data[1])));
  };
  image.src = `data:image/png;base64,${shot}`;
})"""
"""The least green of the pixels near the right edge of a picture."""
DARK = 200
"""The green below which a pixel is in a shadow, on a light page."""


LEFT = "cell => cell.getBoundingClientRect().left"


def shaded(page: Page, box: Locator, row: Locator) -> bool:
    """Tells whether there is a shadow at the right edge of a box, at the upper edge of a row, where no text is."""
    row.evaluate("row => row.scrollIntoView({ block: 'center' })")
    place, across = box.bounding_box(), row.bounding_box()
    assert place
    assert across
    picture = page.screenshot(clip={"x": place["x"], "y": across["y"] + 1, "width": place["width"], "height": 4})
    green = page.evaluate(EDGE, [base64.b64encode(picture).decode(), round(place["width"]), 4])
    return bool(green < DARK)


def test_what_is_wider_than_a_phone_scrolls_within_and_shows_it(browser: Browser, source: Path) -> None:
    """The first column of a table stays in sight."""
    context = browser.new_context(viewport={"width": 390, "height": 844}, offline=True)
    page = context.new_page()
    page.goto(source.as_uri())
    assert page.locator("table").count() == page.locator(".scroll > table").count(), "each is in a box that scrolls"
    page.evaluate("for (const folded of document.querySelectorAll('details')) folded.open = true")
    wide = [
        box for box in page.locator(".scroll").all() if box.evaluate("box => box.scrollWidth > box.clientWidth + 2")
    ]
    assert len(wide) >= 5
    for box in [*wide, page.locator("nav")]:
        row = box.locator("tbody tr").first if box.locator("tbody").count() else box
        assert shaded(page, box, row), box.get_attribute("aria-label")
        first = row.locator("td:not(.wide):first-child")
        before = first.evaluate(LEFT) if first.count() else None
        box.evaluate("box => box.scrollLeft = box.scrollWidth")
        assert not shaded(page, box, row), box.get_attribute("aria-label")
        assert (first.evaluate(LEFT) if first.count() else None) == before
    assert page.evaluate("[scrollX, document.documentElement.scrollWidth]") == [0, 390]
    context.close()


def test_a_long_table_is_paged_and_found_in(browser: Browser, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "SHOWN", 10)
    file = source.with_name("paged.html")
    file.write_text(document.page(Sweep.open(source.parent)), encoding="utf-8")
    context = browser.new_context(viewport={"width": 1366, "height": 768}, offline=True)
    page = context.new_page()
    page.goto(file.as_uri())
    board = page.locator("#leaderboard")
    board.locator("output", has_text="1 to 10 of 44").wait_for()
    trials = board.locator("tbody tr td:nth-child(2)")
    seen = trials.all_inner_texts()
    for _ in range(4):
        board.locator("button[data-step='1']").click()
        page.wait_for_timeout(20)
        seen += trials.all_inner_texts()
    assert sorted(map(int, seen)) == list(range(44))
    board.locator("th button", has_text="trial").click()
    board.locator("output", has_text="1 to 10 of 44").wait_for()
    assert trials.all_inner_texts() == [str(number) for number in range(10)]
    board.locator("input[type=search]").fill("HOSTILE IS NOWHERE")
    board.locator("output", has_text="0 to 0 of 0").wait_for()
    board.locator("input[type=search]").fill("valueerror")
    board.locator("output", has_text="1 to 1 of 1").wait_for()
    assert trials.all_inner_texts() == ["3"]
    context.close()


def test_figures_are_drawn_when_they_come_near(browser: Browser, source: Path) -> None:
    context = browser.new_context(viewport={"width": 1366, "height": 768}, offline=True)
    page = context.new_page()
    page.goto(source.as_uri())
    page.wait_for_function("window.Plotly")
    assert page.locator("#parameters svg.main-svg").count() == 0
    page.locator("#parameters .figure").first.scroll_into_view_if_needed()
    page.locator("#parameters svg.main-svg").first.wait_for()
    context.close()


def test_a_command_is_copied(browser: Browser, source: Path) -> None:
    context = browser.new_context(offline=True, permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.goto(source.as_uri())
    button = page.locator(".load button.copy")
    button.click()
    page.locator(".load button.copy", has_text="copied").wait_for()
    command = page.evaluate("navigator.clipboard.readText()")
    assert command == page.locator(".load code").inner_text()
    assert command.endswith(").load()")
    context.close()
