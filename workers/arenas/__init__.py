"""Builders of arenas: one module a kind of world. Their specs are data in `discovery_service.domain.arenas`."""
