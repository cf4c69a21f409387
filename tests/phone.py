"""A made-up phone whose latencies follow a known law, for tests of the whole path from batch to report."""

import json
import random
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

START = datetime(2026, 11, 21, 7, 0, tzinfo=UTC)
PACE = timedelta(milliseconds=50)
PROCESSOR = "cpu:0"
DEVICE_ID = "phone-1"
SLOWDOWN = {"s0": 1.0, "s1": 3.0}
"""How much longer everything takes in a condition; the compute probe shows it."""

NETWORKS = {"small": (8, 16), "middle": (16, 32, 64), "large": (32, 64, 64, 128)}
"""Output channels of each network's convolutions, on 28 × 28 pixels."""


def digest(network: str) -> str:
    """Return the digest under which the phone reports a network."""
    return "sha256:" + network.encode().hex().ljust(64, "0")


def operators(network: str) -> list[dict[str, Any]]:
    """Return a network's kernels as the wire describes them."""
    described = []
    channels = 3
    for wider in NETWORKS[network]:
        described.append(
            {
                "op_type": "Conv",
                "inputs": [[1, channels, 28, 28], [wider, channels, 3, 3], [wider]],
                "outputs": [[1, wider, 28, 28]],
                "attributes": {"kernel_shape": [3, 3], "strides": [1, 1], "group": 1},
            }
        )
        channels = wider
    return described


def session(
    calm_runs: int,
    loaded_runs: int,
    *,
    processor: str = PROCESSOR,
    seed: int = 0,
    now: bool = False,
    device_id: str = DEVICE_ID,
    factor: float = 1.0,
) -> list[dict[str, Any]]:
    """Return batches in time order: a calm calibration, then a condition that slows everything down.

    They begin at `START`, or end now. A `factor` other than 1 multiplies every latency: the phone lies.
    """
    rng = random.Random(f"{device_id} {processor} {seed} {now}")
    batches = []
    plan = [("s0", True)] * calm_runs + [("s0", False)] * loaded_runs + [("s1", False)] * loaded_runs
    started = datetime.now(UTC) - len(plan) * PACE if now else START
    for number, (condition, calibration) in enumerate(plan):
        network = sorted(NETWORKS)[number % len(NETWORKS)]
        kernels = operators(network)
        slowdown = SLOWDOWN[condition]
        latency_us = [
            _calm_us(kernel) * slowdown * factor * rng.lognormvariate(0.0, 0.03) for kernel in kernels
        ]
        batches.append(
            {
                "batch_id": str(uuid.UUID(int=rng.getrandbits(128))),
                "agent": {"name": "tests", "version": "1"},
                "device": {"device_id": device_id, "model": "made up", "soc": "SoC 1", "os": "none"},
                "operators": kernels,
                "runs": [
                    {
                        "run_id": str(uuid.UUID(int=rng.getrandbits(128))),
                        "started_at": started.isoformat().replace("+00:00", "Z"),
                        "processor": processor,
                        "framework": "onnxruntime 1.31.1",
                        "model": {"name": network, "digest": digest(network)},
                        "condition": condition,
                        "calibration": calibration,
                        "context": {
                            "probe_compute_us": 100.0 * slowdown * rng.lognormvariate(0.0, 0.02),
                            "cpu_utilization": 0.1 if condition == "s0" else 0.9,
                        },
                        "total_us": sum(latency_us) + 20.0,
                        "operators": list(range(len(kernels))),
                        "latency_us": latency_us,
                    }
                ],
            }
        )
        started += PACE
    return batches


def encoded(batch: dict[str, Any]) -> bytes:
    """Return a batch as a request's body."""
    return json.dumps(batch).encode()


def _calm_us(kernel: dict[str, Any]) -> float:
    wider, channels, height, width = kernel["inputs"][1]
    return 20.0 + wider * channels * height * width * 28 * 28 / 20_000
