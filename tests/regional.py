"""Instances of any number of councils with a market to share, made from the bundled regional one."""

from __future__ import annotations

import numpy as np

import optimiser
from optimiser.instance.distributions import Distribution
from optimiser.instance.schema import Instance

LOTS = ("regional-shared",)


def regional_instance(partners: int, *, periods: str = "12x3", seed: int = 1) -> Instance:
    """Councils of different sizes, each with children and a spot market of its own, and one block contract for all.

    The contract takes nine beds or more to be cheaper, three to be had at all, and has a set-up cost; five beds a council
    are on offer.
    """
    base = optimiser.load("south-east-regional-block-2021")
    draws = np.random.default_rng(seed)
    names = [f"council-{place + 1}" for place in range(partners)]
    children = draws.integers(3, 14, partners)
    most = 5 * partners
    cohort, spot = base.cohorts[0], base.spots[0]
    layers = [row for row in base.layers if row.spot == "spot-portsmouth"]
    lots = tuple(
        row.model_copy(
            update={"members": tuple(names), "setup_gbp": 100_000.0, "alternatives": None, "maximum_beds": most}
        )
        for row in base.lots
        if row.lot in LOTS
    )
    placement = next(row for row in base.placements if row.source == "regional-shared")
    at_spot = next(row for row in base.placements if row.source == "spot-portsmouth")
    placements = []
    for name, count in zip(names, children, strict=True):
        own = {"cohort": f"{name}-complex"}
        placements.append(placement.model_copy(update=own))
        placements.append(
            at_spot.model_copy(update={**own, "source": f"spot-{name}", "children_at_start": float(count)})
        )
    return base.model_copy(
        update={
            "settings": base.settings.model_copy(update={"name": f"region-{partners}", "periods": periods}),
            "authorities": tuple(
                base.authorities[0].model_copy(update={"authority": name, "title": name.replace("c", "C", 1)})
                for name in names
            ),
            "cohorts": tuple(
                cohort.model_copy(
                    update={
                        "cohort": f"{name}-complex",
                        "authority": name,
                        "title": name,
                        "arrivals_per_month": Distribution.parse(
                            f"uniform({0.7 * count / 15:.4f}, {1.3 * count / 15:.4f})"
                        ),
                    }
                )
                for name, count in zip(names, children, strict=True)
            ),
            "spots": tuple(
                spot.model_copy(update={"spot": f"spot-{name}", "title": name, "members": (name,)}) for name in names
            ),
            "layers": tuple(
                row.model_copy(update={"spot": f"spot-{name}", "beds": None if place == 2 else row.beds})
                for name in names
                for place, row in enumerate(layers)
            ),
            "lots": lots,
            "tiers": tuple(
                row.model_copy(
                    update={"gbp_per_week": 3_500.0, "to_beds": most}
                    if row.from_beds >= 9
                    else {"gbp_per_week": 3_900.0}
                )
                for row in base.tiers
                if row.lot in LOTS
            ),
            "extensions": (),
            "placements": tuple(placements),
            "bands": (),
            "options": (),
            "decisions": (),
            "figures": (),
            "published": (),
        }
    )
