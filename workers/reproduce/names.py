"""What a person calls the papers. Free of torch, for whoever only reads the command's options."""

from enum import StrEnum


class PaperName(StrEnum):
    DISCOPOP = "discopop"
    CPO = "cpo"
    UPO = "upo"
    SIGN = "sign"
    PM = "pm"
    ALL = "all"
    """Not one, but every one."""
