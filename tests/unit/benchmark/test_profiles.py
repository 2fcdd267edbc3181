"""Profiles of Snakemake, as `drugtail plan --profile` reads them."""

from __future__ import annotations

from pathlib import Path

import pytest

from drugtail.benchmark.cluster import read_profile
from drugtail.benchmark.slurm import Request, answers, refuse
from drugtail.runtime.errors import DrugtailError


def profile(folder: Path, text: str) -> str:
    (folder / "config.yaml").write_text(f"executor: slurm\n{text}\n", encoding="utf-8")
    return str(folder)


@pytest.mark.parametrize(
    "text",
    [
        "default-resources: {slurm_account: lab, mem_mb: 1000}",
        "default-resources: [slurm_account=lab, mem_mb=1000]",
        "default-resources:\nset-resources:\n  train_network:",
        "set-resources: ['train_network:slurm_partition=gpu']",
        "jobs: 10",
    ],
)
def test_resources_may_be_a_mapping_a_list_or_nothing(tmp_path: Path, text: str) -> None:
    settings, path = read_profile(profile(tmp_path, text))
    assert settings["executor"] == "slurm"
    assert path == tmp_path / "config.yaml"


@pytest.mark.parametrize(
    "text",
    [
        "default-resources: {slurm_acount: lab}",
        "default-resources: [slurm_acount=lab]",
        "set-resources: {train_network: {slurm_acount: lab}}",
        "set-resources: ['train_network:slurm_acount=lab']",
    ],
)
def test_a_misspelt_resource_is_refused_in_each_form(tmp_path: Path, text: str) -> None:
    with pytest.raises(DrugtailError, match=r"config\.yaml: 'slurm_acount' .*slurm_account"):
        read_profile(profile(tmp_path, text))


def test_without_slurm_nothing_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not answers()
    # A cluster refuses all of these; an account may be a number.
    refuse(Request(12345, "anything", 10_000), "a profile")
