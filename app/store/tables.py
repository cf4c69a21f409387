"""Every table. Times are microseconds since the epoch, latencies nanoseconds, structured values JSON text.

Names are made for plain SQL: `SELECT avg(latency_ns) FROM timing JOIN operator ON operator.id = operator_id`.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from app.store.types import BigKey, Uuid16

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

# Who measured: devices, their processors, and what ran.

device = Table(
    "device",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("device_id", Text, nullable=False, unique=True),
    Column("model", Text, nullable=False),
    Column("soc", Text, nullable=False),
    Column("os", Text, nullable=False),
    Column("drivers", Text, nullable=False),
    Column("first_seen_at_us", BigInteger, nullable=False),
    Column("last_seen_at_us", BigInteger, nullable=False),
    Column("run_count", BigInteger, nullable=False),
    Column("timing_count", BigInteger, nullable=False),
    Column("context", Text),
    Column("context_at_us", BigInteger),
    Column("quarantined", Boolean, nullable=False),
)

processor = Table(
    "processor",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("device", ForeignKey("device.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("threads", Integer),
    Column("resources", Text, nullable=False),
    Column("unsupported", Text, nullable=False),
    UniqueConstraint("device", "name"),
)

framework = Table(
    "framework",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    Column("version", Text, nullable=False),
    UniqueConstraint("name", "version"),
)

model = Table(
    "model",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    Column("digest", Text, nullable=False),
    UniqueConstraint("digest", "name"),
)

model_graph = Table(
    "model_graph",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("graph", Text, nullable=False),
    Column("skeleton", LargeBinary, comment="the ONNX file without its weights"),
    Column("uploaded_at_us", BigInteger, nullable=False),
)

operator = Table(
    "operator",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("signature", String(32), nullable=False, unique=True),
    Column("op_type", Text, nullable=False),
    Column("dtype", Text, nullable=False),
    Column("inputs", Text, nullable=False),
    Column("outputs", Text, nullable=False),
    Column("attributes", Text, nullable=False),
)

# What was measured. `run.id` is the microsecond of storing, strictly increasing in the order of commits, so
# that it serves as cursor and partition key alike. `context`, `run` and `timing` carry no foreign keys: the
# single writer keeps them whole, and narrow rows are not looked up once more as they are stored.

context = Table(
    "context",
    metadata,
    Column("id", BigKey, primary_key=True, autoincrement=False, comment="id of the first run that has it"),
    Column("fields", Text, nullable=False),
    postgresql_partition_by="RANGE (id)",
)

run = Table(
    "run",
    metadata,
    Column("id", BigKey, primary_key=True, autoincrement=False),
    Column("run_uuid", Uuid16, nullable=False),
    Column("started_at_us", BigInteger, nullable=False),
    Column("processor_id", Integer, nullable=False),
    Column("framework_id", Integer, nullable=False),
    Column("model_id", Integer, nullable=False),
    Column("condition", Text),
    Column("context_id", BigInteger, nullable=False),
    Column("profiled", Boolean, nullable=False),
    Column("calibration", Boolean, nullable=False),
    Column("total_ns", BigInteger, nullable=False),
    Column("energy_mj", Float),
    Column("inclusion_probability", Float, comment="null: kept for sure"),
    Index(None, "started_at_us"),
    Index(None, "processor_id", "started_at_us"),
    Index(None, "model_id", "id"),
    postgresql_partition_by="RANGE (id)",
)

run_identity = Table(
    "run_identity",
    metadata,
    Column("run_uuid", Uuid16, primary_key=True),
    Column("run_id", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

timing = Table(
    "timing",
    metadata,
    Column("run_id", BigInteger, nullable=False),
    Column("position", Integer, nullable=False),
    Column("operator_id", Integer, nullable=False),
    Column("latency_ns", BigInteger, nullable=False),
    Column("ran_on", Integer, comment="execution_target.id; null: where the run ran"),
    # PostgreSQL finds a run's rows by the block-range index alone: a b-tree would halve the rate of COPY.
    PrimaryKeyConstraint("run_id", "position").ddl_if(dialect="sqlite"),
    Index("ix_timing_run_id", "run_id", postgresql_using="brin").ddl_if(dialect="postgresql"),
    sqlite_with_rowid=False,
    postgresql_partition_by="RANGE (run_id)",
)

execution_target = Table(
    "execution_target",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True, comment="processor or kind an operator really ran on"),
)

transfer = Table(
    "transfer",
    metadata,
    Column("id", BigKey, primary_key=True, autoincrement=False),
    Column("transfer_uuid", Uuid16, nullable=False, unique=True),
    Column("started_at_us", BigInteger, nullable=False),
    Column("source_processor_id", ForeignKey("processor.id"), nullable=False),
    Column("target_processor_id", ForeignKey("processor.id"), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("latency_ns", BigInteger, nullable=False),
    Column("context", Text, nullable=False),
    Index(None, "source_processor_id", "target_processor_id", "id"),
)

# What was learned.

predictor_version = Table(
    "predictor_version",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("soc", Text, nullable=False),
    Column("processor", Text, nullable=False),
    Column("framework", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("metrics", Text, nullable=False),
    Column("created_at_us", BigInteger, nullable=False),
    Column("pinned_at_us", BigInteger),
    Column("rolled_back_at_us", BigInteger),
    Column("content", LargeBinary, comment="null: discarded, too old to serve again"),
    Index(None, "soc", "processor", "framework", "id"),
)

device_state = Table(
    "device_state",
    metadata,
    Column("processor_id", ForeignKey("processor.id"), primary_key=True, autoincrement=False),
    Column("state", Text, nullable=False),
    Column("updated_at_us", BigInteger, nullable=False),
)

learner_cursor = Table(
    "learner_cursor",
    metadata,
    Column("learner", Text, primary_key=True),
    Column("run_id", BigInteger, nullable=False),
)

learning_event = Table(
    "learning_event",
    metadata,
    Column("id", BigKey, primary_key=True),
    Column("at_us", BigInteger, nullable=False, comment="start of the run that brought it about"),
    Column("recorded_at_us", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("soc", Text, nullable=False),
    Column("processor", Text, nullable=False),
    Column("framework", Text, nullable=False),
    Column("device_id", Text, comment="null: it concerns every device of the SoC"),
    Column("version_id", Integer, comment="predictor_version.id; null: no version was made"),
    Column("predictor", Text, nullable=False, comment="digest of the version made, or of the one in service"),
    Column("trigger", Text, nullable=False),
    Column("error_before", Float),
    Column("error_after", Float),
    Column("held_back_runs", Integer),
    Column("trained_runs", BigInteger),
    Index(None, "at_us", "id"),
    Index(None, "soc", "processor", "framework", "id"),
)

error_rollup = Table(
    "error_rollup",
    metadata,
    Column("level", Text, nullable=False, comment="operator or run"),
    Column("grain", Text, nullable=False, comment="hour, day or month"),
    Column(
        "view", Text, nullable=False, comment="letters of the dimensions kept; the others are summed over"
    ),
    Column("period", Integer, nullable=False, comment="first hour since the epoch, of the runs' start"),
    Column("processor_id", Integer, nullable=False, comment="0: all"),
    Column("condition", Text, nullable=False, comment="empty: unlabelled, or all"),
    Column("model_id", Integer, nullable=False, comment="0: all"),
    Column("op_type", Text, nullable=False, comment="empty: the whole run, or all"),
    Column("predictor", Text, nullable=False, comment="digest of the predictor version; empty: all"),
    Column("n", BigInteger, nullable=False),
    Column("sums", LargeBinary, nullable=False, comment="doubles by rung and term"),
    Column("sketches", LargeBinary, nullable=False, comment="KLL sketches by rung"),
    PrimaryKeyConstraint(
        "level",
        "grain",
        "view",
        "period",
        "processor_id",
        "condition",
        "model_id",
        "op_type",
        "predictor",
    ),
)

operator_support = Table(
    "operator_support",
    metadata,
    Column("soc", Text, nullable=False),
    Column("processor", Text, nullable=False),
    Column("framework", Text, nullable=False),
    Column("op_type", Text, nullable=False),
    Column("n", BigInteger, nullable=False),
    Column("elsewhere", BigInteger, nullable=False),
    PrimaryKeyConstraint("soc", "processor", "framework", "op_type"),
)

# What was decided.

plan = Table(
    "plan",
    metadata,
    Column("plan_id", Text, primary_key=True),
    Column("device_id", Text),
    Column("created_at_us", BigInteger, nullable=False),
    Column("request", Text, nullable=False),
    Column("plan", Text, nullable=False),
    Index(None, "device_id", "created_at_us"),
)

outcome = Table(
    "outcome",
    metadata,
    Column("outcome_uuid", Uuid16, primary_key=True),
    Column("plan_id", ForeignKey("plan.plan_id"), nullable=False),
    Column("started_at_us", BigInteger, nullable=False),
    Column("stored_at_us", BigInteger, nullable=False),
    Column("latency_ns", BigInteger, nullable=False),
    Column("propensity", Float),
    Column("context", Text, nullable=False),
    Column("alternatives", Text, nullable=False),
    Column("stages", Text, nullable=False),
    Column("device_id", Text),
    Column("condition", Text),
    Column("episode", Text),
    Column("chosen_by", Text, nullable=False, server_default="[]"),
    Column("forecasts", Text, nullable=False, server_default="{}"),
    Index(None, "plan_id", "started_at_us"),
    Index(None, "device_id", "started_at_us"),
    Index(None, "stored_at_us"),
)

forecast = Table(
    "forecast",
    metadata,
    Column("id", BigKey, primary_key=True),
    Column("plan_id", ForeignKey("plan.plan_id"), nullable=False),
    Column("device_id", Text, nullable=False, comment="empty: asked for a SoC as such"),
    Column("answered_at_us", BigInteger, nullable=False),
    Column("content", Text, nullable=False),
    Index(None, "plan_id", "device_id", "answered_at_us"),
)

draw = Table(
    "draw",
    metadata,
    Column("id", BigKey, primary_key=True),
    Column("seed", Text, nullable=False),
    Column("plan_id", ForeignKey("plan.plan_id"), nullable=False),
    Column("device_id", Text),
    Column("drawn_at_us", BigInteger, nullable=False),
    Column("share", Float, nullable=False, comment="share of time to be spent on exploring"),
    Column("explored", Boolean, nullable=False),
    Column("propensity", Float, nullable=False),
    Column("alternatives", Text, nullable=False),
    Index(None, "seed", "plan_id"),
)

api_key = Table(
    "api_key",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("role", Text, nullable=False),
    Column("device_id", Text),
    Column("secret_sha256", LargeBinary(32), nullable=False),
    Column("created_at_us", BigInteger, nullable=False),
    Column("revoked_at_us", BigInteger),
)
