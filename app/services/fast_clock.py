"""The fast clock: every stored run moves its processor's state inside the transaction that stores it."""

from collections import defaultdict
from collections.abc import Sequence

from app.services.shelf import Serving, Shelf
from app.store import states
from app.store.engine import Connection
from app.store.measurements import StoredRun
from predictors.device_state import DeviceState

NEWEST_RUNS = 32
"""Runs of one processor absorbed from one transaction: a flood costs no more, and older runs hardly count."""


class FastClock:
    """Absorbs stored runs into device states; processors without a predictor have no state yet."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def __call__(self, connection: Connection, stored: Sequence[StoredRun]) -> None:
        """Move the states of the processors that ran; `stored` is in the order of receipt."""
        serving = self._shelf.all(connection)
        if not serving:
            return
        by_processor: dict[int, list[tuple[Serving, StoredRun]]] = defaultdict(list)
        for item in stored:
            found = serving.get(item.key)
            if found is not None:
                by_processor[item.processor_id].append((found, item))
        if not by_processor:
            return
        known = states.get_many(connection, by_processor)
        moved = {}
        for processor_id, items in by_processor.items():
            text = known.get(processor_id)
            state = DeviceState.initial() if text is None else DeviceState.from_json(text)
            newest = sorted(items[-NEWEST_RUNS:], key=lambda pair: _ended_at_ns(pair[1]))
            for found, item in newest:
                state = found.version.absorb(state, item.to_run())
            moved[processor_id] = state.to_json()
        states.put_many(connection, moved)


def _ended_at_ns(item: StoredRun) -> int:
    return item.record.started_at_us * 1000 + item.record.total_ns
