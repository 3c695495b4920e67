"""Scripts that measure the service; each prints a table and JSON, and none is part of the tests."""
