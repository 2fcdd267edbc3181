"""The workflow as a user runs it: real Snakemake, real files."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import requests
import yaml
from project import TINY_BENCHMARK, Project, listed_jobs

from drugtail.runtime.files import read_json, write_json
from drugtail.runtime.parquet import read_parquet, read_parquet_metadata, write_parquet


def metrics(project: Project) -> pd.DataFrame:
    runs = pd.read_parquet(project.folder / "results/metrics/tiny/runs.parquet")
    # How long a run took is the one thing that may differ.
    return runs.drop(columns="seconds").sort_values(["method", "seed"], ignore_index=True)


def test_one_command_gives_tables_figures_page_and_tracking(finished: Project) -> None:
    log = (finished.folder / "first-run.log").read_text()
    assert "100%) done" in log
    trained = r"tiny random-0 class_distance on gcn seeds? [0-9-]+: epoch 4/4 .* molecules/s"
    assert re.search(trained, log)
    assert "| tiny     | random-0 | class_distance" in log
    assert "page    results/page/tiny/index.html" in log
    assert "mlflow ui --backend-store-uri sqlite:///results/mlflow/mlflow.db" in log
    results = finished.folder / "results"
    for name in ("head_tail.csv", "head_tail.md", "head_tail.tex", "trade_off.md"):
        assert (results / "tables/tiny" / name).stat().st_size > 0
    for name in ("class_sizes", "recall_by_class_size", "class_history"):
        assert (results / f"figures/tiny/{name}.svg").read_text().startswith("<?xml")
        assert (results / f"figures/tiny/{name}.png").read_bytes().startswith(b"\x89PNG")
    runs = metrics(finished)
    assert len(runs) == 6
    assert set(runs["status"]) == {"finished"}
    assert runs["test_balanced_accuracy"].between(0, 1).all()


def test_a_second_start_has_nothing_to_do(finished: Project) -> None:
    assert finished.jobs_to_run() == {}


def test_every_rule_leaves_a_log_and_a_benchmark(finished: Project) -> None:
    results = finished.folder / "results"
    block = finished.block("cross_entropy").relative_to(results / "runs")
    for stage in ("fetch/tiny", "prepare/tiny", "featurize/tiny/atoms", f"train/{block}"):
        assert (results / f"logs/{stage}.log").is_file()
        assert (results / f"benchmarks/{stage}.tsv").read_text().startswith("s\t")


def test_the_page_is_one_file_that_needs_nothing_from_outside(finished: Project) -> None:
    page = (finished.folder / "results/page/tiny/index.html").read_text()
    assert "tiny is synthetic" in page
    figures = page[page.index('<h2 id="figures">') : page.index('<h2 id="data">')]
    assert figures.count("data:image/svg+xml;base64,") == 4
    mistakes = page[page.index('<div class="molecules">') : page.index("These may be wrong labels")]
    assert 1 <= mistakes.count("data:image/svg+xml;base64,") <= 12
    # tests/browser sees what scripts ask for.
    plain = re.sub(r"<(script|style)\b.*?</\1>", "", page, flags=re.S)
    outside = [a for a in re.findall(r'(?:src|href)="([^"]*)"', plain)
               if not a.startswith(("#", "data:"))]  # fmt: skip
    assert outside == []
    assert not re.search(r"<(script|link)[^>]*(src|href)=", page)
    head = (finished.folder / "results/tables/tiny/head_tail.md").read_text()
    cell = re.search(r"\| (\d+\.\d) +\|", head)
    assert cell is not None
    assert f">{cell[1]}</td>" in page


def test_the_manifest_says_where_a_block_came_from(finished: Project) -> None:
    folder = finished.block("class_distance")
    manifest = read_json(folder / "manifest.json")
    plan, command = manifest["command"].split(" drugtail train --block ")
    assert (finished.folder / plan.removeprefix("DRUGTAIL_PLAN=")).is_file()
    assert command.startswith("tiny/random-0/gcn/class_distance-")
    assert manifest["settings"]["training"]["epochs"] == 4
    assert manifest["settings"]["recipe"]["contrastive"]["beta"] == 0.25
    assert len(manifest["inputs"]["molecules"]["sha256"]) == 64
    assert manifest["packages"]["torch"]
    assert manifest["wall_seconds"] > 0
    assert manifest["peak_memory_bytes"] > 1e7


def test_a_logged_command_can_be_run_by_hand(changeable: Project) -> None:
    folder = changeable.block("cross_entropy")
    before = pd.read_parquet(folder / "predictions.parquet")
    command = read_json(folder / "manifest.json")["command"]
    (folder / "predictions.parquet").unlink()
    changeable.run("bash", "-c", command)
    pd.testing.assert_frame_equal(before, pd.read_parquet(folder / "predictions.parquet"))


def test_publishing_again_replaces_tables_and_keeps_the_page_people_wrote(
    changeable: Project,
) -> None:
    command = ("drugtail", "publish", "--config", "config/tiny.yaml", "--output", "published/tiny")
    changeable.run(*command)
    folder = changeable.folder / "published/tiny"
    table = "tables/head_tail.csv"
    made = changeable.folder / f"results/{table.replace('/', '/tiny/')}"
    assert (folder / table).read_bytes() == made.read_bytes()
    manifest = read_json(folder / "manifest.json")
    assert manifest["runs"] == 6
    path = changeable.block("class_distance").relative_to(changeable.folder / "results/runs")
    block = manifest["blocks"][str(path)]
    assert block["status"]["0"]["status"] == "finished"
    # Values that blocks of a method, an encoder or a split share are said once.
    assert manifest["recipes"]["class_distance"]["contrastive"]["beta"] == 0.25
    assert manifest["training"]["class_distance"]["epochs"] == 4
    assert manifest["encoders"]["gcn"]["width"] == 128
    assert manifest["commands"]["tiny/random-0/gcn"].count("/{block} ") >= 1
    assert set(manifest["inputs"]["tiny/random-0/gcn"]) == {"molecules", "split", "features"}
    assert not {"recipe", "training", "encoder", "command", "inputs"} & set(block)
    (folder / "README.md").write_text("What we think of it.\n")
    (folder / table).write_text("spoiled")
    changeable.run(*command)
    assert (folder / "README.md").read_text() == "What we think of it.\n"
    assert (folder / table).read_bytes() == made.read_bytes()


def test_what_is_published_is_compared_with_what_is_trained_from_nothing(
    changeable: Project,
) -> None:
    folder, runs = changeable.folder / "published/tiny", changeable.folder / "results/runs"
    verify = ("drugtail", "verify", "published/tiny")
    changeable.run("drugtail", "publish", "--config", "config/tiny.yaml", "--output", str(folder))
    said = changeable.run(*verify).stdout
    assert said.count("as published to the last bit (") == 6
    assert "6 runs compared, 0 with another class somewhere" in said
    # Nothing is there: the command that is named trains the quickest block.
    shutil.rmtree(runs)
    nothing = changeable.run(*verify, check=False)
    assert nothing.returncode == 2
    assert "3 blocks, none of them trained here (results/runs)" in nothing.stdout
    asked = changeable.run(*verify, "--only", "/cross_entropy-", check=False)
    (named,) = re.findall(r"(?m)^(snakemake .*/cross_entropy-.*)", asked.stdout)
    changeable.run(*named.split())
    again = [line for line in changeable.run(*verify).stdout.splitlines() if line[:5] == "tiny/"]
    assert len(again) == 2
    assert all("as published to the last bit" in line for line in again)
    # Another class, and whether there is a reason for it.
    path = folder / "predictions.parquet"
    table, header = read_parquet(path), read_parquet_metadata(path)
    (run, _) = (line.split(", ")[1].split(":")[0] for line in again)
    spoilt = table.copy()
    spoilt.loc[0, run] = (spoilt.loc[0, run] + 1) % 3
    write_parquet(path, spoilt, header)
    other = changeable.run(*verify, check=False)
    assert other.returncode == 1
    assert f"{run}: 1 of {len(table)} test molecules have another class; balanced" in other.stdout
    assert "Processor, packages and code are the same, so this should not happen" in other.stdout
    manifest = read_json(folder / "manifest.json")
    manifest["host"]["processor"] = "Abacus"
    write_json(folder / "manifest.json", manifest)
    other = changeable.run(*verify, check=False)
    assert "Published ones were made with processor Abacus (here " in other.stdout
    assert "rounded otherwise, a network above all, ends as with another seed" in other.stdout
    refused = changeable.run(*verify, "--only", "quark", check=False)
    assert "none of its 3 blocks has 'quark' in its path, such as tiny/" in refused.stdout
    (block,) = (one for one in manifest["blocks"] if "/cross_entropy-" in one)
    manifest["blocks"][block]["status"]["1"]["status"] = "diverged"
    write_json(folder / "manifest.json", manifest)
    refused = changeable.run(*verify, check=False)
    assert "its finished seeds are [0, 1], those published [0]" in refused.stdout
    manifest["blocks"][block]["status"]["1"]["status"] = "finished"
    write_json(folder / "manifest.json", manifest)
    write_parquet(path, table.assign(id=table["id"] + "x"), header)
    refused = changeable.run(*verify, check=False)
    assert "test molecules or their classes are not those of published/tiny" in refused.stdout


def other_benchmark(project: Project, **changes: object) -> str:
    """A second benchmark beside the tiny one, which trains for three epochs instead of four."""
    values = yaml.safe_load((project.folder / "config/tiny.yaml").read_text())
    values |= {"name": "other", **changes}
    values["training"]["epochs"] = 3
    (project.folder / "config/other.yaml").write_text(yaml.safe_dump(values))
    return "config/other.yaml"


def test_benchmarks_of_other_epochs_stand_side_by_side_and_share_what_is_equal(
    changeable: Project,
) -> None:
    config = other_benchmark(changeable)
    before = (changeable.block("cross_entropy") / "predictions.parquet").read_bytes()
    assert changeable.block("cross_entropy", config) != changeable.block("cross_entropy")
    assert changeable.block("random_forest", config) == changeable.block("random_forest")
    plan = changeable.run("drugtail", "plan", "--config", config).stdout
    # The forest has no epochs.
    assert "training jobs: 3, of which 1 are finished" in plan
    log = changeable.run("snakemake", "tables", "--cores", "2", "--configfile", config).stdout
    assert "Training cross_entropy" in log
    assert "Fitting" not in log
    for name, epochs in (("tiny", 4), ("other", 3)):
        runs = pd.read_parquet(changeable.folder / f"results/metrics/{name}/runs.parquet")
        assert set(runs.loc[runs["encoder"] == "gcn", "epochs"]) == {epochs}
    assert (changeable.block("cross_entropy") / "predictions.parquet").read_bytes() == before
    assert changeable.jobs_to_run() == {}
    readme = (changeable.folder / "results/README.md").read_text()
    (row,) = [line for line in readme.splitlines() if "random_forest" in line]
    assert row.endswith("| random_forest, classifier.n_estimators 10 | tiny, other |")
    assert readme.count("cross_entropy, 3 epochs | other |") == 1
    assert readme.count("cross_entropy, 4 epochs | tiny |") == 1


def test_a_benchmark_that_extends_another_runs_what_differs_and_is_published_whole(
    changeable: Project,
) -> None:
    differs = {"name": "part", "methods": ["cross_entropy"], "figures": []}
    config = "config/part.yaml"
    (changeable.folder / config).write_text(
        yaml.safe_dump({**differs, "extends": "config/tiny.yaml"})
    )
    words = ("snakemake", "tables", "--cores", "2", "--configfile", config)
    log = changeable.run(*words).stdout
    assert "Training" not in log, "its block is that of the whole benchmark"
    changeable.run("drugtail", "publish", "--config", config, "--output", "published/part")
    published = yaml.safe_load((changeable.folder / "published/part/part.yaml").read_text())
    tiny = yaml.safe_load((changeable.folder / "config/tiny.yaml").read_text())
    assert published == tiny | differs
    changeable.edit(config, "extends: config/tiny.yaml", "extends: config/tinny.yaml")
    refused = changeable.run(*words, check=False).stdout
    assert "config/part.yaml: key extends: config/tinny.yaml: no such file" in refused


def test_clean_lists_what_no_benchmark_names_and_deletes_it_only_when_told(
    changeable: Project,
) -> None:
    clean = ("drugtail", "clean")
    assert "every block belongs to the latest plan" in changeable.run(*clean).stdout
    old, kept = changeable.block("cross_entropy"), changeable.block("random_forest")
    changeable.edit("config/tiny.yaml", "epochs: 4", "epochs: 2")
    changeable.snakemake("tables")
    listed = changeable.run(*clean).stdout
    place = re.escape(str(old.relative_to(changeable.folder)))
    assert re.search(rf"  cross_entropy  \(4 epochs, started 20..-..-.. ..:..\)  {place}\n", listed)
    assert "2 folders" in listed
    assert str(kept.relative_to(changeable.folder)) not in listed
    assert old.is_dir()
    assert "2 folders" in changeable.run(*clean, "--yes").stdout
    assert not old.parent.exists()
    assert kept.is_dir()
    trained = {"train_network", "train_classical", "evaluate_block"}
    assert not trained & set(changeable.jobs_to_run())


def spoil(folder: Path, key: tuple[str, ...], value: object) -> None:
    """Change one thing that a block's manifest says."""
    manifest = read_json(folder / "manifest.json")
    place = manifest
    for name in key[:-1]:
        place = place[name]
    place[key[-1]] = value
    (folder / "manifest.json").write_text(json.dumps(manifest))


