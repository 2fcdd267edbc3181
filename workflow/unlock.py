"""Free the working directory after a run that was killed; refuse while another run is at work.

Snakemake locks its working directory, and a run that is killed cannot unlock it. The next start
through make does, once no other Snakemake process works in the same folder.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil


def main() -> int:
    """Unlock the current folder if that is safe; return the exit status."""
    if not any(Path(".snakemake/locks").glob("*")):
        return 0
    here = str(Path.cwd())
    for process in psutil.process_iter(["pid", "cmdline"]):
        command = process.info["cmdline"] or []
        if not any(Path(word).name == "snakemake" for word in command[:3]):
            continue
        try:
            busy = process.cwd() == here
        except psutil.NoSuchProcess:
            continue
        except psutil.AccessDenied:
            # Somebody else's, and perhaps here.
            busy = True
        if busy:
            print(
                f"Another run is at work in this folder (process {process.info['pid']}); wait for "
                "it to end, or stop it first.",
                file=sys.stderr,
            )
            return 1
    print("A former run was cut off; unlocking the folder.", file=sys.stderr)
    snakemake = Path(sys.executable).with_name("snakemake")
    return subprocess.run([snakemake, "--unlock", "--quiet", "all"], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
