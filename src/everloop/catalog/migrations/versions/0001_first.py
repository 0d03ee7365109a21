"""The first tables of every area."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Forward: every table, each with its indexes."""
    for create in _TABLES.values():
        create()


def downgrade() -> None:
    """Back: nothing is left."""
    for table in reversed(_TABLES):
        op.drop_table(table)


def _alerts() -> None:
    op.create_table(
        "alerts",
        sa.Column("project", sa.String(length=128), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("incident", sa.String(length=32), nullable=False),
        sa.Column("endpoint", sa.String(length=128), nullable=False),
        sa.Column("monitor", sa.String(length=32), nullable=False),
        sa.Column("cause", sa.String(length=255), nullable=False),
        sa.Column("severity", sa.String(length=16), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("window", sa.BigInteger(), nullable=False),
        sa.Column("last_seen", sa.BigInteger(), nullable=False),
        sa.Column("opened", sa.BigInteger(), nullable=False),
        sa.Column("resolved", sa.BigInteger(), nullable=True),
        sa.Column("resolution", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("project", "id", name=op.f("pk_alerts")),
    )
    op.create_index("ix_alerts_endpoint", "alerts", ["project", "endpoint", "opened"], unique=False)


def _answered() -> None:
    op.create_table(
        "answered",
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("principal", sa.String(length=128), nullable=False),
        sa.Column("usecase", sa.String(length=128), nullable=False),
        sa.Column("request", sa.String(length=64), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", "principal", name=op.f("pk_answered")),
    )


def _artifacts() -> None:
    op.create_table(
        "artifacts",
        sa.Column("project", sa.String(length=128), nullable=False),
        sa.Column("run", sa.String(length=32), nullable=False),
        sa.Column("path", sa.String(length=500), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project", "run", "path", name=op.f("pk_artifacts")),
    )


def _chain_head() -> None:
    op.create_table(
        "chain_head",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_chain_head")),
    )


def _check_reports() -> None:
    op.create_table(
        "check_reports",
        sa.Column("project", sa.String(length=128), nullable=False),
        sa.Column("dataset", sa.String(length=128), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("passed", sa.Boolean(), nullable=False),
        sa.Column("results", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project", "dataset", "number", name=op.f("pk_check_reports")),
    )


def _datasets() -> None:
    op.create_table(
        "datasets",
        sa.Column("project", sa.String(length=128), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("latest", sa.Integer(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project", "name", name=op.f("pk_datasets")),
    )


def _deliveries() -> None:
    op.create_table(
        "deliveries",
        sa.Column("project", sa.String(length=128), nullable=False),
        sa.Column("notice", sa.String(length=32), nullable=False),
        sa.Column("channel", sa.String(length=512), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("sent", sa.Boolean(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("project", "notice", "channel", name=op.f("pk_deliveries")),
    )


def _deployments() -> None:
    op.create_table(
        "deployments",
        sa.Column("project", sa.String(length=128), nullable=False),
        sa.Column("endpoint", sa.String(length=128), nullable=False),
        sa.Column("revision", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("model", sa.String(length=128), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("model_digest", sa.String(length=64), nullable=False),
        sa.Column("package", sa.String(length=64), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project", "endpoint", "revision", name=op.f("pk_deployments")),
        sa.UniqueConstraint("project", "endpoint", "version", name=op.f("uq_deployments_project_endpoint_version")),
    )


def _endpoints() -> None:
    op.create_table(
        "endpoints",
        sa.Column("project", sa.String(length=128), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("model", sa.String(length=128), nullable=False),
        sa.Column("features", sa.String(length=128), nullable=False),
        sa.Column("label_key", sa.String(length=128), nullable=False),
        sa.Column("traffic", sa.Text(), nullable=False),
        sa.Column("allocation", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project", "name", name=op.f("pk_endpoints")),
    )


def _executions() -> None:
    op.create_table(
        "executions",
        sa.Column("project", sa.String(length=128), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("pipeline", sa.String(length=128), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("folder", sa.Text(), nullable=False),
        sa.Column("arguments", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("lease", sa.String(length=128), nullable=False),
        sa.Column("run", sa.String(length=32), nullable=False),
        sa.Column("output", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("started", sa.BigInteger(), nullable=False),
        sa.Column("ended", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("project", "id", name=op.f("pk_executions")),
    )
    op.create_index("ix_executions_pipeline", "executions", ["project", "pipeline", "started"], unique=False)
    op.create_index("ix_executions_status", "executions", ["status"], unique=False)


def _expectation_suites() -> None:
    op.create_table(
        "expectation_suites",
        sa.Column("project", sa.String(length=128), nullable=False),
        sa.Column("dataset", sa.String(length=128), nullable=False),
        sa.Column("expectations", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project", "dataset", name=op.f("pk_expectation_suites")),
    )


def _experiments() -> None:
    op.create_table(
        "experiments",
        sa.Column("project", sa.String(length=128), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project", "name", name=op.f("pk_experiments")),
    )


def _feature_services() -> None:
    op.create_table(
        "feature_services",
        sa.Column("project", sa.String(length=128), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project", "name", "version", name=op.f("pk_feature_services")),
    )


def _feature_views() -> None:
    op.create_table(
        "feature_views",
        sa.Column("project", sa.String(length=128), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("view", sa.Text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project", "name", "version", name=op.f("pk_feature_views")),
    )


def _incidents() -> None:
    op.create_table(
        "incidents",
        sa.Column("project", sa.String(length=128), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("endpoint", sa.String(length=128), nullable=False),
        sa.Column("opened", sa.BigInteger(), nullable=False),
        sa.Column("closed", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("project", "id", name=op.f("pk_incidents")),
    )
    op.create_index("ix_incidents_endpoint", "incidents", ["project", "endpoint", "opened"], unique=False)


def _ledger() -> None:
    op.create_table(
        "ledger",
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("project", sa.String(length=128), nullable=False),
        sa.Column("principal", sa.String(length=128), nullable=False),
        sa.Column("kind", sa.String(length=128), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("previous", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_ledger")),
    )
    op.create_index("ix_ledger_kind", "ledger", ["kind"], unique=False)
    op.create_index("ix_ledger_subject", "ledger", ["subject"], unique=False)


def _lineage() -> None:
    op.create_table(
        "lineage",
        sa.Column("downstream", sa.Text(), nullable=False),
        sa.Column("upstream", sa.Text(), nullable=False),
        sa.Column("relation", sa.String(length=64), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("downstream", "upstream", "relation", name=op.f("pk_lineage")),
    )
    op.create_index("ix_lineage_upstream", "lineage", ["upstream"], unique=False)


def _loop_candidates() -> None:
    op.create_table(
        "loop_candidates",
        sa.Column("project", sa.String(length=128), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("loop", sa.String(length=128), nullable=False),
        sa.Column("model", sa.String(length=128), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("trigger", sa.String(length=128), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("pipeline", sa.String(length=128), nullable=False),
        sa.Column("arguments", sa.Text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("skip_gates", sa.Boolean(), nullable=False),
        sa.Column("execution", sa.String(length=32), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("gates", sa.Text(), nullable=False),
        sa.Column("measured", sa.Text(), nullable=False),
        sa.Column("rollout", sa.String(length=32), nullable=False),
        sa.Column("units", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("ended", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("project", "id", name=op.f("pk_loop_candidates")),
    )
    op.create_index("ix_loop_candidates_loop", "loop_candidates", ["project", "loop", "number"], unique=False)


def _loops() -> None:
    op.create_table(
        "loops",
        sa.Column("project", sa.String(length=128), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("declaration", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("applied", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project", "name", name=op.f("pk_loops")),
    )


def _materializations() -> None:
    op.create_table(
        "materializations",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("project", sa.String(length=128), nullable=False),
        sa.Column("service", sa.String(length=128), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_materializations")),
    )
    op.create_index("ix_materializations_service", "materializations", ["project", "service", "id"], unique=False)


def _memo() -> None:
    op.create_table(
        "memo",
        sa.Column("project", sa.String(length=128), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("step", sa.String(length=250), nullable=False),
        sa.Column("execution", sa.String(length=32), nullable=False),
        sa.Column("output", sa.Text(), nullable=False),
        sa.Column("output_digest", sa.String(length=64), nullable=False),
        sa.Column("objects", sa.Text(), nullable=False),
        sa.Column("logged", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project", "key", name=op.f("pk_memo")),
    )


def _metric_blocks() -> None:
    op.create_table(
        "metric_blocks",
        sa.Column("project", sa.String(length=128), nullable=False),
        sa.Column("run", sa.String(length=32), nullable=False),
        sa.Column("key", sa.String(length=250), nullable=False),
        sa.Column("first", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("points", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("project", "run", "key", "first", name=op.f("pk_metric_blocks")),
    )


def _model_approvals() -> None:
    op.create_table(
        "model_approvals",
        sa.Column("project", sa.String(length=128), nullable=False),
        sa.Column("model", sa.String(length=128), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("approver", sa.String(length=128), nullable=False),
        sa.Column("decision", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project", "model", "version", "number", name=op.f("pk_model_approvals")),
    )


def _models() -> None:
    op.create_table(
        "models",
        sa.Column("project", sa.String(length=128), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("latest", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("project", "name", name=op.f("pk_models")),
    )


def _monitor_references() -> None:
    op.create_table(
        "monitor_references",
        sa.Column("project", sa.String(length=128), nullable=False),
        sa.Column("endpoint", sa.String(length=128), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("project", "endpoint", "since", name=op.f("pk_monitor_references")),
    )


def _monitors() -> None:
    op.create_table(
        "monitors",
        sa.Column("project", sa.String(length=128), nullable=False),
        sa.Column("endpoint", sa.String(length=128), nullable=False),
        sa.Column("definition", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("project", "endpoint", name=op.f("pk_monitors")),
    )


def _notices() -> None:
    op.create_table(
        "notices",
        sa.Column("project", sa.String(length=128), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("alert", sa.String(length=32), nullable=False),
        sa.Column("change", sa.String(length=16), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project", "id", name=op.f("pk_notices")),
        sa.UniqueConstraint("project", "sequence", name=op.f("uq_notices_project_sequence")),
    )
    op.create_index("ix_notices_at", "notices", ["project", "at"], unique=False)


def _packages() -> None:
    op.create_table(
        "packages",
        sa.Column("project", sa.String(length=128), nullable=False),
        sa.Column("model", sa.String(length=128), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("form", sa.String(length=16), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("manifest", sa.Text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project", "model", "version", "digest", name=op.f("pk_packages")),
    )


def _pipelines() -> None:
    op.create_table(
        "pipelines",
        sa.Column("project", sa.String(length=128), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("folder", sa.Text(), nullable=False),
        sa.Column("parameters", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("project", "name", name=op.f("pk_pipelines")),
    )


def _principals() -> None:
    op.create_table(
        "principals",
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("roles", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_principals")),
    )


def _rollout_steps() -> None:
    op.create_table(
        "rollout_steps",
        sa.Column("project", sa.String(length=128), nullable=False),
        sa.Column("rollout", sa.String(length=32), nullable=False),
        sa.Column("sequence", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("percent", sa.Float(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("project", "rollout", "sequence", name=op.f("pk_rollout_steps")),
    )


def _rollouts() -> None:
    op.create_table(
        "rollouts",
        sa.Column("project", sa.String(length=128), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("endpoint", sa.String(length=128), nullable=False),
        sa.Column("stable", sa.Integer(), nullable=False),
        sa.Column("challenger", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("strategy", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("step_since", sa.BigInteger(), nullable=False),
        sa.Column("step_labels", sa.Integer(), nullable=False),
        sa.Column("started", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("ended", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.Column("units", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("project", "id", name=op.f("pk_rollouts")),
    )
    op.create_index("ix_rollouts_endpoint", "rollouts", ["project", "endpoint", "started"], unique=False)


def _run_values() -> None:
    op.create_table(
        "run_values",
        sa.Column("project", sa.String(length=128), nullable=False),
        sa.Column("run", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("key", sa.String(length=250), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("number", sa.Float(), nullable=True),
        sa.Column("step", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project", "run", "kind", "key", name=op.f("pk_run_values")),
    )
    op.create_index("ix_run_values_number", "run_values", ["project", "kind", "key", "number"], unique=False)


def _runs() -> None:
    op.create_table(
        "runs",
        sa.Column("project", sa.String(length=128), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("experiment", sa.String(length=128), nullable=False),
        sa.Column("name", sa.String(length=256), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("inputs", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("environment", sa.String(length=64), nullable=False),
        sa.Column("started", sa.BigInteger(), nullable=False),
        sa.Column("ended", sa.BigInteger(), nullable=True),
        sa.Column("parent", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("project", "id", name=op.f("pk_runs")),
    )
    op.create_index("ix_runs_experiment", "runs", ["project", "experiment", "started"], unique=False)


def _snapshot_profiles() -> None:
    op.create_table(
        "snapshot_profiles",
        sa.Column("project", sa.String(length=128), nullable=False),
        sa.Column("dataset", sa.String(length=128), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("profile", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("project", "dataset", "version", name=op.f("pk_snapshot_profiles")),
    )


def _snapshots() -> None:
    op.create_table(
        "snapshots",
        sa.Column("project", sa.String(length=128), nullable=False),
        sa.Column("dataset", sa.String(length=128), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("columns", sa.Text(), nullable=False),
        sa.Column("parents", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project", "dataset", "version", name=op.f("pk_snapshots")),
        sa.UniqueConstraint("project", "dataset", "digest", name=op.f("uq_snapshots_project_dataset_digest")),
    )


def _step_executions() -> None:
    op.create_table(
        "step_executions",
        sa.Column("project", sa.String(length=128), nullable=False),
        sa.Column("execution", sa.String(length=32), nullable=False),
        sa.Column("index", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(length=250), nullable=False),
        sa.Column("memo_key", sa.String(length=64), nullable=False),
        sa.Column("hit", sa.Boolean(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("output_digest", sa.String(length=64), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("random_seed", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project", "execution", "index", name=op.f("pk_step_executions")),
    )


def _tokens() -> None:
    op.create_table(
        "tokens",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("principal", sa.String(length=128), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("expires", sa.BigInteger(), nullable=True),
        sa.Column("revoked", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tokens")),
        sa.UniqueConstraint("hash", name=op.f("uq_tokens_hash")),
    )
    op.create_index("ix_tokens_principal", "tokens", ["principal"], unique=False)


def _traffic_changes() -> None:
    op.create_table(
        "traffic_changes",
        sa.Column("project", sa.String(length=128), nullable=False),
        sa.Column("endpoint", sa.String(length=128), nullable=False),
        sa.Column("revision", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("traffic", sa.Text(), nullable=False),
        sa.Column("allocation", sa.Text(), nullable=False),
        sa.Column("restored", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project", "endpoint", "revision", name=op.f("pk_traffic_changes")),
    )


def _window_reports() -> None:
    op.create_table(
        "window_reports",
        sa.Column("project", sa.String(length=128), nullable=False),
        sa.Column("endpoint", sa.String(length=128), nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("final", sa.Boolean(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("impact", sa.Float(), nullable=False),
        sa.Column("report", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("project", "endpoint", "start", name=op.f("pk_window_reports")),
    )


def _model_versions() -> None:
    op.create_table(
        "model_versions",
        sa.Column("project", sa.String(length=128), nullable=False),
        sa.Column("model", sa.String(length=128), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("trained", sa.Text(), nullable=False),
        sa.Column("run", sa.String(length=128), nullable=False),
        sa.Column("card", sa.Text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project", "model"], ["models.project", "models.name"], name=op.f("fk_model_versions_project_model")
        ),
        sa.PrimaryKeyConstraint("project", "model", "version", name=op.f("pk_model_versions")),
    )


def _model_aliases() -> None:
    op.create_table(
        "model_aliases",
        sa.Column("project", sa.String(length=128), nullable=False),
        sa.Column("model", sa.String(length=128), nullable=False),
        sa.Column("alias", sa.String(length=128), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("moved", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project", "model", "version"],
            ["model_versions.project", "model_versions.model", "model_versions.version"],
            name=op.f("fk_model_aliases_project_model_version"),
        ),
        sa.PrimaryKeyConstraint("project", "model", "alias", name=op.f("pk_model_aliases")),
    )


_TABLES = {
    "alerts": _alerts,
    "answered": _answered,
    "artifacts": _artifacts,
    "chain_head": _chain_head,
    "check_reports": _check_reports,
    "datasets": _datasets,
    "deliveries": _deliveries,
    "deployments": _deployments,
    "endpoints": _endpoints,
    "executions": _executions,
    "expectation_suites": _expectation_suites,
    "experiments": _experiments,
    "feature_services": _feature_services,
    "feature_views": _feature_views,
    "incidents": _incidents,
    "ledger": _ledger,
    "lineage": _lineage,
    "loop_candidates": _loop_candidates,
    "loops": _loops,
    "materializations": _materializations,
    "memo": _memo,
    "metric_blocks": _metric_blocks,
    "model_approvals": _model_approvals,
    "models": _models,
    "monitor_references": _monitor_references,
    "monitors": _monitors,
    "notices": _notices,
    "packages": _packages,
    "pipelines": _pipelines,
    "principals": _principals,
    "rollout_steps": _rollout_steps,
    "rollouts": _rollouts,
    "run_values": _run_values,
    "runs": _runs,
    "snapshot_profiles": _snapshot_profiles,
    "snapshots": _snapshots,
    "step_executions": _step_executions,
    "tokens": _tokens,
    "traffic_changes": _traffic_changes,
    "window_reports": _window_reports,
    "model_versions": _model_versions,
    "model_aliases": _model_aliases,
}
