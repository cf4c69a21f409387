"""Which models an agent times: the light architectures inside the `onnx` package, or a folder of files."""

import hashlib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from collectors.errors import CollectorError
from collectors.measurement import ModelIdentity

LIGHT = "light"


@dataclass(frozen=True, slots=True)
class ModelFile:
    """An ONNX file and its identity."""

    identity: ModelIdentity
    path: Path


def find_models(source: str) -> list[ModelFile]:
    """Return the models of `source`, sorted by name: `light`, a folder of `.onnx` files, or one such file.

    Raises:
        CollectorError: there is no such folder, or no model in it.

    """
    if source == LIGHT:
        paths = sorted(_onnx_package().glob("backend/test/data/light/light_*.onnx"))
    else:
        root = Path(source).expanduser()
        paths = [root] if root.is_file() else sorted(root.rglob("*.onnx"))
    if not paths:
        raise CollectorError(f"no .onnx file in {source!r}; name a folder that holds some, or '{LIGHT}'")
    return [_identify(path) for path in paths]


def _onnx_package() -> Path:
    spec = find_spec("onnx")
    if spec is None or spec.origin is None:
        raise CollectorError("the onnx package is not installed; install socast with its dependencies")
    return Path(spec.origin).parent


def _identify(path: Path) -> ModelFile:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    name = path.stem.removeprefix("light_")
    return ModelFile(ModelIdentity(name=name, digest=f"sha256:{digest}"), path)
