"""A small TensorFlow Lite file, built field by field as a converter would."""

import flatbuffers
import tflite
from tflite import Padding


def _vector(builder: flatbuffers.Builder, start: object, values: list[int], *, offsets: bool = False) -> int:
    start(builder, len(values))  # type: ignore[operator]
    for value in reversed(values):
        if offsets:
            builder.PrependUOffsetTRelative(value)
        else:
            builder.PrependInt32(value)
    return int(builder.EndVector())


def _tensor(builder: flatbuffers.Builder, name: str, shape: list[int], buffer: int) -> int:
    label = builder.CreateString(name)
    dims = _vector(builder, tflite.TensorStartShapeVector, shape)
    tflite.TensorStart(builder)
    tflite.TensorAddShape(builder, dims)
    tflite.TensorAddType(builder, tflite.TensorType.FLOAT32)
    tflite.TensorAddBuffer(builder, buffer)
    tflite.TensorAddName(builder, label)
    return int(tflite.TensorEnd(builder))


def _operator(
    builder: flatbuffers.Builder, code: int, inputs: list[int], outputs: list[int], options: tuple[int, int]
) -> int:
    reads = _vector(builder, tflite.OperatorStartInputsVector, inputs)
    writes = _vector(builder, tflite.OperatorStartOutputsVector, outputs)
    tflite.OperatorStart(builder)
    tflite.OperatorAddOpcodeIndex(builder, code)
    tflite.OperatorAddInputs(builder, reads)
    tflite.OperatorAddOutputs(builder, writes)
    if options[0]:
        tflite.OperatorAddBuiltinOptionsType(builder, options[0])
        tflite.OperatorAddBuiltinOptions(builder, options[1])
    return int(tflite.OperatorEnd(builder))


def _code(builder: flatbuffers.Builder, builtin: int, custom: str = "") -> int:
    label = builder.CreateString(custom) if custom else None
    tflite.OperatorCodeStart(builder)
    tflite.OperatorCodeAddBuiltinCode(builder, builtin)
    tflite.OperatorCodeAddDeprecatedBuiltinCode(builder, min(builtin, 127))
    if label is not None:
        tflite.OperatorCodeAddCustomCode(builder, label)
    return int(tflite.OperatorCodeEnd(builder))


def small_tflite(*, last_input: int = 5) -> bytes:
    """Conv2D with a fused ReLU6, DepthwiseConv2D, a custom operator, FullyConnected.

    `last_input` is the tensor that the last operator reads.
    """
    builder = flatbuffers.Builder(1024)
    shapes = [
        ("image", [1, 32, 32, 3]),
        ("filter", [8, 3, 3, 3]),
        ("conv", [1, 16, 16, 8]),
        ("depthwise_filter", [1, 3, 3, 8]),
        ("depthwise", [1, 16, 16, 8]),
        ("custom", [1, 2048]),
        ("matrix", [10, 2048]),
        ("scores", [1, 10]),
    ]
    tensors = [_tensor(builder, name, shape, 0) for name, shape in shapes]

    tflite.Conv2DOptionsStart(builder)
    tflite.Conv2DOptionsAddPadding(builder, Padding.SAME)
    tflite.Conv2DOptionsAddStrideH(builder, 2)
    tflite.Conv2DOptionsAddStrideW(builder, 2)
    tflite.Conv2DOptionsAddFusedActivationFunction(builder, tflite.ActivationFunctionType.RELU6)
    conv = (tflite.BuiltinOptions.Conv2DOptions, int(tflite.Conv2DOptionsEnd(builder)))
    tflite.DepthwiseConv2DOptionsStart(builder)
    tflite.DepthwiseConv2DOptionsAddStrideH(builder, 1)
    tflite.DepthwiseConv2DOptionsAddStrideW(builder, 1)
    tflite.DepthwiseConv2DOptionsAddDepthMultiplier(builder, 1)
    depthwise = (tflite.BuiltinOptions.DepthwiseConv2DOptions, int(tflite.DepthwiseConv2DOptionsEnd(builder)))
    tflite.FullyConnectedOptionsStart(builder)
    dense = (tflite.BuiltinOptions.FullyConnectedOptions, int(tflite.FullyConnectedOptionsEnd(builder)))

    operators = [
        _operator(builder, 0, [0, 1, -1], [2], conv),
        _operator(builder, 1, [2, 3], [4], depthwise),
        _operator(builder, 2, [4], [5], (0, 0)),
        _operator(builder, 3, [last_input, 6], [7], dense),
    ]
    codes = [
        _code(builder, tflite.BuiltinOperator.CONV_2D),
        _code(builder, tflite.BuiltinOperator.DEPTHWISE_CONV_2D),
        _code(builder, tflite.BuiltinOperator.CUSTOM, "Flattener"),
        _code(builder, tflite.BuiltinOperator.FULLY_CONNECTED),
    ]
    name = builder.CreateString("small")
    tensor_vector = _vector(builder, tflite.SubGraphStartTensorsVector, tensors, offsets=True)
    inputs = _vector(builder, tflite.SubGraphStartInputsVector, [0])
    outputs = _vector(builder, tflite.SubGraphStartOutputsVector, [7])
    operator_vector = _vector(builder, tflite.SubGraphStartOperatorsVector, operators, offsets=True)
    tflite.SubGraphStart(builder)
    tflite.SubGraphAddTensors(builder, tensor_vector)
    tflite.SubGraphAddInputs(builder, inputs)
    tflite.SubGraphAddOutputs(builder, outputs)
    tflite.SubGraphAddOperators(builder, operator_vector)
    tflite.SubGraphAddName(builder, name)
    graph = int(tflite.SubGraphEnd(builder))
    tflite.BufferStart(builder)
    buffer = int(tflite.BufferEnd(builder))
    code_vector = _vector(builder, tflite.ModelStartOperatorCodesVector, codes, offsets=True)
    graph_vector = _vector(builder, tflite.ModelStartSubgraphsVector, [graph], offsets=True)
    buffer_vector = _vector(builder, tflite.ModelStartBuffersVector, [buffer], offsets=True)
    tflite.ModelStart(builder)
    tflite.ModelAddVersion(builder, 3)
    tflite.ModelAddOperatorCodes(builder, code_vector)
    tflite.ModelAddSubgraphs(builder, graph_vector)
    tflite.ModelAddBuffers(builder, buffer_vector)
    builder.Finish(tflite.ModelEnd(builder), b"TFL3")
    return bytes(builder.Output())
