"""What the exit code of a command says."""

from enum import IntEnum


class ExitCode(IntEnum):
    OK = 0
    ERROR = 1
    """The service refused, failed or did not answer."""
    USAGE = 2
    """The command, a file or a setting cannot be used; the person at the terminal can mend it."""
    CAMPAIGN_FAILED = 3
    """The campaign that was watched has failed."""
