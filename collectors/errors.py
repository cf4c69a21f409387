"""Faults of the collecting side; each message says what to do about it."""


class CollectorError(Exception):
    """Something on this device keeps the agent from its work."""


class ModelError(CollectorError):
    """A model cannot be read or run by the engine; `model` is its name."""

    def __init__(self, model: str, reason: str) -> None:
        self.model = model
        super().__init__(f"{model}: {reason}")


class ProfileError(CollectorError):
    """The engine's profile does not tell the runs that were made."""


class PlanError(CollectorError):
    """A plan cannot be executed here."""
