"""Slice networks as model files, made anew from the kernels that were seen."""

import random
from collections.abc import Iterable
from pathlib import Path

from collectors.measurement import Measurement
from collectors.models import ModelFile, find_models
from collectors.slices import slice_network
from predictors.graph import Operator

SLICES = "slices"
"""The name under which slice networks are measured; each has a digest of its own."""


class SliceSource:
    """Remembers kernels and writes networks of slices of them into a folder."""

    def __init__(self, folder: Path, rng: random.Random) -> None:
        self._path = folder / f"{SLICES}.onnx"
        self._rng = rng
        self._layouts: set[int] = set()
        self._kernels: dict[Operator, None] = {}

    def learn(self, measurements: Iterable[Measurement]) -> None:
        """Add the kernels of measurements to the pool, but those of slices themselves."""
        for measurement in measurements:
            if measurement.model.name != SLICES and id(measurement.kernels) not in self._layouts:
                self._layouts.add(id(measurement.kernels))
                self._kernels.update(dict.fromkeys(measurement.kernels))

    def make(self) -> ModelFile | None:
        """Write a new network over the last one; none where no known kernel can be sliced."""
        network = slice_network(self._kernels, self._rng)
        if network is None:
            return None
        self._path.write_bytes(network.SerializeToString())
        return find_models(str(self._path))[0]
