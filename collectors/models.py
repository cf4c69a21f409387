"""Which models an agent times: the light architectures inside the `onnx` package, or a folder of files."""

import hashlib
from collections import Counter
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
        if not paths and not root.is_dir():
            raise CollectorError(
                f"there is no folder {source!r}; name one that holds .onnx files, or '{LIGHT}'"
            )
    if not paths:
        raise CollectorError(f"no .onnx file in {source!r}; name a folder that holds some, or '{LIGHT}'")
    stems = Counter(path.stem for path in paths)
    return [
        _identify(path, path.stem if stems[path.stem] == 1 else f"{path.parent.name}/{path.stem}")
        for path in paths
    ]


def _onnx_package() -> Path:
    spec = find_spec("onnx")
    if spec is None or spec.origin is None:
        raise CollectorError("the onnx package is not installed; install socast with its dependencies")
    return Path(spec.origin).parent


def _identify(path: Path, name: str) -> ModelFile:
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CollectorError(f"{path} cannot be read: {error.strerror}") from error
    return ModelFile(ModelIdentity(name=name.removeprefix("light_"), digest=f"sha256:{digest}"), path)
