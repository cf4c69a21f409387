"""The profiler's price is found where the synthetic world puts it: 6 µs a node."""

import pytest

from app.schemas.predictors import ProfilerPriceOut
from predictors.calm_fit import fit_calm
from predictors.profiler_price import profiler_price
from tests.synthetic import World


def test_the_price_per_node_and_by_length_is_what_the_profiler_costs() -> None:
    world = World(seed=41, noise=0.01)
    runs = [world.run("s0", f"net{n % 5}", profiled=n % 2 == 0) for n in range(300)]
    price = profiler_price(fit_calm(runs))
    assert price is not None
    assert price["per_node_us"] == pytest.approx(6.0, abs=1.0)
    profiled = sum(run.total_us for run in runs if run.query.profiled)
    unprofiled = sum(run.total_us for run in runs if not run.query.profiled)
    slowdowns = [part["slowdown"] for part in price["by_length"].values()]
    assert min(slowdowns) - 0.02 <= profiled / unprofiled - 1.0 <= max(slowdowns) + 0.02
    assert min(slowdowns) <= price["share_of_run"] <= max(slowdowns)
    assert (price["networks"], price["profiled_runs"], price["unprofiled_runs"]) == (5, 150, 150)
    assert not price["too_thin"]
    assert ProfilerPriceOut(**price).model_dump() == price
    assert all(0.5 < part["node_share"] < 1.0 for part in price["by_length"].values())


def test_one_network_cannot_tell_the_price_of_a_run_from_that_of_a_node() -> None:
    world = World(seed=43)
    price = profiler_price(fit_calm([world.run("s0", "net1", profiled=n % 2 == 0) for n in range(20)]))
    assert price is not None
    assert price["too_thin"]


def test_single_runs_of_many_networks_are_too_thin_as_well() -> None:
    world = World(seed=44)
    runs = [world.run("s0", f"net{n % 5}", profiled=n >= 5) for n in range(50)]
    price = profiler_price(fit_calm(runs))
    assert price is not None
    assert (price["networks"], price["unprofiled_runs"], price["too_thin"]) == (5, 5, True)


@pytest.mark.parametrize("profiled", [True, False])
def test_without_runs_of_both_kinds_there_is_no_price(profiled: bool) -> None:
    world = World(seed=42)
    runs = [world.run("s0", "net1", profiled=profiled) for _ in range(20)]
    assert profiler_price(fit_calm(runs)) is None
