"""Pages for a browser: what is searched, how it stands, and the module of what was found. They change nothing."""
