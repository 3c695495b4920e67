"""Arenas of what users have: local folders of Hugging Face models and a file of preferences."""