SPOILT = [
    (("settings", "training", "epochs"), 4000,
     "training.epochs: it was made with 4000, the benchmark wants 4"),
    (("settings", "recipe", "sampler", "name"), "reverse",
     "recipe.sampler.name: it was made with 'reverse', the benchmark wants 'instance'"),
    (("settings", "seeds"), [5, 6], "seeds: it was made with [5, 6]"),
    (("code_digest",), "0123", "package code: it was made with '0123'"),
    (("inputs", "split", "sha256"), "0123", "split (results/splits/tiny/"),
    (("inputs", "features", "sha256"), "01", "features (results/features/"),
    (("inputs", "molecules", "sha256"), "01", "molecules (results/data/"),
]  # fmt: skip


def test_a_block_that_is_not_what_the_benchmark_wants_stops_the_workflow(
    changeable: Project,
) -> None:
    """As one that an orphaned job of another configuration, or another machine, has left there."""
    folder = changeable.block("cross_entropy")
    key, value, says = SPOILT[0]
    spoil(folder, key, value)
    for made in ("metrics", "tables"):
        shutil.rmtree(changeable.folder / "results" / made)
    refused = changeable.snakemake("tables", check=False)
    assert refused.returncode != 0
    assert says in refused.stdout
    assert f"Delete {folder.relative_to(changeable.folder)} and start again" in refused.stdout
    assert not (changeable.folder / "results/metrics/tiny/runs.parquet").exists()


@pytest.mark.parametrize(("key", "value", "says"), SPOILT)
def test_a_block_that_is_not_what_the_benchmark_wants_is_never_tabulated(
    changeable: Project, key: tuple[str, ...], value: object, says: str
) -> None:
    folder = changeable.block("cross_entropy")
    spoil(folder, key, value)
    (plan,) = (changeable.folder / "results/plans").glob("tiny-*.json")
    blocks = [f"results/runs/{block.path}" for block in changeable.plan().blocks()]
    for stage in (
        ("collect", "--output", "collected", *blocks),
        ("evaluate", "--predictions", str(folder / "predictions.parquet"), "--metrics", "m.parquet",
         "--classes", "c.parquet", "--block", str(folder.relative_to(folder.parents[4]))),
        ("publish", "--config", "config/tiny.yaml", "--output", "published"),
    ):  # fmt: skip
        command = ["env", f"DRUGTAIL_PLAN={plan}", "drugtail", *stage]
        done = changeable.run(*command, check=False)
        assert done.returncode == 1
        assert says in done.stdout
    for made in ("collected", "m.parquet", "published"):
        assert not (changeable.folder / made).exists()
    assert not (changeable.folder / "published").exists()


