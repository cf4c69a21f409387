"""A small builder of ONNX graphs in double precision: named values in, named values out."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

Shape = Sequence[str | int]
Attribute = Any
Declared = tuple[int, Shape]

OPSETS = {"": 17, "ai.onnx.ml": 2}
IR_VERSION = 10
"""The newest that every ONNX Runtime since 1.18 reads."""

_NOTHING = "\x00"
"""A key that no name equals: label encoders must not be empty."""


class Builder:
    """Collects nodes; every method adds one operation and returns the name of its result."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def constant(self, value: float | Sequence[float] | NDArray[np.generic]) -> str:
        """Add a constant: numbers as float64, arrays as they are."""
        array = np.asarray(value) if isinstance(value, np.ndarray) else np.asarray(value, dtype=np.float64)
        name = f"constant_{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(array, name))
        return name

    def indexes(self, *values: int) -> str:
        """Add a constant of int64 indexes, shape (len(values),)."""
        return self.constant(np.array(values, dtype=np.int64))

    def op(self, op_type: str, *inputs: str, domain: str = "", **attributes: Attribute) -> str:
        """Add an operator with one output."""
        output = f"{op_type.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op_type, list(inputs), [output], domain=domain, **attributes))
        return output

    def codes(self, names: str, known: Mapping[str, int], default: int) -> str:
        """Add a lookup of strings, giving int64 codes."""
        return self.op(
            "LabelEncoder",
            names,
            domain="ai.onnx.ml",
            keys_strings=[*known, _NOTHING],
            values_int64s=[*known.values(), default],
            default_int64=default,
        )

    def numbers(self, names: str, known: Mapping[str, float], default: float) -> str:
        """Add a lookup of strings, giving float64 numbers (stored as float32)."""
        found = self.op(
            "LabelEncoder",
            names,
            domain="ai.onnx.ml",
            keys_strings=[*known, _NOTHING],
            values_floats=[*known.values(), default],
            default_float=default,
        )
        return self.double(found)

    def double(self, value: str) -> str:
        """Add a cast to float64."""
        return self.op("Cast", value, to=onnx.TensorProto.DOUBLE)

    def clipped(self, value: str, low: float, high: float) -> str:
        """Add bounds."""
        return self.op("Min", self.op("Max", value, self.constant(low)), self.constant(high))

    def model(
        self,
        name: str,
        inputs: Mapping[str, Declared],
        outputs: Mapping[str, tuple[str, Shape]],
        about: Mapping[str, str],
    ) -> bytes:
        """Return the checked model; `outputs` map public names to values (float64) and shapes."""
        for public, (value, _) in outputs.items():
            self.nodes.append(helper.make_node("Identity", [value], [public]))
        graph = helper.make_graph(
            self.nodes,
            name,
            [helper.make_tensor_value_info(key, kind, shape) for key, (kind, shape) in inputs.items()],
            [
                helper.make_tensor_value_info(key, onnx.TensorProto.DOUBLE, shape)
                for key, (_, shape) in outputs.items()
            ],
            self.initializers,
        )
        opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="socast")
        helper.set_model_props(model, dict(about))
        onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString())
