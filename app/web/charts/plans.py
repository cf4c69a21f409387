"""Plans: who works when, and what each strategy promises."""

from collections.abc import Callable, Mapping

from app.web.charts.style import AnyChart

FORMS: Mapping[str, Callable[[], AnyChart]] = {}
