"""Let an analyst look at what is stored, page by page."""

from app.schemas.browse import DeviceOut, DevicePage, ModelOut, OperatorOut, ProcessorOut, RunOut, RunPage
from app.services import cursors
from app.services.times import moment
from app.store import devices, runs
from app.store.devices import DeviceInfo
from app.store.engine import Database
from app.store.runs import RunFilter, RunInfo


def device_page(database: Database, *, cursor: str | None, limit: int, soc: str | None) -> DevicePage:
    """Return devices in order of their ids."""
    after = "" if cursor is None else str(cursors.read(cursor, str)[0])
    with database.read() as connection:
        found = devices.list_devices(connection, after=after, limit=limit + 1, soc=soc)
    items = found[:limit]
    following = cursors.write(items[-1].device_id) if len(found) > limit else None
    return DevicePage(items=[_device(item) for item in items], next=following)


def run_page(
    database: Database, wanted: RunFilter, *, cursor: str | None, limit: int, with_timings: bool
) -> RunPage:
    """Return runs, newest start first."""
    after = None
    if cursor is not None:
        start, key = cursors.read(cursor, int, int)
        after = (int(start), int(key))
    with database.read() as connection:
        found = runs.list_runs(connection, wanted, after=after, limit=limit + 1, with_timings=with_timings)
    items = found[:limit]
    following = cursors.write(items[-1].started_at_us, items[-1].id) if len(found) > limit else None
    return RunPage(items=[_run(item) for item in items], next=following)


def _device(item: DeviceInfo) -> DeviceOut:
    return DeviceOut(
        device_id=item.device_id,
        model=item.model,
        soc=item.soc,
        os=item.os,
        drivers=item.drivers,
        processors=[
            ProcessorOut(
                name=p.name,
                kind=p.kind,
                threads=p.threads,
                resources=list(p.resources),
                unsupported=list(p.unsupported),
            )
            for p in item.processors
        ],
        runs=item.runs,
        timings=item.timings,
        last_seen=moment(item.last_seen_at_us),
        context=item.context,
        quarantined=item.quarantined,
    )


def _run(item: RunInfo) -> RunOut:
    out = RunOut(
        run_id=item.run_id,
        device_id=item.device_id,
        processor=item.processor,
        framework=item.framework,
        model=ModelOut(name=item.model_name, digest=item.model_digest or None),
        started_at=moment(item.started_at_us),
        condition=item.condition,
        context=item.context,
        profiled=item.profiled,
        calibration=item.calibration,
        total_us=item.total_us,
        energy_mj=item.energy_mj,
        inclusion_probability=item.inclusion_probability,
    )
    if item.timings is not None:
        out.operators = [
            OperatorOut(
                op_type=t.operator.op_type,
                inputs=[list(shape) for shape in t.operator.inputs],
                outputs=[list(shape) for shape in t.operator.outputs],
                dtype=t.operator.dtype,
                attributes=dict(t.operator.attributes),
            )
            for t in item.timings
        ]
        out.latency_us = [t.latency_us for t in item.timings]
        out.ran_on = [t.ran_on or item.processor for t in item.timings]
    return out
