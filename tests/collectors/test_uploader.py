import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from collectors.client import Client
from collectors.device import Device, Processor
from collectors.measurement import Measurement, ModelIdentity, TransferMeasurement
from collectors.outbox import Outbox
from collectors.spool import Spool
from collectors.uploader import BACKOFF_FIRST_S, BACKOFF_LONGEST_S, Uploader
from predictors.graph import Operator
from tests.loopback import Answer, Loopback, loopback, receipt

DEVICE = Device("dev-1", "board", "chip", "Linux", (Processor("cpu:0", 0),))
CONV = Operator("Conv", ((1, 3, 8, 8), (4, 3, 3, 3)), ((1, 4, 6, 6),), attributes={"group": 1})
RELU = Operator("Relu", ((1, 4, 6, 6),), ((1, 4, 6, 6),))


def measured(number: int, kernels: tuple[Operator, ...] = (CONV, RELU)) -> Measurement:
    return Measurement(
        started_at_us=1_790_000_000_000_000 + number * 1000,
        processor="cpu:0",
        framework="onnxruntime 1",
        model=ModelIdentity("net", "sha256:" + "0" * 64),
        context={"run_queue": 1},
        total_us=10.0 + number,
        profiled=bool(kernels),
        kernels=kernels,
        latency_us=tuple(float(number) for _ in kernels),
    )


@pytest.fixture
def server() -> Iterator[Loopback]:
    with loopback() as state:
        yield state


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    opened = Spool(tmp_path / "spool.sqlite")
    yield opened
    opened.close()


@pytest.fixture
def uploader(spool: Spool, server: Loopback) -> Iterator[Uploader]:
    with Client(server.url, key="secret") as client:
        yield Uploader(spool, client, random.Random(0))


def test_a_batch_is_columnar_and_names_each_operator_once(
    spool: Spool, server: Loopback, uploader: Uploader
) -> None:
    outbox = Outbox(spool, DEVICE)
    outbox.put(
        [measured(1), measured(2, (RELU, CONV, RELU)), measured(3, ())],
        [TransferMeasurement(1_790_000_000_000_000, "cpu:0", "cpu:1", 4096, 12.5, {})],
    )
    assert uploader.step() == 0.0
    (batch,) = server.batches
    assert [operator["op_type"] for operator in batch["operators"]] == ["Conv", "Relu"]
    assert [run["operators"] for run in batch["runs"]] == [[0, 1], [1, 0, 1], []]
    assert [run["latency_us"] for run in batch["runs"]] == [[1, 1], [2, 2, 2], []]
    assert batch["runs"][0]["started_at"] == "2026-09-21T14:13:20.001000Z"
    assert batch["transfers"][0]["size_bytes"] == 4096
    assert batch["device"]["device_id"] == "dev-1"
    assert server.headers[0]["authorization"] == "Bearer secret"
    assert (spool.pending(), spool.count("uploaded")) == (0, 4)


def test_the_chance_of_having_stayed_travels_along(tmp_path: Path, server: Loopback) -> None:
    spool = Spool(tmp_path / "small.sqlite", cap_bytes=20_000, rng=random.Random(1))
    for number in range(100):
        Outbox(spool, DEVICE).put([measured(number)])
    with Client(server.url) as client:
        Uploader(spool, client).step()
    chances = [run["inclusion_probability"] for batch in server.batches for run in batch["runs"]]
    assert 0 < len(chances) < 100
    assert set(chances) < {1.0, 0.5, 0.25, 0.125}
    assert sum(1 / chance for chance in chances) == pytest.approx(100, rel=0.4)


def test_nothing_leaves_the_spool_before_the_server_has_it(
    spool: Spool, server: Loopback, uploader: Uploader
) -> None:
    Outbox(spool, DEVICE).put([measured(number) for number in range(5)])
    for status in (500, 502, 503, 429, 401, 404, 408):
        server.answer = lambda _, status=status: Answer(status)
        assert uploader.step() > 0
        assert spool.pending() == 5
    server.answer = receipt
    assert uploader.step() == 0.0
    assert spool.pending() == 0
    assert [run["total_us"] for run in server.batches[0]["runs"]] == [10, 11, 12, 13, 14]
    assert spool.count("retries") == 7


