"""Where a question stands: who serves it, in which state and context, on which kernels."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from app.services import targets
from app.services.kernels import KernelCache
from app.services.shelf import REFRESH_S, Shelf
from app.services.targets import Processor
from app.store import changes
from app.store.engine import Database
from predictors.graph import Operator

MOST_KEPT = 1_000


@dataclass(frozen=True, slots=True)
class Subject:
    """What is asked about: a processor of a device or of a SoC, and a model unless operators are listed."""

    processor: str
    device_id: str | None = None
    soc: str | None = None
    framework: str | None = None
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class Situation:
    """How a subject stands now; `context` is the device's latest, `kernels` and `mapping` are the model's.

    Without a model there are no kernels and `mapping` is `request`.
    """

    device_id: str
    soc: str
    context: Mapping[str, float]
    place: Processor
    kernels: Sequence[Operator]
    mapping: str


class Situations:
    """Looks situations up, and keeps them for as long as nothing was committed to the database.

    They hold no longer than the shelf of versions does, which follows the store on its own.
    """

    def __init__(
        self,
        database: Database,
        shelf: Shelf,
        kernels: KernelCache,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._changes = changes.watch(database)
        self._shelf = shelf
        self._kernels = kernels
        self._clock = clock
        self._kept: dict[Subject, tuple[object, float, Situation]] = {}

    def at_hand(self, subject: Subject) -> Situation | None:
        """Return a situation that is known to stand still, without asking more of the database than that."""
        kept = self._kept.get(subject)
        if kept is None:
            return None
        mark, looked_up_at, situation = kept
        if self._clock() - looked_up_at >= REFRESH_S or mark != self._changes.mark():
            return None
        return situation

    def look_up(self, subject: Subject) -> Situation:
        """Return a situation as the database has it.

        Raises `NotFoundError` (device, SoC or model unknown) or `InvalidRequestError` (processor).
        """
        mark, now = self._changes.mark(), self._clock()
        with self._database.read() as connection:
            target = targets.resolve(
                connection,
                self._shelf,
                device_id=subject.device_id,
                soc=subject.soc,
                context=None,
                framework=subject.framework,
                named=(subject.processor,),
            )
            place = target.processor(subject.processor)
            kernels: Sequence[Operator] = ()
            mapping = "request"
            if subject.digest is not None:
                kernels, mapping = self._kernels.kernels(
                    connection, subject.digest, framework=place.key.framework, processor=subject.processor
                )
        situation = Situation(target.device_id, target.soc, target.context, place, tuple(kernels), mapping)
        if len(self._kept) >= MOST_KEPT:
            self._kept.clear()
        self._kept[subject] = mark, now, situation
        return situation
