"""The what-if page as a browser without JavaScript meets it: forms, plans, variants, downloads, and what is refused."""

from __future__ import annotations

import io
import json
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

import optimiser
from optimiser.analysis import planning
from optimiser.analysis.levers import levers_of, read_levers, with_figures
from optimiser.analysis.planning import Asked, make_plan
from optimiser.cli.shared import kept_in
from optimiser.errors import InstanceError
from optimiser.instance.finding import bundled
from optimiser.instance.template import write_template
from optimiser.report.charts import change_chart, places_chart, years_chart
from optimiser.report.files import read_run
from optimiser.serve import shelf as shelves
from optimiser.serve.desk import MOST_WAITING, Desk
from optimiser.serve.pages import make_app, nudge, text_of
from optimiser.serve.server import bound
from optimiser.serve.shelf import Run, Shelf
from optimiser.serve.shown import words_of

HOST = "127.0.0.1:8765"
ASKED = Asked(scenarios=6, gap=0.01)
ENVELOPE = "capital.homes-programme.total.limit_gbp"


@pytest.fixture(scope="module")
def council(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("serve") / "council"
    write_template(folder)
    return folder


@pytest.fixture(scope="module")
def base(council: Path) -> Iterator[Run]:
    """The base, planned once for all tests: a run folder."""
    desk = Desk(Shelf(council.parent / "first", council, optimiser.load(str(council)), ASKED))
    assert desk.first is not None
    assert desk.wait(desk.first, 60), desk.first.words
    assert desk.first.state == "done", desk.first.error
    found = desk.base
    desk.close()
    assert found is not None
    yield found


class Browser:
    """A browser without JavaScript: it follows links and sends forms as they stand on its page."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.client: FlaskClient = make_app(desk, (HOST,)).test_client()
        self.text = ""

    def get(self, address: str) -> TestResponse:
        answer = self.client.get(address, base_url=f"http://{HOST}")
        if answer.mimetype == "text/html":
            self.text = answer.text
        return answer

    def post(self, address: str, fields: dict[str, str], **more: Any) -> TestResponse:
        headers = {"Origin": f"http://{HOST}", "Sec-Fetch-Site": "same-origin", **more.pop("headers", {})}
        answer = self.client.post(address, data=fields, base_url=f"http://{HOST}", headers=headers, **more)
        if answer.status_code == 303:
            return self.get(answer.location)
        self.text = answer.text
        return answer

    @property
    def fields(self) -> dict[str, str]:
        """What stands in the form of figures, with its token."""
        form = self.text[self.text.index('action="/plan"') :]
        form = form[: form.index("</form>")]
        found = {}
        for tag in re.findall(r"<input[^>]*>", form):
            name, value = re.search(r' name="([^"]*)"', tag), re.search(r' value="([^"]*)"', tag)
            assert name is not None and value is not None, tag
            found[unescape(name[1])] = unescape(value[1])
        return found

    @property
    def token(self) -> str:
        found = re.search(r'name="token" value="([^"]+)"', self.text)
        assert found is not None
        return found[1]

    @property
    def words(self) -> str:
        """The page without its tags."""
        return " ".join(unescape(re.sub(r"<[^>]+>", " ", self.text)).split())

    def plan(self, **moved: str) -> str:
        """Send the form with some figures moved, and wait for the plan; its address."""
        self.get("/")
        changed = {key.replace("__", "."): value for key, value in moved.items()}
        answer = self.post("/plan", self.fields | changed)
        assert answer.status_code == 200, self.words
        address = answer.request.path
        job = self.desk.find(address.rpartition("/")[2])
        assert job is not None
        assert self.desk.wait(job, 60)
        self.get(address)
        return address


@pytest.fixture
def browser(base: Run, council: Path, tmp_path: Path) -> Iterator[Browser]:
    shelf = Shelf(tmp_path / "kept", council, optimiser.load(str(council)), base.asked)
    desk = Desk(shelf, base)
    yield Browser(desk)
    desk.close()


def envelope(amount: str) -> dict[str, str]:
    return {ENVELOPE.replace(".", "__"): amount}


def test_the_charts_of_the_page_are_charts_by_the_schema(base: Run) -> None:
    """The page itself draws them without looking."""
    plan = base.document
    for chart in (places_chart(plan), years_chart(plan), change_chart(plan, plan)):
        assert chart.to_dict(validate=True)["description"]


# figures that can be moved


@pytest.mark.parametrize("folder", bundled(), ids=lambda folder: folder.name)
def test_every_figure_on_the_form_reads_back_as_it_stands(folder: Path) -> None:
    instance = optimiser.load(folder.name)
    levers = levers_of(instance)
    assert {lever.key for lever in levers} & {"settings.risk_weight"}
    assert len({lever.key for lever in levers}) == len(levers)
    assert read_levers(instance, {lever.key: text_of(lever, lever.value) for lever in levers}) == ({}, {})
    values = instance.figure_values()
    assert all(values.get(lever.key, lever.value) == lever.value for lever in levers)


def test_a_figure_is_read_as_people_write_it() -> None:
    instance = optimiser.load("kent-in-house-2025")
    for text in ("2.8m", "£2,800,000", "2800k", " 2800000 "):
        assert read_levers(instance, {"capital.in-house.total.limit_gbp": text})[0] == {
            "capital.in-house.total.limit_gbp": 2_800_000.0
        }
    assert read_levers(instance, {"settings.risk_weight": "30%"})[0] == {"settings.risk_weight": 0.3}
    assert read_levers(instance, {"settings.registrations_limit": "2"})[0] == {"settings.registrations_limit": 2}


@pytest.mark.parametrize(
    ("key", "text", "message"),
    [
        (
            "capital.in-house.total.limit_gbp",
            "-5",
            "Capital in total: -5 is not at least 0. Capital that may be begun, £.",
        ),
        ("capital.in-house.total.limit_gbp", "nan", "is not a finite number"),
        ("capital.in-house.total.limit_gbp", "1e15", "is larger than 1,000,000,000,000"),
        (
            "settings.risk_weight",
            "1.5",
            "1.5 is not at most 1. Weight of the tail mean (CVaR) in what is minimised, 0 to 1.",
        ),
        ("settings.managers_at_start", "1.5", "is not a whole number"),
        ("settings.managers_at_start", "", "is blank. Registered managers in post or to be had at once."),
        ("lots.block.minimum_beds", "8", "8 is more than maximum_beds, 6"),
    ],
)
def test_a_bad_value_has_its_rule_and_what_mends_it(key: str, text: str, message: str) -> None:
    _, faults = read_levers(optimiser.load("kent-in-house-2025"), {key: text})
    assert list(faults) == [key]
    assert message in str(faults[key])


def test_moved_figures_are_in_the_instance_and_the_register_says_that_they_were_chosen() -> None:
    instance = optimiser.load("kent-in-house-2025")
    figures = {
        "capital.in-house.total.limit_gbp": 2_800_000.0,
        "lots.block.maximum_beds": 12,
        "tiers.block.4.gbp_per_week": 8_500.0,
        "settings.registrations_limit": 2,
    }
    moved = with_figures(instance, figures)
    values = moved.figure_values()
    assert {key: values[key] for key in figures} == figures
    # sizes that are added have the price of the size next to them
    assert [(tier.from_beds, tier.to_beds, tier.gbp_per_week) for tier in moved.tiers] == [
        (2, 3, 9_400),
        (4, 12, 8_500),
    ]
    notes = {row.figures: row.note for row in moved.evidence if row.figures in figures}
    assert notes["tiers.block.4.gbp_per_week"] == "Chosen in a what-if; the instance has 9,000."
    assert notes["settings.registrations_limit"] == "Chosen in a what-if; the instance has no limit."
    assert with_figures(instance, {"capital.in-house.total.limit_gbp": None}).capital == ()
    assert with_figures(instance, {}) == instance


def test_options_that_award_what_can_no_longer_be_awarded_are_left_out() -> None:
    instance = optimiser.load("kent-sufficiency-2019")
    awarded = {row.option for row in instance.decisions if row.item == "millbank-new" and row.number > 40}
    assert awarded == {"reception-kept"}
    moved = with_figures(instance, {"lots.millbank-new.maximum_beds": 40})
    assert {row.option for row in instance.options} - {row.option for row in moved.options} == awarded
    assert not [row for row in moved.decisions if row.option in awarded]


def test_an_envelope_moved_is_the_envelope_asked_for_on_the_command_line(council: Path) -> None:
    """Two ways to the same problem agree, and a re-plan from the base's cuts agrees with a cold one."""
    instance = optimiser.load(str(council))
    _, asked = make_plan(instance, replace(ASKED, capital=1e6, brief=True))
    _, moved = make_plan(instance, replace(ASKED, figures=((ENVELOPE, 1e6),), brief=True))
    for key in ("objective_gbp", "bound_gbp", "decisions", "years"):
        assert asked[key] == moved[key]


# the form and the plan


def test_a_plan_with_an_envelope_moved_is_that_of_a_cold_solve_within_the_gap(browser: Browser, council: Path) -> None:
    address = browser.plan(**envelope("£1m"))
    assert "Capital in total: £1,000,000 instead of £2,000,000" in browser.words
    job = browser.desk.find(address.rpartition("/")[2])
    assert job is not None and job.document is not None
    assert job.document["taken_up"]["vectors"] > 0, "from the kept cuts"
    _, cold = make_plan(optimiser.load(str(council)), replace(ASKED, capital=1e6, brief=True))
    warm = job.document
    assert (
        warm["objective_gbp"] <= cold["objective_gbp"] * 1.01 and cold["objective_gbp"] <= warm["objective_gbp"] * 1.01
    )
    assert warm["bound_gbp"] <= cold["objective_gbp"] * (1 + 1e-9)
    assert cold["bound_gbp"] <= warm["objective_gbp"] * (1 + 1e-9)
    for part in ("What changed against the base", "The figures", "What it decides", "In pictures", "How good it is"):
        assert part in browser.words
    assert "bound £" in browser.words and "gap" not in browser.fields
    # nothing was moved, nothing is said of it
    unmoved = warm | {"changed": warm["changed"] | {"words": []}}
    assert words_of(warm)["changed"] and not words_of(unmoved)["changed"]
    assert browser.fields[ENVELOPE] == "£1m", "the form stands as it was sent"


def test_every_kind_of_figure_changes_the_plan_it_should(browser: Browser) -> None:
    base = browser.desk.base
    assert base is not None
    prices = {f"tiers__block-offer__{beds}__gbp_per_week": "1" for beds in (4, 7)}
    browser.plan(**prices, **{"lots__block-offer__maximum_beds": "12"})
    beds = re.search(r"Block beds (\d+) (\d+)", browser.words)
    assert beds is not None
    assert int(beds[1]) < int(beds[2]) == 12, "as many as there may be, at that price"
    browser.plan(settings__risk_weight="0.8")
    (job,) = [job for job in browser.desk._jobs.values() if job.figures == {"settings.risk_weight": 0.8}]
    assert job.document is not None
    assert job.document["risk_weight"] == 0.8
    assert job.document["cvar_gbp"] <= base.document["cvar_gbp"] * 1.01


def test_prices_of_contracts_in_place_and_of_their_extensions_can_be_moved(browser: Browser, council: Path) -> None:
    """The plan is that of a cold search with the price, and a contract that nobody pays for is extended."""
    price, factor = "existing.current-contract.committed_gbp_per_week", "extensions.current-contract.1.price_factor"
    instance = optimiser.load(str(council))
    assert not read_levers(instance, {price: "9,200", factor: "1.5"})[1]
    assert list(read_levers(instance, {factor: "0"})[1]) == [factor]
    for figures in ({price: 9_200.0}, {price: 2_300.0, factor: 0.5}):
        browser.plan(**{key.replace(".", "__"): f"{value:g}" for key, value in figures.items()})
        job = next(job for job in reversed(browser.desk._jobs.values()) if job.figures == figures)
        assert job.document is not None
        _, cold = make_plan(instance, replace(ASKED, figures=tuple(sorted(figures.items())), brief=True))
        assert job.document["objective_gbp"] == pytest.approx(cold["objective_gbp"], rel=0.01)
        assert job.document["bound_gbp"] <= cold["objective_gbp"] * (1 + 1e-9)
        assert "Price of a bed in place, used or not (Block contract in place): £" in browser.words
    assert "take extension 1 of Block contract in place" in browser.words


def test_bad_values_have_a_message_at_their_field_and_nothing_else_is_lost(browser: Browser) -> None:
    browser.get("/")
    sent = browser.fields | {ENVELOPE: "lots", "settings.risk_weight": "2", "lots.block-offer.maximum_beds": "9"}
    answer = browser.post("/plan", sent)
    assert answer.status_code == 422
    assert not browser.desk._jobs
    assert browser.fields == sent
    for key in (ENVELOPE, "settings.risk_weight"):
        field = re.search(rf'<input[^>]*name="{re.escape(key)}"[^>]*>', browser.text)
        assert field is not None and 'aria-invalid="true"' in field[0]
        described = re.search(r'aria-describedby="([^"]*)"', field[0])
        assert described is not None
        fault = described[1].split()[-1]
        assert re.search(rf'id="{fault}"[^>]*>.*?Error: </span>(?:lots|2) is not ', browser.text)
    assert "Write pounds as 2,800,000, 2800k or £2.8m." in browser.words
    assert browser.text.count("aria-invalid") == 2
    assert "2 figures cannot be planned with" in browser.words


def test_a_step_is_taken_by_a_button_without_javascript(browser: Browser) -> None:
    browser.get("/")
    answer = browser.post("/plan", browser.fields | {"nudge": f"{ENVELOPE}|-1"})
    assert answer.status_code == 200
    assert browser.fields[ENVELOPE] == "1,800,000"
    levers = levers_of(browser.desk.instance)
    assert nudge(levers, {ENVELOPE: "much"}, f"{ENVELOPE}|+1") == {ENVELOPE: "much"}
    assert nudge(levers, {ENVELOPE: "0"}, f"{ENVELOPE}|-1") == {ENVELOPE: "0"}
    assert nudge(levers, {"settings.risk_weight": "0.95"}, "settings.risk_weight|+1") == {"settings.risk_weight": "1"}


def test_no_plan_says_why(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    from optimiser.errors import InfeasibleError
    from optimiser.serve import desk

    def clash(*_: object) -> None:
        raise InfeasibleError("No plan keeps both of these limits.")

    with monkeypatch.context() as patch:
        patch.setattr(desk, "make_plan", clash)
        browser.plan(**envelope("0"))
        assert "No plan No plan keeps both of these limits." in browser.words
        patch.setattr(desk, "make_plan", lambda *_: 1 / 0)
        browser.plan(**envelope("0"))
        assert "Something failed that should not: ZeroDivisionError" in browser.words
    browser.plan(**envelope("1m"))
    assert "The plan with these figures" in browser.words, "the desk works on"


# one after another, stopped, taken the place of


def held(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plans that are worked on until they are stopped, and then told with their best so far."""
    from optimiser.serve import desk

    honest = desk.make_plan

    def until_stopped(instance: Any, asked: Any, told: Any, stop: Any) -> Any:
        told.step("searching for the best plan")
        assert stop.wait(30)
        plan, document = honest(instance, replace(asked, gap=0.5), told)
        return plan, {**document, "status": "stopped"}

    monkeypatch.setattr(desk, "make_plan", until_stopped)


def test_a_plan_can_be_stopped_and_keeps_its_best_so_far(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    held(browser, monkeypatch)
    browser.get("/")
    first = browser.post("/plan", browser.fields | {ENVELOPE: "1m"}).request.path
    assert "Stop, and take the best plan so far" in browser.words
    ends = time.monotonic() + 30
    while browser.get(f"{first}/progress").json["state"] != "working":
        assert time.monotonic() < ends, "its turn never came"
        time.sleep(0.01)
    browser.post(f"{first}/stop", {"token": browser.token})
    job = browser.desk.find(first.rpartition("/")[2])
    assert job is not None and browser.desk.wait(job, 30)
    browser.get(first)
    assert "The best plan so far with these figures" in browser.words
    assert "the search was stopped" in browser.words
    browser.post(f"{first}/keep", {"token": browser.token, "name": "As far as it went"})
    assert [run.name for run in browser.desk.shelf.variants()] == ["As far as it went"]


def test_two_browsers_have_their_own_forms_and_wait_for_one_another(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    held(browser, monkeypatch)
    other = Browser(browser.desk)
    browser.get("/")
    other.get("/")
    first = browser.post("/plan", browser.fields | {ENVELOPE: "1m"}).request.path
    second = other.post("/plan", other.fields | {ENVELOPE: "1.5m"}).request.path
    assert first != second
    assert "Waiting: 1 before it" in other.words or "Waiting for its turn" in other.words
    browser.get(first)
    other.get(second)
    assert (browser.fields[ENVELOPE], other.fields[ENVELOPE]) == ("1m", "1.5m")
    # what is changed before it is done takes the place of what was asked before, in that browser alone
    third = browser.post("/plan", browser.fields | {ENVELOPE: "1.2m"}).request.path
    jobs = [browser.desk.find(address.rpartition("/")[2]) for address in (first, second, third)]
    assert jobs[0] is not None and jobs[0].stop.is_set()
    assert jobs[1] is not None and not jobs[1].stop.is_set()
    for job in jobs[1:]:
        assert job is not None
        browser.desk.stop(job.id)
        assert browser.desk.wait(job, 30)
    assert jobs[2] is not None and jobs[2].state == "stopped", "before its turn came"


def test_no_more_wait_than_the_desk_takes_on(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    held(browser, monkeypatch)
    browser.get("/")
    fields = browser.fields
    answers = [browser.post("/plan", fields | {ENVELOPE: "1m"}).status_code for _ in range(MOST_WAITING + 2)]
    assert answers[-1] == 503
    assert f"{MOST_WAITING} plans are waiting already" in browser.words
    assert browser.fields[ENVELOPE] == "1m"
    for job in list(browser.desk._jobs.values())[::-1]:
        browser.desk.stop(job.id)


# variants


def test_variants_are_run_folders_that_a_new_server_finds_again(browser: Browser, council: Path) -> None:
    address = browser.plan(**envelope("1m"))
    answer = browser.post(f"{address}/keep", {"token": browser.token, "name": "  Less   capital "})
    assert answer.request.path == "/kept/less-capital"
    shelf = browser.desk.shelf
    (run,) = shelf.variants()
    assert run.name == "Less capital"
    instance, document = read_run(run.folder)  # as every other command reads it, with its fingerprint
    assert document["asked"]["figures"] == [[ENVELOPE, 1e6]]
    assert instance == optimiser.load(str(council))
    assert not [path for path in shelf.folder.iterdir() if path.name.startswith(".")]
    again = Browser(Desk(Shelf(shelf.folder, council, instance, shelf.asked), browser.desk.base))
    again.get("/compare")
    assert "Less capital" in again.words and "Capital in total: £1,000,000 instead of £2,000,000" in again.words
    again.get("/kept/less-capital")
    assert "What changed against the base" in again.words
    again.desk.close()


def test_names_and_the_number_of_variants_are_held_to_their_rules(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shelves, "MOST", 2)
    address = browser.plan(**envelope("1m"))
    token = browser.token

    def refused(name: str, rule: str) -> None:
        assert browser.post(f"{address}/keep", {"token": token, "name": name}).status_code == 422
        assert rule in browser.words
        assert 'aria-describedby="variant-fault"' in browser.text
        assert browser.fields[ENVELOPE] == "1m"

    refused("", "is blank")
    refused("x" * 50, "is longer than 40 characters")
    refused("Base", "is no name for a variant")
    refused("../..", "is no name for a variant")
    assert browser.post(f"{address}/keep", {"token": token, "name": "One"}).status_code == 200
    refused("ONE", "is the name of a kept variant already")
    assert browser.post(f"{address}/keep", {"token": token, "name": "<b>Two</b>"}).status_code == 200
    assert "<b>Two" not in browser.text
    refused("Three", "would be one more than 2 variants")
    browser.post("/kept/one/discard", {"token": token})
    assert [run.name for run in browser.desk.shelf.variants()] == ["<b>Two</b>"]
    assert browser.post(f"{address}/keep", {"token": token, "name": "Three"}).status_code == 200


def test_runs_of_other_figures_are_left_alone(browser: Browser, council: Path, tmp_path: Path) -> None:
    address = browser.plan(**envelope("1m"))
    browser.post(f"{address}/keep", {"token": browser.token, "name": "Mine"})
    folder = browser.desk.shelf.folder
    changed = tmp_path / "changed"
    instance = optimiser.load(str(council))
    more = Shelf(folder, council, instance, replace(browser.desk.shelf.asked, scenarios=7))
    assert (more.variants(), more.others()) == ([], ["mine"])
    dearer = with_figures(instance, {"settings.managers_at_start": 9})
    assert Shelf(folder, changed, dearer, browser.desk.shelf.asked).others() == ["mine"]
    (folder / "mine" / "plan.json").write_text("{", encoding="utf-8")
    browser.get("/")
    assert "Left alone there, since they are of other figures or cannot be read: mine." in browser.words


def test_a_replacement_cut_short_is_put_back(browser: Browser, council: Path) -> None:
    address = browser.plan(**envelope("1m"))
    browser.post(f"{address}/keep", {"token": browser.token, "name": "Mine"})
    shelf = browser.desk.shelf
    aside = shelf.folder / ".mine-old-xyz"
    aside.mkdir()
    (shelf.folder / "mine").rename(aside / "mine")
    assert shelf.variants() == []
    assert [run.name for run in Shelf(shelf.folder, council, shelf.instance, shelf.asked).variants()] == ["Mine"]


def test_a_folder_of_variants_is_no_run_and_no_instance(council: Path, base: Run, tmp_path: Path) -> None:
    instance = optimiser.load(str(council))
    (tmp_path / "file").write_text("", encoding="utf-8")
    for folder, rule in (
        (council, "is a run or an instance"),
        (base.folder, "is a run"),
        (tmp_path / "file", "a file"),
    ):
        with pytest.raises(InstanceError, match=rule):
            Shelf(folder, council, instance, ASKED)


# what it takes with it


def test_page_workbook_and_paper_of_any_plan_are_downloaded(browser: Browser) -> None:
    address = browser.plan(**envelope("1m"))
    browser.post(f"{address}/keep", {"token": browser.token, "name": "Mine"})
    endings = {"page": ".html", "workbook": ".xlsx", "paper": ".docx"}
    for where, name, kinds in (
        (address, "what-if", ("page",)),
        ("/kept/mine", "mine", tuple(endings)),
        ("/kept/base", "base", ("workbook",)),
    ):
        for kind in kinds:
            ending = endings[kind]
            answer = browser.client.get(f"{where}/download/{kind}", base_url=f"http://{HOST}")
            assert answer.status_code == 200
            assert answer.headers["Content-Disposition"].endswith(f"-{name}{ending}")
            if kind == "page":
                assert "What to decide" in answer.text
            else:
                assert zipfile.ZipFile(io.BytesIO(answer.data)).testzip() is None
    assert browser.get("/kept/mine/download/money").status_code == 404


def test_the_rest_of_a_variant_is_worked_out_and_it_stays_the_same_plan(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, futures in (("SIMULATED", 4), ("SEARCHED", 2), ("PAIRED", 2), ("FRESH", 2)):
        monkeypatch.setattr(planning, name, futures)
    monkeypatch.setattr(planning, "swings", lambda *_: [])
    address = browser.plan(**envelope("1m"))
    browser.post(f"{address}/keep", {"token": browser.token, "name": "Mine"})
    before = browser.desk.shelf.variants()[0]
    assert not before.complete and "Work out the rest" in browser.words
    browser.post("/kept/mine/complete", {"token": browser.token})
    assert "Working out the rest" in browser.words
    job = browser.desk.job_of(before)
    assert job is not None and browser.desk.wait(job, 120), job
    (after,) = browser.desk.shelf.variants()
    assert job.error == "" and after.complete and after.name == "Mine"
    for key in ("decisions", "objective_gbp", "years"):
        assert after.document[key] == before.document[key]
    assert after.document["mtfp"] and after.document["simulated"] and after.document["limits"] is not None
    assert kept_in(after.folder).columns, "another run can start from it"
    browser.get("/kept/mine")
    assert "Work out the rest" not in browser.words
    page = browser.client.get("/kept/mine/download/page", base_url=f"http://{HOST}").text
    assert "Medium-Term Financial Plan" in page


# who is let in


def test_forms_from_other_pages_are_refused(browser: Browser) -> None:
    browser.get("/")
    fields = browser.fields
    assert browser.post("/plan", fields, headers={"Origin": "http://evil.example"}).status_code == 403
    assert browser.post("/plan", fields, headers={"Origin": "null"}).status_code == 403
    assert browser.post("/plan", fields, headers={"Origin": "http://127.0.0.1:9999"}).status_code == 403
    assert browser.post("/plan", fields, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    without = {key: value for key, value in fields.items() if key != "token"}
    browser.get("/")
    assert browser.post("/plan", without).status_code == 403
    for address in ("/kept/mine/discard", "/base", "/plan/none/stop"):
        assert browser.post(address, {"token": "guessed"}).status_code == 403
    assert not browser.desk._jobs


def test_a_form_from_before_a_new_start_keeps_what_was_typed(browser: Browser) -> None:
    browser.get("/")
    sent = browser.fields | {"token": "of an earlier server", ENVELOPE: "1.234m"}
    assert browser.post("/plan", sent).status_code == 403
    assert "send it once more" in browser.words
    assert browser.fields[ENVELOPE] == "1.234m"
    assert browser.post("/plan", browser.fields).status_code == 200


def test_every_address_begins_with_a_key_that_stays_when_a_server_is_started_again(
    browser: Browser, base: Run, council: Path
) -> None:
    shelf = browser.desk.shelf
    key = shelf.key()
    assert Shelf(shelf.folder, council, shelf.instance, base.asked).key() == key
    client = make_app(browser.desk, (HOST,), key).test_client()
    shown = client.get(f"/{key}/", base_url=f"http://{HOST}")
    assert shown.status_code == 200
    links = re.findall(r'(?:href|src|action)="(/[^"]*)"', shown.text)
    assert links and all(link.startswith(f"/{key}/") for link in links)
    for address in ("/", f"/{key[:-1]}/", "/static/desk.js", "/compare", "/nothing"):
        refused = client.get(address, base_url=f"http://{HOST}")
        assert refused.status_code == 403
        assert "Open the whole address" in refused.text and key not in refused.text
    shelf.folder.joinpath(".key").write_text("short", encoding="ascii")
    assert shelf.key() not in ("short", key)


def test_a_server_reached_under_another_name_answers_nothing(browser: Browser) -> None:
    for host in ("evil.example", "evil.example:8765", "127.0.0.1", "localhost:8766"):
        answer = browser.client.get("/", base_url=f"http://{host}")
        assert answer.status_code == 421
        assert "form" not in answer.text


def test_nothing_is_fetched_from_elsewhere_and_nobody_may_frame_it(browser: Browser) -> None:
    answer = browser.get("/")
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "script-src 'self'" in policy and "frame-ancestors 'none'" in policy
    assert "Set-Cookie" not in answer.headers
    browser.plan(**envelope("1m"))
    links = re.findall(r'(?:href|src|action)="([^"]*)"', browser.text)
    assert links and all(link.startswith(("/", "#", "data:")) or link == "" for link in links)
    for name in ("desk.js", "desk.css"):
        content = browser.client.get(f"/static/{name}", base_url=f"http://{HOST}").text
        assert "http://" not in content and "https://" not in content


def test_what_is_not_there_says_so_in_the_same_manner(browser: Browser) -> None:
    for address in ("/plan/none", "/kept/none", "/nothing", "/plan/none/progress", "/kept/../../etc"):
        assert browser.get(address).status_code == 404
        assert "There is nothing here" in browser.words
    assert browser.get("/base").status_code == 405
    browser.get("/")
    assert browser.post("/plan", browser.fields | {ENVELOPE: "9" * 70_000}).status_code == 413


# the command


def test_a_port_that_is_taken_is_named_with_what_mends_it() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(InstanceError, match=r"--port: \d+ cannot be used: .*in use\. Close what uses it"):
            bound(taken.getsockname()[1])


def test_the_command_serves_this_computer_and_stops_cleanly(council: Path, base: Run, tmp_path: Path) -> None:
    words = [
        sys.executable,
        "-m",
        "optimiser",
        "serve",
        str(base.folder),
        "--port",
        "0",
        "--keep",
        str(tmp_path / "kept"),
    ]
    server = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert server.stdout is not None and server.stderr is not None
    try:
        said = server.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)/([\w-]{20,})/", said)
        assert found is not None, said + server.stderr.read()
        with urllib.request.urlopen(found[0], timeout=20) as answer:
            assert "The base: nothing moved" in answer.read().decode()
        # whoever else uses this computer has no key
        assert (tmp_path / "kept" / ".key").stat().st_mode & 0o077 == 0
        for guessed in ("", "static/desk.js", f"{'a' * 22}/", f"{found[2]}a/"):
            with pytest.raises(HTTPError, match="403"):
                urllib.request.urlopen(f"http://127.0.0.1:{found[1]}/{guessed}", timeout=20)
        listening = Path("/proc/net/tcp").read_text(encoding="ascii") if Path("/proc/net/tcp").exists() else ""
        if listening:
            assert f"0100007F:{int(found[1]):04X}" in listening and f"00000000:{int(found[1]):04X}" not in listening
        server.send_signal(signal.SIGINT)
        began = time.monotonic()
        assert server.wait(20) == 0
        assert time.monotonic() - began < 15
        assert "Stopped; no variant is kept" in server.stdout.read()
        assert server.stderr.read() == ""
    finally:
        server.kill()
        server.stdout.close()
        server.stderr.close()


def test_documents_of_plans_say_what_was_moved(base: Run) -> None:
    assert base.document["asked"]["figures"] == []
    assert json.loads((base.folder / "plan.json").read_text(encoding="utf-8")) == base.document
