"""Statistics of predictions that can be merged: counts, sums, and a sketch of the errors' distribution."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isnan

import msgspec
import numpy as np
from datasketches import kll_floats_sketch
from numpy.typing import NDArray

from predictors.forecast import Rung

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

SKETCH_K = 100
"""Size of a sketch: about 2.3 % rank error in a few hundred bytes (Karnin, Lang and Liberty 2016)."""

RUNGS = tuple(rung.value for rung in Rung)

TERMS = (
    *("n", "ape", "abs_log_ratio", "squared_pe", "within_10", "predicted_us", "measured_us", "pinball_us"),
    *("covered", "width", "winkler", "covered_50", "covered_99"),
)
"""What is summed, in the order in which it is stored. New terms go to the end; stored rows then lack them."""

_PLACE = {name: place for place, name in enumerate(TERMS)}
_pack, _unpack = msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder(list[bytes]).decode


@dataclass(slots=True)
class Cell:
    """Statistics of one rung's predictions: how many, sums by name, and the distribution of their errors."""

    n: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    sketch: kll_floats_sketch = field(default_factory=lambda: kll_floats_sketch(SKETCH_K))
    errors: list[Floats] = field(default_factory=list, repr=False)
    """Errors counted one by one, kept so that each sum over them makes its own sketch at once."""

    def add(self, absolute_percentage_errors: Floats, terms: Mapping[str, float]) -> None:
        """Count predictions by their errors, shape (n,), and the sums of their other terms."""
        self.n += len(absolute_percentage_errors)
        self.sketch.update(absolute_percentage_errors)
        self.errors.append(absolute_percentage_errors)
        for name, value in terms.items():
            self.sums[name] = self.sums.get(name, 0.0) + value


def packed(
    places: Sequence[Mapping[str, Cell]],
    members: Sequence[Sequence[int]],
    stored: Sequence[tuple[bytes, bytes] | None],
) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield n, sums and sketches of rows: each sums up some `places` (cells by rung) and what it stored."""
    counted = _sums(places)
    errors = [[_errors(cells.get(rung)) for rung in RUNGS] for cells in places]
    for own, before in zip(members, stored, strict=True):
        rows = counted[own]
        if before is not None:
            rows = np.concatenate([rows, unpack_sums([before[0]])])
        sums = total(rows)
        sketches = (
            [kll_floats_sketch(SKETCH_K) for _ in RUNGS] if before is None else unpack_sketches(before[1])
        )
        for rung, sketch in enumerate(sketches):
            if len(own) == 1:
                sketch.update(errors[own[0]][rung])
            else:
                sketch.update(np.concatenate([errors[number][rung] for number in own]))
        n = int(max((count for count in sums[:, 0].tolist() if not isnan(count)), default=0.0))
        yield n, sums.tobytes(), _pack([sketch.serialize() for sketch in sketches])


def total(rows: Floats) -> Floats:
    """Return the sums of sums, shape (rungs, terms); what no row has stays missing."""
    missing = np.isnan(rows)
    return np.where(missing.all(axis=0), np.nan, np.where(missing, 0.0, rows).sum(axis=0))


def _sums(places: Sequence[Mapping[str, Cell]]) -> Floats:
    """Return the sums of cells, shape (places, rungs, terms), NaN where missing."""
    found = np.full((len(places), len(RUNGS), len(TERMS)), np.nan, dtype="<f8")
    for row, cells_ in zip(found, places, strict=True):
        for rung, cell in cells_.items():
            own = row[RUNGS.index(rung)]
            own[0] = cell.n
            for name, value in cell.sums.items():
                own[_PLACE[name]] = value
    return found


def _errors(cell: Cell | None) -> Singles:
    if cell is None:
        return np.empty(0, dtype=np.float32)
    return np.concatenate(cell.errors).astype(np.float32)


def unpack_sums(rows: Sequence[bytes]) -> Floats:
    """Return stored sums, shape (rows, rungs, terms)."""
    if len({len(row) for row in rows}) <= 1:
        return _widened(np.frombuffer(b"".join(rows), "<f8").reshape(len(rows), len(RUNGS), -1))
    return np.stack([_widened(np.frombuffer(row, "<f8").reshape(len(RUNGS), -1)) for row in rows])


def _widened(sums: Floats) -> Floats:
    """Return sums with the terms that were not known yet when they were stored."""
    missing = len(TERMS) - sums.shape[-1]
    if missing <= 0:
        return sums
    return np.concatenate([sums, np.full((*sums.shape[:-1], missing), np.nan)], axis=-1)


def unpack_sketches(stored: bytes) -> list[kll_floats_sketch]:
    """Return the stored sketches in the order of `RUNGS`."""
    return [kll_floats_sketch.deserialize(data) for data in _unpack(stored)]


def cells(sums: Floats, sketches: Sequence[bytes]) -> dict[str, Cell]:
    """Return by rung what stored rows count together; `sums` has shape (rows, rungs, terms)."""
    if len(sketches) == 1:
        merged = unpack_sketches(sketches[0])
    else:
        merged = [kll_floats_sketch(SKETCH_K) for _ in RUNGS]
        for stored in sketches:
            for own, data in zip(merged, _unpack(stored), strict=True):
                own.merge(kll_floats_sketch.deserialize(data))
    found = {}
    for rung, row, sketch in zip(RUNGS, total(sums).tolist(), merged, strict=True):
        if row[0] > 0:
            named = {name: value for name, value in zip(TERMS[1:], row[1:], strict=True) if not isnan(value)}
            found[rung] = Cell(int(row[0]), named, sketch)
    return found
