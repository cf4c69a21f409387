"""What readers of all model file formats share: limits, first looks at bytes, order of operators."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from predictors.graph_errors import GraphError, GraphFault
from predictors.topology import topological_order

_MAGIC = {
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"PK\x03\x04": "a ZIP archive (a PyTorch checkpoint?)",
    b"\x1f\x8b": "gzip-compressed data",
    b"%PDF": "a PDF",
    b"\x80\x02": "a Python pickle",
    b"{": "JSON text",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on a model file, so that a hostile one costs at most about two seconds and one gigabyte.

    `seconds` are those of the reading thread: a busy machine refuses no honest model.
    """

    size_bytes: int = 256 * 2**20
    nodes: int = 20_000
    depth: int = 8
    seconds: float = 1.8


DEFAULT_LIMITS = Limits()


def is_tflite(data: bytes) -> bool:
    """Tell by its identifier whether a file is TensorFlow Lite."""
    return data[4:8] == b"TFL3"


def check_bytes(data: bytes, limits: Limits) -> None:
    """Refuse files that are empty, too large, or plainly something else."""
    if len(data) > limits.size_bytes:
        raise GraphError(
            GraphFault.TOO_LARGE,
            f"the file has {len(data)} bytes, more than the {limits.size_bytes} accepted; "
            "store its weights outside it, only shapes are needed",
        )
    if not data:
        raise GraphError(GraphFault.NOT_A_MODEL, "the file is empty")
    for magic, what in _MAGIC.items():
        if data.startswith(magic):
            raise GraphError(GraphFault.NOT_A_MODEL, f"this is {what}, not a model file")


def ordered(
    reads: Sequence[Sequence[str]],
    writes: Sequence[Sequence[str]],
    known: Collection[str],
    types: Sequence[str],
) -> list[int]:
    """Return the operators in topological order, the file's where it is one; raise `GraphError`."""
    writer: dict[str, int] = {}
    for index, names in enumerate(writes):
        for name in names:
            if name in writer or name in known:
                raise GraphError(GraphFault.CORRUPT, f"tensor '{name}' is written twice")
            writer[name] = index
    before = []
    for index, names in enumerate(reads):
        for name in names:
            if name not in writer and name not in known:
                raise GraphError(
                    GraphFault.DANGLING,
                    f"operator {index} ({types[index]}) reads tensor '{name}', which nothing writes",
                )
        before.append({writer[name] for name in names if name in writer})
    order = topological_order(before)
    if order is None:
        raise GraphError(GraphFault.CYCLE, "the graph has a cycle; an operator needs its own result")
    return order


def unique_names(names: Sequence[str], writes: Sequence[Sequence[str]]) -> list[str]:
    """Return one name an operator; unnamed ones are called after their first output."""
    found: list[str] = []
    used: set[str] = set()
    for index, (name, outputs) in enumerate(zip(names, writes, strict=True)):
        base = name or next(iter(outputs), "") or f"operator_{index}"
        unique = base if base not in used else f"{base}#{index}"
        used.add(unique)
        found.append(unique)
    return found
