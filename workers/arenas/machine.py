"""What of a machine decides the bits of what is built on it."""

import platform

import torch
import transformers


def describe_machine() -> dict[str, str | int]:
    """Another processor, other versions or more threads add up in another order; things are always built on the CPU."""
    return {
        "torch": str(torch.__version__),
        "transformers": str(transformers.__version__),
        "processor": _find_processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
    }


def _find_processor() -> str:
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as cpuinfo:
        for line in cpuinfo:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()
