"""One look for all charts, light and dark; the palette (after Okabe and Ito 2008) is colour-blind safe."""

from typing import Any

_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', sans-serif"
_LIGHT = {"ink": "#1c2530", "soft": "#586473", "line": "#dde2e8", "ground": "#ffffff"}
_DARK = {"ink": "#e8ecf1", "soft": "#a3afbd", "line": "#343d49", "ground": "#171c23"}
_LIGHT_COLOURS = ("#c2500a", "#0067a8", "#8a6d00", "#7a4d8c", "#00785a", "#a23b72", "#4d6a8f")
_DARK_COLOURS = ("#f0883e", "#58b4ee", "#e3c04a", "#c99bd8", "#3fc79a", "#ee86b4", "#9db7d6")


def theme(*, dark: bool) -> dict[str, Any]:
    """Return Vega's configuration for a light or a dark page."""
    tone = _DARK if dark else _LIGHT
    text = {"labelColor": tone["soft"], "titleColor": tone["soft"], "labelFontSize": 12, "titleFontSize": 12}
    return {
        "background": tone["ground"],
        "font": _FONT,
        "range": {"category": list(_DARK_COLOURS if dark else _LIGHT_COLOURS)},
        "view": {"stroke": None},
        "axis": {
            **text,
            "titleFontWeight": "normal",
            "domainColor": tone["line"],
            "tickColor": tone["line"],
            "gridColor": tone["line"],
            "labelLimit": 130,
        },
        "legend": {
            **text,
            "orient": "top",
            "title": None,
            "symbolType": "circle",
            "columnPadding": 16,
            "symbolOpacity": 1,
        },
        "title": {"color": tone["ink"], "fontSize": 14, "anchor": "start", "offset": 12},
        "text": {"color": tone["ink"], "fontSize": 12},
        "rule": {"color": tone["soft"]},
        "tick": {"color": tone["ink"]},
        "mark": {"tooltip": None},
    }
