"""What a process lacks, whatever the candidate asked for: a module that nobody loaded before the lock, or memory."""

MOST_WORDS = 200


def find_lack(error: BaseException) -> str | None:
    """The module or codec that an error is about, be it wrapped in others or told as a refusal; None if about none."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        # Of what is raised for a key or an index, LookupError itself is raised for an unknown codec alone.
        if isinstance(cause, ImportError) or type(cause) is LookupError:
            return ascii(f"{type(cause).__name__}: {cause}")[1:-1][:MOST_WORDS]
        seen.add(id(cause))
        cause = cause.__cause__ or cause.__context__
    return None


def is_out_of_memory(error: BaseException) -> bool:
    """Torch reports a failed allocation as a RuntimeError."""
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(
        mark in str(error) for mark in ("can't allocate memory", "bad_alloc", "bad allocation")
    )
