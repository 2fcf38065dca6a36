"""How long a council's returns take to read, and whether what was read is what a slow count of the files finds.

``python -m tests.benchmarks.records [EPISODES] [YEARS] [csv|xml …]`` writes untidy synthetic returns of about so many episodes,
as CSV and as XML unless one is named, reads each in a process of its own, and prints seconds, processor seconds and the most
memory held, to read and resolve the rows and then to fit the model of demand. Beside them stand two counts that share no code
with the reader: rows of Episodes in the files, and children by night and kind of placement, row by row; the benchmark fails
where any differs.

100,000 episodes in five years unless given: five councils of the largest size in one.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from optimiser.demand.cohorts import usual_rules
from optimiser.demand.fitting import fit_demand
from optimiser.demand.ssda903 import daily_stock, read_returns
from optimiser.demand.synthetic import USUAL_TRUTH, scaled, synthesise
from tests.demand_records import slow_rows, slow_stock

FIRST_YEAR = 2021
#: Rows of Episodes that a child who starts to be looked after is worth: measured on five years of the usual council.
ROWS_A_CHILD = 7.2


def main(episodes: str = "100000", years: str = "5", *forms: str) -> None:
    """Print the table."""
    count, length = int(episodes), int(years)
    truth = scaled(USUAL_TRUTH, count / length / ROWS_A_CHILD)
    print(f"{'form':4} {'episodes':>9} {'placements':>10} {'':9} {'seconds':>8} {'processor':>9} {'memory':>8}  counts")
    with tempfile.TemporaryDirectory() as folder:
        for form in forms or ("csv", "xml"):
            own = Path(folder) / form
            synthesise(
                own,
                authority="anyshire",
                first_year=FIRST_YEAR,
                years=length,
                seed=1,
                truth=truth,
                form=form,  # type: ignore[arg-type]
            )
            words = [sys.executable, "-m", "tests.benchmarks.records", "--read", str(own)]
            done = subprocess.run(words, capture_output=True, text=True, check=True)
            told = json.loads(done.stdout)
            agree = "agree" if agrees(own, told, FIRST_YEAR + length - 1) else "DIFFER"
            for place, stage in enumerate(told["stages"]):
                first = f"{form:4} {told['episodes']:>9,} {told['placements']:>10,}" if place == 0 else " " * 25
                last = agree if place == 0 else ""
                figures = f"{stage['seconds']:>8.2f} {stage['processor']:>9.2f} {stage['megabytes']:>5.0f} MB"
                print(f"{first} {stage['stage']:9} {figures}  {last}".rstrip())
            if agree == "DIFFER":
                sys.exit(1)


def agrees(folder: Path, told: dict[str, object], last_year: int) -> bool:
    """Whether the slow count of rows and of children by night and kind is what the reader told."""
    rows = slow_rows(folder)
    stock = slow_stock(rows, FIRST_YEAR, last_year)
    nights = {f"{day.isoformat()} {name}": count for (day, name), count in stock.items()}
    return told["episodes"] == len(rows) and told["nights"] == nights


def read(folder: Path) -> None:
    """Read, resolve and fit in this process, and tell what it took and what was found."""
    stages = []

    def stage(name: str, began: tuple[float, float]) -> None:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        seconds, processor = time.perf_counter() - began[0], time.process_time() - began[1]
        stages.append({"stage": name, "seconds": seconds, "processor": processor, "megabytes": most})

    began = time.perf_counter(), time.process_time()
    returns = read_returns([folder])
    stage("read", began)
    began = time.perf_counter(), time.process_time()
    fit_demand(returns, usual_rules(False), usual=True)
    stage("fit", began)
    stock = daily_stock(returns).stack()
    nights = {f"{day.date().isoformat()} {name}": int(count) for (day, name), count in stock.items() if count}
    told = {"episodes": returns.reconciliation.episodes_read, "placements": len(returns.placements), "stages": stages}
    print(json.dumps({**told, "nights": nights}))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--read"]:
        read(Path(sys.argv[2]))
    else:
        main(*sys.argv[1:])
