"""The compose file is valid, and the exact command line of each of our containers does its work."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.docker.test_image import instruction
from tests.processes import LIMIT_S

DOCKER = Path(__file__).parents[2] / "docker"
COMPOSE = yaml.safe_load((DOCKER / "compose.yaml").read_text())
BIN = Path(sys.executable).parent
OURS = {name: service for name, service in COMPOSE["services"].items() if service["image"] == "socast"}


def start(service: dict[str, Any], database_url: str) -> subprocess.Popen[str]:
    """Start what a container runs, on this machine's loopback."""
    command = [str(BIN / instruction("ENTRYPOINT")[0]), *service.get("command", instruction("CMD"))]
    environment = os.environ | service["environment"]
    environment |= {"SOCAST_DATABASE": database_url, "SOCAST_HOST": "127.0.0.1", "SOCAST_PORT": "0"}
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def first_line(process: subprocess.Popen[str], pattern: str) -> re.Match[str]:
    """Return the first matching line of its log; fail when it ends before."""
    assert process.stderr is not None
    said = ""
    for line in process.stderr:
        said += line
        if found := re.search(pattern, line):
            return found
    raise AssertionError(said)


def test_it_is_a_compose_file() -> None:
    check = [BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", DOCKER / "compose.yaml"]
    subprocess.run(check, check=True, capture_output=True)


def test_ours_are_the_ones_tested_here() -> None:
    assert {name: service["command"] for name, service in OURS.items()} == {
        "migrate": ["db", "upgrade"],
        "api": ["serve", "--no-learner"],
        "learner": ["learn"],
    }
    assert all(set(service["environment"]) == {"SOCAST_DATABASE"} for service in OURS.values())


def test_migrate_ends_well(postgres_url: str) -> None:
    process = start(OURS["migrate"], postgres_url)
    process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0


def test_api_serves_and_drains(postgres_url: str) -> None:
    process = start(OURS["api"], postgres_url)
    try:
        port = first_line(process, r"serving on http://127\.0\.0\.1:(\d+)")[1]
        assert httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=LIMIT_S).status_code == 200
        assert httpx.get(f"http://127.0.0.1:{port}/v1/devices", timeout=LIMIT_S).status_code == 401
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0


def test_learner_runs_until_it_is_stopped(postgres_url: str) -> None:
    process = start(OURS["learner"], postgres_url)
    try:
        first_line(process, "learning")
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0


@pytest.mark.parametrize("service", COMPOSE["services"].values(), ids=list(COMPOSE["services"]))
def test_everything_is_published_on_loopback_only(service: dict[str, Any]) -> None:
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


@pytest.mark.parametrize("service", COMPOSE["services"].values(), ids=list(COMPOSE["services"]))
def test_what_is_mounted_exists(service: dict[str, Any]) -> None:
    mounted = [volume.split(":")[0] for volume in service.get("volumes", [])]
    for source in mounted:
        assert source in COMPOSE["volumes"] or (DOCKER / source).exists(), source
