"""A plan with the envelope moved on the what-if page against the cold one that the page began with, in one run.

``python -m tests.benchmarks.serving [INSTANCE] [FUTURES] [POUNDS]``: kent-in-house-2025, 200 futures and £1m less unless given.
Processor seconds of the whole server, since the machine may be shared, from the request until the plan is there: futures, model,
search, placement of every future, independent recomputation, comparison with the base, and writing the base to its folder.
"""

from __future__ import annotations

import re
import sys
import tempfile
import time
from pathlib import Path

import optimiser
from optimiser.analysis.levers import levers_of
from optimiser.analysis.planning import Asked
from optimiser.instance.finding import find_instance
from optimiser.serve.desk import Desk, Job
from optimiser.serve.pages import make_app
from optimiser.serve.shelf import Shelf

HOST = "127.0.0.1:8765"


def main(name: str = "kent-in-house-2025", futures: str = "200", pounds: str = "-1000000") -> None:
    """Print what the base took, what each plan after it took, and the ratios."""
    instance = optimiser.load(name)
    lever = next(each for each in levers_of(instance) if each.unit == "£")
    assert lever.value is not None, "an instance with an envelope"
    with tempfile.TemporaryDirectory() as folder:
        began = time.process_time()
        shelf = Shelf(Path(folder) / "kept", find_instance(name), instance, Asked(scenarios=int(futures)))
        desk = Desk(shelf)
        assert desk.first is not None
        cold = _taken(desk, desk.first, began)
        print(f"{name}, {futures} futures: the base, cold {cold:.1f} processor s ({_words(desk.first)})", flush=True)
        browser = make_app(desk, (HOST,)).test_client()
        token = re.search(r'name="token" value="([^"]+)"', browser.get("/", base_url=f"http://{HOST}").text)
        assert token is not None
        for amount in (float(pounds), 2 * float(pounds), -float(pounds)):
            began = time.process_time()
            form = {"token": token[1], lever.key: f"{lever.value + amount:.0f}"}
            answer = browser.post("/plan", data=form, base_url=f"http://{HOST}")
            job = desk.find(answer.location.rpartition("/")[2])
            assert job is not None, answer.status
            again = _taken(desk, job, began)
            began = time.process_time()
            browser.get(answer.location, base_url=f"http://{HOST}")
            shown = time.process_time() - began
            print(
                f"  envelope {amount:+,.0f}: {again:.1f} s ({_words(job)}), {again / cold:.2f} of the cold solve; "
                f"showing it {shown:.1f} s",
                flush=True,
            )
        desk.close()


def _taken(desk: Desk, job: Job, began: float) -> float:
    assert desk.wait(job, 3600)
    assert job.state == "done", job.error
    return time.process_time() - began


def _words(job: Job) -> str:
    assert job.document is not None
    return f"gap {job.document['gap']:.2%}, search {job.document['timings']['search_seconds']:.1f} s by the clock"


if __name__ == "__main__":
    main(*sys.argv[1:])
