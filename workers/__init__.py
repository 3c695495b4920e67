"""Everything that executes: Celery tasks and, below them, what proposes, gates and trains."""