def test_the_network_may_be_down(spool: Spool, tmp_path: Path) -> None:
    Outbox(spool, DEVICE).put([measured(1)])
    with Client("http://127.0.0.1:9") as client:
        assert Uploader(spool, client).step() > 0
    assert spool.pending() == 1
    assert "cannot be reached" in (spool.noted("last_error") or "")


def test_waits_grow_with_failures_stay_bounded_and_start_anew(
    spool: Spool, server: Loopback, uploader: Uploader
) -> None:
    Outbox(spool, DEVICE).put([measured(1)])
    server.answer = lambda _: Answer(503)
    waits = [uploader.step() for _ in range(14)]
    for failure, wait in enumerate(waits):
        longest = min(BACKOFF_LONGEST_S, BACKOFF_FIRST_S * 2**failure)
        assert longest / 2 <= wait <= longest
    assert len(set(waits)) == len(waits)
    server.answer = receipt
    uploader.step()
    Outbox(spool, DEVICE).put([measured(2)])
    server.answer = lambda _: Answer(503)
    assert uploader.step() <= BACKOFF_FIRST_S


def test_the_servers_own_wish_is_honoured(spool: Spool, server: Loopback, uploader: Uploader) -> None:
    Outbox(spool, DEVICE).put([measured(1)])
    server.answer = lambda _: Answer(429, headers={"Retry-After": "7"})
    for _ in range(6):
        assert 7.0 <= uploader.step() <= 7.0 + BACKOFF_FIRST_S


def test_what_the_server_rejects_is_set_aside_with_the_reason(
    spool: Spool, server: Loopback, uploader: Uploader
) -> None:
    Outbox(spool, DEVICE).put([measured(number) for number in range(3)])
    fault = {"pointer": "/runs/1/latency_us", "detail": "negative"}
    server.answer = lambda batch: receipt(batch, [fault])
    assert uploader.step() == 0.0
    (letter,) = spool.dead_letters()
    assert (letter["pointer"], letter["detail"]) == ("/runs/1/latency_us", "negative")
    assert '"total_us":11.0' in letter["body"]
    assert (spool.pending(), spool.count("uploaded"), spool.count("rejected")) == (0, 2, 1)


def test_a_refused_batch_is_halved_until_the_culprit_stands_alone(
    spool: Spool, server: Loopback, uploader: Uploader
) -> None:
    Outbox(spool, DEVICE).put([measured(number) for number in range(9)])

    def refuse_seven(batch: dict[str, list[dict[str, float]]]) -> Answer:
        if any(run["total_us"] == 17.0 for run in batch["runs"]):
            return Answer(422, {"title": "Invalid request", "status": 422, "detail": "seven"})
        return receipt(batch)

    server.answer = refuse_seven
    for _ in range(20):
        uploader.step()
    assert spool.pending() == 0
    assert sorted(run["total_us"] for batch in server.batches for run in batch["runs"]) == [
        10.0 + number for number in range(9) if number != 7
    ]
    (letter,) = spool.dead_letters()
    assert "seven" in letter["detail"]


def test_devices_are_never_mixed_in_a_batch(spool: Spool, server: Loopback, uploader: Uploader) -> None:
    other = Device("dev-2", "board", "chip", "Linux", ())
    Outbox(spool, DEVICE).put([measured(1)])
    Outbox(spool, other).put([measured(2)])
    while uploader.step() == 0.0:
        pass
    assert [batch["device"]["device_id"] for batch in server.batches] == ["dev-1", "dev-2"]


def test_models_are_offered_and_a_refusal_does_not_hold_up_measurements(
    spool: Spool, server: Loopback, uploader: Uploader, tmp_path: Path
) -> None:
    spool.add_model("sha256:aa", tmp_path / "missing.onnx")
    Outbox(spool, DEVICE).put([measured(1)])
    while uploader.step() == 0.0:
        pass
    assert spool.pending() == 0
    assert server.paths[0] == "/v1/models/sha256:aa"
