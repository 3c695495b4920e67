"""The service's own processes on one machine: their commands, and an environment built for each from scratch."""

import sys
from collections.abc import Mapping
from pathlib import Path

from discovery_service.local.address import Address
from discovery_service.local.guarded import Program
from discovery_service.settings import ModelProfile

WORKERS = ("propose", "gate", "evaluate")
ENTRY = (sys.executable, "-m", "discovery_service.cli")
# A Celery worker with a prefork pool and nothing to do takes 2.2 s.
GRACE_S = 2.6

MACHINE_VARIABLES = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH")
DEVICE_VARIABLES = ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "HF_HOME")
MODEL_VARIABLES = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "SSL_CERT_FILE", "SSL_CERT_DIR")
"""For the one process that talks to a language model."""
PROXY_VARIABLES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY")
"""Written in small letters as often."""
LLM = "DISCOVERY__LLM"
MODEL = f"{LLM}__MODEL"
PROFILES = f"{LLM}__PROFILES__"
SHARED_OF_PROFILES = tuple(f"__{name.upper()}" for name in ModelProfile.model_fields if name != "api_key")
"""Whoever takes a campaign's next step reserves what a call may cost; all else of models is for that process too."""
RECORDED_URL = f"{LLM}__RECORDED_URL"
KEY_SECRET = "DISCOVERY__API__KEY_SECRET"  # noqa: S105 - its name, not the secret
"""For the API alone: whoever has it can tell which keys are valid."""
WITHHELD_SETTINGS = ("DISCOVERY__DB__", "DISCOVERY__REDIS__", "DISCOVERY__CLIENT__", KEY_SECRET)
"""A name counts in any case, as it does where settings are read."""


def service_programs(
    entry: tuple[str, ...],
    inherited: Mapping[str, str],
    settings: Mapping[str, str],
    address: Address,
    recorded: Address,
    key_secret: str,
) -> list[Program]:
    """All but the servers. `inherited` is what the person's shell has, `settings` what the stack decided."""
    environment = base_environment(inherited) | dict(settings)
    model = {
        name: value
        for name, value in inherited.items()
        if name in MODEL_VARIABLES or name.upper() in PROXY_VARIABLES or name.upper().startswith(LLM)
    }
    model[RECORDED_URL] = f"{recorded.url}/v1"
    listen = ("--host", address.host, "--port", str(address.port))
    programs = [
        Program("api", (*entry, "api", *listen), environment | {KEY_SECRET: key_secret}, grace_s=GRACE_S),
        Program("beat", (*entry, "beat"), environment, grace_s=GRACE_S),
        Program("recorded", (*entry, "recorded", "--port", str(recorded.port)), environment, grace_s=GRACE_S),
    ]
    for queue in WORKERS:
        variables = environment | model if queue == "propose" else environment
        programs.append(Program(queue, (*entry, "worker", queue), variables, grace_s=GRACE_S))
    return programs


def base_environment(inherited: Mapping[str, str]) -> dict[str, str]:
    """The machine's variables and the person's settings, without logins and keys."""
    names = [name for name in (*MACHINE_VARIABLES, *DEVICE_VARIABLES) if name in inherited]
    names += [name for name in inherited if name.startswith("DISCOVERY__") and not _is_withheld(name.upper())]
    return {"DISCOVERY__LOG__FORMAT": "console", "PYTHONUNBUFFERED": "1"} | {name: inherited[name] for name in names}


def _is_withheld(name: str) -> bool:
    if name.startswith(LLM):  # by what is shared: a setting that is new, or misspelt, may be a key
        return name != MODEL and not (name.startswith(PROFILES) and name.endswith(SHARED_OF_PROFILES))
    return name.startswith(WITHHELD_SETTINGS)


def stack_settings(data_dir: Path, *, database_url: str, redis_url: str, slots: int | None) -> dict[str, str]:
    settings = {
        "DISCOVERY__DB__URL": database_url,
        "DISCOVERY__REDIS__URL": redis_url,
        "DISCOVERY__LOCAL__DATA_DIR": str(data_dir),
    }
    return settings if slots is None else settings | {"DISCOVERY__WORKER__SLOTS": str(slots)}
