"""The log's runs as configurations, its results as data, and the command that runs them."""

from __future__ import annotations

import math
import re

import pytest

from leadline.commands import dispatch
from leadline.config import ConfigError, make, to_dict
from leadline.family import Family
from trainables.collatz.config import CollatzConfig
from trainables.collatz.family import COLLATZ
from trainables.collatz.model import network
from trainables.collatz.orbits import steps_to_one, to_limbs
from trainables.collatz.presets import LAYERS, LOGGED_RESULTS, LOGGED_STEPS, PRESETS, RUNS, logged
from trainables.collatz.split import LOGGED_SEEDS


@pytest.mark.parametrize("run", RUNS)
def test_the_log_s_runs(run: int) -> None:
    config, told = logged(run), LOGGED_RESULTS[run]
    assert config == told.config == PRESETS[f"run{run}"](1.0)
    assert make(CollatzConfig, to_dict(config)) == config
    assert sum(p.numel() for p in network(config).parameters()) == told.parameters
    assert (config.steps, config.batch, config.eval_every, config.layers) == (100_000, 1024, 5000, LAYERS)
    assert round(config.patience * config.steps) == 2000
    assert round(config.anchor_decay_start * config.steps) == 1000
    assert round(config.anchor_decay * config.steps) == 5000
    assert config.mine_interval == (10_000 if run <= 4 else 0)
    assert config.mine_tolerance == 0
    assert config.t4 == (run == 4)
    assert config.ramp * config.steps == (100_000 if run == 2 else 50_000)
    assert (config.fresh, config.guard, config.idle, config.schedule, config.population) == (
        True,
        "scored",
        "27",
        "plateau",
        True,
    )


def test_the_log_s_results() -> None:
    """PROGRESS.md: its table of all runs, and the comparisons that it draws."""
    assert [LOGGED_RESULTS[run].violations for run in range(2, 8)] == [87, 80, 73, 64, 58, 14]
    assert [LOGGED_RESULTS[run].pass_rate for run in range(2, 8)] == [95.43, 95.68, 95.68, 97.22, 97.91, 99.68]
    assert [LOGGED_RESULTS[run].growth_weighted for run in range(2, 8)] == [98.02, 98.31, 98.22, 99.71, 99.75, 99.95]
    assert all(told.best <= told.violations for told in LOGGED_RESULTS.values())
    assert dict(LOGGED_RESULTS[7].each) == {111: 0, 27: 0, 703: 0, 26623: 1, 626331: 13}
    assert dict(LOGGED_RESULTS[7].worst) == {26623: -0.06, 626331: -0.41}
    assert all(
        told.each[seed] > 0 and margin < 0 for told in LOGGED_RESULTS.values() for seed, margin in told.worst.items()
    )


def test_the_steps_that_violations_are_counted_on() -> None:
    assert tuple(LOGGED_STEPS) == LOGGED_SEEDS
    assert list(LOGGED_STEPS.values()) == steps_to_one(to_limbs(LOGGED_SEEDS)).tolist()
    assert all(tuple(told.each) == LOGGED_SEEDS for told in LOGGED_RESULTS.values())
    assert all(told.each[seed] <= LOGGED_STEPS[seed] for told in LOGGED_RESULTS.values() for seed in LOGGED_SEEDS)


@pytest.mark.parametrize("scale", [0.5, 0.02, 0.001])
def test_a_scale_shrinks_steps_and_parameters_alike(scale: float) -> None:
    config = logged(7, scale)
    assert config.steps == round(100_000 * scale)
    assert config.eval_every == config.steps // 20
    for width, whole in zip(config.layers, LAYERS, strict=True):
        assert width == max(8, round(whole * math.sqrt(scale)))
    if scale == 0.5:
        share = sum(p.numel() for p in network(config).parameters()) / LOGGED_RESULTS[7].parameters
        assert share == pytest.approx(scale, rel=0.05)
    same = {"layers", "steps", "eval_every"}
    assert {k: v for k, v in to_dict(config).items() if k not in same} == {
        k: v for k, v in to_dict(logged(7)).items() if k not in same
    }


def test_bad_presets() -> None:
    for run, scale, field in ((1, 1.0, "preset"), (7, 0.0, "scale"), (7, 1.5, "scale"), (7, math.nan, "scale")):
        with pytest.raises(ConfigError, match=f"^{field}"):
            logged(run, scale)


def test_a_preset_is_run_by_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    """Its own fields but for those that follow; guarded, with minings, scored on the population."""
    assert (
        dispatch.main(["train", "collatz", "--preset", "run4", "--scale", "0.0002", "eval_every=10", "pool=1024"]) == 0
    )
    shown = capsys.readouterr().out
    steps = [line for line in shown.splitlines() if line.startswith("step ")]
    assert [line.split(" after")[0] for line in steps] == ["step 10/20", "step 20/20"]
    assert re.search(
        r"^overlap_random: 0 of 1024 random rows have .* private to validation or test\.$", shown, re.MULTILINE
    )
    assert re.search(r"^logged_rows: ", shown, re.MULTILINE)
    facts = next(line for line in shown.splitlines() if line.startswith("facts: "))
    assert re.search(
        r"\blearning_rate [0-9.e-]+, .*\bmined \d+, mining_rollbacks 0, .*\bpopulation/n_total 5e\+04\b", facts
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["collatz", "--preset", "run9"], "preset: collatz has no 'run9'; it has run2, run3, run4, run5, run6, run7"),
        (["collatz", "--preset", "run7", "--scale", "2"], "scale: must be a number above 0 and at most 1 (got '2')"),
        (
            ["collatz", "--preset", "run7", "--scale", "small"],
            "scale: must be a number above 0 and at most 1",
        ),
        (["collatz", "--scale", "0.5"], "scale: shrinks a preset"),
        (["--from", "nowhere", "7", "--preset", "run7"], "preset: a trial of a sweep has its own configuration"),
        (["collatz", "--preset", "run7", "lookahed=3"], "lookahed: unknown field of collatz"),
        (["collatz", "--preset", "run7", "guard=all"], "idle: 27 is a logged test seed"),
    ],
)
def test_bad_presets_on_the_command_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dispatch.main(["train", *arguments]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"error: {message}")
    assert told.count("\n") == 1


def test_presets_are_named_in_the_help_of_their_family(capsys: pytest.CaptureFixture[str]) -> None:
    assert dispatch.main(["train", "collatz", "--help"]) == 0
    assert "\npresets of collatz: run2, run3, run4, run5, run6, run7\n" in capsys.readouterr().out
    assert COLLATZ.presets is PRESETS
    assert dict(Family.presets) == {}
