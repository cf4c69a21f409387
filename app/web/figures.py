"""Figures: a chart with its data, what it shows in words, and the same numbers as a table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastapi import Response

from app.errors import NotFoundError
from app.web import vega
from app.web.rendering import address
from app.web.theme import theme
from app.web.vega import PictureFormat

Row = Mapping[str, Any]

MEDIA_TYPES: Mapping[str, str] = {"svg": "image/svg+xml", "png": "image/png"}

PICTURE_WIDTH_PX = 720
"""How wide a chart is as a picture; on a page it is as wide as its place."""


@dataclass(frozen=True)
class Figure:
    """One chart.

    `chart` names its form in `app.web.charts`, `rows` are its data; `summary` says in a sentence what it
    shows; `head` and `body` are the same as a table of text. `picture` is the address of the SVG and PNG up
    to their ending, `query` what comes after it; without `height_px` the form has its own.
    """

    name: str
    chart: str
    title: str
    summary: str
    rows: Sequence[Row]
    head: Sequence[str]
    body: Sequence[Sequence[str]]
    picture: str
    query: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""
    height_px: int | None = None

    @property
    def spec(self) -> dict[str, Any]:
        """The Vega-Lite specification with the data inside."""
        from app.web.charts import form  # Altair takes a second to load.

        height = {} if self.height_px is None else {"height": self.height_px}
        return {**form(self.chart), **height, "datasets": {"rows": [dict(row) for row in self.rows]}}

    def picture_address(self, format_: PictureFormat) -> str:
        """Return where the chart is as a picture."""
        return address(f"{self.picture}/{self.name}.{format_}", **self.query)


def picture_of(figures: Sequence[Figure], name: str, format_: PictureFormat, *, dark: bool) -> Response:
    """Answer one of a page's charts as a picture; raise `NotFoundError`."""
    for figure in figures:
        if figure.name == name:
            if not figure.rows:
                raise NotFoundError(f"The chart {name!r} has nothing to show for this selection.")
            spec = {
                **figure.spec,
                "width": PICTURE_WIDTH_PX,
                "config": theme(dark=dark),
                "title": figure.title,
            }
            headers = {
                "Content-Disposition": f'inline; filename="socast-{name}.{format_}"',
                "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
            }
            return Response(vega.picture(spec, format_), media_type=MEDIA_TYPES[format_], headers=headers)
    raise NotFoundError(f"There is no chart {name!r}; there are {', '.join(f.name for f in figures)}.")
