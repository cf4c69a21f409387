"""What processors and models are called, by the numbers that other rows know them under."""

from typing import NamedTuple

from sqlalchemy import Connection, select

from app.store.batch import soc_name
from app.store.tables import device, model, processor


class ModelName(NamedTuple):
    """A model as runs name it; the digest may be empty."""

    name: str
    digest: str


class ProcessorName(NamedTuple):
    """A processor of one device."""

    soc: str
    device_id: str
    name: str


def models(connection: Connection) -> dict[int, ModelName]:
    """Return every model by its row."""
    return {row.id: ModelName(row.name, row.digest) for row in connection.execute(select(model))}


def processors(connection: Connection) -> dict[int, ProcessorName]:
    """Return every processor by its row."""
    rows = connection.execute(
        select(processor.c.id, device.c.soc, device.c.device_id, processor.c.name).join(
            device, device.c.id == processor.c.device
        )
    )
    return {row.id: ProcessorName(soc_name(row.soc, row.device_id), row.device_id, row.name) for row in rows}
