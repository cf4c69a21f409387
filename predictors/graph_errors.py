"""What can be wrong with a model file."""

from enum import StrEnum


class GraphFault(StrEnum):
    """Why a model file was refused."""

    NOT_A_MODEL = "not_a_model"
    CORRUPT = "corrupt"
    TOO_LARGE = "too_large"
    TOO_DEEP = "too_deep"
    TOO_SLOW = "too_slow"
    UNBOUND_AXES = "unbound_axes"
    BAD_SHAPE = "bad_shape"
    CYCLE = "cycle"
    DANGLING = "dangling"


class GraphError(ValueError):
    """A model file cannot be turned into a graph; the message says what to do about it."""

    def __init__(self, fault: GraphFault, detail: str) -> None:
        self.fault = fault
        super().__init__(detail)
