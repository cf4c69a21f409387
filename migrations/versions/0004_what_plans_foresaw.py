"""What was foreseen of plans, and which operators processors really run: both learned from executions."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

BIG_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("outcome", sa.Column("forecasts", sa.Text(), nullable=False, server_default="{}"))
    op.create_index("ix_outcome_stored_at_us", "outcome", ["stored_at_us"])
    op.create_table(
        "forecast",
        sa.Column("id", BIG_KEY, nullable=False),
        sa.Column("plan_id", sa.Text(), nullable=False),
        sa.Column("device_id", sa.Text(), nullable=False, comment="empty: asked for a SoC as such"),
        sa.Column("answered_at_us", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["plan_id"], ["plan.plan_id"], name="fk_forecast_plan_id"),
        sa.PrimaryKeyConstraint("id", name="pk_forecast"),
    )
    op.create_index(
        "ix_forecast_plan_id_device_id_answered_at_us",
        "forecast",
        ["plan_id", "device_id", "answered_at_us"],
    )
    op.create_table(
        "operator_support",
        sa.Column("soc", sa.Text(), nullable=False),
        sa.Column("processor", sa.Text(), nullable=False),
        sa.Column("framework", sa.Text(), nullable=False),
        sa.Column("op_type", sa.Text(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("elsewhere", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("soc", "processor", "framework", "op_type", name="pk_operator_support"),
    )
    op.create_table(
        "draw",
        sa.Column("id", BIG_KEY, nullable=False),
        sa.Column("seed", sa.Text(), nullable=False),
        sa.Column("plan_id", sa.Text(), nullable=False),
        sa.Column("device_id", sa.Text(), nullable=True),
        sa.Column("drawn_at_us", sa.BigInteger(), nullable=False),
        sa.Column("share", sa.Float(), nullable=False, comment="share of time to be spent on exploring"),
        sa.Column("explored", sa.Boolean(), nullable=False),
        sa.Column("propensity", sa.Float(), nullable=False),
        sa.Column("alternatives", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["plan_id"], ["plan.plan_id"], name="fk_draw_plan_id"),
        sa.PrimaryKeyConstraint("id", name="pk_draw"),
    )
    op.create_index("ix_draw_seed_plan_id", "draw", ["seed", "plan_id"])


def downgrade() -> None:
    op.drop_table("draw")
    op.drop_table("operator_support")
    op.drop_table("forecast")
    op.drop_index("ix_outcome_stored_at_us", "outcome")
    op.drop_column("outcome", "forecasts")
