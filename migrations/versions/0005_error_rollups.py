"""Error statistics in rollups: one row holds all rungs, and sums over any dimensions are kept ready."""

import json
from collections import defaultdict
from itertools import groupby

import numpy as np
import sqlalchemy as sa
from alembic import op
from datasketches import kll_floats_sketch

from app.store import rollups
from app.store.statistic import Cell

revision = "0005"
down_revision = "0004"

BIG_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
KEY = ("level", "grain", "view", "period", "processor_id", "condition", "model_id", "op_type", "predictor")
OLD_KEY = ("hour", "processor_id", "condition", "model_id", "op_type", "rung", "level", "predictor")


def upgrade() -> None:
    op.create_table(
        "error_rollup",
        sa.Column("level", sa.Text(), nullable=False, comment="operator or run"),
        sa.Column("grain", sa.Text(), nullable=False, comment="hour, day or month"),
        sa.Column(
            "view",
            sa.Text(),
            nullable=False,
            comment="letters of the dimensions kept; the others are summed over",
        ),
        sa.Column(
            "period", sa.Integer(), nullable=False, comment="first hour since the epoch, of the runs' start"
        ),
        sa.Column("processor_id", sa.Integer(), nullable=False, comment="0: all"),
        sa.Column("condition", sa.Text(), nullable=False, comment="empty: unlabelled, or all"),
        sa.Column("model_id", sa.Integer(), nullable=False, comment="0: all"),
        sa.Column("op_type", sa.Text(), nullable=False, comment="empty: the whole run, or all"),
        sa.Column(
            "predictor",
            sa.Text(),
            nullable=False,
            comment="digest of the predictor version; empty: all",
        ),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("sums", sa.LargeBinary(), nullable=False, comment="doubles by rung and term"),
        sa.Column("sketches", sa.LargeBinary(), nullable=False, comment="KLL sketches by rung"),
        sa.PrimaryKeyConstraint(*KEY, name="pk_error_rollup"),
    )
    connection = op.get_bind()
    rows = connection.execute(sa.text("SELECT * FROM error_statistic ORDER BY hour")).all()
    for _, own in groupby(rows, key=lambda row: row.hour):
        cells: dict[rollups.CellKey, Cell] = defaultdict(Cell)
        for row in own:
            key = rollups.CellKey(*(getattr(row, name) for name in OLD_KEY))
            cells[key].add(_errors(bytes(row.sketch)), json.loads(row.sums))
        rollups.add(connection, cells)
    op.drop_table("error_statistic")


def _errors(sketch: bytes) -> np.ndarray:
    """Return as many errors as a sketch counted, distributed as it knows them to be."""
    items = list(kll_floats_sketch.deserialize(sketch))
    return np.repeat([item for item, _ in items], [weight for _, weight in items]).astype(np.float64)


def downgrade() -> None:
    op.drop_table("error_rollup")
    op.create_table(
        "error_statistic",
        sa.Column("id", BIG_KEY, nullable=False),
        sa.Column("hour", sa.Integer(), nullable=False, comment="hours since the epoch at the run's start"),
        sa.Column("processor_id", sa.Integer(), nullable=False),
        sa.Column("condition", sa.Text(), nullable=False, comment="empty: unlabelled"),
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("op_type", sa.Text(), nullable=False, comment="empty: the whole run"),
        sa.Column("rung", sa.Text(), nullable=False),
        sa.Column("level", sa.Text(), nullable=False, comment="operator or run"),
        sa.Column("predictor", sa.Text(), nullable=False, comment="digest of the predictor version"),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("sums", sa.Text(), nullable=False, comment="JSON object of sums by name"),
        sa.Column(
            "sketch", sa.LargeBinary(), nullable=False, comment="KLL sketch of absolute percentage errors"
        ),
        sa.ForeignKeyConstraint(["model_id"], ["model.id"], name="fk_error_statistic_model_id"),
        sa.ForeignKeyConstraint(["processor_id"], ["processor.id"], name="fk_error_statistic_processor_id"),
        sa.PrimaryKeyConstraint("id", name="pk_error_statistic"),
        sa.UniqueConstraint(*OLD_KEY, name="uq_error_statistic"),
    )
