"""A real SLURM on this machine: several nodes, accounting, enforced limits, its own folder.

Debian's packages slurm-wlm, munge, slurmdbd and mariadb-server must be there, and it runs as root.
Every daemon listens on the loopback address alone. Outside of its folder it makes links in
/etc/slurm, where jobs look for the configuration, and takes them away again.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

PROGRAMS = ("slurmctld", "slurmd", "slurmdbd", "munged", "mariadbd", "mariadb-install-db")
PACKAGES = "slurm-wlm munge slurmdbd mariadb-server"
# Where commands look that are not told of another place; Snakemake's plugin does not tell jobs.
LINKS = Path("/etc/slurm")


def reason_against() -> str | None:
    """Why SLURM cannot be started here; None if it can."""
    lacking = [name for name in PROGRAMS if shutil.which(name) is None]
    if lacking:
        return f"{lacking[0]} is not installed: apt-get install --no-install-recommends {PACKAGES}"
    if os.getuid() != 0:
        return "SLURM's daemons are started as root"
    if (LINKS / "slurm.conf").exists():
        return f"another SLURM is configured in {LINKS}"
    return None


class MiniSlurm:
    """SLURM with nodes n1, n2, … of some CPUs, memory in MB and fake GPUs each."""

    def __init__(self, folder: Path, nodes: int = 2, cpus: int = 2, memory: int = 20_000) -> None:
        self.folder = folder
        self.nodes = [f"n{number}" for number in range(1, nodes + 1)]
        self.cpus, self.memory = cpus, memory
        self.conf = folder / "etc/slurm.conf"
        self.environment = {
            **os.environ,
            "SLURM_CONF": str(self.conf),
            "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin",
        }
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    # ------------------------------------------------------------------ up and down

    def start(self) -> None:
        """Write the configuration and start every daemon; raise if one does not answer."""
        for name in ("etc", "log", "state", "munge", "gpu"):
            (self.folder / name).mkdir(parents=True)
        self._start_munge()
        ports = free_ports(3 + len(self.nodes))
        database, accounting, controller, *nodes = ports
        self._write_configuration(database, accounting, controller, nodes)
        for path in self.conf.parent.glob("*.conf"):
            # One of a test that was killed leads nowhere.
            (LINKS / path.name).unlink(missing_ok=True)
            (LINKS / path.name).symlink_to(path)
        self._start_database(database)
        self._daemon("slurmdbd", "slurmdbd", "-D")
        self.wait(lambda: not self.run("sacctmgr", "-n", "list", "cluster", check=False)[0], 60)
        for command in (
            ["add", "cluster", "mini"],
            ["add", "account", "lab", "cluster=mini"],
            ["add", "user", "root", "account=lab", "defaultaccount=lab"],
        ):
            self.run("sacctmgr", "-i", *command)
        self._daemon("slurmctld", "slurmctld", "-D")
        for name in self.nodes:
            self.start_node(name)
        self.wait(lambda: sorted(self.idle()) == self.nodes, 60)

    def start_node(self, name: str) -> None:
        """Start the daemon of one node."""
        (self.folder / f"state/{name}").mkdir(exist_ok=True)
        self._daemon(name, "slurmd", "-D", "-N", name)

    def stop_node(self, name: str) -> None:
        """Kill the daemon of a node and its jobs, as when its power fails."""
        jobs = self.output("squeue", "-h", "-w", name, "-o", "%A").split()
        self._end(name, signal.SIGKILL)
        for pid in processes_of_jobs(jobs):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.run("scontrol", "update", f"nodename={name}", "state=down", "reason=power")

    def stop(self) -> None:
        """Cancel every job and end every daemon."""
        if "slurmctld" in self.processes:
            self.run("scancel", "--full", "--user=root", check=False)
            self.wait(lambda: not self.run("squeue", "-h", check=False)[1], 30, needed=False)
        for name in list(self.processes)[::-1]:
            self._end(name, signal.SIGTERM)
        for path in LINKS.glob("*.conf"):
            if path.is_symlink() and path.readlink().is_relative_to(self.folder):
                path.unlink()

    # ------------------------------------------------------------------ commands

    def run(self, *command: str, check: bool = True) -> tuple[int, str]:
        """Run one of SLURM's commands; return its exit status and what it printed."""
        done = subprocess.run(
            command, env=self.environment, text=True, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert done.returncode == 0 or not check, f"{' '.join(command)}: {done.stdout}"
        return done.returncode, done.stdout

    def output(self, *command: str) -> str:
        """Return what a command printed."""
        return self.run(*command)[1]

    def idle(self) -> list[str]:
        """Return the names of idle nodes; none before the controller answers."""
        status, said = self.run("sinfo", "-h", "-N", "-t", "idle", "-o", "%N", check=False)
        return [] if status else said.split()

    def wait(self, condition: Callable[[], object], seconds: float, needed: bool = True) -> None:
        """Wait until a condition holds; raise with the daemons' last words if it never does."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                assert not needed, "\n".join(
                    f"{path.name}: {path.read_text(errors='replace')[-500:]}"
                    for path in sorted((self.folder / "log").iterdir())
                )
                return
            time.sleep(0.2)

    # ------------------------------------------------------------------ parts

    def _daemon(self, name: str, *command: str) -> None:
        with (self.folder / f"log/{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                command, env=self.environment, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip

    def _end(self, name: str, how: signal.Signals) -> None:
        process = self.processes.pop(name)
        process.send_signal(how)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _start_munge(self) -> None:
        folder = self.folder / "munge"
        key = folder / "key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        self._daemon(
            "munged", "munged", "--foreground", "--force", f"--socket={folder}/socket",
            f"--key-file={key}", f"--pid-file={folder}/pid", f"--seed-file={folder}/seed",
        )  # fmt: skip
        self.wait((folder / "socket").exists, 20)

    def _start_database(self, port: int) -> None:
        data, socket_path = self.folder / "state/database", self.folder / "state/mysql.sock"
        data.mkdir()
        # Nobody else may look into a folder of pytest's.
        self.run("mariadb-install-db", "--user=root", f"--datadir={data}", "--skip-test-db")
        self._daemon(
            "mariadb", "mariadbd", "--no-defaults", "--user=root", f"--datadir={data}",
            f"--socket={socket_path}", "--bind-address=127.0.0.1", f"--port={port}",
            "--innodb-buffer-pool-size=64M", "--innodb-lock-wait-timeout=900",
        )  # fmt: skip
        client = ["mariadb", "--no-defaults", f"--socket={socket_path}"]
        self.wait(lambda: not self.run(*client, "-e", "SELECT 1", check=False)[0], 60)
        self.run(
            *client, "-e",
            "CREATE DATABASE accounts; CREATE USER slurm@localhost IDENTIFIED BY 'slurm';"
            "CREATE USER slurm@'127.0.0.1' IDENTIFIED BY 'slurm';"
            "GRANT ALL ON accounts.* TO slurm@localhost;"
            "GRANT ALL ON accounts.* TO slurm@'127.0.0.1'; FLUSH PRIVILEGES;",
        )  # fmt: skip

    def _write_configuration(
        self, database: int, accounting: int, controller: int, nodes: Sequence[int]
    ) -> None:
        host, folder = socket.gethostname().split(".")[0], self.folder
        munge = f"socket={folder}/munge/socket"
        lines = [
            "ClusterName=mini",
            f"SlurmctldHost={host}(127.0.0.1)",
            f"SlurmctldPort={controller}",
            "SlurmUser=root",
            "SlurmdUser=root",
            "AuthType=auth/munge",
            f"AuthInfo={munge}",
            "MpiDefault=none",
            "ProctrackType=proctrack/linuxproc",
            "TaskPlugin=task/none",
            "SelectType=select/cons_tres",
            "SelectTypeParameters=CR_CPU_Memory",
            "SchedulerParameters=sched_interval=1,bf_interval=1",
            "ReturnToService=2",
            # SLURM itself would put the jobs of a failed node back, two minutes later.
            "JobRequeue=0",
            "KillWait=2",
            "MinJobAge=600",
            "GresTypes=gpu",
            # Limits of memory are enforced, each second.
            "JobAcctGatherType=jobacct_gather/linux",
            "JobAcctGatherFrequency=task=1",
            "JobAcctGatherParams=OverMemoryKill",
            f"StateSaveLocation={folder}/state",
            f"SlurmdSpoolDir={folder}/state/%n",
            f"SlurmctldPidFile={folder}/state/slurmctld.pid",
            f"SlurmdPidFile={folder}/state/slurmd-%n.pid",
            "SlurmdTimeout=10",
            "AccountingStorageType=accounting_storage/slurmdbd",
            "AccountingStorageHost=127.0.0.1",
            f"AccountingStoragePort={accounting}",
            # Of slurmdbd, this is where its munge is.
            f"AccountingStoragePass={folder}/munge/socket",
            "AccountingStorageTRES=gres/gpu",
        ]
        for name, port in zip(self.nodes, nodes, strict=True):
            lines.append(
                f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} "
                f"CPUs={self.cpus} RealMemory={self.memory} Gres=gpu:1 State=UNKNOWN"
            )
        lines.append(
            f"PartitionName=main Nodes={','.join(self.nodes)} Default=YES MaxTime=1-0 "
            "DefaultTime=10 DefMemPerCPU=500 State=UP"
        )
        self.conf.write_text("\n".join(lines) + "\n")
        for name in self.nodes:
            (folder / f"gpu/{name}").write_text("")
        (self.conf.parent / "gres.conf").write_text(
            "AutoDetect=off\n"
            + "".join(f"NodeName={n} Name=gpu File={folder}/gpu/{n}\n" for n in self.nodes)
        )
        (self.conf.parent / "cgroup.conf").write_text("CgroupAutomount=no\n")
        storage = self.conf.parent / "slurmdbd.conf"
        storage.write_text(
            "AuthType=auth/munge\n"
            f"AuthInfo={munge}\n"
            "DbdHost=localhost\nDbdAddr=127.0.0.1\n"
            f"DbdPort={accounting}\n"
            "SlurmUser=root\n"
            "StorageType=accounting_storage/mysql\nStorageHost=127.0.0.1\n"
            f"StoragePort={database}\nStorageUser=slurm\nStoragePass=slurm\nStorageLoc=accounts\n"
            f"PidFile={folder}/state/slurmdbd.pid\n"
        )
        storage.chmod(0o600)


def free_ports(count: int) -> list[int]:
    """Return ports of the loopback address that nobody listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def processes_of_jobs(jobs: Sequence[str]) -> list[int]:
    """Return the processes that belong to some jobs, as their environment says."""
    wanted = {f"SLURM_JOB_ID={job}".encode() for job in jobs}
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if wanted & set(path.read_bytes().split(b"\0")):
                found.append(int(path.parent.name))
    return found


def reason_why_not() -> str | None:
    """Why SLURM cannot be used here, found out by starting it; None if it can."""
    if reason := reason_against():
        return reason
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder:
        cluster = MiniSlurm(Path(folder, "slurm"))
        try:
            cluster.start()
            cluster.run("srun", "--ntasks=1", "hostname")
        except (AssertionError, OSError) as error:
            return f"SLURM does not start: {error}"
        finally:
            cluster.stop()
    return None


if __name__ == "__main__":
    if found := reason_why_not():
        sys.exit(f"The tests on a cluster are left out: {found}")
