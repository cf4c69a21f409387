"""The published JSON Schema of the wire, generated from the types that decode it.

`python -m app.schemas.published` rewrites `data/schema/`.
"""

import json
from pathlib import Path
from typing import Any

import msgspec

from app.schemas.measurements import MeasurementBatch, MeasurementReceipt
from app.schemas.outcomes import OutcomeBatch, OutcomeReceipt

DIRECTORY = Path(__file__).parents[2] / "data" / "schema"

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schemas() -> dict[str, str]:
    """Return the text of each published file by its name."""
    return {
        "measurement-batch.v1.json": _text(MeasurementBatch),
        "measurement-receipt.v1.json": _text(MeasurementReceipt),
        "plan-outcomes.v1.json": _text(OutcomeBatch),
        "plan-outcomes-receipt.v1.json": _text(OutcomeReceipt),
    }


def _text(type_: type) -> str:
    schema: dict[str, Any] = {"$schema": DIALECT} | msgspec.json.schema(type_)
    if context := schema["$defs"].get("Context"):
        # Agents may send any other number about a run; null is a missing value.
        context["additionalProperties"] = {"type": ["number", "boolean", "null"]}
        for field in context["properties"].values():
            field["type"] = [field["type"], "null"]
    return json.dumps(schema, indent=2) + "\n"


if __name__ == "__main__":
    for name, text in schemas().items():
        (DIRECTORY / name).write_text(text)
