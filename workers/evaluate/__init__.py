"""`discovery evaluate`: a loss through the gate, then trained and measured in an arena, without a server."""
