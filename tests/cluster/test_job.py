"""A sweep as a job of a real Ray cluster of one node, as a user types it: submitted, left alone,
followed again, stopped.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from leadline.engine.ray.jobs import LEFT_OUT
from leadline.ledger.history import History
from leadline.ledger.segments import read
from leadline.storage import Folder
from tests.conftest import ROOT
from tests.leadline.ray_head import Head, head, until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]
TOY = ("tests/leadline/toy_study.py", "--confirm", "0", "--trials", "4")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Head]:
    """A head on which `python` is this one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
        with head() as started:
            yield started


def typed(cluster: Head, *words: str, path: str = "") -> subprocess.Popen[str]:
    """The command as a user gives it, who has the token; `path` comes first on the path of its Python."""
    environment = {**cluster.environment, "RAY_ADDRESS": cluster.url, "PYTHONPATH": f"{path}{os.pathsep}{ROOT}"}
    return subprocess.Popen(
        [sys.executable, *words],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def history(storage: Path, name: str) -> History:
    return History.of(read(Folder.at(str(storage / name / "ledger"))))


def test_it_submits_itself_and_ends_with_the_scripts_exit_code(cluster: Head, tmp_path: Path) -> None:
    out, _ = (run := typed(cluster, *TOY, "--storage", str(tmp_path), "--name", "a")).communicate(timeout=300)
    assert run.returncode == 0, out
    assert f"on the Ray cluster at {cluster.url} (RAY_ADDRESS)" in out
    assert "note: on the Ray cluster at " in out
    assert "best         level 1: trial" in out
    assert "Uploading" not in out
    found = history(tmp_path, "a")
    assert found.closed == "done"
    assert [trial.open for trial in found.trials.values()] == [False] * 4
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()
    recorded = found.manifests[-1]["code"]
    assert {recorded[part]["commit"] for part in ("study", "family")} == {commit}, "although no repository was sent"
    out, _ = (again := typed(cluster, *TOY[:1], "--storage", str(tmp_path), "--resume", "a")).communicate(timeout=300)
    assert (again.returncode, "a is finished: nothing that was asked for is left to do" in out) == (0, True), out


def test_it_goes_on_when_nobody_follows_and_is_followed_again_rather_than_begun_twice(
    cluster: Head, tmp_path: Path
) -> None:
    words = ("--storage", str(tmp_path))
    first = typed(cluster, *TOY, *words, "--name", "b", "sleep=0.1")
    assert first.stdout is not None
    while "sweep b in" not in first.stdout.readline():
        assert first.poll() is None
    first.send_signal(signal.SIGINT)
    out, _ = first.communicate(timeout=60)
    assert first.returncode == 0, out
    assert "detached; the sweep goes on\nfollow it, or go on with it once it has ended: python " in out
    assert f"stop it: leadline stop {tmp_path / 'b'}" in out
    until(lambda: (tmp_path / "b" / "ledger").exists() and history(tmp_path, "b").trials)
    twice, _ = typed(cluster, *TOY, *words, "--name", "b").communicate(timeout=60)
    assert "error: name: b is running on" in twice
    second = typed(cluster, *TOY, *words, "sleep=0.1", "--resume", "b")
    assert second.stdout is not None
    seen = ""
    while "sweep b in" not in seen:
        assert second.poll() is None, seen
        seen += second.stdout.readline()
    assert "b runs there already, as job b-" in seen
    assert ": following it; it takes no options while it runs\n" in seen
    os.killpg(second.pid, signal.SIGKILL)  # the laptop is gone
    second.wait()
    time.sleep(1)
    stopped = typed(cluster, "-m", "leadline", "stop", str(tmp_path / "b"))
    out, _ = stopped.communicate(timeout=120)
    assert stopped.returncode == 0, out
    assert history(tmp_path, "b").closed == "interrupted"
    assert len(history(tmp_path, "b").manifests) == 1, "one driver, whoever followed it"
    last, _ = (run := typed(cluster, *TOY[:1], *words, "--resume", "b")).communicate(timeout=300)
    assert run.returncode == 0, last
    assert history(tmp_path, "b").closed == "done"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--gpus-per-trial", "0.5"), r"error: cluster: a trial needs CPU 1 and GPU 0.5: GPU is missing; nodes: "),
        (("--where", "gpu=a100"), r"a node with these labels is missing"),
        (("--trails", "3"), r"error: trails: unknown option"),
        (("lr=x",), r"error: lr: "),
    ],
)
def test_what_cannot_work_is_refused_in_a_line_and_records_nothing(
    cluster: Head, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    out, _ = (run := typed(cluster, *TOY, "--storage", str(tmp_path), "--name", "c", *words)).communicate(timeout=300)
    assert (run.returncode, said in out) == (2, True), out
    assert "Traceback" not in out
    assert not (tmp_path / "c" / "ledger").exists()


def test_two_data_parallel_workers_and_one_agree_on_a_cluster(cluster: Head, tmp_path: Path) -> None:
    finals = []
    for name, workers in (("one", "1"), ("two", "2")):
        shares = ("--cpus-per-trial", "0.5", "--workers-per-trial", workers, "--concurrent", "1")
        out, _ = (run := typed(cluster, *TOY, "--storage", str(tmp_path), "--name", name, *shares)).communicate(
            timeout=400
        )
        assert run.returncode == 0, out
        finals.append(
            [trial.reports[-1].metrics["validation/error"].value for trial in history(tmp_path, name).trials.values()]
        )
    assert finals[1] == pytest.approx(finals[0], abs=1e-6)


def test_a_family_that_the_nodes_do_not_know_by_its_name(cluster: Head, tmp_path: Path) -> None:
    """It is installed where the job is submitted; the nodes get its code and no installation."""
    project, laptop = tmp_path / "project", tmp_path / "laptop"
    shutil.copytree(ROOT / "tests" / "plugin", project, ignore=shutil.ignore_patterns("__pycache__"))
    (project / "batches.py").write_text(BATCHES)
    info = laptop / "line-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: line\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[leadline.families]\nline = line.family:LINE\n")
    storage = ("--storage", str(tmp_path / "out"))
    words = (str(project / "batches.py"), "--family", "line", "--scale", "smoke", *storage, "--name", "d")
    out, _ = (run := typed(cluster, *words, path=f"{laptop}{os.pathsep}{project}")).communicate(timeout=300)
    assert run.returncode == 0, out
    found = history(tmp_path / "out", "d")
    assert found.closed == "done"
    assert not any(trial.status == "failed" for trial in found.trials.values())


