import gzip
import json
import os
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from app.cli import build
from collectors.agent import AgentOptions, Counts, record_trace
from tests import networks
from tests.sessions import until

CORE = f"cpu:{sorted(os.sched_getaffinity(0))[-1]}"


def test_sessions_without_a_server_add_up_to_one_trace(tmp_path: Path) -> None:
    model = networks.write(networks.convolution_network(), tmp_path)
    options = AgentOptions(
        server=None, spool=tmp_path / "spool", models=str(model), processors=(CORE,), seed=1
    )
    path = tmp_path / "traces" / "own.ndjson.gz"

    def record(options: AgentOptions, *watched: Any) -> Counts:
        return record_trace(options, path, *watched)

    runs = sum(int(until(lambda _: True, options, run=record)["runs"] or 0) for _ in range(2))
    with gzip.open(path, "rt") as file:
        batches = [json.loads(line) for line in file]
    starts = [run["started_at"] for batch in batches for run in batch["runs"]]
    assert len(starts) == runs > 0
    assert starts == sorted(starts)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["small.onnx", "traces"]


def test_a_server_or_a_trace_is_needed_but_not_both(tmp_path: Path) -> None:
    for arguments in ([], ["--server", "http://127.0.0.1:9", "--trace", str(tmp_path / "t.gz")]):
        result = CliRunner().invoke(build(), ["agent", *arguments])
        assert result.exit_code == 2
        assert "--server" in result.stderr
