"""How well few futures stand for all that could come: ways to draw them, and ways to choose among many drawn.

``python -m tests.benchmarks.futures sampling [INSTANCE] [FUTURES] [SEEDS]``: how far the mean cost of one plan is off from
one seed to the next, when futures are drawn independently, in mirrored pairs (as ``Draws`` does), by scrambled Sobol points
in what is drawn once a future, and by both.

``python -m tests.benchmarks.futures reduction [INSTANCE] [FUTURES] [FROM] [SEEDS]``: what plans on so many futures cost on 300
fresh ones, and how far off that they were believed to cost: the first that a seed draws, or as many kept of a larger sample.

``python -m tests.benchmarks.futures breakdowns [INSTANCE] [FUTURES]``: what it changes that placements break down one by one:
plans on futures with breakdowns as drawn and at their mean rate, each priced on both.

INSTANCE is cambridgeshire-residential-2024 unless given. Reviews and limits across futures are left out.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2, qmc

import optimiser
from models.decisions import Decisions
from optimiser.assemble import assemble
from optimiser.demand import scenarios
from optimiser.demand.reduction import reduce_futures
from optimiser.demand.scenarios import ScenarioSet, calendar_of, make_scenarios, mean_shares
from optimiser.instance.schema import Instance
from optimiser.solve.compile import vector_from
from optimiser.solve.engine import Engine, Found, Placing
from optimiser.solve.recourse import recourse_at
from optimiser.solve.twostage import Settings
from optimiser.verify import verify

Floats = NDArray[np.float64]

GAP = 0.003
FRESH = 300
#: A seed that no plan is made from.
JUDGES = 99_991
#: Sobol points have so many bits, and are scrambled for so many dimensions at most.
BITS, DIMENSIONS = 30, 256
WAYS = ("independent", "mirrored", "sobol", "mirrored sobol")


def main(what: str = "sampling", name: str = "cambridgeshire-residential-2024", *counts: str) -> None:
    """Print one of the three tables."""
    given = [int(count) for count in counts]
    instance = optimiser.load(name).model_copy(update={"reviews": (), "tolerances": (), "local": ()})
    if what == "sampling":
        sampling(instance, *(given or (64, 20)))
    elif what == "breakdowns":
        breakdowns(instance, *(given or (20,)))
    else:
        reduction(instance, *(given or (20, 1_000, 6)))


# drawing


class Other(scenarios.Draws):
    """Draws in another way: what is drawn once a future by scrambled Sobol points, mirrored or not."""

    way = "independent"
    dimension: dict[str, int]

    def uniform(self, name: str, *shape: int) -> Floats:
        """Draws between 0 and 1, [scenario, *shape]."""
        if self.way == "mirrored":
            return super().uniform(name, *shape)
        mirrored = self.way == "mirrored sobol"
        count = (self.futures + 1) // 2 if mirrored else self.futures
        key = int.from_bytes(blake2b(f"{self.seed}|{name}".encode(), digest_size=16).digest(), "big")
        rng = np.random.Generator(np.random.Philox(key=key))
        if self.way.endswith("sobol") and not shape:
            place = self.dimension.setdefault(name, len(self.dimension))
            draws = scrambled(sobol(count)[:, place], rng)
        else:
            draws = rng.random((count, *shape))
        if mirrored:
            draws = np.stack([draws, 1 - draws], axis=1).reshape(-1, *shape)[: self.futures]
        return np.clip(draws, 1e-12, 1 - 1e-12)


def sobol(count: int) -> NDArray[np.uint64]:
    """The first points as whole numbers of so many bits, [point, dimension]."""
    points = qmc.Sobol(DIMENSIONS, scramble=False, bits=BITS).random_base2(max(int(np.ceil(np.log2(count))), 0))
    return (points[:count] * 2**BITS).astype(np.uint64)


def scrambled(points: NDArray[np.uint64], rng: np.random.Generator) -> Floats:
    """A random lower triangular matrix and a random shift (Matoušek 1998): each point is uniform, and all stay a net."""
    found = np.zeros_like(points)
    for bit in range(BITS):
        taken = sum(1 << (BITS - 1 - above) for above in range(bit) if rng.integers(2)) | 1 << (BITS - 1 - bit)
        parity = points & np.uint64(taken)
        for shift in (16, 8, 4, 2, 1):
            parity = parity ^ (parity >> np.uint64(shift))
        found |= (parity & np.uint64(1)) << np.uint64(BITS - 1 - bit)
    found ^= np.uint64(rng.integers(2**BITS))
    return (found + rng.random(len(points))) / 2**BITS


def sampling(instance: Instance, count: int, seeds: int) -> None:
    """Standard deviation over seeds of the mean cost of one plan."""
    decisions = planned(instance, make_scenarios(instance, 20, 1))[0]
    dimension: dict[str, int] = {}
    base = 0.0
    print(f"{instance.settings.name}: mean cost of one plan on {count} futures, {seeds} seeds, deterrent included")
    for way in WAYS:
        means, spread = [], []
        for seed in range(1_000, 1_000 + seeds):
            draws = Other(seed, count)
            draws.way, draws.dimension = way, dimension
            futures = scenarios._make(instance, draws, tuple(f"future-{number}" for number in range(count)))
            costs = Judge(instance, futures).costs(decisions)
            means.append(costs.mean())
            spread.append(costs.var(ddof=1) / count)
        # independent futures need no seeds: their variance is known from every sample
        own = float(np.var(means, ddof=1))
        base = base or float(np.mean(spread))
        least, most = own / base * (seeds - 1) / chi(0.95, seeds), own / base * (seeds - 1) / chi(0.05, seeds)
        print(
            f"  {way:<16} off by £{np.sqrt(own):>11,.0f}; variance {own / base:5.2f} times that of independent futures "
            f"(90% between {least:.2f} and {most:.2f})",
            flush=True,
        )


def chi(level: float, seeds: int) -> float:
    """Quantile of the chi-squared distribution with one degree of freedom less than there are seeds."""
    return float(chi2.ppf(level, seeds - 1))


# choosing


def reduction(instance: Instance, count: int, drawn: int, seeds: int) -> None:
    """Plans on futures as drawn and on as many that stand for more: what they cost, and what they were believed to."""
    judge = Judge(instance, make_scenarios(instance, FRESH, JUDGES))
    rows: dict[str, list[tuple[float, float]]] = {"as drawn": [], "kept": []}
    for seed in range(1, seeds + 1):
        kept = reduce_futures(instance, drawn, count, seed)
        for way, futures in (("as drawn", make_scenarios(instance, count, seed)), ("kept", kept.futures)):
            decisions, believed = planned(instance, futures)
            rows[way].append((float(judge.costs(decisions).mean()), believed))
        print(f"  seed {seed}: {rows['as drawn'][-1]} as drawn, {rows['kept'][-1]} kept", flush=True)
    everything = np.array([rows["as drawn"], rows["kept"]])
    least = everything[:, :, 0].min()
    print(f"{instance.settings.name}: plans on {count} futures, {seeds} seeds; the best of all costs £{least:,.0f}")
    for way, (cost, believed) in zip(rows, everything.transpose(0, 2, 1), strict=True):
        off = believed - cost
        print(
            f"  {way:<10} costs £{cost.mean() - least:>10,.0f} more on average; believed to cost £{off.mean():>12,.0f} more than "
            f"it does, off by £{np.sqrt((off**2).mean()):>11,.0f}"
        )


# breakdowns


def breakdowns(instance: Instance, count: int) -> None:
    """Plans with breakdowns as drawn and at their mean rate, and what each costs on either, in pounds that are paid."""
    drawn = make_scenarios(instance, count)
    _, _, share = mean_shares(instance, count)
    steady = replace(drawn, breakdown=1 - (1 - share[..., None]) ** calendar_of(instance).length)
    problems = {"as drawn": assemble(instance, drawn), "at the mean rate": assemble(instance, steady)}
    placing = Placing()
    print(f"{instance.settings.name}: {count} futures")
    for way, futures in (("as drawn", drawn), ("at the mean rate", steady)):
        decisions, _ = planned(instance, futures)
        for other, problem in problems.items():
            paid = verify(problem, decisions, placing.place(problem, decisions))
            weeks = paid.unregistered_child_weeks.sum(axis=(1, 2)).mean()
            print(
                f"  planned with breakdowns {way:<16} costs £{paid.expected_cost:>12,.0f} with breakdowns {other:<16} and has "
                f"{weeks:.2f} child-weeks without a registered place",
                flush=True,
            )


def planned(instance: Instance, futures: ScenarioSet) -> tuple[Decisions, float]:
    """The best plan on some futures, and what it is believed to cost, with the deterrent."""
    engine = Engine(assemble(instance, futures, risk_weight=0.0))
    found = engine.search(Settings(gap=GAP))
    assert isinstance(found, Found)
    return found.decisions, float(futures.probability @ costs_of(engine, found.decisions))


class Judge:
    """Futures on which decisions are priced, compiled once."""

    def __init__(self, instance: Instance, futures: ScenarioSet) -> None:
        self.engine = Engine(assemble(instance, futures, risk_weight=0.0))

    def costs(self, decisions: Decisions) -> Floats:
        """Cost of each future with the deterrent, present real £, [scenario]."""
        return costs_of(self.engine, decisions)


def costs_of(engine: Engine, decisions: Decisions) -> Floats:
    """Cost of each future of an engine with the deterrent, present real £, [scenario]."""
    x = vector_from(engine.first, engine.problem, decisions)
    found = recourse_at(engine.two_stage.scenarios, x)
    own = [
        0.0 if scenario.first_stage_cost is None else float(scenario.first_stage_cost @ x)
        for scenario in engine.two_stage.scenarios
    ]
    recourse = [
        float(scenario.recourse.cost @ point.x) + scenario.offset
        for scenario, point in zip(engine.two_stage.scenarios, found, strict=True)
    ]
    return np.array(own) + np.array(recourse) + float(engine.two_stage.first.cost @ x)


if __name__ == "__main__":
    main(*sys.argv[1:])
