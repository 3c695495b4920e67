"""The local stack: PostgreSQL, Redis, the API, the workers and beat as children of one supervisor."""
