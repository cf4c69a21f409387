"""The published JSON Schema is what the code decodes, neither more nor less."""

import json
import os
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from app.errors import SocastError
from app.schemas.published import DIRECTORY, schemas
from app.services.prepare import prepare
from collectors.agent import AgentOptions
from tests import networks
from tests.batches import batch, run, transfer
from tests.loopback import loopback
from tests.sessions import until

VALIDATOR = jsonschema.Draft202012Validator(json.loads(schemas()["measurement-batch.v1.json"]))


def test_the_published_files_are_current() -> None:
    published = {path.name: path.read_text() for path in DIRECTORY.glob("*.json")}
    assert published == schemas(), "run `python -m app.schemas.published`"


@pytest.mark.parametrize("name", schemas())
def test_they_are_schemas(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(json.loads(schemas()[name]))


VALID = [
    batch(),
    batch(run(ran_on=["gpu", "cpu", "gpu"]), transfers=[transfer()]),
    batch(run(operators=[], latency_us=[], context={"kv_cache_length": 17, "battery_fraction": None})),
    {"batch_id": "b", "device": {"device_id": "d"}},
]
INVALID = [
    batch(run(latency_us=[-1.0, 0.0, 0.0])),
    batch(run(total_us="fast")),
    batch(run(context={"temperature_c": "hot"})),
    batch(run(context={"other": "text"})),
    batch(run(model={"digest": "sha256:" + "ab" * 32})),
    batch(run(model={"name": "m", "digest": "md5:1"})),
    batch(run(inclusion_probability=0)),
    batch(transfers=[transfer(size_bytes=-1)]),
    batch(operators=[{"inputs": []}]),
]


@pytest.mark.parametrize("body", VALID)
def test_what_it_allows_is_taken(body: dict[str, Any]) -> None:
    VALIDATOR.validate(body)
    assert prepare(json.dumps(body).encode())[1] == []


@pytest.mark.parametrize("body", INVALID)
def test_what_it_forbids_is_rejected(body: dict[str, Any]) -> None:
    assert not VALIDATOR.is_valid(body)
    try:
        _, faults = prepare(json.dumps(body).encode())
    except SocastError:
        return
    assert faults


def test_the_agent_sends_what_is_published(tmp_path: Path) -> None:
    networks.write(networks.convolution_network(), tmp_path / "models")
    with loopback() as server:
        until(
            lambda event: event["runs"] > 0,
            AgentOptions(
                server=server.url,
                spool=tmp_path / "spool.sqlite",
                models=str(tmp_path / "models"),
                conditions=("s0",),
                processors=(f"cpu:{min(os.sched_getaffinity(0))}",),
                device_id="test-device",
            ),
        )
        assert server.batches
        for body in server.batches:
            VALIDATOR.validate(body)
            assert prepare(json.dumps(body).encode())[1] == []
