"""What a process of the service loads as it starts, and with how many threads it computes."""

import subprocess
import sys

from threadpoolctl import threadpool_info

HEAVY = {"altair", "lightgbm", "onnx", "onnxruntime", "pandas", "river.drift", "scipy.stats", "sklearn"}
SCRIPT = f"""
import sys, app.main
app.main.routers()
print(sorted({HEAVY} & sys.modules.keys()))
from threadpoolctl import threadpool_info
print({{library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}})
"""


def test_a_server_loads_no_library_that_few_requests_need_and_computes_on_one_thread() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "{1}"]


def test_so_do_the_tests() -> None:
    assert {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"} == {1}
