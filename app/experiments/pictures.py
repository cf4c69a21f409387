"""Pictures of experiments, as SVG and PNG, drawn without a browser or a network."""

from pathlib import Path

import altair as alt
import vl_convert


def draw(chart: alt.TopLevelMixin, path: Path) -> None:
    """Write `path` with the endings `.svg` and `.png`."""
    specification = chart.to_json()
    path.with_suffix(".svg").write_text(vl_convert.vegalite_to_svg(specification))
    path.with_suffix(".png").write_bytes(vl_convert.vegalite_to_png(specification, scale=2))
