"""Scripts that measure the service; each prints a table, most of them JSON if asked, and none is part of the tests."""
