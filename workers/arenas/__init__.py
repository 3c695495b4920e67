"""Builders of arenas: one module a kind of world. What an arena is stays data in discovery_service.domain.arenas."""
