"""What goes over the wire. Read models have no defaults, Create and Update models forbid unknown keys."""
