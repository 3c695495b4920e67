"""The command `discovery`: one module a group of commands. What is heavy is imported by the command that needs it."""

from discovery_service.cli.app import main

__all__ = ["main"]
