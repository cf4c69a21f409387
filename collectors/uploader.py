"""Moves the spool to the server: a process of its own, so that it never disturbs a measurement.

Nothing leaves the spool before the server has said that it is stored (or never will be). What to do about
an answer is decided here, when to do it by `Uploader.step`, which returns the seconds to wait: there is no
clock in it, so a jump of the system's clock changes nothing.
"""

import gzip
import os
import random
import re
import signal
import sys
import threading
import time
from pathlib import Path

from collectors.batch import BatchBuilder
from collectors.client import Client, Receipt, RefusedError, ServiceError
from collectors.parent_death import die_with_parent
from collectors.spool import Record, Spool

BATCH_RECORDS = 200
BATCH_BYTES = 1024 * 1024
IDLE_S = 0.5
BACKOFF_FIRST_S = 0.5
BACKOFF_LONGEST_S = 120.0
RETRY_AFTER_LONGEST_S = 3600.0
COMPRESSION_LEVEL = 4
DATA_FAULTS = frozenset({400, 409, 413, 422})
"""Statuses that blame the batch itself; all others are about the server, the key or the address."""
MODEL_FAULTS = frozenset({*DATA_FAULTS, 403, 404, 405, 415})
"""Statuses after which a model is not offered again in this session; measurements go on without it."""
_POINTER = re.compile(r"^/(runs|transfers)/(\d+)(?:/|$)")


class Uploader:
    """Empties a spool, batch by batch."""

    def __init__(self, spool: Spool, client: Client, rng: random.Random | None = None) -> None:
        self._spool = spool
        self._client = client
        self._rng = rng or random.Random()
        self._failures = 0
        self._batch_records = BATCH_RECORDS
        self._builder = BatchBuilder(spool)

    def step(self) -> float:
        """Send one model or one batch; return the seconds to wait before the next step."""
        try:
            if self._send_model() or self._send_records():
                if self._failures:
                    self._spool.note("last_error", None)
                self._failures = 0
                return 0.0
        except ServiceError as error:
            return self._back_off(error)
        return IDLE_S

    def _back_off(self, error: ServiceError) -> float:
        """Wait as the server asks, else twice as long after each failure; always with some chance in it."""
        self._spool.increase("retries")
        self._spool.note("last_error", str(error))
        longest_s = min(BACKOFF_LONGEST_S, BACKOFF_FIRST_S * 2 ** min(self._failures, 16))
        self._failures += 1
        if isinstance(error, RefusedError) and error.retry_after_s is not None:
            asked_s = min(error.retry_after_s, RETRY_AFTER_LONGEST_S)
            return asked_s + self._rng.uniform(0.0, BACKOFF_FIRST_S)
        return float(longest_s) * self._rng.uniform(0.5, 1.0)

    def _send_model(self) -> bool:
        new = self._spool.next_model()
        if new is None:
            return False
        digest, path = new
        state = "known"
        try:
            if not self._knows(digest):
                self._client.register_model(path)
        except OSError as error:
            state = str(error)
        except RefusedError as error:
            if error.status not in MODEL_FAULTS:
                raise
            state = str(error)
        self._spool.settle_model(digest, state)
        return True

    def _knows(self, digest: str) -> bool:
        try:
            self._client.model(digest)
        except RefusedError as error:
            if error.status in MODEL_FAULTS:
                return False
            raise
        return True

    def _send_records(self) -> bool:
        records = self._spool.oldest(self._batch_records, BATCH_BYTES)
        if not records:
            return False
        try:
            receipt = self._client.upload(
                gzip.compress(self._builder.build(records), COMPRESSION_LEVEL, mtime=0)
            )
        except RefusedError as error:
            if error.status not in DATA_FAULTS:
                raise
            self._isolate(records, error)
            return True
        self._settle(records, receipt)
        self._batch_records = min(BATCH_RECORDS, self._batch_records * 2)
        return True

    def _isolate(self, records: list[Record], error: RefusedError) -> None:
        """Halve a refused batch until the record that is to blame stands alone, and set that one aside."""
        if len(records) == 1:
            self._spool.settle([], [(records[0], "", str(error))])
        else:
            self._batch_records = max(1, len(records) // 2)

    def _settle(self, records: list[Record], receipt: Receipt) -> None:
        by_kind = {
            "runs": [record for record in records if record.kind == "run"],
            "transfers": [record for record in records if record.kind == "transfer"],
        }
        rejected: dict[int, tuple[Record, str, str]] = {}
        for fault in receipt.rejected:
            place = _POINTER.match(fault.pointer)
            members = by_kind[place[1]] if place else []
            if place and int(place[2]) < len(members):
                record = members[int(place[2])]
                rejected.setdefault(record.id, (record, fault.pointer, fault.detail))
        delivered = [record for record in records if record.id not in rejected]
        self._spool.settle(delivered, list(rejected.values()))


def main(server: str, spool_path: str, parent: str) -> None:
    """Upload until standard input ends; a line `drain SECONDS` asks to send the rest first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with_parent(int(parent))
    stop = threading.Event()
    drain_s = 0.0

    def listen() -> None:
        nonlocal drain_s
        for line in sys.stdin:
            drain_s = float(line.split()[1])
        stop.set()

    threading.Thread(target=listen, daemon=True).start()
    spool = Spool(Path(spool_path))
    with Client(server, os.environ.get("SOCAST_KEY") or None) as client:
        uploader = Uploader(spool, client)
        while not stop.wait(uploader.step()):
            pass
        deadline = time.monotonic() + drain_s
        while spool.pending() and time.monotonic() < deadline:
            time.sleep(min(uploader.step(), max(0.0, deadline - time.monotonic())))
    spool.close()
