"""What other tools measured becomes batches that the service takes, once however often they are sent."""

import gzip
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from typer.testing import CliRunner

from app.cli import build
from app.services.prepare import prepare
from collectors.client import Client
from collectors.importers import importers
from collectors.importers.importer import Importer, MissingOriginError, Origin, UnreadableFileError
from tests import phone
from tests.load import server
from tests.onnx_models import light

ORIGIN = Origin(
    device_id="board", processor="cpu:0", model="net", started_at=datetime(2026, 11, 21, tzinfo=UTC)
)
TFLITE = """\
============================== Run Order ==============================
node type, start, first, avg_ms, %, cdf%, mem KB, times called, name
CONV_2D, 0.000, 2.100, 2.000, 50.0%, 50.0%, 0.0, 1, [conv1]
DEPTHWISE_CONV_2D, 2.0, 1.1, 1.500, 37.5%, 87.5%, 0.0, 1, [dw1]
SOFTMAX, 3.5, 0.6, 0.500, 12.5%, 100.0%, 0.0, 1, [out]

============================== Summary by node type ==============================
node type, count, avg_ms
CONV_2D, 1, 2.000
"""
RUNS = 4


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One real file of each format."""
    folder = tmp_path_factory.mktemp("files")
    options = onnxruntime.SessionOptions()
    options.enable_profiling = True
    options.profile_file_prefix = str(folder / "profile")
    session = onnxruntime.InferenceSession(light("squeezenet"), options, providers=["CPUExecutionProvider"])
    (data,) = session.get_inputs()
    for _ in range(RUNS + 1):
        session.run(None, {data.name: np.zeros(data.shape, np.float32)})
    tflite = folder / "tflite.csv"
    tflite.write_text(TFLITE)
    trace = folder / "trace.ndjson.gz"
    lines = (phone.encoded(batch) for batch in phone.session(calm_runs=30, loaded_runs=0))
    trace.write_bytes(gzip.compress(b"\n".join(lines)))
    return {"onnxruntime": Path(session.end_profiling()), "tflite": tflite, "trace": trace}


def batches(importer: Importer, path: Path) -> list[dict[str, Any]]:
    return [json.loads(batch) for batch in importer.batches(path, ORIGIN)]


@pytest.mark.parametrize("importer", importers().values(), ids=list(importers()))
def test_every_format_becomes_batches_that_are_taken_whole(
    importer: Importer, files: dict[str, Path]
) -> None:
    for body in importer.batches(files[importer.format], ORIGIN):
        batch, faults = prepare(body)
        assert faults == []
        assert batch.runs
        assert batch.device.device_id == "board"


@pytest.mark.parametrize("importer", importers().values(), ids=list(importers()))
def test_every_format_gives_the_same_runs_twice(importer: Importer, files: dict[str, Path]) -> None:
    path = files[importer.format]
    first, second = (
        [run["run_id"] for batch in batches(importer, path) for run in batch["runs"]] for _ in range(2)
    )
    assert first == second
    assert len(set(first)) == len(first)


@pytest.mark.parametrize("importer", importers().values(), ids=list(importers()))
@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n", b"{}", b"\x1f\x8bnot gzip", b"[1, 2]"])
def test_every_format_says_what_it_cannot_read(importer: Importer, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(UnreadableFileError, match=str(path)):
        list(importer.batches(path, ORIGIN))


def test_a_profile_keeps_all_runs_but_the_first(files: dict[str, Path]) -> None:
    (batch,) = batches(importers()["onnxruntime"], files["onnxruntime"])
    assert len(batch["runs"]) == RUNS
    first, second = batch["runs"][:2]
    assert first["started_at"] == "2026-11-21T00:00:00+00:00" < second["started_at"]
    kinds = {operator["op_type"] for operator in batch["operators"]}
    assert kinds & {"Conv", "FusedConv"}
    assert 0 < sum(first["latency_us"]) <= first["total_us"]


def test_a_benchmark_is_one_run_of_means(files: dict[str, Path]) -> None:
    (batch,) = batches(importers()["tflite"], files["tflite"])
    (run,) = batch["runs"]
    assert run["latency_us"] == [2000.0, 1500.0, 500.0]
    assert [batch["operators"][index]["op_type"] for index in run["operators"]] == [
        "CONV_2D",
        "DEPTHWISE_CONV_2D",
        "SOFTMAX",
    ]


def test_what_a_file_does_not_tell_must_be_given(files: dict[str, Path]) -> None:
    with pytest.raises(MissingOriginError, match="--processor"):
        list(importers()["tflite"].batches(files["tflite"], Origin(device_id="d", model="m")))


@pytest.fixture
def address(sqlite_url: str) -> Iterator[str]:
    with server(sqlite_url) as running:
        yield f"http://127.0.0.1:{running.port}"


def test_the_command_sends_a_file_once(address: str, files: dict[str, Path]) -> None:
    command = ["import", "onnxruntime", str(files["onnxruntime"]), "--server", address]
    named = [*command, "--device", "board", "--processor", "cpu:0", "--model", "squeezenet"]
    answers = [CliRunner().invoke(build(), named, catch_exceptions=False) for _ in range(2)]
    said = [answer.stdout for answer in answers]
    assert said == [
        f"{RUNS} runs accepted, 0 known before, 0 rejected\n",
        f"0 runs accepted, {RUNS} known before, 0 rejected\n",
    ]
    with Client(address) as client:
        assert client.devices()["items"][0]["runs"] == RUNS
    unknown = CliRunner().invoke(build(), ["import", "xls", *named[2:]])
    assert unknown.exit_code == 2
