"""A forked child's life: take the request, lock, report the lock, do the job, answer, end."""

import json
import os
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

from discovery_service.losses.refusals import Refusal, RefusalCode, Refused
from workers.jail.lacking import find_lack, is_out_of_memory
from workers.jail.lockdown import Limits, LockFailed, lock
from workers.jail.messages import LockReport, Order

JobFunction = Callable[[dict[str, Any]], dict[str, Any]]

RESULT = 1
LOG = 2
MOST_TRACEBACK = 4_000

OUT_OF_MEMORY = Refusal(
    RefusalCode.MEMORY_LIMIT, "The program needs more memory than a loss may use: build no large tensors or lists."
)
# Made before any memory is short.
_OUT_OF_MEMORY_ANSWER = json.dumps({"refused": [OUT_OF_MEMORY.document()]}).encode()


def run_child(order: Order, job: JobFunction, descriptors: list[int], parent: int) -> NoReturn:
    """Never returns to the zygote's loop, whatever happens."""
    try:
        _run(order, job, descriptors, parent)
    finally:
        os._exit(1)


def _run(order: Order, job: JobFunction, descriptors: list[int], parent: int) -> None:
    source, result, log = descriptors
    request = _read(source)
    os.dup2(result, RESULT)
    os.dup2(log, LOG)
    try:
        done = lock(parent, Limits(order.cpu_s, order.memory_bytes), optional=order.optional, without=order.without)
    except LockFailed as error:
        _write(RESULT, LockReport(str(error), [], {}).encode() + b"\n")
        return
    _write(RESULT, LockReport(None, done.layers, done.missing).encode() + b"\n")
    _write(RESULT, _answer(job, request))
    os._exit(0)


def _answer(job: JobFunction, request: bytes) -> bytes:
    try:
        return json.dumps({"answer": job(json.loads(request))}, allow_nan=False).encode()
    except BaseException as error:  # noqa: BLE001 - the process ends with it, and tells what it was
        return _OUT_OF_MEMORY_ANSWER if is_out_of_memory(error) else json.dumps(_describe(error)).encode()


def _describe(error: BaseException) -> dict[str, Any]:
    lack = find_lack(error)
    if lack is None and isinstance(error, Refused):
        return {"refused": [each.document() for each in error.refusals]}
    told = "".join(traceback.format_exception(error))
    _write(LOG, told[-MOST_TRACEBACK:].encode(errors="backslashreplace"))
    return {"crashed": type(error).__name__} if lack is None else {"lacking": lack}


def _read(descriptor: int) -> bytes:
    parts = []
    while part := os.read(descriptor, 1 << 16):
        parts.append(part)
    return b"".join(parts)


def _write(descriptor: int, text: bytes) -> None:
    rest = memoryview(text)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
