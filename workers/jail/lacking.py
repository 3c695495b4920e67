"""What a locked process lacks since nobody loaded it before the lock: our fault, whatever the candidate asked for."""

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
