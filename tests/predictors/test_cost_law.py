import numpy as np
import pytest

from predictors.cost_law import CostLaw, kinds
from predictors.graph import Operator
from predictors.work import work
from tests.operators import conv

RELUS = [Operator("Relu", ((1, c, s, s),), ((1, c, s, s),)) for c in (16, 64, 256) for s in (7, 14, 28, 56)]
POINTWISE = [conv(c, o, s, kernel=1) for c in (16, 64, 256) for o in (32, 128) for s in (7, 14, 28)]
WINOGRAD = [conv(c, c, s) for c in (16, 64, 256) for s in (7, 14, 28)]


def latency_us(operator: Operator, speed: float = 1.0) -> float:
    macs, activations, weights = work(operator)
    return speed * (1.5 + macs / 8_000.0 + activations / 6_000.0 + weights / 9_000.0)


def fit(operators: list[Operator], speed: float = 1.0, siblings: CostLaw | None = None) -> CostLaw:
    latencies = np.array([latency_us(operator, speed) for operator in operators])
    return CostLaw.fit(operators, latencies, np.ones(len(operators)), siblings)


def relative_error(law: CostLaw, operators: list[Operator], speed: float = 1.0) -> float:
    truth = np.array([latency_us(operator, speed) for operator in operators])
    return float(np.abs(np.exp(law.log_latency_us(operators)) / truth - 1.0).max())


def test_true_rates_are_found_and_extrapolated() -> None:
    law = fit(RELUS + POINTWISE)
    assert relative_error(law, RELUS + POINTWISE) < 0.05
    assert relative_error(law, [conv(2048, 2048, 112, kernel=1)]) < 0.25


def test_an_unmeasured_kind_answers_as_its_family_does() -> None:
    law = fit(RELUS + POINTWISE)
    gelu = Operator("Gelu", ((1, 64, 28, 28),), ((1, 64, 28, 28),))
    assert kinds(gelu)[3] not in law.log_rates
    assert law.rates(gelu) == law.log_rates["family:activation"]


def test_siblings_teach_kinds_that_were_never_measured_here() -> None:
    """A processor three times slower that timed activations alone knows convolutions from its siblings."""
    siblings = fit(RELUS + POINTWISE + WINOGRAD)
    alone, helped = fit(RELUS, speed=3.0), fit(RELUS, speed=3.0, siblings=siblings)
    assert relative_error(helped, WINOGRAD + POINTWISE, speed=3.0) < 0.15
    assert relative_error(alone, WINOGRAD + POINTWISE, speed=3.0) > 0.15


def test_own_measurements_outweigh_siblings() -> None:
    siblings = fit(RELUS + POINTWISE)
    doubled = fit(RELUS, speed=1.0, siblings=siblings)
    slow = CostLaw.fit(
        RELUS + POINTWISE,
        np.array([latency_us(o) for o in RELUS] + [4.0 * latency_us(o) for o in POINTWISE]),
        np.ones(len(RELUS + POINTWISE)),
        siblings,
    )
    ratio = np.exp(slow.log_latency_us(POINTWISE) - doubled.log_latency_us(POINTWISE))
    assert np.median(ratio) == pytest.approx(4.0, rel=0.15)
