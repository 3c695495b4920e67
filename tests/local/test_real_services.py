"""`discovery up` with the services that it really runs: `kill -9` of any of them, or of itself, loses nothing."""

import os
import signal
from pathlib import Path

from discovery_service.client import Client, DiscoveryError
from discovery_service.local.services import WORKERS
from discovery_service.local.state import find_api_access
from tests.local.conftest import CHILDREN, Stack, StartStack
from tests.local.processes import find_processes
from tests.waiting import wait_until

# Two cores that other tests use as well need about 10.
HEAL_WITHIN_S = 60.0
DISCOVERY_UP = ("discovery_service.cli", "up", "--port", "0")


def client_of(stack: Stack) -> Client:
    access = find_api_access(stack.data_dir)
    assert access is not None
    return Client(access.url, access.api_key, max_retries=0)


def is_ready(client: Client) -> bool:
    try:
        return client.service.readiness().status == "ready"
    except DiscoveryError:
        return False


def wait_for_workers(stack: Stack, *, besides: frozenset[object] = frozenset()) -> frozenset[object]:
    """The ids of one live worker a queue, none of them one of those that were there before."""

    def live() -> list[tuple[object, ...]]:
        rows = stack.try_sql("SELECT id, queues[1] FROM worker WHERE stopped_at IS NULL ORDER BY queues[1]") or []
        return [row for row in rows if row[0] not in besides]

    wait_until(lambda: [queue for _, queue in live()] == sorted(WORKERS), deadline_s=HEAL_WITHIN_S)
    return frozenset(row_id for row_id, _ in live())


# One test, because each start takes 5 s.
def test_kill_9_of_all_services_at_once_and_then_of_the_supervisor_loses_nothing(
    start_stack: StartStack, tmp_path: Path
) -> None:
    stack = start_stack(module=DISCOVERY_UP).wait_ready()
    with client_of(stack) as client:
        made = client.campaigns.create(name="kept", spec={"arena": "panel:mini"})
        workers = wait_for_workers(stack)
        killed = {name: pid for name in CHILDREN if (pid := stack.program_of(name)) is not None}
        assert set(killed) == set(CHILDREN)
        for pid in killed.values():
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: killed["api"] != stack.program_of("api") and is_ready(client), deadline_s=HEAL_WITHIN_S)
        workers |= wait_for_workers(stack, besides=workers)
        assert client.campaigns.read(made.id) == made
    stack.kill()
    wait_until(lambda: not find_processes(tmp_path))

    again = start_stack(module=DISCOVERY_UP).wait_ready()
    with client_of(again) as client:
        assert list(client.campaigns.list()) == [made]
        wait_for_workers(again, besides=workers)
    assert again.stop() == (0, "")
    assert not find_processes(tmp_path)
