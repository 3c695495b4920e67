"""`discovery compare`: losses against a reference, each tuned by the arena's plan, on fresh draws, without a server."""
