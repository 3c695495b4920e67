"""Alembic migrations, run by `discovery db upgrade` as the owner of the schema."""
