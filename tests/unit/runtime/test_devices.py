"""Devices, and turns on them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from drugtail.runtime.devices import exclusive_device, first_free, resolve_device
from drugtail.runtime.errors import DrugtailError

HOLD = """
import sys, time
from pathlib import Path
from drugtail.runtime.devices import first_free
with first_free(["a", "b"], Path(sys.argv[1]), 0.01) as number:
    print(number, flush=True)
    time.sleep(60)
"""


def holder(folder: Path) -> subprocess.Popen[str]:
    """Start a process that keeps the first free of two things."""
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def test_each_process_has_one_of_its_own_and_the_next_waits_for_an_end(tmp_path: Path) -> None:
    first, second = holder(tmp_path), None
    try:
        assert first_line(first) == "0\n"
        with first_free(["a", "b"], tmp_path) as number:
            assert number == 1
            second = holder(tmp_path)
            # It says so, and goes on when the first has been killed.
            assert "a, b: in use by other trainings" in first_line(second)
            first.kill()
            assert first_line(second) == "0\n"
    finally:
        for process in (first, second):
            if process is not None:
                process.kill()
                process.wait()


def test_a_cpu_needs_no_turn() -> None:
    with exclusive_device(torch.device("cpu")) as device, exclusive_device(device) as again:
        assert again == torch.device("cpu")


@pytest.mark.parametrize(("name", "said"), [("gpu", "not a device"), ("cuda", "sees no GPU")])
def test_a_device_that_is_not_there_is_refused(name: str, said: str) -> None:
    if name == "cuda" and torch.cuda.is_available():
        assert resolve_device(name).type == "cuda"
        return
    with pytest.raises(DrugtailError, match=said):
        resolve_device(name)
