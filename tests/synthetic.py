"""A small world with known laws, so that tests can compare what was learned with what is true.

Operators cost a constant plus products plus bytes; a regime stretches a run by a factor that the memory
probe shows, and by preemption that only runs longer than a time slice feel.
"""

from dataclasses import dataclass, replace
from math import exp

import numpy as np

from predictors import cost
from predictors.graph import Operator
from predictors.run import PredictorKey, Run, RunQuery

KEY = PredictorKey("test-soc", "cpu:0", "test-runtime")
REGIMES = {"s0": (1.0, 1.0), "s1": (1.0, 2.0), "s2": (1.3, 1.0), "s3": (1.3, 2.0)}
"""Per condition: the factor on memory-bound work, and the factor that preemption puts on long runs."""

SLICE_US = 3_000.0


def convolution(channels: int, size: int, kernel: int = 3) -> Operator:
    """Return a convolution that keeps its channels and its size."""
    return Operator(
        "Conv",
        ((1, channels, size, size), (channels, channels, kernel, kernel), (channels,)),
        ((1, channels, size, size),),
        "float32",
        {"kernel_shape": [kernel, kernel], "strides": [1, 1], "group": 1},
    )


def relu(channels: int, size: int) -> Operator:
    """Return an activation."""
    return Operator("Relu", ((1, channels, size, size),), ((1, channels, size, size),))


def network(seed: int, depth: int = 12) -> tuple[Operator, ...]:
    """Return the kernels of a random small network."""
    rng = np.random.default_rng(seed)
    layers = []
    for _ in range(depth):
        channels, size = int(rng.choice([16, 32, 64, 128])), int(rng.choice([7, 14, 28]))
        layers += [convolution(channels, size, int(rng.choice([1, 3]))), relu(channels, size)]
    return tuple(layers)


def true_latency_us(operator: Operator) -> float:
    """Return the true calm latency of an operator."""
    moved = cost.input_bytes(operator) + cost.weight_bytes(operator) + cost.output_bytes(operator)
    return 2.0 + cost.macs(operator) / 20_000.0 + moved / 8_000.0


@dataclass
class World:
    """Makes runs in time order; all randomness comes from the seed."""

    seed: int = 0
    noise: float = 0.02
    device_id: str = "device-1"
    key: PredictorKey = KEY
    now_us: int = 1_700_000_000_000_000

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.networks = {f"net{index}": network(index, 4 + 5 * index) for index in range(5)}
        self.count = 0

    def run(self, condition: str = "s0", model: str | None = None, *, profiled: bool | None = None) -> Run:
        """Return the next run under a condition."""
        model = model or str(self.rng.choice(sorted(self.networks)))
        profiled = bool(self.rng.random() < 0.8) if profiled is None else profiled
        kernels = self.networks[model]
        memory, preemption = REGIMES[condition]
        latencies = np.array([true_latency_us(operator) for operator in kernels]) * memory
        latencies *= np.exp(self.rng.normal(0.0, self.noise, len(kernels)))
        if latencies.sum() > SLICE_US:
            latencies *= preemption
        total = float(latencies.sum()) + (6.0 * len(kernels) if profiled else 0.0) + 40.0
        total *= exp(self.rng.normal(0.0, self.noise))
        context = {
            "probe_memory_us": 300.0 * memory * exp(self.rng.normal(0.0, 0.02)),
            "probe_compute_us": 100.0 * exp(self.rng.normal(0.0, 0.02)),
            "cpu_pressure": 0.5 * (preemption > 1.0) + 0.05 * self.rng.random(),
            "idle_before_us": 5_000.0,
        }
        self.now_us += 5_000
        self.count += 1
        query = RunQuery(
            self.key,
            self.device_id,
            model,
            self.now_us,
            kernels if profiled else (),
            context,
            profiled,
            condition=condition,
        )
        self.now_us += int(total)
        run_id = f"{self.device_id}-{self.seed}-{self.count}"
        return Run(run_id, query, total, np.rint(latencies) if profiled else np.empty(0))

    def calm(self, count: int) -> list[Run]:
        """Return calm runs."""
        return [self.run("s0") for _ in range(count)]

    def changing(self, count: int, episode: int = 25) -> list[Run]:
        """Return runs whose condition changes every `episode` runs."""
        names = sorted(REGIMES)
        runs: list[Run] = []
        while len(runs) < count:
            condition = str(self.rng.choice(names))
            runs += [self.run(condition) for _ in range(episode)]
        return runs[:count]


def without_label(run: Run) -> Run:
    """Return the run with its condition hidden."""
    return replace(run, query=replace(run.query, condition=None))
