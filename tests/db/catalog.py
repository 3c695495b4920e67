"""What a database consists of, as its catalog tells it: columns, constraints, indexes, triggers, functions, rights."""

from sqlalchemy import Connection, text

QUERIES = {
    "columns": """
        SELECT table_name, column_name, data_type, character_maximum_length, numeric_precision, numeric_scale,
               is_nullable, column_default, is_identity, identity_generation
        FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'alembic_version'
    """,
    "constraints": """
        SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid)
        FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text <> 'alembic_version'
    """,
    "indexes": """
        SELECT tablename, indexname, indexdef FROM pg_indexes
        WHERE schemaname = 'public' AND tablename <> 'alembic_version'
    """,
    "triggers": """
        SELECT tgrelid::regclass::text, tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
    """,
    "functions": "SELECT proname, pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace",
    "rights": """
        SELECT table_name, privilege_type FROM information_schema.role_table_grants
        WHERE grantee = 'discovery_service' AND table_schema = 'public'
    """,
}
WHAT_THE_ORM_KNOWS = ("columns", "constraints", "indexes")


def read_catalog(connection: Connection, *parts: str) -> dict[str, list[tuple[object, ...]]]:
    """Rows of each part in an order that does not depend on how they came to be."""
    return {
        part: sorted((tuple(row) for row in connection.execute(text(QUERIES[part]))), key=repr)
        for part in parts or QUERIES
    }
