import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from collectors.burn import PERIOD_S
from collectors.conditions import Load, Regime, draw_regime, read_conditions
from collectors.errors import CollectorError
from collectors.load import BURN_SCRIPT, applied
from tests.processes import LIMIT_S, descendants, is_running, wait_until

CORES = sorted(os.sched_getaffinity(0))
HELD_REGIME = """
import sys
from collectors.conditions import Load, Regime
from collectors.load import applied
regime = Regime("s3", {core}, (Load("compute", {core}, 0.2), Load("memory", {core}, 0.2)))
with applied(regime, 600):
    print("up", flush=True)
    sys.stdin.read()
"""


def own_children() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def test_loads_run_where_and_what_the_regime_says_and_end_with_it() -> None:
    regime = Regime("s3", CORES[0], (Load("compute", CORES[0], 0.3), Load("memory", CORES[-1], 0.3)))
    before = {child.pid for child in own_children()}
    with applied(regime, 60) as text:
        children = [child for child in own_children() if child.pid not in before]
        assert sorted(child.cmdline()[4] for child in children) == ["compute", "memory"]
        assert {tuple(child.cpu_affinity()) for child in children} == {(CORES[0],), (CORES[-1],)}
        assert "compute load on cpu:" in text
    assert not any(is_running(child.pid) for child in children)


def test_loads_end_when_the_measurement_fails() -> None:
    regime = Regime("s1", CORES[0], (Load("compute", CORES[0], 0.1),))
    before = {child.pid for child in own_children()}
    children: list[int] = []

    def measure() -> None:
        with applied(regime, 60):
            children.extend(child.pid for child in own_children() if child.pid not in before)
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        measure()
    assert children
    assert not any(map(is_running, children))


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_loads_never_outlive_a_killed_parent(sent: signal.Signals) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", HELD_REGIME.format(core=CORES[-1])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"up\n"
        children = descendants(parent.pid)
        assert len(children) == 2
        os.kill(parent.pid, sent)
        assert parent.wait() != 0
    wait_until(lambda: not any(map(is_running, children)), "the loads end with their parent")


def test_a_load_ends_at_its_deadline_even_if_forgotten() -> None:
    child = subprocess.Popen(
        [sys.executable, "-I", "-S", BURN_SCRIPT, "compute", str(CORES[-1]), "0.1", "0.2", str(os.getpid())],
        stdout=subprocess.DEVNULL,
    )
    assert child.wait(LIMIT_S) == 0


def test_a_load_of_another_parent_does_not_start() -> None:
    """Whoever started it died before it could ask the kernel for the death signal."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", BURN_SCRIPT, "compute", str(CORES[-1]), "1", "60", "1"],
        check=False,
        capture_output=True,
        timeout=LIMIT_S,
    )
    assert (done.returncode, done.stdout) == (0, b"")


def test_duty_is_the_share_of_time_that_a_load_works() -> None:
    regime = Regime("s1", CORES[-1], (Load("compute", CORES[-1], 0.25),))
    before = {child.pid for child in own_children()}
    with applied(regime, 60):
        (child,) = (child for child in own_children() if child.pid not in before)
        first = child.cpu_times()
        wait_until(lambda: child.cpu_times().user - first.user > 5 * PERIOD_S, "the load works")
        rested = child.num_ctx_switches().voluntary
    assert rested >= 5


def test_a_load_that_cannot_start_is_an_error() -> None:
    with (
        pytest.raises(CollectorError, match="did not start"),
        applied(Regime("s1", 0, (Load("nonsense", 0, 1.0),)), 5),
    ):
        pass


def test_the_shipped_conditions_are_the_studys_five_and_pairs() -> None:
    conditions = read_conditions()
    assert list(conditions) == ["s0", "s1", "s2", "s3", "s4", "pair"]
    assert [name for name, condition in conditions.items() if condition.neighbour] == ["pair"]
    kinds = {name: {(load.kind, load.place) for load in c.loads} for name, c in conditions.items()}
    assert kinds["s0"] == set()
    assert kinds["s1"] == {("compute", "same")}
    assert kinds["s2"] == {("memory", "other")}
    assert kinds["s3"] == kinds["s1"] | kinds["s2"] == kinds["s4"]
    assert [name for name, condition in conditions.items() if condition.throttle] == ["s4"]


def test_places_are_relative_to_the_measured_core() -> None:
    conditions = read_conditions()
    for core in (0, 1, 2):
        regime = draw_regime("s3", conditions["s3"], core, (0, 1, 2), random.Random(core))
        assert [load.core == core for load in regime.loads] == [True, False]
    (alone,) = {load.core for load in draw_regime("s3", conditions["s3"], 0, (0,), random.Random(0)).loads}
    assert alone == 0


def test_a_faulty_conditions_file_is_a_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "conditions.toml"
    path.write_text('[s1]\nsummary = "x"\nloads = [{ kind = "gpu", place = "same", duty = [1.0] }]\n')
    with pytest.raises(CollectorError, match=r"conditions.toml.*gpu"):
        read_conditions(path)
