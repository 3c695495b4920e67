"""Each paper's own small world, and what comes out there of its claims."""
