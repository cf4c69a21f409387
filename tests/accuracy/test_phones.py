"""The phone figures must not get worse unnoticed; the whole table is printed by `tests.accuracy.phones`."""

import numpy as np
import pytest

from app.services.traces import read_trace
from predictors.run import Run
from tests.accuracy.phones import Cell, alone, is_cpu, leave_one_network_out, leave_one_phone_out, pooled
from tests.traces import trace


@pytest.fixture(scope="module")
def runs() -> list[Run]:
    return read_trace(trace("dev-phones.ndjson.gz")).runs


def mean_total(cells: list[Cell]) -> float:
    return float(np.mean([cell.total for cell in cells]))


def test_networks_left_out_are_predicted_on_the_cpus_of_a_phone(runs: list[Run]) -> None:
    own = [run for run in runs if run.query.device_id == "lenovo_k5" and is_cpu(run.query.key)]
    cells = list(leave_one_network_out(own, alone))
    assert len(cells) == 9
    assert mean_total(cells) < 0.08
    assert np.mean([cell.median for cell in cells]) < 0.18


def test_siblings_help_where_one_other_network_was_timed(runs: list[Run]) -> None:
    own = [run for run in runs if is_cpu(run.query.key) and run.query.key.processor.endswith("4")]
    thin = [
        [cell for cell in leave_one_network_out(own, fit) if cell.group == "cpu, thin"]
        for fit in (pooled, alone)
    ]
    assert mean_total(thin[0]) < mean_total(thin[1])


def test_ten_samples_of_a_new_phone_are_enough_for_a_fifth(runs: list[Run]) -> None:
    own = [run for run in runs if run.query.key.processor in ("cpu-1", "cpu-big-1", "cpu-little-1")]
    cells = list(leave_one_phone_out(own))
    errors = [
        mean_total([cell for cell in cells if cell.group == f"{count} samples"]) for count in (0, 10, 50)
    ]
    assert errors[1] < 0.25
    assert errors[0] > errors[1] > errors[2]
