"""Control plane of the discovery service: API and domain. Imports neither torch, transformers, openai nor workers."""
