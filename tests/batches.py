"""Batches of measurements to send in tests."""

import uuid
from typing import Any

OPERATORS = [
    {
        "op_type": "Conv",
        "inputs": [[1, 3, 224, 224], [64, 3, 7, 7], [64]],
        "outputs": [[1, 64, 112, 112]],
        "dtype": "float32",
        "attributes": {"strides": [2, 2], "group": 1},
    },
    {"op_type": "Relu", "inputs": [[1, 64, 112, 112]], "outputs": [[1, 64, 112, 112]]},
    {"op_type": "Shape", "inputs": [[]], "outputs": [[0]], "dtype": "int64"},
    {"op_type": "Mystery", "dtype": "bool"},
]


def run(**fields: Any) -> dict[str, Any]:
    """Return a valid run of three timings; keyword arguments replace fields."""
    return {
        "run_id": str(uuid.uuid4()),
        "started_at": "2026-11-21T07:00:00.123456Z",
        "processor": "gpu",
        "framework": "onnxruntime 1.31.1",
        "model": {"name": "resnet50", "digest": "sha256:" + "ab" * 32},
        "condition": "s1",
        "context": {"temperature_c": 41.2, "cpu_utilization": 0.5, "charging": False},
        "total_us": 4000.5,
        "energy_mj": 182.0,
        "operators": [0, 1, 1],
        "latency_us": [3116.0, 410.5, 0.0],
    } | fields


def batch(*runs: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return a batch of these runs (one valid run when none is given); keyword arguments replace fields."""
    return {
        "batch_id": str(uuid.uuid4()),
        "agent": {"name": "tests", "version": "1"},
        "device": {
            "device_id": "mi9-0042",
            "model": "Xiaomi 9",
            "soc": "Snapdragon 855",
            "os": "Android 11",
            "drivers": {"adreno": "512.490"},
            "processors": [
                {"name": "cpu-big-4", "kind": "cpu", "threads": 4, "resources": ["cpu-big"]},
                {"name": "gpu", "kind": "gpu", "unsupported": ["NonMaxSuppression"]},
            ],
        },
        "operators": OPERATORS,
        "runs": list(runs or [run()]),
    } | fields


def transfer(**fields: Any) -> dict[str, Any]:
    """Return a valid transfer; keyword arguments replace fields."""
    return {
        "transfer_id": str(uuid.uuid4()),
        "started_at": "2026-11-21T07:00:01Z",
        "source": "cpu-big-4",
        "target": "gpu",
        "size_bytes": 602112,
        "latency_us": 410.0,
        "context": {},
    } | fields
