"""An outcome tells where, under what, in which episode it was measured, and who had put the plan first."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("outcome", sa.Column("device_id", sa.Text(), nullable=True))
    op.add_column("outcome", sa.Column("condition", sa.Text(), nullable=True))
    op.add_column("outcome", sa.Column("episode", sa.Text(), nullable=True))
    op.add_column("outcome", sa.Column("chosen_by", sa.Text(), nullable=False, server_default="[]"))
    op.create_index("ix_outcome_device_id_started_at_us", "outcome", ["device_id", "started_at_us"])


def downgrade() -> None:
    op.drop_index("ix_outcome_device_id_started_at_us", "outcome")
    for column in ("chosen_by", "episode", "condition", "device_id"):
        op.drop_column("outcome", column)
