"""The pipeline from round to standing; what was frozen or measured can only be added to."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# SECURITY DEFINER, because the lock on the freeze needs a right to UPDATE that the service must not have.
SEALING = """
CREATE FUNCTION lock_freeze() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM 1 FROM "freeze" WHERE id = NEW.freeze_id FOR UPDATE;
    IF TG_TABLE_NAME = 'finalist' AND EXISTS (SELECT 1 FROM seal WHERE freeze_id = NEW.freeze_id) THEN
        RAISE EXCEPTION 'freeze % is sealed; its finalists are fixed', NEW.freeze_id
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER lock_freeze BEFORE INSERT ON finalist FOR EACH ROW EXECUTE FUNCTION lock_freeze();
CREATE TRIGGER lock_freeze BEFORE INSERT ON seal FOR EACH ROW EXECUTE FUNCTION lock_freeze();
"""

# What an evaluation trains is fixed when it is made; only what becomes of it moves.
RIGHTS = """
GRANT SELECT, INSERT, UPDATE ON round, proposal, exchange, candidate TO discovery_service;
GRANT SELECT, INSERT, UPDATE (
    status, attempt, crashes, interruptions, lease_owner, lease_expires_at, rung_at, cancel_requested_at,
    started_at, finished_at, failure, measurement_id, is_reused, device_seconds
) ON evaluation TO discovery_service;
GRANT SELECT, INSERT ON lineage, "freeze", finalist, seal, measurement TO discovery_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON standing TO discovery_service;
"""


def upgrade() -> None:
    op.create_table(
        "round",
        sa.Column("campaign_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column(
            "status",
            sa.Enum(
                "proposing",
                "gating",
                "evaluating",
                "closed",
                name="roundstatus",
                native_enum=False,
                create_constraint=True,
                length=20,
            ),
            server_default="proposing",
            nullable=False,
        ),
        sa.Column("snapshot_rounds", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaign.id"], name=op.f("fk_round_campaign_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_round")),
        sa.UniqueConstraint("campaign_id", "number", name=op.f("uq_round_campaign_id_number")),
    )
    op.create_index(op.f("ix_round_status"), "round", ["status"], unique=False)
    op.create_table(
        "proposal",
        sa.Column("round_id", sa.Uuid(), nullable=False),
        sa.Column("slot", sa.Integer(), nullable=False),
        sa.Column("proposer", sa.String(), nullable=False),
        sa.Column(
            "status",
            sa.Enum(
                "queued",
                "asking",
                "answered",
                "unparsable",
                "failed",
                "cancelled",
                name="proposalstatus",
                native_enum=False,
                create_constraint=True,
                length=20,
            ),
            server_default="queued",
            nullable=False,
        ),
        sa.Column("request", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("outcome", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["round_id"], ["round.id"], name=op.f("fk_proposal_round_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_proposal")),
        sa.UniqueConstraint("round_id", "slot", name=op.f("uq_proposal_round_id_slot")),
    )
    op.create_index(op.f("ix_proposal_status"), "proposal", ["status"], unique=False)
    op.create_table(
        "exchange",
        sa.Column("proposal_id", sa.Uuid(), nullable=False),
        sa.Column("turn", sa.Integer(), nullable=False),
        sa.Column(
            "status",
            sa.Enum(
                "queued",
                "asking",
                "answered",
                "failed",
                "cancelled",
                "abandoned",
                name="exchangestatus",
                native_enum=False,
                create_constraint=True,
                length=20,
            ),
            server_default="queued",
            nullable=False,
        ),
        sa.Column("model", sa.String(), nullable=True),
        sa.Column("prompt_version", sa.String(), nullable=True),
        sa.Column("messages", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False),
        sa.Column("reply", sa.String(), nullable=True),
        sa.Column("tokens_in", sa.Integer(), nullable=True),
        sa.Column("tokens_out", sa.Integer(), nullable=True),
        sa.Column("reserved_usd", sa.Numeric(precision=14, scale=6), nullable=True),
        sa.Column("cost_usd", sa.Numeric(precision=14, scale=6), nullable=True),
        sa.Column("failure", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("attempt", sa.Integer(), server_default="0", nullable=False),
        sa.Column("crashes", sa.Integer(), server_default="0", nullable=False),
        sa.Column("interruptions", sa.Integer(), server_default="0", nullable=False),
        sa.Column("lease_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("rung_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancel_requested_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("campaign_id", sa.Uuid(), nullable=False),
        sa.Column("lease_owner", sa.Uuid(), nullable=True),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaign.id"], name=op.f("fk_exchange_campaign_id")),
        sa.ForeignKeyConstraint(["lease_owner"], ["worker.id"], name=op.f("fk_exchange_lease_owner")),
        sa.ForeignKeyConstraint(["proposal_id"], ["proposal.id"], name=op.f("fk_exchange_proposal_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_exchange")),
        sa.UniqueConstraint("proposal_id", "turn", name=op.f("uq_exchange_proposal_id_turn")),
    )
    op.create_index(op.f("ix_exchange_campaign_id"), "exchange", ["campaign_id"], unique=False)
    op.create_index(op.f("ix_exchange_lease_owner"), "exchange", ["lease_owner"], unique=False)
    op.create_index(op.f("ix_exchange_status"), "exchange", ["status"], unique=False)
    _create_rung_index("exchange", "queued")
    op.create_table(
        "candidate",
        sa.Column("proposal_id", sa.Uuid(), nullable=False),
        sa.Column("turn", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column(
            "status",
            sa.Enum(
                "proposed",
                "gating",
                "rejected",
                "accepted",
                "cancelled",
                "abandoned",
                name="candidatestatus",
                native_enum=False,
                create_constraint=True,
                length=20,
            ),
            server_default="proposed",
            nullable=False,
        ),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("source_sha256", sa.String(), nullable=False),
        sa.Column("graph", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("graph_sha256", sa.String(), nullable=True),
        sa.Column("torch_version", sa.String(), nullable=True),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=True),
        sa.Column("passport", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("formula", sa.String(), nullable=True),
        sa.Column("readable_source", sa.String(), nullable=True),
        sa.Column("check_vectors", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("twin", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("refusal", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("attempt", sa.Integer(), server_default="0", nullable=False),
        sa.Column("crashes", sa.Integer(), server_default="0", nullable=False),
        sa.Column("interruptions", sa.Integer(), server_default="0", nullable=False),
        sa.Column("lease_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("rung_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancel_requested_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("campaign_id", sa.Uuid(), nullable=False),
        sa.Column("lease_owner", sa.Uuid(), nullable=True),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaign.id"], name=op.f("fk_candidate_campaign_id")),
        sa.ForeignKeyConstraint(["lease_owner"], ["worker.id"], name=op.f("fk_candidate_lease_owner")),
        sa.ForeignKeyConstraint(["proposal_id"], ["proposal.id"], name=op.f("fk_candidate_proposal_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_candidate")),
        sa.UniqueConstraint("proposal_id", "turn", name=op.f("uq_candidate_proposal_id_turn")),
    )
    op.create_index(op.f("ix_candidate_campaign_id"), "candidate", ["campaign_id"], unique=False)
    op.create_index(op.f("ix_candidate_graph_sha256"), "candidate", ["graph_sha256"], unique=False)
    op.create_index(op.f("ix_candidate_lease_owner"), "candidate", ["lease_owner"], unique=False)
    op.create_index(op.f("ix_candidate_status"), "candidate", ["status"], unique=False)
    _create_rung_index("candidate", "proposed")
    op.create_table(
        "lineage",
        sa.Column("child_id", sa.Uuid(), nullable=False),
        sa.Column("parent_id", sa.Uuid(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.CheckConstraint("role IN ('parent', 'inspiration')", name=op.f("ck_lineage_role_known")),
        sa.ForeignKeyConstraint(["child_id"], ["candidate.id"], name=op.f("fk_lineage_child_id")),
        sa.ForeignKeyConstraint(["parent_id"], ["candidate.id"], name=op.f("fk_lineage_parent_id")),
        sa.PrimaryKeyConstraint("child_id", "parent_id", name=op.f("pk_lineage")),
    )
    op.create_index("ix_lineage_parent_id", "lineage", ["parent_id"], unique=False)
    op.create_table(
        "freeze",
        sa.Column("campaign_id", sa.Uuid(), nullable=False),
        sa.Column("arena_id", sa.Uuid(), nullable=False),
        sa.Column("extension", sa.Integer(), server_default="0", nullable=False),
        sa.Column("plan", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["arena_id"], ["arena.id"], name=op.f("fk_freeze_arena_id")),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaign.id"], name=op.f("fk_freeze_campaign_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_freeze")),
        sa.UniqueConstraint("id", "arena_id", name=op.f("uq_freeze_id_arena_id")),
        sa.UniqueConstraint(
            "campaign_id", "arena_id", "extension", name=op.f("uq_freeze_campaign_id_arena_id_extension")
        ),
    )
    op.create_table(
        "finalist",
        sa.Column("freeze_id", sa.Uuid(), nullable=False),
        sa.Column("candidate_id", sa.Uuid(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("setting", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("role IN ('finalist', 'reference')", name=op.f("ck_finalist_role_known")),
        sa.ForeignKeyConstraint(["candidate_id"], ["candidate.id"], name=op.f("fk_finalist_candidate_id")),
        sa.ForeignKeyConstraint(["freeze_id"], ["freeze.id"], name=op.f("fk_finalist_freeze_id")),
        sa.PrimaryKeyConstraint("freeze_id", "candidate_id", name=op.f("pk_finalist")),
    )
    op.create_index(op.f("ix_finalist_candidate_id"), "finalist", ["candidate_id"], unique=False)
    op.create_table(
        "seal",
        sa.Column("freeze_id", sa.Uuid(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["freeze_id"], ["freeze.id"], name=op.f("fk_seal_freeze_id")),
        sa.PrimaryKeyConstraint("freeze_id", name=op.f("pk_seal")),
    )
    op.create_table(
        "measurement",
        sa.Column("key_sha256", sa.String(), nullable=False),
        sa.Column("key", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("graph_sha256", sa.String(), nullable=False),
        sa.Column("arena_id", sa.Uuid(), nullable=False),
        sa.Column("metrics", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("series", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("device_seconds", sa.Double(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["arena_id"], ["arena.id"], name=op.f("fk_measurement_arena_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_measurement")),
        sa.UniqueConstraint("key_sha256", name=op.f("uq_measurement_key_sha256")),
    )
    op.create_index(op.f("ix_measurement_graph_sha256"), "measurement", ["graph_sha256"], unique=False)
    op.create_index(op.f("ix_measurement_arena_id"), "measurement", ["arena_id"], unique=False)
    op.create_table(
        "evaluation",
        sa.Column("candidate_id", sa.Uuid(), nullable=False),
        sa.Column("arena_id", sa.Uuid(), nullable=False),
        sa.Column("base_policy", sa.Integer(), nullable=False),
        sa.Column("setting", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("setting_sha256", sa.String(), nullable=False),
        sa.Column(
            "purpose",
            sa.Enum(
                "tune",
                "screen",
                "confirm",
                "calibrate",
                name="purpose",
                native_enum=False,
                create_constraint=True,
                length=20,
            ),
            nullable=False,
        ),
        sa.Column("draw", sa.String(), nullable=False),
        sa.Column("salt", sa.String(), server_default="", nullable=False),
        sa.Column("seal_id", sa.Uuid(), nullable=True),
        sa.Column(
            "status",
            sa.Enum(
                "queued",
                "running",
                "succeeded",
                "failed",
                "cancelled",
                "abandoned",
                name="evaluationstatus",
                native_enum=False,
                create_constraint=True,
                length=20,
            ),
            server_default="queued",
            nullable=False,
        ),
        sa.Column("failure", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("measurement_id", sa.Uuid(), nullable=True),
        sa.Column("is_reused", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("device_seconds", sa.Double(), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("attempt", sa.Integer(), server_default="0", nullable=False),
        sa.Column("crashes", sa.Integer(), server_default="0", nullable=False),
        sa.Column("interruptions", sa.Integer(), server_default="0", nullable=False),
        sa.Column("lease_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("rung_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancel_requested_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("campaign_id", sa.Uuid(), nullable=False),
        sa.Column("lease_owner", sa.Uuid(), nullable=True),
        sa.CheckConstraint(
            "(purpose = 'confirm') = (seal_id IS NOT NULL)", name=op.f("ck_evaluation_confirm_is_sealed")
        ),
        sa.CheckConstraint(
            "(status = 'succeeded') = (measurement_id IS NOT NULL)", name=op.f("ck_evaluation_success_is_measured")
        ),
        sa.ForeignKeyConstraint(["arena_id"], ["arena.id"], name=op.f("fk_evaluation_arena_id")),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaign.id"], name=op.f("fk_evaluation_campaign_id")),
        sa.ForeignKeyConstraint(["candidate_id"], ["candidate.id"], name=op.f("fk_evaluation_candidate_id")),
        sa.ForeignKeyConstraint(["lease_owner"], ["worker.id"], name=op.f("fk_evaluation_lease_owner")),
        sa.ForeignKeyConstraint(["measurement_id"], ["measurement.id"], name=op.f("fk_evaluation_measurement_id")),
        sa.ForeignKeyConstraint(["seal_id"], ["seal.freeze_id"], name=op.f("fk_evaluation_seal_id")),
        sa.ForeignKeyConstraint(
            ["seal_id", "arena_id"], ["freeze.id", "freeze.arena_id"], name=op.f("fk_evaluation_seal_id_arena_id")
        ),
        sa.ForeignKeyConstraint(
            ["seal_id", "candidate_id"],
            ["finalist.freeze_id", "finalist.candidate_id"],
            name=op.f("fk_evaluation_seal_id_candidate_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evaluation")),
        sa.UniqueConstraint(
            "candidate_id",
            "arena_id",
            "base_policy",
            "setting_sha256",
            "purpose",
            "draw",
            "salt",
            name="uq_evaluation_natural_key",
        ),
    )
    op.create_index(op.f("ix_evaluation_campaign_id"), "evaluation", ["campaign_id"], unique=False)
    op.create_index(op.f("ix_evaluation_lease_owner"), "evaluation", ["lease_owner"], unique=False)
    op.create_index(op.f("ix_evaluation_status"), "evaluation", ["status"], unique=False)
    op.create_index(op.f("ix_evaluation_seal_id"), "evaluation", ["seal_id"], unique=False)
    op.create_index(op.f("ix_evaluation_measurement_id"), "evaluation", ["measurement_id"], unique=False)
    _create_rung_index("evaluation", "queued")
    op.create_table(
        "standing",
        sa.Column("candidate_id", sa.Uuid(), nullable=False),
        sa.Column("arena_id", sa.Uuid(), nullable=False),
        sa.Column("stage", sa.String(), nullable=False),
        sa.Column("extension", sa.Integer(), server_default="0", nullable=False),
        sa.Column("campaign_id", sa.Uuid(), nullable=False),
        sa.Column("setting", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("draws", sa.Integer(), nullable=False),
        sa.Column("difference", sa.Double(), nullable=True),
        sa.Column("lower", sa.Double(), nullable=True),
        sa.Column("upper", sa.Double(), nullable=True),
        sa.Column("verdict", sa.String(), nullable=True),
        sa.Column("figures", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["arena_id"], ["arena.id"], name=op.f("fk_standing_arena_id")),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaign.id"], name=op.f("fk_standing_campaign_id")),
        sa.ForeignKeyConstraint(["candidate_id"], ["candidate.id"], name=op.f("fk_standing_candidate_id")),
        sa.PrimaryKeyConstraint("candidate_id", "arena_id", "stage", "extension", name=op.f("pk_standing")),
    )
    op.create_index(
        "ix_standing_rank",
        "standing",
        ["campaign_id", "arena_id", "stage", sa.literal_column("lower DESC NULLS LAST")],
        unique=False,
    )
    op.execute(SEALING)
    op.execute(RIGHTS)


def downgrade() -> None:
    for table in ("standing", "evaluation", "measurement", "seal", "finalist", "freeze"):
        op.drop_table(table)
    for table in ("lineage", "candidate", "exchange", "proposal", "round"):
        op.drop_table(table)
    op.execute("DROP FUNCTION lock_freeze()")


def _create_rung_index(table: str, waiting: str) -> None:
    order = [sa.literal_column("rung_at NULLS FIRST"), "id"]
    where = sa.text(f"status = '{waiting}'")
    op.create_index(f"ix_{table}_rung_at", table, order, unique=False, postgresql_where=where)
