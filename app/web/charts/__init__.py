"""The forms of all charts, by Altair: what is drawn how, without the data."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from app.web.charts import errors, plans, predictors
from app.web.charts.style import AnyChart

FORMS: Mapping[str, Callable[[], AnyChart]] = {**errors.FORMS, **plans.FORMS, **predictors.FORMS}


@cache
def form(name: str) -> dict[str, Any]:
    """Return a chart's Vega-Lite specification, which takes its data from `datasets.rows`."""
    # Altair's own validation takes seconds at first; a test validates every form.
    built: dict[str, Any] = FORMS[name]().to_dict(validate=False)
    built.pop("config", None)
    return {**built, "autosize": {"type": "fit-x", "contains": "padding"}}
