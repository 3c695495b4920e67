"""What the database does for a piece of work: its statements as they were sent, and how each is carried out."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, event


@dataclass
class Statements:
    """In order; an insertion has no plan worth reading."""

    sent: list[tuple[str, Any]] = field(default_factory=list)

    def explain(self, connection: Connection) -> list[tuple[str, dict[str, Any]]]:
        """Each with its plan, which the database makes without carrying it out."""
        explained = []
        for statement, parameters in self.sent:
            plans = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters).scalar_one()
            explained.append((statement, plans[0]["Plan"]))
        return explained


@contextmanager
def listening(connection: Connection) -> Iterator[Statements]:
    heard = Statements()

    def hear(_c: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        if not many and statement.lstrip().upper().startswith(("SELECT", "UPDATE", "DELETE", "WITH")):
            heard.sent.append((statement, parameters))

    event.listen(connection, "before_cursor_execute", hear)
    try:
        yield heard
    finally:
        event.remove(connection, "before_cursor_execute", hear)


def list_nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from list_nodes(child)


def tell_plan(plan: dict[str, Any], depth: int = 0) -> Iterator[str]:
    """As lines, for people."""
    words = [plan["Node Type"], plan.get("Relation Name"), plan.get("Index Name") and f"by {plan['Index Name']}"]
    yield "  " * depth + " ".join(filter(None, words))
    for child in plan.get("Plans", ()):
        yield from tell_plan(child, depth + 1)
