"""Predictors: how well each version did, and what it looks at."""

from collections.abc import Callable, Mapping

from app.web.charts.style import AnyChart

FORMS: Mapping[str, Callable[[], AnyChart]] = {}
