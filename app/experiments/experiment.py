"""What all experiments share: options, the bench on which they are made, and what they hand back."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import altair as alt

from app.errors import InvalidRequestError
from app.experiments.folder import Journal, write_csv, write_json
from app.experiments.lab import DEVICE_ID, Lab
from app.experiments.pictures import draw
from app.experiments.progress import Told, progress
from app.experiments.soundings import Soundings
from collectors.device import Processor, describe_host, find_processors, usable_cores
from collectors.models import LIGHT, ModelFile, find_models

QUICK = ("squeezenet", "shufflenet", "inception_v1", "resnet50")
"""Those light models that are quick enough for each to run often, the smallest first."""
EVALUATED = ("resnet50", "inception_v1")
"""Those whose plans are executed."""

Page = Callable[[Mapping[str, Any], str], str]


@dataclass(frozen=True)
class Options:
    """What the command is asked for; without `evaluated` models or `processors` the usual ones are taken."""

    folder: Path
    minutes: float = 10.0
    seed: int = 0
    models: str = LIGHT
    evaluated: tuple[str, ...] = ()
    processors: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """The time that the whole experiment may take."""
        return 60.0 * self.minutes


@dataclass(frozen=True)
class Outcome:
    """What an experiment found: figures for programs, and the page with its tables and pictures."""

    summary: Mapping[str, Any]
    page: Path


@dataclass
class Bench:
    """The machine, the service and the folder while an experiment runs."""

    options: Options
    journal: Journal
    told: Told
    lab: Lab
    soundings: Soundings
    processors: tuple[Processor, ...]
    files: Sequence[ModelFile]

    @classmethod
    @contextmanager
    def opened(cls, kind: str, options: Options) -> Iterator["Bench"]:
        """Open everything; what is open is closed however the block ends."""
        processors = find_processors(options.processors, usable_cores())
        files = models_of(options)
        with ExitStack() as stack:
            journal = Journal(options.folder, kind)
            told = stack.enter_context(progress(journal, options.seconds))
            lab = stack.enter_context(Lab(options.folder))
            spool = options.folder / "soundings.sqlite"
            device = describe_host(processors, DEVICE_ID)
            soundings = stack.enter_context(Soundings(device, files[:2], spool, options.seed))
            yield cls(options, journal, told, lab, soundings, processors, files)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the processors."""
        return tuple(processor.name for processor in self.processors)

    @property
    def evaluated(self) -> list[ModelFile]:
        """The models whose plans are executed, in the order asked for."""
        known = {file.identity.name: file for file in self.files}
        usual = EVALUATED if self.options.models == LIGHT else tuple(known)
        return [known[name] for name in self.options.evaluated or usual]

    @property
    def left_s(self) -> float:
        """Seconds that are left."""
        return self.options.seconds - self.journal.spent_s

    def longest_s(self, seconds: float) -> float:
        """Return for how long a load may be needed that serves a step of so many seconds."""
        return 10.0 * seconds + 60.0

    def table(self, name: str, rows: Sequence[Mapping[str, object]]) -> None:
        """Write a table of the experiment."""
        write_csv(self.journal.folder / f"{name}.csv", rows)

    def finish(
        self,
        summary: Mapping[str, Any],
        text: Page,
        pictures: Mapping[str, alt.TopLevelMixin],
        *,
        raw: str,
    ) -> Outcome:
        """Write pictures, figures and the page."""
        folder = self.journal.folder
        figures = {
            **summary,
            "raw": str(folder / f"{raw}.csv"),
            "host": host(self.processors),
            "spent_s": round(self.journal.spent_s, 1),
        }
        self.told.say("drawing")
        for name, chart in pictures.items():
            draw(chart, folder / name)
        write_json(folder / "summary.json", figures)
        page = folder / "page.md"
        page.write_text(text(figures, "\n".join(f"![{name}]({name}.svg)\n" for name in pictures)))
        return Outcome(figures, page)


def models_of(options: Options) -> list[ModelFile]:
    """Return an experiment's models, the smallest first; raise `InvalidRequestError` for unknown ones."""
    files = find_models(options.models)
    if options.models == LIGHT:
        files = sorted(
            (file for file in files if file.identity.name in QUICK),
            key=lambda file: QUICK.index(file.identity.name),
        )
    known = [file.identity.name for file in files]
    strangers = [name for name in options.evaluated if name not in known]
    if strangers:
        raise InvalidRequestError(
            f"There is no model {', '.join(strangers)} in {options.models!r}; it has {', '.join(known)}."
        )
    return files


def host(processors: Sequence[Processor]) -> dict[str, object]:
    """Describe the machine."""
    device = describe_host(tuple(processors), DEVICE_ID)
    return {
        "soc": device.soc,
        "os": device.os,
        "processors": [processor.name for processor in processors],
        "python": sys.version.split()[0],
    }
