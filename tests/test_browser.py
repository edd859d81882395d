"""The HTML that people see, in a real browser: nothing loaded, nothing cut, usable by everybody.

Pages are opened in headless Chromium, wide and narrow, light and dark; axe-core judges what of
accessibility a program can judge, and the rest is driven as people do, by keyboard too.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

import audits_by_hand
from budget import budget
from normscope import audit, explain

ROOT = Path(__file__).parents[1]
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

PAGES: dict[str, Callable[[], str]] = {
    "audit": lambda: audit(ROOT / "examples" / "seed_network_full_th.json").to_html(),
    "explain": lambda: explain("b [s...] (g [c])", (8, 14, 14, 32), g=4).to_html(),
    "running": lambda: explain("torch.BatchNorm2d(64)", (8, 64, 14, 14)).to_html(),
    "resnet": lambda: audits_by_hand.resnet(bias=True).to_html(),
    "transformer": lambda: audits_by_hand.transformer().to_html(),
    "mixed": lambda: audits_by_hand.mixed().to_html(),
}

EXTRA_PAGES: dict[str, Callable[[], str]] = {
    "empty": lambda: audits_by_hand.empty().to_html(),
    "hostile": lambda: audits_by_hand.hostile().to_html(),
    "accepted": lambda: audits_by_hand.accepted().to_html(),
    "many": lambda: audits_by_hand.many().to_html(),
    "folded": lambda: audits_by_hand.many(320).to_html(),
    "two cells": lambda: (
        "<!DOCTYPE html><html lang=en><title>Cells</title><main><h1>Cells</h1>"
        f"{audits_by_hand.mixed()._repr_html_()}{audits_by_hand.resnet()._repr_html_()}</main>"
    ),
}

WIDTHS, SCHEMES = (1200, 390), ("light", "dark")

CASES = [
    *(("mixed", width, scheme) for width in WIDTHS for scheme in SCHEMES),
    # Widths change where things stand, and schemes their colours: each once tells of both.
    *((name, 1200, "light") for name in ("audit", "explain")),
    *((name, 390, "dark") for name in ("audit", "explain")),
    *(
        (name, 390, "light")
        for name in ("running", "resnet", "transformer", "accepted", "hostile", "folded")
    ),
    *((name, 1200, "dark") for name in ("running", "resnet", "empty", "hostile")),
]
"""Pages with the width of the window and the colour scheme."""


@cache
def page_text(name: str) -> str:
    return {**PAGES, **EXTRA_PAGES}[name]()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = next((path for name in CHROMIUM if (path := shutil.which(name))), None)
    assert found, f"no browser: one of {', '.join(CHROMIUM)} is needed"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=found,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        yield browser
        browser.close()


def opened(
    browser: Browser,
    folder: Path,
    name: str,
    width: int = 1200,
    scheme: str = "light",
    **more: object,
) -> tuple[Page, list[str]]:
    """The page in a browser, and what went wrong: messages, errors, requests."""
    path = folder / "page.html"
    path.write_text(page_text(name), encoding="utf-8")
    page = browser.new_page(
        viewport={"width": width, "height": 900},
        color_scheme=scheme,  # type: ignore[arg-type]
        reduced_motion="reduce",  # so nothing is under way when it is looked at
        **more,  # type: ignore[arg-type]
    )
    troubles: list[str] = []
    page.on("console", lambda message: troubles.append(message.text))
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("request", lambda request: troubles.append(request.url))
    page.goto(path.as_uri())
    return page, [trouble for trouble in troubles if trouble != path.as_uri()]


def unfold(page: Page) -> None:
    """Open what is closed, and lay out what is far below."""
    page.add_style_tag(content="* { content-visibility: visible !important }")
    page.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")


@pytest.mark.parametrize(("name", "width", "scheme"), CASES)
def test_a_page_is_whole_and_accessible(
    browser: Browser, tmp_path: Path, name: str, width: int, scheme: str
) -> None:
    page, troubles = opened(browser, tmp_path, name, width, scheme)
    assert troubles == []
    if page.locator("figure").count():
        picture = page.locator("figure svg").first.bounding_box()
        assert picture is not None
        assert picture["width"] > 250
        assert picture["height"] > 80
        formula = page.locator("math").first.bounding_box()
        assert formula is not None
        assert 20 < formula["height"] < 120  # one line with a fraction
    assert contrast(page) > 7
    for _ in ("as it opens", "unfolded"):
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert smallest_label(page) >= 10
        assert broken_code(page) == []
        assert clipped(page) == []
        if name != "folded":  # there the closed branches are judged
            unfold(page)
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()
    page.close()


def test_what_is_not_accessible_is_seen(browser: Browser, tmp_path: Path) -> None:
    page, _ = opened(browser, tmp_path, "mixed")
    page.evaluate("document.querySelector('.map a.mark').removeAttribute('aria-label')")
    page.evaluate("document.querySelector('.map a.mark').textContent = ''")
    page.add_style_tag(content=".normscope .answer { color: #ccc }")
    found = {violation["id"] for violation in Axe().run(page).response["violations"]}
    assert found == {"link-name", "color-contrast"}
    page.close()


def smallest_label(page: Page) -> float:
    """The size of the smallest letters in the pictures, in pixels of the screen."""
    return page.evaluate(
        """() => Math.min(...[...document.querySelectorAll("figure svg text")].map((text) =>
             parseFloat(getComputedStyle(text).fontSize) * text.getScreenCTM().d))"""
    )


def broken_code(page: Page) -> list[str]:
    """The code that stands in more lines than it has."""
    return page.evaluate(
        """() => [...document.querySelectorAll("code, pre")].filter((code) => {
             const range = document.createRange();
             range.selectNodeContents(code);
             const tops = [...range.getClientRects()].map((box) => Math.round(box.top));
             return new Set(tops).size > code.textContent.trimEnd().split("\\n").length;
           }).map((code) => code.textContent)"""
    )


def clipped(page: Page) -> list[str]:
    """What is wider than its place and cannot be scrolled to; not what is for the ear alone."""
    return page.evaluate(
        """() => [...document.querySelectorAll("main *")].filter((part) =>
             part instanceof HTMLElement && getComputedStyle(part).display !== "inline"
             && part.scrollWidth > part.clientWidth + 1
             && !["auto", "scroll"].includes(getComputedStyle(part).overflowX)
             && !part.matches(".unseen, .mark, .marks > li")
           ).map((part) => part.tagName + " " + part.className)"""
    )


@pytest.mark.parametrize("name", ["audit", "resnet", "mixed"])
def test_the_page_opens_with_the_answer(browser: Browser, tmp_path: Path, name: str) -> None:
    page, _ = opened(browser, tmp_path, name, 390)
    answer = page.locator(".answer").first.bounding_box()
    counts = page.locator(".counts").bounding_box()
    finding = page.locator(".findings .finding").first.bounding_box()
    assert answer is not None
    assert counts is not None
    assert finding is not None
    assert answer["y"] + answer["height"] < 300
    assert counts["y"] + counts["height"] < 844  # on the first screen of a phone
    assert counts["y"] < finding["y"]
    page.close()


def contrast(page: Page) -> float:
    """The contrast of the text with the page, by the formula of WCAG 2."""
    return page.evaluate(
        """() => {
          const luminance = (colour) => {
            const [r, g, b] = colour.match(/[\\d.]+/g).map(Number)
              .map((v) => v / 255)
              .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
          };
          const text = luminance(getComputedStyle(document.querySelector("main")).color);
          const page = luminance(getComputedStyle(document.body).backgroundColor);
          return (Math.max(text, page) + 0.05) / (Math.min(text, page) + 0.05);
        }"""
    )


# --- the map --------------------------------------------------------------------------------------


def shown(page: Page, selector: str) -> int:
    """How many parts can be seen."""
    return page.locator(f"{selector}:visible").count()


def test_the_map_has_a_mark_for_each_site_in_order(browser: Browser, tmp_path: Path) -> None:
    page, _ = opened(browser, tmp_path, "mixed")
    marks = page.locator(".map a.mark")
    labels = [marks.nth(k).get_attribute("aria-label") for k in range(marks.count())]
    assert labels[:3] == [
        "stem.frozen, stored statistics",
        "stem.bn, batch norm; samples see each other in training and at inference; "
        "error NS302 batch-statistics-at-inference",
        "body.0.bn, batch norm; samples see each other in training; info NS401 redundant-bias",
    ]
    letters = "".join(mark.text_content() or "" for mark in marks.all())
    assert letters == "SB" + 12 * "B" + "GINMRL?L"
    page.close()


@pytest.mark.parametrize("name", ["mixed", "resnet", "many", "audit"])
def test_each_mark_leads_to_its_layer(browser: Browser, tmp_path: Path, name: str) -> None:
    page, _ = opened(browser, tmp_path, name)
    wrong = page.evaluate(
        """() => [...document.querySelectorAll(".map a.mark")].filter((mark) => {
             const row = document.getElementById(mark.hash.slice(1));
             const path = mark.getAttribute("aria-label").split(", ")[0];
             return !row || row.querySelector("th").textContent !== path;
           }).map((mark) => mark.outerHTML)"""
    )
    assert wrong == []
    dead = page.evaluate(
        """() => [...document.querySelectorAll("a[href^='#']")]
             .filter((link) => !document.getElementById(link.hash.slice(1)))
             .map((link) => link.outerHTML)"""
    )
    assert dead == []
    page.close()


@pytest.mark.parametrize("script", [True, False])
def test_a_mark_opens_what_holds_its_layer(browser: Browser, tmp_path: Path, script: bool) -> None:
    page, _ = opened(browser, tmp_path, "resnet", java_script_enabled=script)
    row = page.locator("tr", has_text="layer3.1.bn2")
    assert not row.last.is_visible()
    page.get_by_role("link", name="layer3.1.bn2, batch norm").click()
    expect(row.last).to_be_in_viewport()
    page.close()


def test_the_rule_of_a_finding_is_one_click_away(browser: Browser, tmp_path: Path) -> None:
    page, _ = opened(browser, tmp_path, "mixed")
    page.get_by_role("link", name="About NS302").click()
    rule = page.locator("#rule-NS302")
    expect(rule).to_be_in_viewport()
    assert "The same sample gets another prediction in another batch." in rule.inner_text()
    page.close()


# --- the filter -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "layers", "findings"),
    [
        ("body.rows", 1, 1),
        ("head.rms", 1, 0),
        ("NS401", 12, 2),
        ("error", 3, 3),
        ("eps-below", 1, 1),
        ("batch norm at inference", 1, 1),
        ("nothing is called so", 0, 0),
    ],
)
def test_the_filter_shows_what_is_typed(
    browser: Browser, tmp_path: Path, typed: str, layers: int, findings: int
) -> None:
    page, _ = opened(browser, tmp_path, "mixed")
    assert (shown(page, ".map a.mark"), shown(page, ".findings .finding")) == (22, 5)
    page.get_by_role("searchbox", name="Filter").fill(typed)
    page.wait_for_function("document.querySelector('#filtered').textContent !== ''")
    assert shown(page, ".map a.mark") == layers
    assert shown(page, ".layers tbody tr") == layers
    assert shown(page, ".findings .finding") == findings
    said = page.get_by_role("status").inner_text()
    assert said == f"{layers} of 22 layers, {findings} of 5 findings"
    page.get_by_role("searchbox", name="Filter").fill("")
    page.wait_for_function("document.querySelector('#filtered').textContent === ''")
    assert (shown(page, ".map a.mark"), shown(page, ".findings .finding")) == (22, 5)
    page.close()


def test_the_page_is_whole_without_its_script(browser: Browser, tmp_path: Path) -> None:
    page, troubles = opened(browser, tmp_path, "mixed", java_script_enabled=False)
    assert troubles == []
    assert page.get_by_role("searchbox").count() == 0  # what would do nothing is not shown
    assert shown(page, ".map a.mark") == 22
    page.close()


# --- the keyboard ---------------------------------------------------------------------------------


def focused(page: Page) -> str:
    return page.evaluate(
        "document.activeElement.getAttribute('aria-label') || document.activeElement.textContent"
        " || document.activeElement.id"
    )


def test_the_keyboard_is_enough(browser: Browser, tmp_path: Path) -> None:
    page, _ = opened(browser, tmp_path, "resnet")
    page.keyboard.press("Tab")
    assert focused(page) == "Skip to the findings"
    assert page.get_by_text("Skip to the findings").bounding_box() is not None
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert focused(page) == "About NS401"
    page.keyboard.press("Tab")
    assert focused(page) == "What is said of each of the 53"
    assert not page.locator(".finding table").is_visible()
    page.keyboard.press("Enter")
    assert page.locator(".finding table").is_visible()
    page.reload()
    page.get_by_role("searchbox").focus()
    page.keyboard.type("layer2.0")
    page.wait_for_function("document.querySelector('#filtered').textContent !== ''")
    page.keyboard.press("Tab")
    assert focused(page).startswith("layer2.0.bn1, batch norm")
    page.keyboard.press("Enter")
    expect(page.locator("tr:target")).to_be_in_viewport()
    assert page.locator("tr:target").inner_text().startswith("layer2.0.bn1")
    page.close()


# --- many layers, hostile names, paper, notebooks -------------------------------------------------


def test_two_thousand_layers_open_in_time(browser: Browser, tmp_path: Path) -> None:
    with budget(20):
        text = page_text("many")
    assert len(text) < 1_500_000
    page, troubles = opened(browser, tmp_path, "many")
    assert troubles == []
    took = page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")
    assert took < 3_000
    assert page.locator(".map a.mark").count() == 2_000
    page.get_by_role("searchbox").fill("stage3.block7 rms")
    page.wait_for_function("document.querySelector('#filtered').textContent !== ''")
    assert shown(page, ".map a.mark") == shown(page, ".layers tbody tr") == 4
    page.close()


def test_a_picture_is_drawn_once() -> None:
    text = page_text("many")
    assert text.count("<figure") > text.count('id="picture') > 0
    assert text.count("<use ") == text.count("<figure") - text.count('id="picture')


def test_names_from_a_file_cannot_become_markup(browser: Browser, tmp_path: Path) -> None:
    page, troubles = opened(browser, tmp_path, "hostile")
    assert troubles == []
    assert page.title().startswith("What is normalized in </script><img src=x onerror=")
    assert page.locator("img").count() == 0
    assert page.locator("main script").count() == 0
    assert all(line.isprintable() for line in page_text("hostile").split("\n"))
    assert page.evaluate("document.documentElement.scrollWidth") <= 1200
    page.get_by_role("searchbox").fill("img src=x")
    page.wait_for_function("document.querySelector('#filtered').textContent !== ''")
    assert shown(page, ".map a.mark") == 2
    page.close()


def test_on_paper_everything_is_open(browser: Browser, tmp_path: Path) -> None:
    page, _ = opened(browser, tmp_path, "resnet")
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator(".finding table").is_visible()
    assert not page.locator(".filter").is_visible()
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    page.emulate_media(media="screen")
    assert not page.locator(".finding table").is_visible()
    page.close()


@pytest.mark.parametrize("width", WIDTHS)
def test_cells_of_a_notebook_stand_side_by_side(
    browser: Browser, tmp_path: Path, width: int
) -> None:
    page, troubles = opened(browser, tmp_path, "two cells", width)
    assert troubles == []
    assert page.locator("script").count() == 0
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map((part) => part.id)")
    assert len(set(ids)) == len(ids)
    assert page.evaluate("getComputedStyle(document.querySelector('main > h1')).color") == (
        "rgb(0, 0, 0)"  # the style of a cell stays in it
    )
    page.get_by_role("link", name="body.7.bn, batch norm").click()
    expect(page.locator("tr:target")).to_be_in_viewport()
    page.close()
