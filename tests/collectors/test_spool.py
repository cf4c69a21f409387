import json
import random
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from collectors.spool import Layout, NewRecord, Spool
from collectors.spool_file import SpoolError

FILL = 2000


def record(number: int) -> NewRecord:
    return NewRecord("run", f'{{"number":{number},"fill":"{"x" * FILL}"}}')


def test_records_survive_a_restart_in_their_order(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.sqlite")
    device = spool.add_device("{}")
    spool.add(device, [record(number) for number in range(10)])
    spool.close()
    again = Spool(tmp_path / "spool.sqlite")
    assert [entry.body for entry in again.oldest(100, 10**9)] == [record(number).body for number in range(10)]
    assert again.stored_bytes() == sum(len(record(number).body) for number in range(10))


def test_records_survive_a_kill_without_notice(tmp_path: Path) -> None:
    path = tmp_path / "spool.sqlite"
    script = f"""
import os, signal
from pathlib import Path
from collectors.spool import NewRecord, Spool
spool = Spool(Path({str(path)!r}))
device = spool.add_device("{{}}")
for number in range(20):
    spool.add(device, [NewRecord("run", str(number))])
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -9
    assert [entry.body for entry in Spool(path).oldest(100, 10**9)] == [str(number) for number in range(20)]


def test_a_batch_is_bounded_in_bytes_but_never_empty(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.sqlite")
    spool.add(spool.add_device("{}"), [record(number) for number in range(10)])
    assert len(spool.oldest(100, 3 * FILL)) == 2
    assert len(spool.oldest(100, 1)) == 1
    assert len(spool.oldest(4, 10**9)) == 4


def test_at_the_cap_a_random_share_goes_and_is_accounted_for(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.sqlite", cap_bytes=400 * FILL, rng=random.Random(1))
    device = spool.add_device("{}")
    for start in range(0, 1000, 10):
        spool.add(device, [record(number) for number in range(start, start + 10)])
    assert spool.stored_bytes() <= 400 * FILL
    assert_fair(spool, 1000)


def test_no_kind_of_record_is_favoured(tmp_path: Path) -> None:
    """Long and short records, and each stretch of time as its probability says, go alike."""
    spool = Spool(tmp_path / "spool.sqlite", cap_bytes=500_000, rng=random.Random(2))
    device = spool.add_device("{}")
    mixed = [
        NewRecord("run", f'{{"kind":"{kind}","fill":"{"x" * (10 if kind == "short" else 900)}"}}')
        for _ in range(600)
        for kind in ("short", "long")
    ]
    spool.add(device, mixed)
    left = spool.oldest(10**6, 10**12)
    short = sum('"short"' in entry.body for entry in left)
    assert spool.count("dropped") > 500
    assert abs(short - (len(left) - short)) < 4 * len(left) ** 0.5


def numbers(spool: Spool) -> list[int]:
    return [json.loads(entry.body)["number"] for entry in spool.oldest(10**6, 10**12)]


def assert_fair(spool: Spool, total: int) -> None:
    """All are accounted for, weights restore the total, and no half of the time is favoured."""
    left = spool.oldest(10**6, 10**12)
    assert len(left) + spool.count("dropped") == total == spool.count("spooled")
    assert sum(1 / entry.inclusion_probability for entry in left) == pytest.approx(total, rel=0.25)
    early = sum(number < total / 2 for number in numbers(spool))
    assert abs(2 * early - len(left)) < 4 * len(left) ** 0.5
    assert spool._db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_full_database_drops_a_random_share_and_counts_it(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.sqlite", rng=random.Random(3))
    device = spool.add_device("{}")
    spool._db.execute("PRAGMA max_page_count = 400")
    for start in range(0, 1500, 5):
        spool.add(device, [record(number) for number in range(start, start + 5)])
    assert 0 < spool.pending() < 1500
    assert_fair(spool, 1500)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 8 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("only root may mount a small disk; the full database above stands in for it")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_really_full_disk_drops_a_random_share_and_counts_it(small_disk: Path) -> None:
    spool = Spool(small_disk / "spool.sqlite", rng=random.Random(4))
    device = spool.add_device("{}")
    for start in range(0, 6000, 5):
        spool.add(device, [record(number) for number in range(start, start + 5)])
    assert_fair(spool, 6000)
    with suppress(OSError), (small_disk / "other").open("wb", buffering=0) as other:
        while True:
            other.write(bytes(4096))
    for start in range(6000, 6200, 5):
        spool.add(device, [record(number) for number in range(start, start + 5)])
    gone = spool.oldest(10, 10**9)
    spool.settle(gone)
    assert spool.pending() + spool.count("dropped") + spool.count("uploaded") == 6200
    spool.close()


def test_once_the_spool_is_empty_everything_is_kept_again(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.sqlite", cap_bytes=20 * FILL, rng=random.Random(5))
    device = spool.add_device("{}")
    spool.add(device, [record(number) for number in range(100)])
    assert spool.count("dropped") > 0
    spool.settle(spool.oldest(10**6, 10**12))
    spool.add(device, [record(number) for number in range(10)])
    assert [entry.inclusion_probability for entry in spool.oldest(100, 10**9)] == [1.0] * 10


def test_two_connections_share_the_file(tmp_path: Path) -> None:
    writer, reader = Spool(tmp_path / "spool.sqlite"), Spool(tmp_path / "spool.sqlite")
    writer.add(writer.add_device("{}"), [record(1), record(2)])
    first, second = reader.oldest(10, 10**9)
    reader.settle([first], [(second, "/runs/1", "bad")])
    assert (writer.pending(), writer.count("uploaded"), writer.count("rejected")) == (0, 1, 1)
    assert writer.stored_bytes() == 0


def test_layouts_and_devices_go_when_nothing_refers_to_them(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.sqlite")
    device = spool.add_device("{}")
    spool.add(device, [NewRecord("run", "{}", Layout(digest, "[]")) for digest in "ab"])
    first, second = spool.oldest(10, 10**9)
    assert (spool.layout(first.layout or 0), spool.layout(second.layout or 0)) == ("[]", "[]")
    spool.settle([second])
    spool.forget_unused()
    assert spool._db.execute("SELECT digest FROM layout").fetchall() == [("a",)]


def test_an_unusable_file_is_a_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "spool.sqlite"
    path.write_bytes(b"this is no database, however long it may be" * 100)
    with pytest.raises(SpoolError, match="--spool"):
        Spool(path)


def test_sqlite_reports_a_full_disk_as_this_module_expects(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / "x.sqlite")
    db.execute("PRAGMA max_page_count = 2")
    with pytest.raises(sqlite3.OperationalError) as caught:
        db.execute("CREATE TABLE a (b)"), db.execute("CREATE TABLE c (d)"), db.execute("CREATE TABLE e (f)")
    assert caught.value.sqlite_errorcode == sqlite3.SQLITE_FULL
