"""The page that shows the house names rooms and modules that are there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/architecture.md").read_text()


def sections() -> dict[str, str]:
    """Return the page's sections by the first word of their titles."""
    parts = re.split(r"^#{2,3} (\S+?):?(?: .*)?$", PAGE, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def named(text: str) -> list[str]:
    return re.findall(r"`([a-z_/.]+)`", text)


def test_every_path_is_there() -> None:
    rooms = ("app/", "collectors/", "docs/", "predictors/")
    paths = [name for name in named(PAGE) if name.startswith(rooms)]
    assert len(paths) > 15
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_module_of_the_pure_rooms_is_there() -> None:
    for room in ("predictors", "app/planning"):
        names = [name for name in named(sections()[room]) if "." not in name]
        assert len(names) > 10
        missing = [name for name in names if not list((ROOT / room).glob(f"{name.rstrip('/')}*"))]
        assert missing == [], room
