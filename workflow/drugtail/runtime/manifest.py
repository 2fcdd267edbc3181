"""Provenance of a result: command, settings, inputs, versions, host, time and memory."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import resource
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from drugtail import __version__
from drugtail.runtime.digest import PACKAGE, code_digest, file_digest
from drugtail.runtime.names import PLAN_VARIABLE

PACKAGES = ("torch", "torch-geometric", "numpy", "pandas", "scikit-learn", "rdkit", "pyarrow")


class Manifest:
    """Collects provenance from the moment it is made until `finish`."""

    def __init__(self, modules: tuple[str, ...]) -> None:
        self._wall = time.monotonic()
        self._cpu = time.process_time()
        self._started = datetime.now(UTC)
        # Now: a training may take longer than the next commit.
        self._code, self._commit = code_digest(*modules), git_commit()

    def finish(
        self,
        *,
        settings: Mapping[str, Any],
        inputs: Mapping[str, Path],
        digests: Mapping[str, str] | None = None,
        earlier: Mapping[str, float] | None = None,
        **extra: Any,
    ) -> dict[str, Any]:
        """Return the manifest as a JSON-able dictionary.

        Parameters
        ----------
        settings
            The resolved configuration of the stage.
        inputs
            Name and path of every file read; their SHA-256 are recorded.
        digests
            SHA-256 of inputs that are known by their content instead of their file's bytes.
        earlier
            ``wall`` and ``cpu`` seconds of processes that were cut off before this one.
        extra
            Further entries, for example the device.
        """
        known = digests or {}
        before = earlier or {"wall": 0.0, "cpu": 0.0}
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return {
            "drugtail": __version__,
            "command": command_line(),
            "settings": dict(settings),
            "inputs": {
                name: {
                    "path": str(path),
                    "sha256": known[name] if name in known else file_digest(path),
                }
                for name, path in inputs.items()
            },
            "code_digest": self._code,
            "git_commit": self._commit,
            "python": platform.python_version(),
            "packages": _versions(),
            "host": describe_host(),
            "started": self._started.isoformat(timespec="seconds"),
            "wall_seconds": round(before["wall"] + time.monotonic() - self._wall, 3),
            "cpu_seconds": round(before["cpu"] + time.process_time() - self._cpu, 3),
            # Linux counts in KiB, macOS in bytes.
            "peak_memory_bytes": peak if sys.platform == "darwin" else peak * 1024,
            **extra,
        }


def command_line() -> str:
    """Return the command line as a person can run it again: with the plan that it belongs to."""
    path = Path(sys.argv[0])
    # A script or a notebook may ask the package from Python.
    ours = path.stem == "drugtail" or path.parts[-2:] == ("drugtail", "__main__.py")
    command = shlex.join([*(["drugtail"] if ours else ["python", sys.argv[0]]), *sys.argv[1:]])
    plan = os.environ.get(PLAN_VARIABLE)
    return command if plan is None else f"{PLAN_VARIABLE}={shlex.quote(plan)} {command}"


def describe_host() -> dict[str, Any]:
    """System, processor, number of cores and memory of this machine; not its name."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
    }


def git_commit() -> str | None:
    """The commit the package runs from, with ``-dirty`` if it was edited; None outside git."""
    git = ["git", "-C", str(PACKAGE)]
    try:
        commit = subprocess.run(
            [*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True
        ).stdout.strip()
        changed = subprocess.run(
            [*git, "status", "--porcelain", "--untracked-files=no", "--", str(PACKAGE)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{commit}-dirty" if changed.strip() else commit


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()
