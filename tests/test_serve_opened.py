"""The what-if page in a real browser: no axe violation, nothing said on the console, nothing fetched from elsewhere."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from optimiser.instance.template import write_template
from tests.test_opened import ARGUMENTS, program

pytestmark = pytest.mark.long
ENVELOPE = "#capital-homes-programme-total-limit-gbp"
PATIENCE = 120_000  # [milliseconds], for a machine that does other things too


class Server:
    """``optimiser serve`` as a program of its own."""

    def __init__(self, council: Path, kept: Path) -> None:
        words = ["serve", str(council), "--scenarios", "6", "--gap", "0.01", "--port", "0", "--keep", str(kept)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "optimiser", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None and self.process.stderr is not None
        found = re.search(r"http://\S+", self.process.stdout.readline())
        assert found is not None, self.process.stderr.read()
        self.address = found[0]

    def stop(self) -> str:
        """Ctrl-C; what is said on standard error."""
        self.process.send_signal(signal.SIGINT)
        said, errors = self.process.communicate(timeout=30)
        assert self.process.returncode == 0, errors
        assert said.startswith("Stopped; ")
        return errors


class Watched:
    """A page of a browser of its own, with everything that it asks for and says."""

    def __init__(self, browser: Any, **settings: Any) -> None:
        self.context = browser.new_context(viewport={"width": 1280, "height": 900}, **settings)
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.asked: list[str] = []
        self.said: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))

    def checked(self, axe: Any, name: str) -> None:
        """No violation as the page stands, and nothing cut off on a telephone."""
        found = axe.run(self.page)
        assert found.violations_count == 0, f"{name}: {found.generate_report()}"
        self.page.set_viewport_size({"width": 320, "height": 800})
        assert self.page.evaluate("document.documentElement.scrollWidth") <= 320, name
        self.page.set_viewport_size({"width": 1280, "height": 900})


@pytest.fixture
def council(tmp_path: Path) -> Path:
    write_template(tmp_path / "council")
    return tmp_path / "council"


@pytest.fixture
def browser() -> Iterator[Any]:
    chromium = program("chromium")
    browsing = pytest.importorskip("playwright.sync_api")
    with browsing.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield opened
        opened.close()


def test_figures_are_moved_plans_kept_and_compared_in_a_browser(browser: Any, council: Path, tmp_path: Path) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    server = Server(council, tmp_path / "kept")
    one, other = Watched(browser), Watched(browser)
    page = one.page
    page.goto(server.address)
    one.checked(axe, "the base, planned or being planned")
    page.wait_for_selector("#figures")
    one.checked(axe, "the base")
    # by keyboard alone: past the head, into the first field, and planned by the return key without leaving the page
    page.reload()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('href')") == "#main"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("'#' + document.activeElement.id") == ENVELOPE
    page.keyboard.press("Control+A")
    page.keyboard.type("1m")
    page.evaluate("window.stayed = true")
    page.keyboard.press("Enter")
    page.wait_for_selector("#progress")
    assert page.evaluate("'#' + document.activeElement.id") == ENVELOPE, "where it was"
    # meanwhile another browser, with a form of its own
    other.page.goto(server.address)
    other.page.fill(ENVELOPE, "1.5m")
    other.page.press(ENVELOPE, "Enter")
    page.wait_for_selector("#changed")
    other.page.wait_for_selector("#changed")
    assert page.evaluate("window.stayed"), "the page was never left"
    assert page.url != other.page.url
    assert "£1,000,000 instead of £2,000,000" in page.inner_text(".asked")
    assert "£1,500,000 instead of £2,000,000" in other.page.inner_text(".asked")
    assert (page.input_value(ENVELOPE), other.page.input_value(ENVELOPE)) == ("1m", "1.5m")
    one.checked(axe, "a plan")
    # both keep theirs at once
    page.fill("#variant-name", "A million")
    other.page.fill("#variant-name", "A million and a half")
    page.click("form.keep button")
    other.page.click("form.keep button")
    page.wait_for_url("**/kept/a-million")
    other.page.wait_for_url("**/kept/a-million-and-a-half")
    one.checked(axe, "a kept variant")
    with page.expect_download() as taken:
        page.click("text=Committee paper (Word)")
    assert taken.value.suggested_filename.endswith("-a-million.docx")
    page.goto(f"{server.address}compare")
    assert page.locator("thead th").all_inner_texts()[1:] == ["The base", "A million", "A million and a half"]
    one.checked(axe, "variants compared")
    # a bad value has its message, and the reader is taken to it
    page.goto(server.address)
    page.fill("#settings-risk-weight", "2")
    page.fill(ENVELOPE, "1.25m")
    page.press(ENVELOPE, "Enter")
    page.wait_for_selector("#faults")
    assert page.evaluate("document.activeElement.id") == "faults"
    assert "is not at most 1" in page.inner_text("#settings-risk-weight-fault")
    assert page.input_value(ENVELOPE) == "1.25m"
    one.checked(axe, "a bad value")
    # a step by a button, after which the reader is still at the button
    page.goto(server.address)
    step = page.get_by_role("button", name="Capital in total: £200k less")
    step.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("#changed, #progress")
    assert page.input_value(ENVELOPE) == "1,800,000"
    page.wait_for_selector("#changed")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Capital in total: £200k less"
    page.emulate_media(media="print")
    assert not page.is_visible("#form-panel") and page.is_visible("#changed")
    for watched in (one, other):
        assert watched.said == []
        assert [url for url in watched.asked if not url.startswith((server.address, "data:"))] == []
    assert server.stop() == ""

    # started again, with everything that was kept
    server = Server(council, tmp_path / "kept")
    page.emulate_media(media="screen")
    page.goto(f"{server.address}compare")
    assert page.locator("thead th").all_inner_texts()[1:] == ["The base", "A million", "A million and a half"]
    server.process.kill()  # and pulled out by the plug
    server.process.communicate()
    server = Server(council, tmp_path / "kept")
    page.goto(f"{server.address}kept/a-million")
    assert "£1,000,000 instead of £2,000,000" in page.inner_text(".asked")
    server.stop()


def test_all_of_it_works_without_javascript(browser: Any, council: Path, tmp_path: Path) -> None:
    server = Server(council, tmp_path / "kept")
    page = Watched(browser, java_script_enabled=False).page

    def until(selector: str) -> None:
        for _ in range(600):
            if page.locator(selector).count():
                return
            page.wait_for_timeout(200)
            page.click("text=See how far it is")
        raise AssertionError(selector)

    page.goto(server.address)
    until("#figures")
    page.fill("#settings-risk-weight", "2")
    page.fill(ENVELOPE, "1.25m")
    page.click("text=Plan with these figures")
    assert "is not at most 1" in page.inner_text("#settings-risk-weight-fault")
    assert page.input_value(ENVELOPE) == "1.25m"
    page.fill("#settings-risk-weight", "0.5")
    page.click("text=Plan with these figures")
    until("#changed")
    page.fill("#variant-name", "Careful")
    page.click("form.keep button")
    assert page.inner_text("h1") == "Careful"
    page.click("summary")
    page.click("button.danger")
    assert "Compare variants (0 of 4 kept)" in page.inner_text("nav")
    server.stop()
