"""`discovery workers`: the fleet, through the API."""

from collections import Counter

from discovery_service.cli.connection import connect
from discovery_service.cli.output import AsJson, as_plain, print_json, print_table
from discovery_service.client import Worker

COLUMNS = ("name", "state", "queues", "slots", "devices", "isolation", "seen at")


def workers(as_json: AsJson = False) -> None:
    """List the workers that were seen within a day: their queues, slots and devices, and whether they live."""
    with connect() as client:
        found = client.workers.list()
    if as_json:
        print_json([as_plain(each) for each in found])
    else:
        print_table(COLUMNS, [_row(each) for each in found])


def _row(worker: Worker) -> tuple[object, ...]:
    devices = Counter(each.model or each.kind for each in worker.devices)
    told = ", ".join(f"{count} x {name}" for name, count in devices.items())
    queues = ", ".join(worker.queues)
    return worker.name, worker.state, queues, worker.slots, told, worker.isolation, worker.seen_at
