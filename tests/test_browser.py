"""The HTML that people see, in a real browser: nothing loaded, nothing cut, both colour schemes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from normscope import audit, explain

ROOT = Path(__file__).parents[1]
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

PAGES = {
    "audit": lambda: audit(ROOT / "examples" / "seed_network_full_th.json").to_html(),
    "explain": lambda: explain("b [s...] (g [c])", (8, 14, 14, 32), g=4).to_html(),
    "running": lambda: explain("torch.BatchNorm2d(64)", (8, 64, 14, 14)).to_html(),
}


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


def opened(browser: Browser, path: Path, width: int, scheme: str) -> tuple[Page, list[str]]:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
    troubles: list[str] = []
    page.on("console", lambda message: troubles.append(message.text))
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("request", lambda request: troubles.append(request.url))
    page.goto(path.as_uri())
    return page, [trouble for trouble in troubles if trouble != path.as_uri()]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 390])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_whole(
    browser: Browser, tmp_path: Path, name: str, width: int, scheme: str
) -> None:
    path = tmp_path / "page.html"
    path.write_text(PAGES[name](), encoding="utf-8")
    page, troubles = opened(browser, path, width, scheme)
    assert troubles == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    picture = page.locator("figure svg").first.bounding_box()
    assert picture is not None
    assert picture["width"] > 250
    assert picture["height"] > 80
    formula = page.locator("math").first.bounding_box()
    assert formula is not None
    assert 20 < formula["height"] < 120  # one line with a fraction
    assert contrast(page) > 7
    assert smallest_label(page) >= 10
    assert broken_code(page) == []
    assert clipped(page) == []
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
    """What is wider than its place and cannot be scrolled to."""
    return page.evaluate(
        """() => [...document.querySelectorAll("main *")].filter((part) =>
             part instanceof HTMLElement && getComputedStyle(part).display !== "inline"
             && part.scrollWidth > part.clientWidth + 1
             && !["auto", "scroll"].includes(getComputedStyle(part).overflowX)
           ).map((part) => part.tagName + " " + part.className)"""
    )


def test_the_page_opens_with_the_answer(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(PAGES["audit"](), encoding="utf-8")
    page, _ = opened(browser, path, 390, "light")
    answer = page.get_by_text("normalizes one image row of 56 pixels on its own")
    box = answer.bounding_box()
    assert box is not None
    assert box["y"] + box["height"] < 300  # on the first screen of a phone, above all rules
    assert box["y"] < (page.locator(".finding").first.bounding_box() or {})["y"]
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


def test_names_from_a_file_cannot_become_markup(browser: Browser, tmp_path: Path) -> None:
    from keras1_models import norm, sequential, write_json

    evil = "<img src=x onerror=document.title='owned'>"
    kind, config = norm(mode=1)
    model = write_json(
        tmp_path / "m.json", sequential((None, 4, 6, 5), (kind, {**config, "name": evil}))
    )
    path = tmp_path / "page.html"
    path.write_text(audit(model).to_html(), encoding="utf-8")
    page, troubles = opened(browser, path, 1100, "light")
    assert troubles == []
    assert page.title() == "What is normalized in m.json"
    assert evil in page.locator("h2").first.inner_text()
    page.close()
