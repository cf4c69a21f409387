"""Small tables that give names a number: devices, processors, frameworks, models, operators, targets.

A `Registry` remembers what it has looked up. Rows are never deleted, so what it remembers stays true, unless
the transaction that inserted them rolls back: then call `forget`.
"""

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

from sqlalchemy import Connection, Table, bindparam, insert, select, tuple_, update

from app.store.batch import DeviceRecord, ProcessorRecord, soc_name
from app.store.tables import device, execution_target, framework, model, operator, processor
from predictors.graph import Operator
from predictors.run import framework_name_and_version

CACHED_OPERATORS = 200_000


class KnownDevice(NamedTuple):
    """A device's number and the SoC that its predictors are keyed by."""

    key: int
    soc: str


class Registry:
    """Numbers of names, by one writer; every method may insert and runs inside the caller's transaction."""

    def __init__(self) -> None:
        self._devices: dict[str, tuple[KnownDevice, DeviceRecord]] = {}
        self._processors: dict[tuple[int, str], int] = {}
        self._frameworks: dict[str, int] = {}
        self._models: dict[tuple[str, str], int] = {}
        self._operators: dict[str, int] = {}
        self._targets: dict[str, int] = {}

    def forget(self) -> None:
        """Forget everything, after a rollback."""
        self.__init__()  # type: ignore[misc]

    def device(self, connection: Connection, record: DeviceRecord, now_us: int) -> KnownDevice:
        """Return a device; store what is new in its description (empty parts change nothing)."""
        known = self._devices.get(record.device_id)
        if known is not None and known[1] == record:
            return known[0]
        key = connection.scalar(select(device.c.id).where(device.c.device_id == record.device_id))
        described = {
            name: value
            for name, value in (("model", record.model), ("soc", record.soc), ("os", record.os))
            if value
        }
        if record.drivers != "{}":
            described["drivers"] = record.drivers
        if key is None:
            empty = {"model": "", "soc": "", "os": "", "drivers": "{}"}
            key = _inserted(
                connection,
                device,
                {
                    **empty,
                    **described,
                    "device_id": record.device_id,
                    "first_seen_at_us": now_us,
                    "last_seen_at_us": now_us,
                    "run_count": 0,
                    "timing_count": 0,
                    "quarantined": False,
                },
            )
        elif described:
            connection.execute(update(device).where(device.c.id == key).values(described))
        for declared in record.processors:
            self._declare(connection, key, declared)
        soc = connection.scalar(select(device.c.soc).where(device.c.id == key))
        found = KnownDevice(key, soc_name(soc or "", record.device_id))
        self._devices[record.device_id] = (found, record)
        return found

    def processor_id(self, connection: Connection, device_key: int, name: str) -> int:
        """Return the number of a device's processor; an unknown one registers itself by its name."""
        key = self._processors.get((device_key, name))
        if key is None:
            key = connection.scalar(
                select(processor.c.id).where(processor.c.device == device_key, processor.c.name == name)
            )
            if key is None:
                key = _inserted(
                    connection, processor, {"device": device_key, **ProcessorRecord.named(name)._asdict()}
                )
            self._processors[device_key, name] = key
        return key

    def framework_id(self, connection: Connection, text: str) -> int:
        """Return the number of a framework given as `name version`."""
        key = self._frameworks.get(text)
        if key is None:
            name, version = framework_name_and_version(text)
            key = _get_or_insert(connection, framework, {"name": name, "version": version})
            self._frameworks[text] = key
        return key

    def model_id(self, connection: Connection, name: str, digest: str) -> int:
        """Return the number of a model as runs name it; the digest may be empty."""
        key = self._models.get((name, digest))
        if key is None:
            key = _get_or_insert(connection, model, {"name": name, "digest": digest})
            self._models[name, digest] = key
        return key

    def target_id(self, connection: Connection, name: str) -> int:
        """Return the number of a place where an operator really ran."""
        key = self._targets.get(name)
        if key is None:
            key = self._targets[name] = _get_or_insert(connection, execution_target, {"name": name})
        return key

    def operator_ids(self, connection: Connection, operators: Iterable[Operator | None]) -> list[int]:
        """Return the number of each operator, 0 for None."""
        wanted = list(operators)
        missing = {o.signature: o for o in wanted if o is not None and o.signature not in self._operators}
        if missing:
            if len(self._operators) + len(missing) > CACHED_OPERATORS:
                self._operators.clear()
                missing = {o.signature: o for o in wanted if o is not None}
            self._learn_operators(connection, missing)
        known = self._operators
        return [0 if o is None else known[o.signature] for o in wanted]

    def _learn_operators(self, connection: Connection, missing: dict[str, Operator]) -> None:
        known = _operator_rows(connection, list(missing))
        new = [_operator_row(o) for signature, o in missing.items() if signature not in known]
        if new:
            connection.execute(insert(operator), new)
            known |= _operator_rows(connection, [row["signature"] for row in new])
        self._operators |= known

    def _declare(self, connection: Connection, device_key: int, record: ProcessorRecord) -> None:
        values = record._asdict()
        found = connection.execute(
            update(processor)
            .where(processor.c.device == device_key, processor.c.name == record.name)
            .values(values)
        )
        if found.rowcount == 0:
            self._processors[device_key, record.name] = _inserted(
                connection, processor, {"device": device_key, **values}
            )


def _operator_row(record: Operator) -> dict[str, str]:
    parts = json.loads(record.canonical)
    texts = {
        name: json.dumps(parts[name], sort_keys=True, separators=(",", ":"))
        for name in ("inputs", "outputs", "attributes")
    }
    return {"signature": record.signature, "op_type": record.op_type, "dtype": record.dtype, **texts}


def _operator_rows(connection: Connection, signatures: list[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    query = select(operator.c.signature, operator.c.id).where(
        operator.c.signature.in_(bindparam("signatures", expanding=True))
    )
    for start in range(0, len(signatures), 1000):
        rows = connection.execute(query, {"signatures": signatures[start : start + 1000]})
        found.update((signature, key) for signature, key in rows)
    return found


def _get_or_insert(connection: Connection, table: Table, values: dict[str, Any]) -> int:
    columns = [table.c[name] for name in values]
    key = connection.scalar(select(table.c.id).where(tuple_(*columns) == tuple_(*values.values())))
    return _inserted(connection, table, values) if key is None else int(key)


def _inserted(connection: Connection, table: Table, values: dict[str, Any]) -> int:
    result = connection.execute(insert(table).values(values))
    assert result.inserted_primary_key is not None
    return int(result.inserted_primary_key[0])
