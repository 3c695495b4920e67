"""Celery tasks. Each is thin: open a unit of work, call the engine, close."""
