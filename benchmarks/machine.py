"""Description of the machine that ran a benchmark."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path

import torch

import napari_pgan


def describe(device: torch.device | str = "cpu") -> dict[str, object]:
    """Processor, threads, versions and load, for JSON."""
    facts: dict[str, object] = {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load": [round(x, 2) for x in os.getloadavg()] if hasattr(os, "getloadavg") else None,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "napari_pgan": napari_pgan.__version__,
        "date": time.strftime("%Y-%m-%d"),
    }
    device = torch.device(device)
    if device.type == "cuda":
        facts["gpu"] = torch.cuda.get_device_name(device)
    return facts


def sentence(facts: dict[str, object]) -> str:
    """The description in one line, for the footer of a table."""
    gpu = f"{facts['gpu']}, " if "gpu" in facts else ""
    plural = "s" if facts["threads"] != 1 else ""
    threads = f"{facts['cores']} cores, {facts['threads']} thread{plural}"
    return f"{gpu}{facts['processor']}, {threads}, torch {facts['torch']}, {facts['date']}"


def _processor() -> str:
    """The processor's name and its instruction sets for bf16."""
    path = Path("/proc/cpuinfo")
    if not path.is_file():
        return platform.processor() or platform.machine()
    lines = dict(line.split(":", 1) for line in path.read_text().split("\n\n")[0].splitlines() if ":" in line)
    lines = {k.strip(): v.strip() for k, v in lines.items()}
    flags = set(lines.get("flags", lines.get("Features", "")).split())
    known = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "bf16") if flag in flags]
    return f"{lines.get('model name', platform.machine())} ({', '.join(known[-2:])})" if known else platform.machine()
