"""The database: tables in pipeline order, sessions, queries. Nothing here commits."""
