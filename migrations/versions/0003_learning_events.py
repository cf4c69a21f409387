"""A journal of what befell the predictors: drifts, refits, versions, devices set aside."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

BIG_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "learning_event",
        sa.Column("id", BIG_KEY, nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False, comment="start of the run that brought it about"),
        sa.Column("recorded_at_us", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("soc", sa.Text(), nullable=False),
        sa.Column("processor", sa.Text(), nullable=False),
        sa.Column("framework", sa.Text(), nullable=False),
        sa.Column("device_id", sa.Text(), comment="null: it concerns every device of the SoC"),
        sa.Column("version_id", sa.Integer(), comment="predictor_version.id; null: no version was made"),
        sa.Column(
            "predictor",
            sa.Text(),
            nullable=False,
            comment="digest of the version made, or of the one in service",
        ),
        sa.Column("trigger", sa.Text(), nullable=False),
        sa.Column("error_before", sa.Float()),
        sa.Column("error_after", sa.Float()),
        sa.Column("held_back_runs", sa.Integer()),
        sa.Column("trained_runs", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_learning_event"),
    )
    op.create_index("ix_learning_event_at_us_id", "learning_event", ["at_us", "id"])
    op.create_index(
        "ix_learning_event_soc_processor_framework_id",
        "learning_event",
        ["soc", "processor", "framework", "id"],
    )
    # Versions that were published before are told of with all that was kept of them.
    op.execute(
        "INSERT INTO learning_event (at_us, recorded_at_us, kind, soc, processor, framework, version_id,"
        " predictor, trigger) SELECT created_at_us, created_at_us, 'version', soc, processor, framework, id,"
        " digest, reason FROM predictor_version ORDER BY id"
    )


def downgrade() -> None:
    op.drop_table("learning_event")
