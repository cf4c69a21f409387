import xml.etree.ElementTree as ET

from app.planning.drawing import Bar, bars, bars_of_answer, png, svg, terminal
from app.planning.planner import plan
from app.planning.problem import ModelRequest
from app.planning.request import PlanningRequest
from tests.planning_cases import CPU, GPU, HashedCosts, graph_of


def test_both_drawings_show_every_processor_and_stage() -> None:
    graph = graph_of([[], [0], [0], [1, 2]], ["Conv"] * 4)
    for item in plan(PlanningRequest([ModelRequest(graph)], [CPU, GPU], HashedCosts())).plans:
        drawn = bars(item)
        assert len(drawn) == len(item.stages)
        text = terminal(drawn, width=80)
        rows = text.splitlines()
        assert len(rows) == len({bar.processor for bar in drawn}) + 1
        assert all(len(row) <= 80 for row in rows)
        assert "ms" in rows[-1]
        root = ET.fromstring(svg(drawn))
        assert len(list(root.iter("{http://www.w3.org/2000/svg}rect"))) == len(item.stages)


def test_names_are_escaped_and_nothing_is_drawn_for_nothing() -> None:
    assert "<b>" not in svg([Bar("<b>", 0.0, 10.0, "a & b")])
    assert "nothing" in terminal([])
    ET.fromstring(svg([]))


def test_answers_are_drawn_as_they_come() -> None:
    stage = {"processor": "gpu", "start_us": 0.0, "end_us": 5.0, "operators": ["a", "b"]}
    part = {**stage, "processor": "cpu", "split": {"dimension": "height", "range": [0.0, 0.4]}}
    drawn = bars_of_answer({"stages": [stage, part]})
    assert [bar.share for bar in drawn] == [1.0, 0.4]
    assert "▉" in terminal(drawn)


def test_the_image_is_as_large_as_the_drawing() -> None:
    drawn = [Bar("cpu:0", 0.0, 5.0, "a"), Bar("gpu", 2.0, 9.0, "b", 0.5)]
    image = png(drawn, width=400)
    assert image.startswith(b"\x89PNG\r\n")
    width, height = (int.from_bytes(image[place : place + 4], "big") for place in (16, 20))
    root = ET.fromstring(svg(drawn, width=400))
    assert (width, height) == (2 * 400, 2 * int(root.attrib["height"]))
