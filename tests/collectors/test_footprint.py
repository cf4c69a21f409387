"""What the agent costs beside the inference runtime itself: memory and the processor time of its uploader."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests import networks
from tests.loopback import loopback
from tests.processes import wait_until

MEMORY_LIMIT_BYTES = 60e6
CPU_LIMIT = 0.02
CPU_CLOCK_S = 0.02
"""Processor time is counted in hundredths of a second."""
WINDOW_S = 3.0
"""Batches that had to wait come close together, but what counts is the share of a longer time."""

RUNTIME_ALONE = """
import sys
import numpy, onnxruntime
sessions = []
for profiled in (False, True):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.enable_profiling = profiled
    sessions.append(onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"]))
x = numpy.ones((1, 3, 32, 32), dtype=numpy.float32)
for _ in range(100):
    for session in sessions:
        session.run(None, {"x": x})
print("up", flush=True)
sys.stdin.read()
"""


def own_bytes(pid: int) -> int:
    """Memory that a process holds for itself; pages of library files are shared and can be dropped."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Anonymous:"))


def cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def test_memory_and_upload_stay_small(tmp_path: Path) -> None:
    if not os.access("/proc/self/smaps_rollup", os.R_OK):
        pytest.skip("this kernel does not tell a process's own memory")
    model = networks.write(networks.convolution_network(), tmp_path)
    arguments = ["--models", str(model), "--conditions", "s0", "--spool", str(tmp_path / "spool.sqlite")]
    agent_command = [sys.executable, "-c", "from app.cli import main; main()", "agent", *arguments]
    with (
        loopback() as server,
        subprocess.Popen(
            [sys.executable, "-c", RUNTIME_ALONE, model],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=tmp_path,
        ) as runtime,
        subprocess.Popen(
            [*agent_command, "--seconds", "600", "--server", server.url],
            stderr=subprocess.DEVNULL,
        ) as agent,
    ):
        try:
            assert runtime.stdout is not None
            assert runtime.stdout.readline() == b"up\n"
            wait_until(lambda: sum(len(batch["runs"]) for batch in server.batches) > 100, "runs arrive")
            (uploader,) = psutil.Process(agent.pid).children()
            beside = own_bytes(agent.pid) - own_bytes(runtime.pid)
            assert beside + own_bytes(uploader.pid) < MEMORY_LIMIT_BYTES
            started, busy_s, batches = time.monotonic(), cpu_s(uploader), len(server.batches)
            wait_until(
                lambda: len(server.batches) >= batches + 2 and time.monotonic() - started > WINDOW_S,
                "two more batches arrive",
            )
            assert cpu_s(uploader) - busy_s <= CPU_LIMIT * (time.monotonic() - started) + CPU_CLOCK_S
        finally:
            agent.terminate()
            runtime.terminate()
