import numpy as np
import pytest

from predictors.operator_model import PRIOR, OperatorModel, OperatorSample
from predictors.run import PredictorKey
from predictors.transfer import Pool
from tests.synthetic import network, true_latency_us

FRAMEWORK = "test-runtime"
SLOWNESS = {("soc-a", "cpu-big-4"): 0.5, ("soc-a", "cpu-little-4"): 2.0, ("soc-b", "cpu-4"): 1.0}
NETWORKS = [network(seed) for seed in range(8)]
UNSEEN = [op for seed in range(50, 56) for op in network(seed)]


def samples(slowness: float, networks: list[int]) -> list[OperatorSample]:
    operators = dict.fromkeys(op for index in networks for op in NETWORKS[index])
    return [OperatorSample(op, slowness * true_latency_us(op), 3) for op in operators]


def key(soc: str, processor: str) -> PredictorKey:
    return PredictorKey(soc, processor, FRAMEWORK)


POOL = Pool.fit(
    {
        key(*place): samples(slowness, [index, index + 1, index + 2])
        for index, (place, slowness) in enumerate(SLOWNESS.items())
    }
)


def error(model: OperatorModel, slowness: float) -> float:
    truth = slowness * np.array([true_latency_us(op) for op in UNSEEN])
    return float(np.abs(np.exp(model.log_latency_us(UNSEEN, remember=False)) / truth - 1.0).mean())


def test_a_new_processor_starts_at_the_speed_of_its_nearest_relatives() -> None:
    assert error(POOL.start(key("soc-a", "cpu-big-2")), 0.5) < 0.2
    assert error(POOL.start(key("soc-a", "cpu-little-1")), 2.0) < 0.2


def test_another_kind_or_framework_starts_from_the_prior() -> None:
    assert POOL.start(key("soc-a", "gpu")) is PRIOR
    assert POOL.start(PredictorKey("soc-a", "cpu-4", "another-runtime")) is PRIOR
    assert Pool.fit({}).start(key("soc-a", "cpu")) is PRIOR
    assert Pool.fit({key("soc-a", "cpu"): []}).start(key("soc-a", "cpu")) is PRIOR


def test_own_samples_take_over_as_they_arrive() -> None:
    """A processor five times slower than anything known: 0, 1, 10 and 50 samples of its own."""
    rng = np.random.default_rng(0)
    own = samples(5.0, list(range(8)))
    start = POOL.start(key("soc-c", "cpu-4"))
    errors = []
    for count in (0, 1, 10, 50):
        chosen = [own[index] for index in rng.permutation(len(own))[:count]]
        errors.append(error(OperatorModel.fit(chosen, siblings=start), 5.0))
    assert errors[0] > 0.5
    assert errors[2] < 0.2
    assert errors == sorted(errors, reverse=True)
    assert errors[3] < error(OperatorModel.fit(chosen), 5.0)


def test_speeds_are_told_apart_from_what_was_measured() -> None:
    """Each processor timed other networks; the split still finds who is slow."""
    slowness = POOL.kinds[FRAMEWORK, "cpu"].log_slowness
    found = {place: slowness[key(*place)] for place in SLOWNESS}
    spread = found["soc-a", "cpu-little-4"] - found["soc-a", "cpu-big-4"]
    assert spread == pytest.approx(np.log(4.0), abs=0.05)


def test_the_pool_does_not_depend_on_the_order_of_processors() -> None:
    known = {key(*place): samples(slowness, [0, 1]) for place, slowness in SLOWNESS.items()}
    backwards = dict(reversed(list(known.items())))
    one, other = (Pool.fit(members).start(key("soc-c", "cpu")) for members in (known, backwards))
    assert np.array_equal(one.log_latency_us(UNSEEN), other.log_latency_us(UNSEEN))
