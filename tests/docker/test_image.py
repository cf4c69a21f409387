"""The image's file follows the rules, and what it installs and starts works."""

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "docker" / "Dockerfile"
BIN = Path(sys.executable).parent


def instruction(name: str) -> list[str]:
    """Return the arguments of the last instruction of that name, in exec form."""
    found = re.findall(rf"^(?:\s+)?{name} (\[.*\])$", DOCKERFILE.read_text(), re.MULTILINE)
    return list(json.loads(found[-1]))


def test_it_passes_the_linter() -> None:
    subprocess.run([BIN / "hadolint", DOCKERFILE], check=True)


def test_it_does_not_run_as_root() -> None:
    assert re.findall(r"^USER (.*)$", DOCKERFILE.read_text(), re.MULTILINE)[-1] == "10001"


def test_the_lock_becomes_plain_constraints() -> None:
    script = re.search(r"sed -E '(.*)' requirements.lock", DOCKERFILE.read_text())
    assert script is not None
    text = subprocess.run(
        ["sed", "-E", script[1], ROOT / "requirements.lock"], check=True, capture_output=True, text=True
    ).stdout
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    pins = [Requirement(line) for line in lines]
    assert {"fastapi", "lightgbm", "sqlalchemy"} <= {pin.name for pin in pins}
    assert all(str(pin.specifier).startswith("==") for pin in pins)


def test_the_wheel_carries_all_it_needs(tmp_path: Path) -> None:
    subprocess.run(
        [BIN / "python", "-m", "hatchling", "build", "--target", "wheel", "--directory", tmp_path],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())
    tracked = subprocess.run(
        ["git", "ls-files", "app", "collectors", "data", "migrations", "predictors"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    assert set(tracked) <= packed


@pytest.mark.parametrize("path", ["pyproject.toml", "requirements.lock", "README.md"])
def test_the_build_sees_the_files_it_copies(path: str) -> None:
    assert f"!{path}" in (ROOT / ".dockerignore").read_text().splitlines()


def test_the_health_check_is_a_program() -> None:
    program = instruction("CMD")
    assert program == ["serve"]
    (check,) = re.findall(r"HEALTHCHECK .*?CMD (\[.*?\])\n", DOCKERFILE.read_text(), re.DOTALL)
    compile(json.loads(check)[2], "health check", "exec")
