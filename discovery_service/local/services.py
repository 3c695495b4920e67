"""The service's own processes on one machine: their commands, and an environment built for each from scratch."""

import sys
from collections.abc import Mapping
from pathlib import Path

from discovery_service.local.address import Address
from discovery_service.local.guarded import Program

WORKERS = ("propose", "gate", "evaluate")
ENTRY = (sys.executable, "-m", "discovery_service.cli")
# A Celery worker with a prefork pool and nothing to do takes 2.2 s.
GRACE_S = 2.6

MACHINE_VARIABLES = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH")
DEVICE_VARIABLES = ("CUDA_VISIBLE_DEVICES", "HF_HOME")
MODEL_VARIABLES = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "SSL_CERT_FILE")
"""For the one process that talks to a language model."""
KEY_SECRET = "DISCOVERY__API__KEY_SECRET"  # noqa: S105 - its name, not the secret
"""For the API alone: whoever has it can tell which keys are valid."""
WITHHELD_SETTINGS = ("DISCOVERY__DB__", "DISCOVERY__REDIS__", "DISCOVERY__CLIENT__", KEY_SECRET)


def service_programs(
    entry: tuple[str, ...],
    inherited: Mapping[str, str],
    settings: Mapping[str, str],
    address: Address,
    key_secret: str,
) -> list[Program]:
    """The API, the workers and beat. `inherited` is what the person's shell has, `settings` what the stack decided."""
    environment = base_environment(inherited) | dict(settings)
    model = {name: inherited[name] for name in MODEL_VARIABLES if name in inherited}
    listen = ("--host", address.host, "--port", str(address.port))
    programs = [
        Program("api", (*entry, "api", *listen), environment | {KEY_SECRET: key_secret}, grace_s=GRACE_S),
        Program("beat", (*entry, "beat"), environment, grace_s=GRACE_S),
    ]
    for queue in WORKERS:
        variables = environment | model if queue == "propose" else environment
        programs.append(Program(queue, (*entry, "worker", queue), variables, grace_s=GRACE_S))
    return programs


def base_environment(inherited: Mapping[str, str]) -> dict[str, str]:
    """The machine's variables and the person's settings, without logins and keys."""
    names = [name for name in (*MACHINE_VARIABLES, *DEVICE_VARIABLES) if name in inherited]
    names += [name for name in inherited if name.startswith("DISCOVERY__") and not name.startswith(WITHHELD_SETTINGS)]
    return {"DISCOVERY__LOG__FORMAT": "console", "PYTHONUNBUFFERED": "1"} | {name: inherited[name] for name in names}


def stack_settings(data_dir: Path, *, database_url: str, redis_url: str, slots: int | None) -> dict[str, str]:
    settings = {
        "DISCOVERY__DB__URL": database_url,
        "DISCOVERY__REDIS__URL": redis_url,
        "DISCOVERY__LOCAL__DATA_DIR": str(data_dir),
    }
    return settings if slots is None else settings | {"DISCOVERY__WORKER__SLOTS": str(slots)}
