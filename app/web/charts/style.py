"""What charts have in common."""

from collections.abc import Mapping, Sequence

import altair as alt

AnyChart = alt.Chart | alt.LayerChart | alt.FacetChart

ROWS = alt.NamedData("rows")

RUNGS: Mapping[str, str] = {
    "calm": "offline",
    "per_condition": "per condition",
    "context_frozen": "context, frozen",
    "state_only": "state only",
    "runtime": "runtime",
}
"""How charts and tables call the rungs."""


def rung_colour(names: Sequence[str] = ("offline", "runtime")) -> alt.Color:
    """Return the colour of rungs: always the same one for the same rung."""
    order = ["offline", "runtime", "per condition", "context, frozen", "state only"]
    present = [name for name in order if name in names]
    return alt.Color("rung:N", scale=alt.Scale(domain=present), legend=alt.Legend(title=None))