BATCHES = """
from leadline import Scale, Study, main

scales = {"laptop": Scale(2, budget=64, grace=32, reduction=2, confirm=0, replicates=1, strata=(4,))}
main(Study("batch_size", "nobody", lambda trial, scale: {}, "batch", scales, budget="samples"))
"""


def test_what_is_sent_can_import_every_module(cluster: Head, tmp_path: Path) -> None:
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["root_packages"]
    program = (
        "import importlib, os, pkgutil\n"
        f"for top in {packages}:\n"
        "    package = importlib.import_module(top)\n"
        "    for found in pkgutil.walk_packages(package.__path__, f'{top}.'):\n"
        "        if not found.name.endswith('__main__'):\n"
        "            where = importlib.import_module(found.name).__file__\n"
        "            assert where.startswith(os.getcwd()), where\n"
        "print('all of them')\n"
    )
    words = shlex.join(["python", "-c", program])
    runtime = {"working_dir": str(ROOT), "excludes": list(LEFT_OUT)}
    submit = (
        "import json, sys; from ray.job_submission import JobSubmissionClient as Client\n"
        "print(Client(sys.argv[1]).submit_job(entrypoint=sys.argv[2], runtime_env=json.loads(sys.argv[3])))"
    )
    job, _ = typed(cluster, "-c", submit, cluster.url, words, json.dumps(runtime)).communicate(timeout=120)
    job = job.splitlines()[-1]
    until(lambda: cluster.job(job)["status"] in ("SUCCEEDED", "FAILED"))
    assert "all of them" in cluster.get(f"/api/jobs/{job}/logs")["logs"]


def test_a_token_that_is_wrong_or_missing_is_refused(cluster: Head, tmp_path: Path) -> None:
    for token in ("wrong", ""):
        environment = {
            **cluster.environment,
            "RAY_ADDRESS": cluster.url,
            "RAY_AUTH_TOKEN": token,
            "HOME": str(tmp_path),
        }
        run = subprocess.run(
            [sys.executable, TOY[0]],
            cwd=ROOT,
            env={**environment, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )
        assert run.returncode == 2, run.stderr
        assert f"error: address: {cluster.url} wants another token than the one here, or one at all: copy" in run.stderr
        assert "Traceback" not in run.stderr
