"""One module a resource, in the order of the pipeline."""
