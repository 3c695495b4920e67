"""Whom a round's halving has stopped; what is confirmed is what was frozen, and its measurement stays.

A reference may be frozen at several settings. Where one is, there is no way back: the older schema has no room for it.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

KEY = "pk_finalist"
RANK = "ck_finalist_rank_of_reference"
UNIQUE = "uq_finalist_freeze_id_candidate_id_setting"
BY_CANDIDATE = "fk_evaluation_seal_id_candidate_id"
BY_SETTING = "fk_evaluation_seal_id_candidate_id_setting"
ONCE = "uq_evaluation_confirmed_once"

# The service's role may write `measurement_id`, `status` and `failure`, or nothing could be measured: so the database
# looks at what it writes. Of what was confirmed a failure is a result like another.
GUARDS = """
CREATE FUNCTION keep_measurement() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'evaluation % is measured; what it measured stays', OLD.id USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER keep_measurement BEFORE UPDATE ON evaluation FOR EACH ROW
    WHEN (OLD.measurement_id IS NOT NULL AND NEW.measurement_id IS DISTINCT FROM OLD.measurement_id)
    EXECUTE FUNCTION keep_measurement();

CREATE FUNCTION keep_confirmed() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'evaluation % is confirmed; what came of it stays', OLD.id USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER keep_confirmed BEFORE UPDATE ON evaluation FOR EACH ROW
    WHEN (OLD.seal_id IS NOT NULL AND OLD.status IN ('succeeded', 'failed')
        AND (NEW.status, NEW.failure, NEW.measurement_id)
            IS DISTINCT FROM (OLD.status, OLD.failure, OLD.measurement_id))
    EXECUTE FUNCTION keep_confirmed();

CREATE FUNCTION match_measurement() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF NOT EXISTS (
        SELECT 1
        FROM measurement
        JOIN arena ON arena.id = NEW.arena_id
        JOIN candidate ON candidate.id = NEW.candidate_id
        WHERE measurement.id = NEW.measurement_id
            AND measurement.key -> 'graph' = to_jsonb(candidate.graph_sha256)
            AND measurement.key -> 'arena' = to_jsonb(arena.content_sha256)
            AND measurement.key -> 'base_policy' = to_jsonb(NEW.base_policy)
            AND measurement.key -> 'setting' = NEW.setting
            AND measurement.key -> 'draw'
                = jsonb_build_object('purpose', NEW.purpose, 'key', NEW.draw, 'salt', NEW.salt, 'repeat', 0)
    ) THEN
        RAISE EXCEPTION 'measurement % is of another training than evaluation % asks for', NEW.measurement_id, NEW.id
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER match_measurement BEFORE INSERT OR UPDATE OF measurement_id ON evaluation FOR EACH ROW
    WHEN (NEW.measurement_id IS NOT NULL) EXECUTE FUNCTION match_measurement();

CREATE FUNCTION keep_frozen_loss() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM finalist WHERE candidate_id = OLD.id) THEN
        RAISE EXCEPTION 'candidate % is frozen; which loss it is stays', OLD.id USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER keep_frozen_loss BEFORE UPDATE OF name, author, graph, graph_sha256 ON candidate FOR EACH ROW
    WHEN ((OLD.name, OLD.author, OLD.graph, OLD.graph_sha256)
        IS DISTINCT FROM (NEW.name, NEW.author, NEW.graph, NEW.graph_sha256))
    EXECUTE FUNCTION keep_frozen_loss();
"""
# An arena's content is what its evaluations were made in: a changed arena is another row.
RIGHTS = """
REVOKE UPDATE ON arena FROM discovery_service;
GRANT UPDATE (calibration, registered_at) ON arena TO discovery_service;
"""
WIDER_RIGHTS = """
REVOKE UPDATE (calibration, registered_at) ON arena FROM discovery_service;
GRANT UPDATE ON arena TO discovery_service;
"""
UNGUARDED = """
DROP TRIGGER keep_frozen_loss ON candidate;
DROP TRIGGER match_measurement ON evaluation;
DROP TRIGGER keep_confirmed ON evaluation;
DROP TRIGGER keep_measurement ON evaluation;
DROP FUNCTION keep_frozen_loss();
DROP FUNCTION match_measurement();
DROP FUNCTION keep_confirmed();
DROP FUNCTION keep_measurement();
"""


def upgrade() -> None:
    op.add_column("round", sa.Column("stopped_slots", postgresql.JSONB(astext_type=sa.Text()), nullable=True))
    op.add_column("campaign_progress", sa.Column("search_over_at", sa.DateTime(timezone=True), nullable=True))
    op.drop_constraint(BY_CANDIDATE, "evaluation", type_="foreignkey")
    op.add_column("finalist", sa.Column("rank", sa.Integer(), server_default="0", nullable=False))
    op.create_check_constraint(op.f(RANK), "finalist", "rank = 0 OR (rank > 0 AND role = 'reference')")
    op.drop_constraint(KEY, "finalist", type_="primary")
    op.create_primary_key(KEY, "finalist", ["freeze_id", "candidate_id", "rank"])
    op.create_unique_constraint(UNIQUE, "finalist", ["freeze_id", "candidate_id", "setting"])
    op.create_foreign_key(
        BY_SETTING,
        "evaluation",
        "finalist",
        ["seal_id", "candidate_id", "setting"],
        ["freeze_id", "candidate_id", "setting"],
    )
    op.create_index(
        ONCE,
        "evaluation",
        ["seal_id", "candidate_id", "setting", "base_policy", "draw"],
        unique=True,
        postgresql_where=sa.text("seal_id IS NOT NULL"),
    )
    op.execute(GUARDS)
    op.execute(RIGHTS)


def downgrade() -> None:
    op.execute(WIDER_RIGHTS)
    op.execute(UNGUARDED)
    op.drop_index(ONCE, "evaluation")
    op.drop_constraint(BY_SETTING, "evaluation", type_="foreignkey")
    op.drop_constraint(UNIQUE, "finalist", type_="unique")
    op.drop_constraint(KEY, "finalist", type_="primary")
    op.create_primary_key(KEY, "finalist", ["freeze_id", "candidate_id"])
    op.drop_constraint(op.f(RANK), "finalist", type_="check")
    op.drop_column("finalist", "rank")
    op.create_foreign_key(
        BY_CANDIDATE, "evaluation", "finalist", ["seal_id", "candidate_id"], ["freeze_id", "candidate_id"]
    )
    op.drop_column("campaign_progress", "search_over_at")
    # Whom a halving stopped is lost with it: on the way up again, all of such a round go on.
    op.drop_column("round", "stopped_slots")