def test_a_job_reads_the_configuration_as_it_was_planned(
    new_project: Callable[[str], Project],
) -> None:
    """The recipe, the register and the benchmark are edited while jobs wait."""
    project = new_project("edited")
    folder, plan = project.block("cross_entropy"), project.plan()
    project.snakemake("data")
    (kept,) = (project.folder / "results/plans").glob("tiny-*.json")
    project.edit("config/tiny.yaml", "epochs: 4", "epochs: 9")
    recipe = project.folder / "config/methods/baseline/cross_entropy.yaml"
    recipe.write_text(recipe.read_text() + "sampler: {name: reverse}\n")
    path = next(block.path for block in plan.blocks() if block.method == "cross_entropy")
    project.run(
        "env", f"DRUGTAIL_PLAN={kept}", "drugtail", "train", "--block", path, "--seeds", "0-1",
        "--molecules", "results/data/tiny/molecules.parquet",
        "--split", "results/splits/tiny/random-0.parquet",
        "--features", "results/features/tiny/atoms", "--output", str(folder),
    )  # fmt: skip
    settings = read_json(folder / "manifest.json")["settings"]
    assert settings["training"]["epochs"] == 4
    assert settings["recipe"]["sampler"]["name"] == "instance"
    # A job of a cluster starts Snakemake anew, which then reads the plan, too.
    job = project.run(
        "env", f"DRUGTAIL_PLAN={kept}", "snakemake", "--mode", "subprocess", "--cores", "1",
        "--configfile", "config/tiny.yaml", "--nolock", "--force", "--target-jobs",
        f"evaluate_block:dataset=tiny,digest={folder.parent.name[-8:]},encoder=gcn,"
        "method=cross_entropy,seeds=0-1,split=random-0", "--allowed-rules", "evaluate_block",
    ).stdout  # fmt: skip
    assert "MissingRule" not in job
    assert (folder / "metrics.parquet").is_file()


def test_features_of_other_molecules_and_an_edited_split_are_refused(changeable: Project) -> None:
    features = changeable.folder / "results/features/tiny/atoms/features.json"
    description = read_json(features)
    features.write_text(json.dumps({**description, "molecules_sha256": "0123"}))
    command = read_json(changeable.block("cross_entropy") / "manifest.json")["command"]
    refused = changeable.run("bash", "-c", command, check=False)
    assert refused.returncode == 1
    assert "features.json: is of other molecules (SHA-256 0123…)" in refused.stdout
    features.write_text(json.dumps(description))
    split = changeable.folder / "results/splits/tiny/random-0.parquet"
    table, header = pd.read_parquet(split), read_parquet_metadata(split)
    table["subset"] = table["subset"].replace("valid", "train")
    write_parquet(split, table, header)
    refused = changeable.run("bash", "-c", command, check=False)
    assert refused.returncode == 1
    assert "random-0.parquet: its content has SHA-256" in refused.stdout


def test_a_file_of_ones_own_that_has_changed_is_read_again(changeable: Project) -> None:
    before = read_json(changeable.folder / "results/data/tiny/dataset.json")["molecules"]
    assert changeable.jobs_to_run() == {}
    with (changeable.folder / "tiny.csv").open("a") as table:
        table.write("CCCCCCCCCCCCCCCCCCCCCCCCN,amine\n")
    jobs = changeable.jobs_to_run()
    assert jobs["fetch_dataset"] == 1
    assert jobs["prepare_dataset"] == 1
    assert jobs["train_network"] == 2
    changeable.snakemake("data")
    after = read_json(changeable.folder / "results/data/tiny/dataset.json")["molecules"]
    assert after == before + 1


def test_a_split_has_one_digest_on_the_page_in_mlflow_and_in_the_manifest(
    finished: Project,
) -> None:
    results = finished.folder / "results"
    digest = read_json(results / "splits/tiny/random-0.json")["sha256"]
    assert digest[:12] in (results / "page/tiny/index.html").read_text()
    manifest = read_json(finished.block("cross_entropy") / "manifest.json")
    assert manifest["inputs"]["split"]["sha256"] == digest
    client = mlflow.MlflowClient(f"sqlite:///{results}/mlflow/mlflow.db")
    experiment = client.get_experiment_by_name("tiny")
    runs = client.search_runs([experiment.experiment_id])
    assert {r.data.tags["split_sha256"] for r in runs if "seed" in r.data.tags} == {digest}


def test_another_device_trains_nothing_again(finished: Project) -> None:
    log = finished.run(
        "snakemake", "--dry-run", "--configfile", "config/tiny.yaml", "--config", "device=cpu"
    ).stdout
    assert "Nothing to be done" in log


def test_tables_of_earlier_blocks_are_not_published(changeable: Project) -> None:
    block = changeable.block("cross_entropy")
    status = read_json(block / "status.json")
    status["seeds"]["0"]["seconds"] += 1
    (block / "status.json").write_text(json.dumps(status))
    command = ("drugtail", "publish", "--config", "config/tiny.yaml", "--output", "published/tiny")
    for more in ((), ("--partial",)):
        refused = changeable.run(*command, *more, check=False)
        assert refused.returncode == 1
        assert "run tiny/random-0/gcn/cross_entropy/0 differs" in refused.stdout
        assert "snakemake --configfile config/tiny.yaml page" in refused.stdout
    assert not (changeable.folder / "published/tiny").exists()


def test_a_missing_figure_is_not_published_and_drawn_for_the_page(changeable: Project) -> None:
    figure = "figures/tiny/recall_by_class_size.png"
    (changeable.folder / "results" / figure).unlink()
    command = ("drugtail", "publish", "--config", "config/tiny.yaml", "--output", "published/tiny")
    refused = changeable.run(*command, check=False)
    assert refused.returncode == 1
    assert f"results/{figure}: is missing; run `snakemake --configfile" in refused.stdout
    assert not (changeable.folder / "published/tiny").exists()
    changeable.snakemake("page", "--rerun-triggers", "mtime")
    changeable.run(*command)
    assert (changeable.folder / "published/tiny/figures/recall_by_class_size.png").is_file()


def test_unfinished_runs_are_not_published(changeable: Project) -> None:
    path = changeable.folder / "results/metrics/tiny/runs.parquet"
    runs = pd.read_parquet(path)
    runs.loc[0, "status"] = "diverged"
    runs.to_parquet(path)
    command = ("drugtail", "publish", "--config", "config/tiny.yaml", "--output", "published/tiny")
    done = changeable.run(*command, check=False)
    assert done.returncode != 0
    assert "1 of 6 runs are not finished" in done.stdout
    assert not (changeable.folder / "published/tiny").exists()


# ------------------------------------------------------------------- what runs again, and when


def test_a_methods_setting_runs_that_method_again_and_no_other(changeable: Project) -> None:
    changeable.edit("config/methods/proposed/class_distance.yaml", "beta: 0.25", "beta: 0.5")
    jobs = changeable.jobs_to_run()
    assert jobs["train_network"] == 1
    assert jobs["evaluate_block"] == 1
    assert "train_classical" not in jobs
    assert "featurize_dataset" not in jobs
    log = changeable.snakemake("--dry-run").stdout
    assert "Training class_distance" in log
    assert "Training cross_entropy" not in log


def test_a_methods_description_runs_nothing_again(changeable: Project) -> None:
    changeable.edit("config/methods/baseline/cross_entropy.yaml", "idea: Every", "idea: Each")
    assert changeable.jobs_to_run() == {}


def test_more_seeds_are_another_block(changeable: Project) -> None:
    changeable.edit("config/tiny.yaml", "seeds: [0-1]", "seeds: [0-1, 2-2]")
    jobs = changeable.jobs_to_run()
    assert jobs["train_network"] == 2
    assert jobs["train_classical"] == 1


def test_changing_a_loss_trains_again(changeable: Project) -> None:
    file = "workflow/drugtail/methods/losses.py"
    changeable.edit(file, "return factor * losses", "return 2 * factor * losses")
    jobs = changeable.jobs_to_run()
    assert jobs["train_network"] == 2
    assert "prepare_dataset" not in jobs


def test_changing_a_plot_only_plots_again(changeable: Project) -> None:
    changeable.edit("workflow/drugtail/report/plot.py", '"font.size": 9', '"font.size": 10')
    assert changeable.jobs_to_run() == {"plot_figure": 4, "build_page": 1}


def test_a_comment_runs_nothing_again(changeable: Project) -> None:
    file = changeable.folder / "workflow/drugtail/methods/losses.py"
    file.write_text(file.read_text() + "\n# A remark.\n")
    assert changeable.jobs_to_run() == {}


# --------------------------------------------------------------------------- reproducibility


