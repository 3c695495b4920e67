"""Who wrote a candidate: the library, a person, or one of the machines that propose."""

from enum import StrEnum


class Author(StrEnum):
    LIBRARY = "library"
    HUMAN = "human"
    LLM = "llm"
    RECORDED = "recorded"
    SYMBOLIC = "symbolic"

    @property
    def is_machine(self) -> bool:
        """A machine's twin of a known loss is refused; anybody else's is accepted, with its twin named."""
        return self not in (Author.LIBRARY, Author.HUMAN)
