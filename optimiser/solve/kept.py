"""What one run learned of its placement problems, kept for the next: dual vectors by the names of their rows.

A dual vector bounds the cost of a future from below whatever its right-hand side, its beds and its dates, as long as its
prices have not fallen and its stays stand. Whether that is so is computed for each vector before it is taken up; where
prices fell a little it can often be mended.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from optimiser.errors import SolverError
from optimiser.solve.compile import FirstStage, Template
from optimiser.solve.components import Component
from optimiser.solve.highs import Basis
from optimiser.solve.twostage import Cuts, Duals, Known, Scenario, Stage, fingerprint, fingerprints_of

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

#: Reduced costs of the wrong sign up to this much, relative to costs, are rounding errors.
NOISE = 1e-7
#: Goes up when files are laid out otherwise, or rows and columns of a placement problem come to mean something else: what
#: an earlier version kept is then refused, lest its duals be counted as dropped for prices or stays that never changed.
FORMAT = 5


@dataclass(frozen=True, eq=False)
class Kept:
    """Dual vectors of a run, the best first-stage point that it found, and where the search was last.

    Parameters
    ----------
    rows : name of every row of a placement problem
    futures : [future, 2], fingerprints as ``Scenario`` has them: of what its vectors depend on, and of what else is asked
    scenario, ray : [vector], as in ``Cuts``
    dual : [vector, row]
    start : values of first-stage columns by name, zeros left out
    columns : name of every first-stage column
    decisions : fingerprint of these names and of the places of the columns
    point_part : [point], the part of the problem that a point of the search belongs to
    point : [point, first-stage column]
    layout : fingerprint of the names of rows and columns of a placement problem, within which bases mean the same
    basis : [part, future, status], where the last solve ended, as bytes, filled up at the end; empty for none
    basis_rows, basis_columns : [part], numbers of rows and columns that a basis of the part speaks of
    recourse : [part and future, column], best recourse at ``start``, filled up at the end; empty for none
    recourse_columns : [part and future], columns that it has
    asked : [part, future], fingerprint of what was asked of it, as in ``Known``
    """

    rows: tuple[str, ...]
    futures: NDArray[np.uint64]
    scenario: Ints
    ray: Bools
    dual: sparse.csr_matrix
    start: dict[str, float]
    columns: tuple[str, ...]
    decisions: int
    point_part: Ints
    point: Floats
    layout: str
    basis: NDArray[np.uint8]
    basis_rows: Ints
    basis_columns: Ints
    recourse: sparse.csr_matrix
    recourse_columns: Ints
    asked: NDArray[np.uint64]

    def to_bytes(self) -> bytes:
        """A compressed file of it."""
        head = {
            "format": FORMAT,
            "rows": self.rows,
            "start": self.start,
            "columns": self.columns,
            "decisions": self.decisions,
            "layout": self.layout,
        }
        file = io.BytesIO()
        np.savez_compressed(
            file,
            head=np.frombuffer(json.dumps(head).encode(), dtype=np.uint8),
            futures=self.futures,
            scenario=self.scenario.astype(np.int32),
            ray=self.ray,
            data=self.dual.data,
            indices=_short(self.dual.indices, len(self.rows)),
            indptr=self.dual.indptr.astype(np.int64),
            point_part=self.point_part.astype(np.int32),
            point=self.point,
            basis=self.basis,
            basis_rows=self.basis_rows.astype(np.int32),
            basis_columns=self.basis_columns.astype(np.int32),
            recourse_data=self.recourse.data,
            recourse_indices=_short(self.recourse.indices, self.recourse.shape[1]),
            recourse_indptr=self.recourse.indptr.astype(np.int64),
            recourse_columns=self.recourse_columns.astype(np.int32),
            asked=self.asked,
        )
        return file.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> Kept:
        """Read such a file.

        Raises
        ------
        SolverError
            If it is none, or of another format.
        """
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as file:
                head = json.loads(file["head"].tobytes())
                if head["format"] != FORMAT:
                    raise SolverError(f"kept duals of format {head['format']}; this version reads {FORMAT}")
                shape = len(file["indptr"]) - 1, len(head["rows"])
                dual = sparse.csr_matrix((file["data"], file["indices"], file["indptr"]), shape=shape)
                return cls(
                    tuple(head["rows"]),
                    file["futures"],
                    file["scenario"].astype(np.int64),
                    file["ray"].astype(bool),
                    dual,
                    head["start"],
                    tuple(head["columns"]),
                    head["decisions"],
                    file["point_part"].astype(np.int64),
                    file["point"],
                    head["layout"],
                    file["basis"],
                    file["basis_rows"].astype(np.int64),
                    file["basis_columns"].astype(np.int64),
                    _by_rows(*(file[f"recourse_{name}"] for name in ("data", "indices", "indptr", "columns"))),
                    file["recourse_columns"].astype(np.int64),
                    file["asked"],
                )
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise SolverError("the file of kept duals cannot be read") from error


@dataclass(frozen=True)
class TakenUp:
    """How many kept vectors still hold, how many do not, and in how many futures prices, stays or bounds changed."""

    vectors: int
    dropped: int
    futures_changed: int


def keep(
    first: FirstStage,
    template: Template,
    scenarios: Sequence[Scenario],
    parts: Sequence[Component],
    cuts: Sequence[Cuts | None],
    x: Floats,
) -> Kept:
    """Everything worth keeping of a solve: vectors of its parts [part], and its best first-stage point [column]."""
    scenario, ray, rows, columns, values = [], [], [], [], []
    point_part, points = [], []
    count = 0
    for number, (part, own) in enumerate(zip(parts, cuts, strict=True)):
        if own is None:
            continue
        for point in own.points:
            points.append(np.zeros(len(x)))
            points[-1][part.columns] = point
            point_part.append(number)
        scenario.append(own.scenario)
        ray.append(own.ray)
        for dual in own.dual:
            used = np.flatnonzero(dual)
            rows.append(np.full(len(used), count))
            columns.append(part.rows[used])
            values.append(dual[used])
            count += 1
    names = _names(template)
    dual = sparse.csr_matrix(
        (_joined(values), (_joined(rows).astype(np.int64), _joined(columns).astype(np.int64))),
        shape=(count, len(names)),
    )
    start = first.named(x)
    basis, basis_rows, basis_columns = _statuses(cuts, len(scenarios))
    return Kept(
        names,
        fingerprints_of(scenarios),
        _joined(scenario).astype(np.int64),
        _joined(ray).astype(bool),
        sparse.csr_matrix(dual),
        start,
        tuple(first.names),
        _decisions(first),
        np.array(point_part, dtype=np.int64),
        np.array(points).reshape(len(points), len(x))[:, list(first.names.values())],
        _layout(template),
        basis,
        basis_rows,
        basis_columns,
        *_recourse(parts, cuts, x, len(scenarios)),
    )


def _recourse(
    parts: Sequence[Component], cuts: Sequence[Cuts | None], x: Floats, futures: int
) -> tuple[sparse.csr_matrix, Ints, NDArray[np.uint64]]:
    """Recourse of every part and future at a first-stage point, its columns and what was asked; nothing unless all is known."""
    known = [own.known for part, own in zip(parts, cuts, strict=True) if own is not None and own.known is not None]
    here = [np.array_equal(each.x, x[part.columns]) for each, part in zip(known, parts, strict=False)]
    if len(known) < len(parts) or not all(here):
        none = np.zeros(0, dtype=np.int64)
        return _by_rows(np.zeros(0), none, np.zeros(1, dtype=np.int64), none), none, np.zeros((0, 0), dtype=np.uint64)
    vectors = [each.recourse[number] for each in known for number in range(futures)]
    places = [np.flatnonzero(vector) for vector in vectors]
    values = np.concatenate([vector[place] for vector, place in zip(vectors, places, strict=True)])
    ends = np.cumsum([0, *(len(place) for place in places)])
    sizes = np.array([len(vector) for vector in vectors])
    return _by_rows(values, np.concatenate(places), ends, sizes), sizes, np.array([each.asked for each in known])


def _by_rows(
    data: Floats, indices: NDArray[np.integer[Any]], indptr: NDArray[np.integer[Any]], sizes: NDArray[np.integer[Any]]
) -> sparse.csr_matrix:
    return sparse.csr_matrix((data, indices, indptr), shape=(len(indptr) - 1, int(sizes.max(initial=0))))


def _known(kept: Kept, x: Floats, part: int, of: NDArray[np.uint64] | None) -> Known | None:
    """What is known of a part at its first-stage point x, [column of the part]."""
    if len(kept.asked) <= part:
        return None
    futures = kept.asked.shape[1]
    own = slice(part * futures, (part + 1) * futures)
    return Known(x, Duals.rows_of(kept.recourse[own], kept.recourse_columns[own]), kept.asked[part], of)


def _statuses(cuts: Sequence[Cuts | None], futures: int) -> tuple[NDArray[np.uint8], Ints, Ints]:
    """Bases of every part and future as bytes, filled up at the end, and how many rows and columns they speak of."""
    bases = [own.bases if own is not None else () for own in cuts]
    shapes = [{basis.shape for basis in own if basis is not None} for own in bases]
    if any(len(own) != futures or None in own or len(shape) != 1 for own, shape in zip(bases, shapes, strict=True)):
        return np.zeros((0, 0, 0), dtype=np.uint8), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    rows, columns = np.array([next(iter(shape)) for shape in shapes], dtype=np.int64).T
    found = np.zeros((len(cuts), futures, int((rows + columns).max())), dtype=np.uint8)
    for part, own in enumerate(bases):
        for number, basis in enumerate(own):
            assert basis is not None
            status = np.frombuffer(b"".join(basis.__getstate__()), dtype=np.uint8)
            found[part, number, : len(status)] = status
    return found, rows, columns


def _bases(kept: Kept, template: Template, parts: Sequence[Component], part: int) -> tuple[Basis | None, ...]:
    """Bases of a part [future], if rows and columns are called as they were."""
    if len(kept.basis) != len(parts) or kept.layout != _layout(template):
        return ()
    rows, columns = int(kept.basis_rows[part]), int(kept.basis_columns[part])
    return tuple(
        Basis.of(status[:columns].tobytes(), status[columns : columns + rows].tobytes()) for status in kept.basis[part]
    )


def take_up(
    kept: Kept, first: FirstStage, template: Template, scenarios: Sequence[Scenario], parts: Sequence[Component]
) -> tuple[tuple[Cuts, ...], Floats, TakenUp]:
    """Kept vectors that hold for other figures, by part; the point to start from [column]; and how many there are."""
    names = _names(template)
    dual = kept.dual
    if kept.rows != names:
        place = {name: row for row, name in enumerate(names)}
        old = np.array([place.get(name, -1) for name in kept.rows], dtype=np.int64)
        known = np.flatnonzero(old >= 0)
        move = sparse.csr_matrix((np.ones(len(known)), (known, old[known])), shape=(len(kept.rows), len(names)))
        dual = sparse.csr_matrix(dual @ move)
    held = np.zeros(len(kept.scenario), dtype=bool)
    x = first.values(kept.start)
    by_part = []
    before = {name: number for number, name in enumerate(kept.columns)}
    same = [(before[name], now) for name, now in first.names.items() if name in before]
    points = np.zeros((len(kept.point), len(first.stage.cost)))
    points[:, [now for _, now in same]] = kept.point[:, [then for then, _ in same]]
    both = min(len(kept.futures), len(scenarios))
    same_numbers = kept.futures[:both] == fingerprints_of(scenarios)[:both]
    same_layout = kept.layout == _layout(template)
    stands = np.zeros(int(kept.scenario.max(initial=both)) + 1, dtype=bool)
    stands[:both] = same_layout & same_numbers[:, 0]
    # of a part that is not the whole, or of other decisions, nothing is known but what was asked
    whole = same_layout and kept.decisions == _decisions(first) and len(parts) == 1 and both == len(scenarios)
    of = kept.futures if whole else None
    for place_of_part, part in enumerate(parts):
        own = dual if len(parts) == 1 and len(part.rows) == len(names) else sparse.csr_matrix(dual[:, part.rows])
        inside = (np.diff(own.indptr) > 0) & (kept.scenario < len(scenarios))
        unchanged = inside & stands[kept.scenario]
        chosen = [np.flatnonzero(unchanged)]
        vectors = [Duals.rows_of(own if unchanged.all() else own[chosen[0]])]
        doubtful = np.flatnonzero(inside & ~unchanged)
        doubtful = doubtful[np.argsort(kept.scenario[doubtful], kind="stable")]
        for mine in np.split(doubtful, np.flatnonzero(np.diff(kept.scenario[doubtful])) + 1):
            if not mine.size:
                continue
            recourse = part.problem.scenarios[int(kept.scenario[mine[0]])].recourse
            table, good = _holding(recourse, own[mine].toarray(), kept.ray[mine])
            chosen.append(mine[good])
            vectors.append(Duals(table[good]))
        taken = np.concatenate(chosen)
        held[taken] = True
        mine = np.flatnonzero(kept.point_part == place_of_part)
        here = same_layout and len(kept.asked) == len(parts)
        by_part.append(
            Cuts(
                kept.scenario[taken],
                kept.ray[taken],
                Duals.joined(vectors),
                _bases(kept, template, parts, place_of_part),
                tuple(points[mine][:, part.columns]),
                _known(kept, x[part.columns], place_of_part, of) if here else None,
            )
        )
    changed = int((~same_numbers[:, 0]).sum())
    return tuple(by_part), x, TakenUp(int(held.sum()), int((~held).sum()), changed)


def _holding(stage: Stage, dual: Floats, ray: Bools) -> tuple[Floats, Bools]:
    """Vectors [vector, row], mended where prices fell, and which of them bound the cost of a placement problem.

    A row that only holds columns down, such as beds in a layer within the award, may take a lower price: that mends the
    columns it holds and harms no other. So a layer that is cheaper because its term begins later costs the bound no more
    than the beds it offers.
    """
    matrix = stage.matrix
    cost = np.where(ray[:, None], 0.0, stage.cost)
    noise = NOISE * (1.0 + np.abs(cost) + np.abs(dual).max(axis=1, initial=0.0)[:, None])
    open_above, open_below = np.isinf(stage.upper), np.isinf(stage.lower)
    reduced = cost - dual @ matrix
    short = (reduced < -noise) & open_above
    if short.any():
        entries = matrix.copy()
        entries.eliminate_zeros()
        least = np.full(entries.shape[0], np.inf)
        np.minimum.at(least, np.repeat(np.arange(len(least)), np.diff(entries.indptr)), entries.data)
        holds = (least > 0) & np.isfinite(stage.row_upper)
        holding = sparse.csr_matrix(sparse.diags(holds.astype(float)) @ entries)
        holding.eliminate_zeros()
        wanted = np.flatnonzero(np.diff(sparse.csr_matrix(holding[:, np.flatnonzero(short.any(axis=0))]).indptr))
        for row in sorted(wanted, key=lambda row: int(holding.indptr[row + 1] - holding.indptr[row])):
            columns = holding.indices[holding.indptr[row] : holding.indptr[row + 1]]
            factor = holding.data[holding.indptr[row] : holding.indptr[row + 1]]
            missing = np.where(short[:, columns], np.minimum(reduced[:, columns], 0.0), 0.0)
            fall = (missing / factor).min(axis=1)
            dual[:, row] += fall
            reduced[:, columns] -= fall[:, None] * factor
            short[:, columns] = (reduced[:, columns] < -noise[:, columns]) & open_above[columns]
    bad = short | ((reduced > noise) & open_below)
    good: Bools = np.logical_not(bad.any(axis=1))
    return dual, good


def _names(template: Template) -> tuple[str, ...]:
    return tuple(f"{name}{index}" for name, index in template.rows)


def _decisions(first: FirstStage) -> int:
    return fingerprint(repr(list(first.names.items())).encode())


def _layout(template: Template) -> str:
    found = hashlib.blake2b(repr(template.rows).encode(), digest_size=8)
    for name, (index, own) in sorted(template.columns.items()):
        found.update(name.encode() + np.ascontiguousarray(index).tobytes() + np.ascontiguousarray(own).tobytes())
    return found.hexdigest()


def _short(places: NDArray[np.integer[Any]], size: int) -> NDArray[np.unsignedinteger[Any]]:
    """Places below a size, in two bytes where they fit."""
    return places.astype(np.uint16 if size < 2**16 else np.uint32)


def _joined(arrays: Sequence[NDArray[np.generic]]) -> NDArray[np.generic]:
    return np.concatenate(arrays) if arrays else np.zeros(0)
