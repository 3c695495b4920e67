"""Asking language models: the one place that imports the openai client."""