def test_the_code_that_runs_is_that_of_the_folder(
    changeable: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The environment has another copy installed, as an image or a second clone may.
    elsewhere = {k: v for k, v in changeable.environment.items() if k != "PYTHONPATH"}
    monkeypatch.setattr(Project, "environment", elsewhere)
    changeable.edit("workflow/drugtail/data/fetch.py", "} from {name}", "}, by this copy")
    plan = "workflow/drugtail/benchmark/plan.py"
    changeable.edit(plan, "class Plan:", "print('Planned here')\n\n\nclass Plan:")
    said = changeable.snakemake("--forcerun", "fetch_dataset", "--until", "fetch_dataset").stdout
    assert "tiny: tiny.csv, by this copy" in said
    assert "Planned here" in said


def test_deleting_the_results_and_running_again_gives_the_same_metrics(
    finished: Project, new_project: Callable[[str], Project]
) -> None:
    again = new_project("again")
    again.snakemake("tables")
    pd.testing.assert_frame_equal(metrics(finished), metrics(again), check_exact=True)


# ---------------------------------------------------------------------------- targets, gaps


def test_strict_is_content_with_a_whole_benchmark(finished: Project) -> None:
    assert "all 6 runs are finished" in finished.snakemake("strict").stdout


def test_names_are_words_and_no_commands(new_project: Callable[[str], Project]) -> None:
    """Every rule of a benchmark runs with a folder, heading and notes that a shell would obey."""
    project = new_project("hostile")
    config = project.folder / "config/tiny.yaml"
    hostile = """it's "{wildcards}"; touch pwned $(touch pwned) `touch pwned` {0} & | > x"""
    results = "my results; touch pwned $(touch pwned) && 'x'"
    values = yaml.safe_load(config.read_text()) | {
        "title": hostile, "notes": [hostile], "results": results,
        "tracking": {"experiment": "{e}; touch pwned"},
    }  # fmt: skip
    config.write_text(yaml.safe_dump(values))
    before = {path.name for path in project.folder.iterdir()}
    log = project.snakemake("strict").stdout
    assert "all 6 runs are finished" in log
    page = html.unescape((project.folder / results / "page/tiny/index.html").read_text())
    assert page.count(hostile) == 3, "the heading, the title of the window and the note"
    after = {path.name for path in project.folder.iterdir()}
    assert after - before <= {results, "results", ".snakemake"}


def test_a_diverged_run_is_a_gap_that_tables_mark_and_strict_refuses(changeable: Project) -> None:
    changeable.edit(
        "config/tiny.yaml", "training: {epochs: 4,", "training: {learning_rate: 1.0e+30, epochs: 4,"
    )
    log = changeable.snakemake().stdout
    assert "Gaps: 4 runs diverged" in log
    table = (changeable.folder / "results/tables/tiny/head_tail.md").read_text()
    row = next(line for line in table.splitlines() if "cross_entropy" in line)
    assert "0 of 2" in row
    assert "—" in row
    page = (changeable.folder / "results/page/tiny/index.html").read_text()
    assert "The tables have gaps" in page
    refused = changeable.snakemake("strict", check=False)
    assert refused.returncode != 0
    assert "tiny/random-0/gcn/cross_entropy/0: diverged" in refused.stdout


def test_partial_tables_are_made_from_what_is_finished(
    new_project: Callable[[str], Project],
) -> None:
    project = new_project("partial")
    block = project.block("random_forest").relative_to(project.folder)
    project.snakemake(f"{block}/status.json")
    log = project.snakemake("tables", "--config", "partial=true").stdout
    assert "Training" not in log
    assert "4 are missing" in log
    refused = project.snakemake("tables", "--config", "partial=maybe", check=False).stdout
    assert "key partial: must be true or false, found 'maybe'" in refused


def test_a_benchmark_with_gaps_is_published_when_asked_for_and_names_them(
    changeable: Project,
) -> None:
    folder = changeable.block("cross_entropy")
    missing = str(folder.relative_to(changeable.folder / "results/runs"))
    shutil.rmtree(folder)
    changeable.edit("config/tiny.yaml", "seeds: [0-1]", "seeds: [0-1]\npartial: true")
    changeable.snakemake("tables")
    command = ("drugtail", "publish", "--config", "config/tiny.yaml", "--output", "published/tiny")
    refused = changeable.run(*command, check=False)
    assert "2 of 6 runs are not finished" in refused.stdout
    changeable.run(*command, "--partial")
    published = changeable.folder / "published/tiny"
    manifest = read_json(published / "manifest.json")
    assert manifest["missing"] == [missing]
    assert manifest["runs"] == 4
    assert missing not in manifest["blocks"]
    assert not list(published.glob("runs"))


def test_tables_of_a_part_do_not_pass_for_those_of_all(changeable: Project) -> None:
    shutil.rmtree(changeable.block("cross_entropy"))
    for made in ("metrics", "tables"):
        shutil.rmtree(changeable.folder / "results" / made)
    by_age = ("tables", "--rerun-triggers", "mtime")
    log = changeable.snakemake(*by_age, "--config", "partial=true").stdout
    assert "2 are missing" in log
    assert "Training" not in log
    log = changeable.snakemake(*by_age).stdout
    assert "Training cross_entropy" in log
    assert "Training class_distance" not in log
    assert "Fitting" not in log


def test_a_published_benchmark_is_read_back_for_tables(changeable: Project) -> None:
    publish = ("drugtail", "publish", "--config", "config/tiny.yaml", "--output", "published/tiny")
    changeable.run(*publish)
    assert (
        "6 runs" in changeable.run("drugtail", "import", "published/tiny", "--output", "m").stdout
    )
    assert (
        "results/imported/tiny: 6 runs"
        in changeable.run("drugtail", "import", "published/tiny").stdout
    )
    # The metrics of a run are not written over.
    before = (changeable.folder / "results/metrics/tiny/runs.parquet").read_bytes()
    refused = changeable.run(
        "drugtail", "import", "published/tiny", "--output", "results/metrics/tiny", check=False
    )
    assert refused.returncode == 1
    assert "results/metrics/tiny: is there already and was not read back" in refused.stdout
    assert (changeable.folder / "results/metrics/tiny/runs.parquet").read_bytes() == before
    table = ("--table", "head_tail", "--output", "again")
    changeable.run("drugtail", "tabulate", "--metrics", "m", *table)
    made = changeable.folder / "results/tables/tiny/head_tail.md"
    assert (changeable.folder / "again.md").read_text() == made.read_text()
    predicted = pd.read_parquet(changeable.folder / "published/tiny/predictions.parquet")
    runs = [column for column in predicted if column.count("/") == 2]
    assert len(runs) == 6
    frame = pd.read_parquet(changeable.block("random_forest") / "predictions.parquet")
    test = frame[(frame["subset"] == "test") & (frame["seed"] == 1)]
    wanted = test.filter(like="logit_").to_numpy().argmax(axis=1)
    assert predicted["morgan/random_forest/1"].tolist() == wanted.tolist()


# ---------------------------------------------------------------------------------- tracking


def test_tracking_has_a_parent_children_curves_metrics_and_tags(finished: Project) -> None:
    client = mlflow.MlflowClient(f"sqlite:///{finished.folder}/results/mlflow/mlflow.db")
    experiment = client.get_experiment_by_name("tiny")
    runs = client.search_runs([experiment.experiment_id])
    parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    children = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
    assert [parent.info.run_name for parent in parents] == ["tiny"]
    assert len(children) == 6
    assert {c.data.tags["mlflow.parentRunId"] for c in children} == {parents[0].info.run_id}
    child = next(c for c in children if c.data.tags["method"] == "class_distance")
    curve = client.get_metric_history(child.info.run_id, "loss")
    assert [point.step for point in curve] == [0, 1, 2, 3]
    assert curve[0].timestamp < curve[-1].timestamp
    assert child.data.params["training.epochs"] == "4"
    assert len(child.data.tags["split_sha256"]) == 64
    assert child.data.tags["status"] == "finished"
    seed = int(child.data.tags["seed"])
    assert child.info.run_name == f"class_distance on gcn, tiny random-0, seed {seed}"
    assert "Group by" in experiment.tags["mlflow.note.content"]
    table = metrics(finished).set_index(["method", "seed"]).loc["class_distance", seed]
    assert child.data.metrics["final_test_balanced_accuracy_tail"] == pytest.approx(
        table["test_balanced_accuracy_tail"]
    )
    assert {a.path for a in client.list_artifacts(child.info.run_id)} >= {"manifest.json"}
    means = metrics(finished).groupby("method").mean(numeric_only=True).loc["class_distance"]
    for name in ("", "_head", "_middle", "_tail"):
        metric = f"test_balanced_accuracy{name}"
        at_parent = parents[0].data.metrics[f"tiny/random/gcn/class_distance/{metric}"]
        assert at_parent == pytest.approx(means[metric])


def test_mlflow_serves_what_predict_asks(changeable: Project) -> None:
    """A real server, asked over HTTP."""
    # The copied store names the folder of the finished project for its artifacts.
    (changeable.folder / "results/mlflow/mlflow.db").unlink()
    blocks = sorted(str(p.parent) for p in changeable.folder.glob("results/runs/**/status.json"))
    metrics = ("--metrics", "results/metrics/tiny")
    track = ("drugtail", "track", *blocks, "--benchmark", "tiny", *metrics)
    said = changeable.run(*track).stdout
    logged = re.search(r"MLFLOW_TRACKING_URI=(\S+) (\S+) (models serve .*--model-uri \S+)", said)
    assert logged is not None, said
    uri, program, words = logged.groups()
    assert "models serve" not in changeable.run(*track).stdout, "it is there"

    port = free_port()
    server = subprocess.Popen(
        [program, *words.split(), "--port", str(port)],
        cwd=changeable.folder, env={**changeable.environment, "MLFLOW_TRACKING_URI": uri},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        address = f"http://127.0.0.1:{port}"
        wait_for(f"{address}/ping")
        records = [{"smiles": "CCCCCCO"}, {"smiles": "nonsense"}]
        answer = requests.post(
            f"{address}/invocations", json={"dataframe_records": records}, timeout=60
        )
        refused = requests.post(
            f"{address}/invocations", json={"dataframe_records": [{"x": "C"}]}, timeout=60
        )
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()
    found = pd.DataFrame(json.loads(answer.text, parse_constant=pytest.fail)["predictions"])
    (changeable.folder / "ask.csv").write_text("smiles\nCCCCCCO\nnonsense\n")
    ask = ("predict", "--model", "results/metrics/tiny", "--molecules", "ask.csv", "--output")
    changeable.run("drugtail", *ask, "asked.csv")
    wanted = pd.read_csv(changeable.folder / "asked.csv").filter(like="drugtail_p_")
    np.testing.assert_allclose(found.filter(like="p_").astype(float), wanted, rtol=1e-4)
    assert found["reason"].tolist() == ["", "unparsable SMILES"]
    assert found["class"].isna().tolist() == [False, True]
    assert refused.status_code == 400
    assert "Model is missing inputs ['smiles']" in refused.text


def test_a_real_server_gets_every_run_once(changeable: Project) -> None:
    port = free_port()
    server = subprocess.Popen(
        ["mlflow", "server", "--backend-store-uri", "sqlite:///server.db", "--workers", "1",
         "--artifacts-destination", "kept", "--port", str(port)],
        cwd=changeable.folder, env=changeable.environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    blocks = sorted(str(p.parent) for p in changeable.folder.glob("results/runs/**/status.json"))
    try:
        wait_for(f"{address}/health")
        track = ("drugtail", "track", *blocks, "--benchmark", "tiny", "--uri", address)
        said = changeable.run(*track).stdout
        assert "6 runs added, 0 renewed, 0 kept" in said
        assert "View run" not in said
        assert "0 runs added, 0 renewed, 6 kept" in changeable.run(*track).stdout
        client = mlflow.MlflowClient(address)
        experiment = client.get_experiment_by_name("tiny")
        (parent,) = client.search_runs([experiment.experiment_id], "run_name = 'tiny'")
        means = metrics(changeable).groupby("method")["test_balanced_accuracy_tail"].mean()
        for method, encoder in (("class_distance", "gcn"), ("random_forest", "morgan")):
            name = f"tiny/random/{encoder}/{method}/test_balanced_accuracy_tail"
            assert parent.data.metrics[name] == pytest.approx(means[method])
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def wait_for(address: str, seconds: float = 120) -> None:
    """Wait until a server answers."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if requests.get(address, timeout=5).ok:
                return
        except requests.RequestException:
            time.sleep(0.5)
    pytest.fail(f"{address} does not answer")


def test_tracking_again_changes_nothing_and_a_changed_run_is_renewed(changeable: Project) -> None:
    blocks = sorted(str(p.parent) for p in changeable.folder.glob("results/runs/**/status.json"))
    track = ["drugtail", "track", *blocks, "--benchmark", "tiny", "--results", "results"]
    # The copied store names the folder of the finished project for its artifacts.
    (changeable.folder / "results/mlflow/mlflow.db").unlink()
    assert "6 runs added, 0 renewed, 0 kept" in changeable.run(*track).stdout
    assert "0 runs added, 0 renewed, 6 kept" in changeable.run(*track).stdout
    # As a training by newer code leaves it.
    status = changeable.block("cross_entropy") / "status.json"
    status.write_text(json.dumps({**read_json(status), "made": "again"}))
    assert "0 runs added, 2 renewed, 4 kept" in changeable.run(*track).stdout


def test_a_deleted_experiment_is_named_and_how_to_get_it_back(changeable: Project) -> None:
    store = f"sqlite:///{changeable.folder}/other.db"
    blocks = sorted(str(p.parent) for p in changeable.folder.glob("results/runs/**/status.json"))
    track = ("drugtail", "track", *blocks, "--benchmark", "tiny", "--uri", store)
    changeable.run(*track)
    client = mlflow.MlflowClient(store)
    found = client.get_experiment_by_name("tiny")
    client.delete_experiment(found.experiment_id)
    refused = changeable.run(*track, check=False)
    assert refused.returncode == 1
    assert "'tiny' was deleted; restore it with `mlflow experiments restore" in refused.stdout
    client.restore_experiment(found.experiment_id)
    # Its parent run deleted: the runs move to the new one, which would be empty else.
    whole = "tags.`drugtail.run` = 'benchmark/tiny'"
    (parent,) = client.search_runs([found.experiment_id], whole)
    client.delete_run(parent.info.run_id)
    assert "6 kept" in changeable.run(*track).stdout
    (parent,) = client.search_runs([found.experiment_id], whole)
    children = client.search_runs(
        [found.experiment_id], f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
    )
    assert len(children) == 6


def test_a_server_named_later_is_tracked_to_and_one_that_is_silent_is_refused(
    finished: Project,
) -> None:
    assert finished.jobs_to_run() == {}
    config = ["--configfile", "config/tiny.yaml", "--cores", "2", "--dry-run"]
    address = "MLFLOW_TRACKING_URI=http://127.0.0.1:9"
    done = finished.run("env", address, "snakemake", *config)
    assert listed_jobs(done.stdout) == {"track_runs": 1}
    started = time.monotonic()
    words = ("--benchmark", "tiny", "--results", "elsewhere", "--uri", "http://127.0.0.1:9")
    block = str(finished.block("cross_entropy"))
    refused = finished.run("drugtail", "track", block, *words, check=False)
    assert refused.returncode == 1
    assert "http://127.0.0.1:9: does not answer within 10 s" in refused.stdout
    assert time.monotonic() - started < 60


# ------------------------------------------------------------------------------ bad input


def test_names_with_spaces_and_quotes_reach_the_commands_whole(changeable: Project) -> None:
    changeable.edit(
        "config/tiny.yaml", "tables:",
        "tracking: {experiment: Long tails}\nnotes: [\"it's\"]\ntables:",
    )  # fmt: skip
    changeable.edit(
        "config/tiny.yaml", "methods: [", 'methods: [{name: "05", recipe: cross_entropy}, '
    )
    log = changeable.snakemake("--dry-run").stdout
    assert "--experiment 'Long tails'" in log
    assert "--block tiny/random-0/gcn/05-" in log


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("cross_entropy,", "cros_entropy,", r"'cros_entropy' is unknown \(did you mean cross_ent"),
        (
            "datasets: [tiny]",
            "datasets: [tyni]",
            r"'tyni' is unknown.*add config/datasets/tyni\.yaml",
        ),
        (
            "epochs: 4",
            "epochs: four",
            r"tiny\.yaml: key training\.epochs: must be a whole number, found 'four'",
        ),
        ("epochs: 4", "epohcs: 4", r"key training\.epohcs: unknown key; allowed here: batch_size"),
        ("seeds: [0-1]", "seeds: 0-1", r"key seeds: found '0-1'; write a list of blocks.*\[0-2\]"),
        ("seeds: [0-1]", "seeds: [0, 1]", r"key seeds: found 0; a block of seeds is first-last"),
        ("seeds: [0-1]", "encoders: [morgan]\nseeds: [0-1]", r"encoders: morgan: .*leave `enco"),
        ("seeds: [0-1]", "seeds: [0-2, 2-4]", r"block '2-4' overlaps block '0-2' at seed 2"),
        ("random-0", "rando-0", r"there is no split strategy 'rando' .did you mean random"),
        ("random-0]", "random]", r"splits: random: add a split seed, for example random-0"),
        ("random-0]", "official-1]", r"splits: official-1: official knows no seeds"),
        ("random-0]", "random 0]", r"'random 0' is not a split; write a strategy and a split se"),
        (
            "classifier.n_estimators",
            "classifier.tree",
            r"classifier\.tree: unknown key; allowed here",
        ),
        ("random-0]", "official]", r"data set 'tiny' has no published split"),
    ],
)
def test_a_wrong_configuration_is_refused_before_anything_runs(
    new_project: Callable[[str], Project], old: str, new: str, says: str
) -> None:
    project = new_project("wrong")
    project.edit("config/tiny.yaml", old, new)
    refused = project.snakemake(check=False)
    assert refused.returncode != 0
    assert re.search(says, refused.stdout), refused.stdout
    assert "Traceback" not in refused.stdout
    assert not (project.folder / "results").exists()


def test_a_bad_row_stops_nothing_and_a_bad_file_is_named(
    new_project: Callable[[str], Project],
) -> None:
    project = new_project("bad")
    table = project.folder / "tiny.csv"
    good = table.read_text()
    table.write_text(good + "C1CC,amine\nCCO,\n")
    project.snakemake("results/data/tiny/dataset.json")
    rejected = pd.read_csv(project.folder / "results/data/tiny/rejected.csv")
    assert rejected["row"].tolist() == [69, 70]
    assert rejected["reason"].tolist() == ["unparsable SMILES", "missing label"]
    table.write_text("<html><body>404</body></html>")
    refused = project.snakemake("data", "--forcerun", "fetch_dataset", check=False)
    assert refused.returncode != 0
    assert "is a web page, not a table" in refused.stdout
    # What was there stays.
    assert (project.folder / "results/data/tiny/molecules.parquet").is_file()


# ------------------------------------------------------------------- the project's own files


@pytest.mark.parametrize("config", ["config/config.yaml", "config/benchmarks/real.yaml"])
def test_the_shipped_configurations_are_sound(finished: Project, config: str) -> None:
    log = finished.run("snakemake", "--dry-run", "--configfile", config).stdout
    assert "train_network" in log
    assert "good" in finished.run("drugtail", "check", config).stdout


def test_data_are_featurized_for_encoders_that_read_them(finished: Project, tmp_path: Path) -> None:
    config = tmp_path / "two_kinds.yaml"
    config.write_text(
        "name: two_kinds\ntitle: Molecules and reactions\n"
        "datasets: [demo, config/benchmarks/study/datasets/uspto_50k_reaction.yaml]\n"
        "splits: [random-0]\nmethods: [random_forest]\nreference: random_forest\n"
        "encoders: [morgan, reaction]\nseeds: [0-0]\n"
    )
    words = ("data", "--dry-run", "--cores", "1", "--configfile", str(config))
    log = finished.run("snakemake", *words).stdout
    assert listed_jobs(log)["featurize_dataset"] == 2
    for features in ("demo/morgan", "uspto_50k_reaction/drfp"):
        assert f"results/features/{features}" in log


def test_the_catalogues_entry_builds_the_same_jobs(finished: Project) -> None:
    log = finished.run("snakemake", "--dry-run", "-s", "workflow/Snakefile").stdout
    assert "train_network" in log
    assert "track_runs" in log


def test_snakemakes_report_has_tables_figures_and_captions(
    finished: Project, tmp_path: Path
) -> None:
    report = tmp_path / "report.html"
    finished.run("snakemake", "--configfile", "config/tiny.yaml", "--report", str(report))
    text = report.read_text()
    assert "Training molecules per class." in text
    for category in ("Tables", "Figures", "Page"):
        assert f'"{category}"' in text


def test_the_reference_of_settings_is_up_to_date(finished: Project) -> None:
    made = finished.run("drugtail", "list", "reference").stdout
    assert made == (finished.folder / "config/README.md").read_text(), (
        "config/README.md is out of date; run: drugtail list reference > config/README.md"
    )


def test_every_link_of_the_reference_leads_to_a_heading(finished: Project) -> None:
    text = (finished.folder / "config/README.md").read_text()
    headings = re.findall(r"(?m)^##+ (.*)$", text)
    # As GitHub names them.
    anchors = [re.sub(r"[^a-z0-9_ -]", "", h.lower()).replace(" ", "-") for h in headings]
    assert len(anchors) == len(set(anchors))
    links = re.findall(r"\]\(#(.*?)\)", text)
    assert "loss-focal" in links
    assert set(links) <= set(anchors)


def test_plan_counts_jobs_and_estimates_from_earlier_blocks(
    changeable: Project, new_project: Callable[[str], Project]
) -> None:
    done = changeable.run("drugtail", "plan", "--config", "config/tiny.yaml").stdout
    assert "training jobs: 3, of which 3 are finished" in done
    assert "time left: none" in done
    new = new_project("new").run("drugtail", "plan", "--config", "config/tiny.yaml").stdout
    assert "runs: 6" in new
    assert "time left: unknown" in new
    later = changeable.folder / "config/later.yaml"
    later.write_text((changeable.folder / "config/tiny.yaml").read_text().replace("0-1", "2-9"))
    # Blocks of seconds do not tell how fast longer ones are.
    plan = ("drugtail", "plan", "--config", "config/later.yaml")
    assert "(3 jobs by speeds of another machine" in changeable.run(*plan).stdout
    for path in changeable.folder.glob("results/runs/*/*/*/*/*/manifest.json"):
        path.write_text(re.sub(r'("wall_seconds": )[\d.]+', r"\g<1>75.3", path.read_text()))
    estimate = changeable.run(*plan).stdout
    # Two seeds took a minute after a start of 15 seconds: three jobs of eight seeds.
    assert "time left: about 12.8 minutes of one core" in estimate
    assert "speeds of another machine" not in estimate


def test_plan_says_what_is_asked_for_from_a_cluster(
    finished: Project, new_project: Callable[[str], Project]
) -> None:
    command = ("drugtail", "plan", "--config", "config/tiny.yaml", "--profile")
    assert "by profile slurm: nothing is left to submit" in finished.run(*command, "slurm").stdout
    project = new_project("cluster")
    unprepared = project.run(*command, "slurm").stdout
    assert "tiny: taken for 100,000 molecules; run the target `data` first" in unprepared
    # Rows that nobody knows are taken for 100,000: two steps of 35 minutes, and a split.
    features = len({"atoms", "morgan"})
    longest = 35 * (1 + features) + 10
    assert f"before them 1 job to prepare data, of up to {longest} min" in unprepared
    project.snakemake("data")
    said = project.run(*command, "slurm").stdout
    # Three blocks, two to a job.
    assert "2 jobs of training, of up to 2 blocks on 2 CPUs" in said
    # Ten minutes is the least for a block, and its evaluation gets five.
    assert "the longest job 15 min" in said
    assert "prepare data" not in said
    assert "(3 jobs by speeds of another machine" in said
    assert "GPU" not in said
    project.edit("workflow/profiles/slurm/config.yaml", "block: 2", "block: 3")
    assert "the longest job 30 min" in project.run(*command, "workflow/profiles/slurm").stdout
    project.edit("config/tiny.yaml", "seeds:", "device: cuda\nseeds:")
    # Of three blocks two are networks.
    assert "GPU hour" in project.run(*command, "slurm").stdout
    # As make takes them: the second goes before the first.
    both = project.run(*command, "slurm slurm-gpu").stdout
    assert "of up to 2 blocks on 1 CPU" in both
    assert "own set-resources of train_network go before" in both
    wrong = project.run(*command, "slrum", check=False)
    assert wrong.returncode == 1
    assert "there are default, slurm, slurm-gpu" in wrong.stdout


def test_of_a_benchmark_the_best_by_validation_is_asked(finished: Project) -> None:
    results = finished.folder / "results"
    runs = pd.read_parquet(results / "metrics/tiny/runs.parquet")
    scores = runs.groupby("method")["valid_balanced_accuracy"].mean()
    best = scores.idxmax()
    assert scores.sort_values().iloc[-1] > scores.sort_values().iloc[-2]
    (finished.folder / "ask.csv").write_text("smiles,name\nCCCCCCO,one\nCCCCCN,two\n")
    words = ("predict", "--molecules", "ask.csv", "--output", "asked.csv", "--model")
    said = finished.run("drugtail", *words, "results/metrics/tiny").stdout
    (encoder,) = runs.loc[runs["method"] == best, "encoder"].unique()
    assert f"results/metrics/tiny: takes {best} on {encoder}, the best of 3 on tiny by" in said
    assert f"({100 * scores[best]:.1f}, mean of 1 split); as trained on random-0" in said
    first = pd.read_csv(finished.folder / "asked.csv")
    file = results / "metrics/tiny/runs.parquet"
    as_it_was = file.read_bytes()
    runs.assign(valid_balanced_accuracy=0.5).to_parquet(file)
    said = finished.run("drugtail", *words, "results/metrics/tiny").stdout
    assert "(50.0, mean of 1 split, the first of 3 equally good)" in said
    file.write_bytes(as_it_was)
    finished.run("drugtail", *words, str(finished.block(str(best))))
    pd.testing.assert_frame_equal(pd.read_csv(finished.folder / "asked.csv"), first)
    finished.run("drugtail", *words, "results/metrics/tiny", "--seed", "1")
    said = finished.run(
        "drugtail", *words, "results/metrics/tiny", "--method", "cross_entropy"
    ).stdout
    assert "results/metrics/tiny: takes cross_entropy on gcn on tiny, balanced accuracy" in said
    by_name = pd.read_csv(finished.folder / "asked.csv")
    finished.run("drugtail", *words, str(finished.block("cross_entropy")))
    pd.testing.assert_frame_equal(pd.read_csv(finished.folder / "asked.csv"), by_name)
    refused = finished.run(
        "drugtail", *words, "results/metrics/tiny", "--method", "focal", check=False
    ).stdout
    assert "--method focal: results/metrics/tiny has none; it has " in refused
    refused = finished.run(
        "drugtail", *words, "results/metrics/tiny", "--seed", "9", check=False
    ).stdout
    assert "results/metrics/tiny: has no seed 9; the seeds are 0, 1" in refused
    refused = finished.run(
        "drugtail", *words, "results/metrics/tiny", "--dataset", "taste", check=False
    ).stdout
    assert "--dataset taste: results/metrics/tiny has none; it has tiny" in refused


def test_a_correction_that_is_best_is_asked_as_such(changeable: Project) -> None:
    path = changeable.folder / "results/metrics/tiny/runs.parquet"
    runs = pd.read_parquet(path)
    better = runs[runs["method"] == "random_forest"].assign(
        method="random_forest+prior_0.5", valid_balanced_accuracy=1.01
    )
    header = read_parquet_metadata(path)
    write_parquet(path, pd.concat([runs, better], ignore_index=True), header)
    (changeable.folder / "ask.csv").write_text("smiles\nCCCCCCO\nCCCCCN\n")
    words = ("predict", "--molecules", "ask.csv", "--model")
    said = changeable.run("drugtail", *words, "results/metrics/tiny", "--output", "a.csv").stdout
    assert "takes random_forest+prior_0.5 on morgan" in said
    said = changeable.run(
        "drugtail", *words, "results/metrics/tiny", "--output", "a1.csv", "--prior", "1"
    ).stdout
    assert "the prior is corrected as --prior says, with a strength of 1" in said
    block = str(changeable.block("random_forest"))
    changeable.run("drugtail", *words, block, "--output", "b.csv", "--prior", "0.5")
    changeable.run("drugtail", *words, block, "--output", "c.csv")
    a, b, c = (pd.read_csv(changeable.folder / f"{name}.csv") for name in "abc")
    pd.testing.assert_frame_equal(a, b)
    assert not a.equals(c)
    # The same by its name, though another row were better.
    named = ("--method", "random_forest+prior_0.5", "--encoder", "morgan", "--output", "e.csv")
    changeable.run("drugtail", *words, "results/metrics/tiny", *named)
    pd.testing.assert_frame_equal(pd.read_csv(changeable.folder / "e.csv"), a)
    nowhere = ("--method", "random_forest", "--encoder", "gcn", "--output", "f.csv")
    refused = changeable.run(
        "drugtail", *words, "results/metrics/tiny", *nowhere, check=False
    ).stdout
    assert "--encoder gcn: results/metrics/tiny has none; it has morgan" in refused
    # Of a method with a gap no row is whole, though its corrected rows have none of their own.
    gap = better.head(1).assign(method="random_forest", split="random-1", status="missing")
    write_parquet(path, pd.concat([runs, better, gap], ignore_index=True), header)
    said = changeable.run("drugtail", *words, "results/metrics/tiny", "--output", "d.csv").stdout
    assert "random_forest" not in said


def test_an_ensemble_is_averaged_from_blocks_that_are_there_and_follows_them(
    changeable: Project,
) -> None:
    """It trains nothing, its model is asked like others, and a member that differs is noticed."""
    both = {
        "name": "both", "recipe": "prior_adjusted_ensemble",
        "settings": {"ensemble.of": ["cross_entropy", "random_forest"]},
    }  # fmt: skip
    values = yaml.safe_load((changeable.folder / "config/tiny.yaml").read_text())
    values |= {"name": "whole", "methods": [*values["methods"], both]}
    config = "config/whole.yaml"
    (changeable.folder / config).write_text(yaml.safe_dump(values))
    snakemake = ("snakemake", "tables", "--cores", "2", "--configfile", config)
    log = changeable.run(*snakemake).stdout
    assert log.count("Averaging both on gcn, tiny random-0") == len(values["seeds"])
    assert "Training" not in log
    assert "Fitting" not in log
    table = (changeable.folder / "results/tables/whole/head_tail.md").read_text()
    assert re.search(r"\| both +\| gcn ", table)
    block = changeable.block("both", config)
    (changeable.folder / "ask.csv").write_text("smiles\nCCCCCCO\nCCCCCN\n")
    changeable.run(
        "drugtail", "predict", "--model", str(block), "--molecules", "ask.csv", "--output", "a.csv"
    )
    said = pd.read_csv(changeable.folder / "a.csv")
    assert said.filter(like="drugtail_p_").sum(axis=1).tolist() == pytest.approx([1, 1], abs=1e-5)
    refused = changeable.run(
        "drugtail", "train", "--method", "config/methods/ensemble/prior_adjusted_ensemble.yaml",
        "--encoder", "config/encoders/gcn.yaml", "--molecules", "m", "--split", "s", "--features",
        "f", "--seeds", "0-0", "--output", "o", check=False,
    )  # fmt: skip
    assert "averages other methods' blocks; use `drugtail ensemble`" in refused.stdout
    # A member that is trained again is averaged again.
    changeable.edit("workflow/drugtail/methods/classical.py", "def fit(", "X = 1\n\n\ndef fit(")
    jobs = listed_jobs(changeable.run(*snakemake, "--dry-run").stdout)
    assert jobs["average_members"] == len(values["seeds"])
    changeable.edit("workflow/drugtail/methods/classical.py", "X = 1\n\n\ndef fit(", "def fit(")
    # One that was exchanged behind its back is refused.
    forest = changeable.block("random_forest") / "predictions.parquet"
    header = read_parquet_metadata(forest)
    write_parquet(forest, pd.read_parquet(forest).iloc[::-1], header)
    (plan,) = (changeable.folder / "results/plans").glob("whole-*.json")
    name = str(block.relative_to(changeable.folder / "results/runs"))
    done = changeable.run(
        "env", f"DRUGTAIL_PLAN={plan}", "drugtail", "evaluate", "--block", name, "--predictions",
        str(block / "predictions.parquet"), "--metrics", "m", "--classes", "c", check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "member tiny/random-0/morgan/random_forest-" in done.stdout


def test_vectors_of_a_file_are_features_of_networks_and_estimators(changeable: Project) -> None:
    """By benchmark, in predict, and again when the file has changed."""
    folder = changeable.folder
    molecules = pd.read_parquet(folder / "results/data/tiny/molecules.parquet")
    numbers = np.random.default_rng(0).normal(size=(len(molecules), 5))
    numbers[:, 0] = 3 * molecules["label"]
    vectors = pd.DataFrame(numbers, columns=list("abcde")).assign(id=molecules["id"])
    vectors.to_csv(folder / "theirs.csv", index=False)
    values = yaml.safe_load((folder / "config/tiny.yaml").read_text())
    read = {"featurizer": "vectors:theirs"}
    values |= {
        "name": "with_vectors", "methods": ["cross_entropy", "random_forest"],
        "vectors": {"theirs": "theirs.csv"}, "figures": [],
        "encoders": [{"name": "vector", "settings": {"width": 16, "head": [16], **read}},
                     {"name": "plain", "encoder": "descriptors", "settings": read}],
        "training": {**values["training"], "epochs": 20},
    }  # fmt: skip
    config = "config/with_vectors.yaml"
    (folder / config).write_text(yaml.safe_dump(values))
    snakemake = ("snakemake", "tables", "--cores", "2", "--configfile", config)
    changeable.run(*snakemake)
    runs = pd.read_parquet(folder / "results/metrics/with_vectors/runs.parquet")
    assert set(runs["encoder"]) == {"vector", "plain"}
    assert runs.loc[runs["encoder"] == "plain", "test_balanced_accuracy"].min() > 0.95
    block = changeable.block("cross_entropy", config)
    ask = ("drugtail", "predict", "--model", str(block), "--molecules", "ask.csv", "--output")
    molecules[["smiles"]].to_csv(folder / "ask.csv", index=False)
    for options, says in (
        ((), r"model.pt: reads vectors called 'theirs', 5 numbers per molecule; name a file"),
        (("--vectors", "others=ask.csv"), r"--vectors theirs=FILE \(given: others\)"),
        (("--vectors", "theirs=theirs.csv"), "vectors of new molecules need a column smiles"),
        (("--vectors", "theirs"), "write it as NAME=FILE"),
    ):
        refused = changeable.run(*ask, "no.csv", *options, check=False)
        assert refused.returncode == 1
        assert re.search(says, refused.stdout), refused.stdout
    new = vectors.drop(columns="id").assign(smiles=molecules["smiles"])
    new.drop(columns="e").to_csv(folder / "narrow.csv", index=False)
    refused = changeable.run(*ask, "no.csv", "--vectors", "theirs=narrow.csv", check=False)
    assert re.search("narrow.csv: has 4 numbers per molecule, but .* on 5", refused.stdout)
    new[["b", "a", "c", "d", "e", "smiles"]].to_csv(folder / "turned.csv", index=False)
    refused = changeable.run(*ask, "no.csv", "--vectors", "theirs=turned.csv", check=False)
    assert "turned.csv: has column 'b' where" in refused.stdout
    new.to_csv(folder / "new.csv", index=False)
    both = ("--vectors", "theirs=new.csv", "--vectors", "others=narrow.csv")
    printed = changeable.run(*ask, "said.csv", *both).stdout
    assert re.search("--vectors others: is not used; .* reads vectors of theirs", printed)
    said = pd.read_csv(folder / "said.csv")
    stored = pd.read_parquet(block / "predictions.parquet")
    logits = stored.filter(like="logit_").to_numpy()
    wanted = np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))
    mean = pd.DataFrame(wanted).groupby(stored["id"]).mean()
    found = said.filter(like="drugtail_p_").set_axis(molecules["id"]).loc[mean.index]
    np.testing.assert_allclose(found, mean, rtol=1e-3, atol=1e-5)
    # Another file of that name is other features, and other blocks.
    (vectors * [1, 1, 1, 1, 2, 1]).to_csv(folder / "theirs.csv", index=False)
    jobs = listed_jobs(changeable.run(*snakemake, "--dry-run").stdout)
    assert jobs["featurize_dataset"] == 1
    assert {"train_network", "train_classical"} <= set(jobs)
    described = f"vectors: theirs: theirs.csv: {len(vectors):,} vectors of 5 numbers, by id"
    assert described in changeable.run("drugtail", "check", config).stdout
    values["vectors"] = {"others": "theirs.csv"}
    (folder / config).write_text(yaml.safe_dump(values))
    refused = changeable.run("drugtail", "check", config, check=False)
    assert "featurizer 'vectors:theirs': no file of vectors is named for it" in refused.stdout


def test_without_kept_models_nothing_is_trained_again_and_none_is_left(
    changeable: Project,
) -> None:
    text = TINY_BENCHMARK.replace("name: tiny\n", "name: lean\nkeep_models: false\n", 1)
    (changeable.folder / "config/lean.yaml").write_text(text)
    words = ("snakemake", "train", "--cores", "2", "--configfile", "config/lean.yaml")
    # Blocks that are there keep their models, which harms nobody.
    assert "train_network" not in listed_jobs(changeable.run(*words, "--dry-run").stdout)
    (changeable.folder / "config/lean.yaml").write_text(text.replace("epochs: 4", "epochs: 3"))
    changeable.run(*words)
    block = changeable.block("cross_entropy", "config/lean.yaml")
    assert (block / "status.json").is_file()
    assert not (block / "model.pt").exists()
    refused = changeable.run(
        "drugtail", "predict", "--model", str(block), "--molecules", "x.csv", "--output", "y.csv",
        check=False,
    ).stdout  # fmt: skip
    assert "trained with keep_models: false" in refused
    # Kept after all, it is trained again, and so it leaves its model.
    text = text.replace("epochs: 4", "epochs: 3").replace("keep_models: false\n", "")
    (changeable.folder / "config/lean.yaml").write_text(text)
    planned = changeable.run("drugtail", "plan", "--config", "config/lean.yaml").stdout
    assert "training jobs: 3, of which 1 are finished" in planned
    assert "to be trained again: 2 blocks, whose models were not kept" in planned
    assert listed_jobs(changeable.run(*words, "--dry-run").stdout)["train_network"] == 2


def test_a_faulty_recipe_does_not_hide_the_others(changeable: Project) -> None:
    path = changeable.folder / "config/methods/adjustment/ldam.yaml"
    path.write_text(path.read_text().replace("loss:", "lose:"))
    listed = changeable.run("drugtail", "list", "methods", check=False)
    assert listed.returncode == 1
    assert "cross_entropy" in listed.stdout
    assert re.search(r"not listed:\n.*ldam\.yaml: key lose: unknown key", listed.stdout)
    assert changeable.run("drugtail", "list", "methods", "--json", check=False).returncode == 1


def test_predict_classifies_new_molecules(finished: Project) -> None:
    (finished.folder / "new.csv").write_text("smiles\nCCCCCCO\nnonsense\n")
    model = str(finished.block("cross_entropy") / "model.pt")
    finished.run(
        "drugtail", "predict", "--model", model, "--molecules", "new.csv", "--output", "out.csv"
    )
    out = pd.read_csv(finished.folder / "out.csv", keep_default_na=False)
    assert out["drugtail_class"][0] in ("alcohol", "amine", "bromide")
    probabilities = out.filter(like="drugtail_p_").loc[0].astype(float)
    assert probabilities.sum() == pytest.approx(1, abs=1e-5)
    assert len(probabilities) == 3
    assert out["drugtail_reason"].tolist() == ["", "unparsable SMILES"]
    # Another program's table: its own column, separator, encoding and names.
    text = "Name;SMILES\nTee süß;CCCCCCO\nzwei;CCCCN\n"
    (finished.folder / "theirs.csv").write_bytes(text.encode("latin-1"))
    finished.run(
        "drugtail", "predict", "--model", model, "--molecules", "theirs.csv", "--output",
        "theirs-said.csv", "--encoding", "latin-1",
    )  # fmt: skip
    said = pd.read_csv(finished.folder / "theirs-said.csv", keep_default_na=False)
    assert said["Name"].tolist() == ["Tee süß", "zwei"]
    assert said["drugtail_class"][0] == out["drugtail_class"][0]
    (finished.folder / "other.csv").write_text("structure\nCCO\n")
    refused = finished.run(
        "drugtail", "predict", "--model", model, "--molecules", "other.csv", "--output", "no.csv",
        check=False,
    )  # fmt: skip
    assert "no column called smiles; name one with --column: structure" in refused.stdout
