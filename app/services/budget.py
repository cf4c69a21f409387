"""A bound on the bytes that all requests together may hold in memory."""

import threading
from types import TracebackType

from app.errors import TooManyRequestsError


class Budget:
    """Bytes that requests hold from the first one read until the answer; safe to use from any thread."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._lock = threading.Lock()
        self.held_bytes = 0

    def take(self, size_bytes: int) -> None:
        """Hold more; raise `TooManyRequestsError` when that would pass the limit."""
        with self._lock:
            if self.held_bytes + size_bytes > self._limit_bytes:
                raise TooManyRequestsError(
                    "Too many measurements wait to be written.", headers={"Retry-After": "1"}
                )
            self.held_bytes += size_bytes

    def give_back(self, size_bytes: int) -> None:
        """Hold less."""
        with self._lock:
            self.held_bytes -= size_bytes


class Reservation:
    """What one request holds of a budget; leaving its `with` block gives everything back."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._size_bytes = 0

    def take(self, size_bytes: int) -> None:
        """Hold more; raise `TooManyRequestsError` when that would pass the limit."""
        self._budget.take(size_bytes)
        self._size_bytes += size_bytes

    def __enter__(self) -> "Reservation":
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._budget.give_back(self._size_bytes)
