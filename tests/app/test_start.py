"""What a process of the service loads as it starts, and with how many threads it computes."""

import os
import subprocess
import sys

from threadpoolctl import threadpool_info

THREADS = "OPENBLAS_NUM_THREADS"
HEAVY = {"altair", "lightgbm", "onnx", "onnxruntime", "pandas", "river.drift", "scipy.stats", "sklearn"}
SCRIPT = f"""
import sys, app.main
app.main.routers()
print(sorted({HEAVY} & sys.modules.keys()))
from threadpoolctl import threadpool_info
print({{library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}})
"""


def test_a_server_loads_no_library_that_few_requests_need_and_computes_on_one_thread() -> None:
    environment = {name: value for name, value in os.environ.items() if name != THREADS}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.splitlines() == ["[]", "{1}"]


def test_so_do_the_tests() -> None:
    threads = [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]
    assert 1 <= max(threads) <= int(os.environ[THREADS])
