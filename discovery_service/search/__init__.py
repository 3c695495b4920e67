"""Strategies: from a snapshot of the archive to what a proposer is asked for. Pure, and seeded by (round, slot)."""
