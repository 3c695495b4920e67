"""What the exit code of a command says."""

from enum import IntEnum


class ExitCode(IntEnum):
    OK = 0
    ERROR = 1
    """The service failed, did not answer, or cannot do this to what is there: no such id, not in this state."""
    USAGE = 2
    """An argument, a field, a file, a setting or the key cannot be used; the person at the terminal can mend it."""
    CAMPAIGN_FAILED = 3
    """The campaign that was watched has failed."""
    JAIL_UNAVAILABLE = 4
    """No jail can be locked here, so that nothing was judged."""
    REFUSED = 5
    """The gate refused the loss."""
    UNREADABLE = 6
    """Something that is stored cannot be read, by this version or by anyone; all else was done."""
