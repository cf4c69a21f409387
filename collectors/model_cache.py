"""Models in memory: loaded when first needed, the least recently used ones let go when memory runs low."""

from collections.abc import Container, Mapping, Sequence

from collectors.models import ModelFile
from collectors.runners.runner import LoadedModel, Runner
from collectors.sensors import free_memory_share

LEAST_FREE_SHARE = 0.2
"""Below this share of free memory, models that are not in use are let go."""


class ModelCache:
    """Loaded models by name and engine."""

    def __init__(self, runners: Mapping[str, Runner], files: Sequence[ModelFile]) -> None:
        self._runners = runners
        self._files = {file.identity.name: file for file in files}
        self._loaded: dict[tuple[str, str], LoadedModel] = {}

    def ready(self, name: str, engine: str) -> LoadedModel:
        """Return a model whose sessions are all made, loading it where it is not in memory.

        Raises:
            ModelError: it cannot be loaded.

        """
        place = name, engine
        model = self._loaded.pop(place, None) or self._runners[engine].load(self._files[name])
        self._loaded[place] = model
        model.prepare(profiled=True)
        return model

    def replace(self, file: ModelFile) -> None:
        """Have another file under a name, or a new name."""
        self.drop(file.identity.name)
        self._files[file.identity.name] = file

    def drop(self, name: str) -> None:
        """Let a model go for good, on every engine."""
        for place in [place for place in self._loaded if place[0] == name]:
            self._loaded.pop(place).close()

    def close(self) -> None:
        """Let all models go."""
        for name, _ in list(self._loaded):
            self.drop(name)

    def make_room(self, in_use: Container[str]) -> None:
        """Let models go that are not in use, oldest first, while memory is short."""
        for name in dict.fromkeys(name for name, _ in self._loaded if name not in in_use):
            if free_memory_share() >= LEAST_FREE_SHARE:
                return
            self.drop(name)
