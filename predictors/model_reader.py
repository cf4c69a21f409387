"""Read a model file of any known format into a model graph."""

from collections.abc import Mapping

from predictors.graph import ModelGraph, Shape
from predictors.model_file import DEFAULT_LIMITS, Limits, is_tflite


def read(
    data: bytes,
    *,
    input_shapes: Mapping[str, Shape] | None = None,
    limits: Limits = DEFAULT_LIMITS,
    name: str | None = None,
) -> ModelGraph:
    """Return the operator graph of a TensorFlow Lite file (told by its identifier) or an ONNX file.

    Raises `GraphError`; see the readers for what `input_shapes` may bind.
    """
    # Each format's library is loaded only when a file of it comes.
    if is_tflite(data):
        from predictors import tflite_reader

        return tflite_reader.read(data, input_shapes=input_shapes, limits=limits, name=name)
    from predictors import onnx_reader

    return onnx_reader.read(data, input_shapes=input_shapes, limits=limits, name=name)


def without_weights(data: bytes) -> bytes | None:
    """Return an ONNX file without its weights, None for other formats; `data` must be readable."""
    if is_tflite(data):
        return None
    from predictors import onnx_skeleton

    return onnx_skeleton.skeleton(data)
