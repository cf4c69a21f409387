"""First schema: devices, what ran, what was measured, learned and decided."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

BIG_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
UUID16 = sa.LargeBinary(16).with_variant(sa.Uuid(), "postgresql")


def upgrade() -> None:
    op.create_table(
        "api_key",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("device_id", sa.Text(), nullable=True),
        sa.Column("secret_sha256", sa.LargeBinary(length=32), nullable=False),
        sa.Column("created_at_us", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at_us", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_api_key"),
    )
    op.create_table(
        "context",
        sa.Column(
            "id", BIG_KEY, autoincrement=False, nullable=False, comment="id of the first run that has it"
        ),
        sa.Column("fields", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_context"),
        postgresql_partition_by="RANGE (id)",
    )
    op.create_table(
        "device",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("device_id", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("soc", sa.Text(), nullable=False),
        sa.Column("os", sa.Text(), nullable=False),
        sa.Column("drivers", sa.Text(), nullable=False),
        sa.Column("first_seen_at_us", sa.BigInteger(), nullable=False),
        sa.Column("last_seen_at_us", sa.BigInteger(), nullable=False),
        sa.Column("run_count", sa.BigInteger(), nullable=False),
        sa.Column("timing_count", sa.BigInteger(), nullable=False),
        sa.Column("context", sa.Text(), nullable=True),
        sa.Column("context_at_us", sa.BigInteger(), nullable=True),
        sa.Column("quarantined", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_device"),
        sa.UniqueConstraint("device_id", name="uq_device_device_id"),
    )
    op.create_table(
        "execution_target",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False, comment="processor or kind an operator really ran on"),
        sa.PrimaryKeyConstraint("id", name="pk_execution_target"),
        sa.UniqueConstraint("name", name="uq_execution_target_name"),
    )
    op.create_table(
        "framework",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_framework"),
        sa.UniqueConstraint("name", "version", name="uq_framework_name_version"),
    )
    op.create_table(
        "learner_cursor",
        sa.Column("learner", sa.Text(), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("learner", name="pk_learner_cursor"),
    )
    op.create_table(
        "model",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_model"),
        sa.UniqueConstraint("digest", "name", name="uq_model_digest_name"),
    )
    op.create_table(
        "model_graph",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("graph", sa.Text(), nullable=False),
        sa.Column("skeleton", sa.LargeBinary(), comment="the ONNX file without its weights"),
        sa.Column("uploaded_at_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_model_graph"),
    )
    op.create_table(
        "operator",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("signature", sa.String(length=32), nullable=False),
        sa.Column("op_type", sa.Text(), nullable=False),
        sa.Column("dtype", sa.Text(), nullable=False),
        sa.Column("inputs", sa.Text(), nullable=False),
        sa.Column("outputs", sa.Text(), nullable=False),
        sa.Column("attributes", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_operator"),
        sa.UniqueConstraint("signature", name="uq_operator_signature"),
    )
    op.create_table(
        "plan",
        sa.Column("plan_id", sa.Text(), nullable=False),
        sa.Column("device_id", sa.Text(), nullable=True),
        sa.Column("created_at_us", sa.BigInteger(), nullable=False),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("plan", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("plan_id", name="pk_plan"),
    )
    op.create_index("ix_plan_device_id_created_at_us", "plan", ["device_id", "created_at_us"])
    op.create_table(
        "predictor_version",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("soc", sa.Text(), nullable=False),
        sa.Column("processor", sa.Text(), nullable=False),
        sa.Column("framework", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("metrics", sa.Text(), nullable=False),
        sa.Column("created_at_us", sa.BigInteger(), nullable=False),
        sa.Column("pinned_at_us", sa.BigInteger(), nullable=True),
        sa.Column("rolled_back_at_us", sa.BigInteger(), nullable=True),
        sa.Column("content", sa.LargeBinary(), comment="null: discarded, too old to serve again"),
        sa.PrimaryKeyConstraint("id", name="pk_predictor_version"),
    )
    op.create_index(
        "ix_predictor_version_soc_processor_framework_id",
        "predictor_version",
        ["soc", "processor", "framework", "id"],
    )
    op.create_table(
        "run",
        sa.Column("id", BIG_KEY, autoincrement=False, nullable=False),
        sa.Column("run_uuid", UUID16, nullable=False),
        sa.Column("started_at_us", sa.BigInteger(), nullable=False),
        sa.Column("processor_id", sa.Integer(), nullable=False),
        sa.Column("framework_id", sa.Integer(), nullable=False),
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("condition", sa.Text(), nullable=True),
        sa.Column("context_id", sa.BigInteger(), nullable=False),
        sa.Column("profiled", sa.Boolean(), nullable=False),
        sa.Column("calibration", sa.Boolean(), nullable=False),
        sa.Column("total_ns", sa.BigInteger(), nullable=False),
        sa.Column("energy_mj", sa.Float(), nullable=True),
        sa.Column("inclusion_probability", sa.Float(), nullable=True, comment="null: kept for sure"),
        sa.PrimaryKeyConstraint("id", name="pk_run"),
        postgresql_partition_by="RANGE (id)",
    )
    op.create_index("ix_run_model_id_id", "run", ["model_id", "id"])
    op.create_index("ix_run_started_at_us", "run", ["started_at_us"])
    op.create_index("ix_run_processor_id_started_at_us", "run", ["processor_id", "started_at_us"])
    op.create_table(
        "run_identity",
        sa.Column("run_uuid", UUID16, nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("run_uuid", name="pk_run_identity"),
        sqlite_with_rowid=False,
    )
    _create_timing()
    op.create_table(
        "outcome",
        sa.Column("outcome_uuid", UUID16, nullable=False),
        sa.Column("plan_id", sa.Text(), nullable=False),
        sa.Column("started_at_us", sa.BigInteger(), nullable=False),
        sa.Column("stored_at_us", sa.BigInteger(), nullable=False),
        sa.Column("latency_ns", sa.BigInteger(), nullable=False),
        sa.Column("propensity", sa.Float(), nullable=True),
        sa.Column("context", sa.Text(), nullable=False),
        sa.Column("alternatives", sa.Text(), nullable=False),
        sa.Column("stages", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["plan_id"], ["plan.plan_id"], name="fk_outcome_plan_id"),
        sa.PrimaryKeyConstraint("outcome_uuid", name="pk_outcome"),
    )
    op.create_index("ix_outcome_plan_id_started_at_us", "outcome", ["plan_id", "started_at_us"])
    op.create_table(
        "processor",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("device", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("threads", sa.Integer(), nullable=True),
        sa.Column("resources", sa.Text(), nullable=False),
        sa.Column("unsupported", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["device"], ["device.id"], name="fk_processor_device"),
        sa.PrimaryKeyConstraint("id", name="pk_processor"),
        sa.UniqueConstraint("device", "name", name="uq_processor_device_name"),
    )
    op.create_table(
        "device_state",
        sa.Column("processor_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("updated_at_us", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["processor_id"], ["processor.id"], name="fk_device_state_processor_id"),
        sa.PrimaryKeyConstraint("processor_id", name="pk_device_state"),
    )
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
        sa.UniqueConstraint(
            "hour",
            "processor_id",
            "condition",
            "model_id",
            "op_type",
            "rung",
            "level",
            "predictor",
            name="uq_error_statistic",
        ),
    )
    op.create_table(
        "transfer",
        sa.Column("id", BIG_KEY, autoincrement=False, nullable=False),
        sa.Column("transfer_uuid", UUID16, nullable=False),
        sa.Column("started_at_us", sa.BigInteger(), nullable=False),
        sa.Column("source_processor_id", sa.Integer(), nullable=False),
        sa.Column("target_processor_id", sa.Integer(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("latency_ns", sa.BigInteger(), nullable=False),
        sa.Column("context", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["source_processor_id"], ["processor.id"], name="fk_transfer_source_processor_id"
        ),
        sa.ForeignKeyConstraint(
            ["target_processor_id"], ["processor.id"], name="fk_transfer_target_processor_id"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_transfer"),
        sa.UniqueConstraint("transfer_uuid", name="uq_transfer_transfer_uuid"),
    )
    op.create_index(
        "ix_transfer_source_processor_id_target_processor_id_id",
        "transfer",
        ["source_processor_id", "target_processor_id", "id"],
    )


def _create_timing() -> None:
    """One narrow row a timing: on SQLite the key is the table, on PostgreSQL a block-range index suffices."""
    key = [sa.PrimaryKeyConstraint("run_id", "position", name="pk_timing")]
    op.create_table(
        "timing",
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("operator_id", sa.Integer(), nullable=False),
        sa.Column("latency_ns", sa.BigInteger(), nullable=False),
        sa.Column("ran_on", sa.Integer(), comment="execution_target.id; null: where the run ran"),
        *(key if op.get_context().dialect.name == "sqlite" else []),
        postgresql_partition_by="RANGE (run_id)",
        sqlite_with_rowid=False,
    )
    if op.get_context().dialect.name == "postgresql":
        op.create_index("ix_timing_run_id", "timing", ["run_id"], postgresql_using="brin")


def downgrade() -> None:
    op.drop_table("transfer")
    op.drop_table("error_statistic")
    op.drop_table("device_state")
    op.drop_table("processor")
    op.drop_table("outcome")
    op.drop_table("timing")
    op.drop_table("run_identity")
    op.drop_table("run")
    op.drop_table("predictor_version")
    op.drop_table("plan")
    op.drop_table("operator")
    op.drop_table("model_graph")
    op.drop_table("model")
    op.drop_table("learner_cursor")
    op.drop_table("framework")
    op.drop_table("execution_target")
    op.drop_table("device")
    op.drop_table("context")
    op.drop_table("api_key")
