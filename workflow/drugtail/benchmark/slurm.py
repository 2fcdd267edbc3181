"""Jobs that SLURM would refuse, found before any is submitted.

Snakemake's plugin says nothing of the reason when SLURM refuses a job, and waits for ever for an
account that it refuses itself.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from getpass import getuser
from typing import NamedTuple

from drugtail.config.base import meant
from drugtail.runtime.errors import DrugtailError

# Resources of a profile that the plugin reads, among those whose names begin so.
NAMES = ["slurm_account", "slurm_partition", "slurm_cluster", "slurm_extra"]
# Seconds that SLURM has to answer; where it takes longer, jobs are submitted unasked.
PATIENCE = 30
# Words of the refusals that account, partition and CPUs alone explain. A trial lacks what else a
# job asks for (GPUs, a quality of service), so that SLURM may refuse it for the lack of that.
KNOWN = re.compile(
    r"invalid (account|partition)|CPU count per node can not be satisfied|"
    r"Requested node configuration is not available|More processors requested than permitted",
    re.IGNORECASE,
)


class Request(NamedTuple):
    """Request for a job of the queue; None leaves a thing to the cluster's default.

    Attributes
    ----------
    account, partition
        Names, or numbers that are names; several accounts with commas or blanks between them.
    cpus, megabytes, minutes
        Limits of the job.
    """

    account: object
    partition: object
    cpus: int
    megabytes: int | None = None
    minutes: int | None = None


def answers() -> bool:
    """Return whether there is a SLURM here that answers."""
    said = _said("sinfo", "--noheader")
    return said is not None and said.returncode == 0


def refuse(request: Request, where: str) -> None:
    """Refuse a request that SLURM would refuse; nothing happens where none answers.

    Parameters
    ----------
    request
        The largest job there is.
    where
        Place of its settings, for the message: a profile.

    Raises
    ------
    DrugtailError
        If the account is none of the user's, or no node could run such a job; with SLURM's words.
    """
    if not answers():
        return
    accounts = list(filter(None, re.split(r"[,\s]+", str(request.account or "")))) or [None]
    for account in accounts:
        _refuse_account(account, where)
        _refuse_job(request._replace(account=account), where)


def refuse_names(resources: Iterable[str], where: str) -> None:
    """Refuse a resource that looks like one of the plugin's and is none; Snakemake takes any name.

    Raises
    ------
    DrugtailError
        If there is one, with the name that is meant.
    """
    for name in resources:
        if name.startswith("slurm") and name not in NAMES:
            raise DrugtailError(
                f"{where}: {name!r} is no resource of SLURM's{meant(name, NAMES)}; there are "
                f"{', '.join(NAMES)}"
            )


def _refuse_account(account: str | None, where: str) -> None:
    """Refuse an account that the plugin refuses, which SLURM itself may take."""
    said = _said("sacctmgr", "-n", "-s", "list", "user", getuser(), "format=account%256")
    if account is None or said is None or said.returncode != 0:
        return
    known = sorted({line.strip() for line in said.stdout.splitlines() if line.strip()})
    if known and account.lower() not in map(str.lower, known):
        raise DrugtailError(
            f"{where}: slurm_account: {account!r} is none of yours, which are {', '.join(known)}"
        )


def _refuse_job(request: Request, where: str) -> None:
    options = {
        "--account": request.account,
        "--partition": request.partition,
        "--cpus-per-task": request.cpus,
        "--mem": request.megabytes,
        "--time": request.minutes,
    }
    asked = [f"{name}={value}" for name, value in options.items() if value is not None]
    said = _said("sbatch", "--test-only", *asked, "--wrap=true")
    if said is None or said.returncode == 0:
        return
    lines = [line.removeprefix("sbatch: error: ") for line in said.stderr.splitlines()]
    reason = "; ".join(filter(None, lines))
    if not KNOWN.search(reason):
        return
    raise DrugtailError(
        f"{where}: SLURM takes no such job ({' '.join(asked)}): {reason}. Change slurm_account, "
        "slurm_partition, cores or the number of blocks in a job"
    )


def _said(*command: str) -> subprocess.CompletedProcess[str] | None:
    """Return what a command of SLURM said; None if it is not there or does not answer."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    except (OSError, subprocess.TimeoutExpired):
        return None
