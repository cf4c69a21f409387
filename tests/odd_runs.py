"""Legal runs that nobody expects: what the wire allows and devices really send."""

from dataclasses import replace

import numpy as np

from predictors.graph import Operator
from predictors.run import Run
from tests.synthetic import World, convolution

EMPTY = Operator("Concat", ((1, 0, 4, 4), (1, 0, 4, 4)), ((1, 0, 4, 4),))
SHAPELESS = Operator("Pad")
SCALAR = Operator("Add", ((), ()), ((),), "int64")
STRANGE = Operator(
    "GridSample", ((1, 3, 9, 9), (1, 4, 4, 2)), ((1, 3, 4, 4),), "float8", {"mode": "bilinear"}
)
HUGE = convolution(4096, 512, 7)


def odd_runs() -> list[Run]:
    """Return one run of each oddity, each with an id of its own."""
    plain = World(seed=5).run("s0", "net2", profiled=True)
    kernels = (EMPTY, SHAPELESS, SCALAR, STRANGE)

    def of(**fields: object) -> Run:
        return replace(plain, query=replace(plain.query, **fields))  # type: ignore[arg-type]

    return [
        replace(run, run_id=f"odd-{place}")
        for place, run in enumerate(
            (
                of(context={}),
                of(context={"probe_memory_us": 0.0, "idle_before_us": -5.0, "cpu_pressure": 1e18}),
                replace(plain, total_us=0.0, latency_us=np.zeros(len(plain.latency_us))),
                replace(plain, total_us=1e9),
                of(started_at_us=0),
                of(started_at_us=plain.query.started_at_us - 86_400_000_000),
                replace(of(operators=(), model="only a total"), latency_us=np.empty(0)),
                replace(of(operators=kernels, model="odd shapes"), latency_us=np.array([0.0, 1.0, 0.0, 9.0])),
                replace(of(operators=(HUGE,), model="huge"), latency_us=np.array([9e8]), total_us=9e8),
                replace(of(model="", condition=""), total_us=1.0),
                of(device_id="another device", framework_version="9"),
                plain,
            )
        )
    ] + [replace(plain, run_id="odd-0")]
