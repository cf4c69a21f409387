"""Wire types of uploaded model graphs."""

from pydantic import BaseModel

from predictors.graph import AttributeValue


class OperatorOut(BaseModel):
    """One operator of a model file with what it costs; shapes are lists of dimensions."""

    name: str
    op_type: str
    inputs: list[list[int]]
    outputs: list[list[int]]
    dtype: str
    attributes: dict[str, AttributeValue]
    macs: float
    input_bytes: float
    weight_bytes: float
    output_bytes: float


class ModelOut(BaseModel):
    """An uploaded model: its digest, its operator graph (topological order) and its totals."""

    digest: str
    name: str
    inputs: dict[str, list[int]]
    outputs: dict[str, list[int]]
    operators: list[OperatorOut]
    macs: float
    weight_bytes: float
