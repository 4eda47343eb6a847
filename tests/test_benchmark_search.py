"""`benchmarks.search`: its tables, its simulator, and the line that a method gets."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.search import comparison, confirmation, factorials
from benchmarks.search.record import append, record
from benchmarks.search.rivals import METHODS, PLAIN, RIVALS, SYNE_TUNE, known, made
from benchmarks.search.simulator import Leadline, Proposal, Sweep, settings, simulate
from benchmarks.search.tables import (
    DESIGN,
    DESIGN_SEED,
    HELD_OUT,
    HELD_OUT_SEED,
    LEAST_TAU,
    Hartmann,
    Recorded,
    Table,
    named,
    regret,
)
from leadline.config import ConfigError
from leadline.engine.director import Assignment, Director
from leadline.measure import Measure, Report
from tests.leadline.toy_study import STUDY

DISTRIBUTION = '{"name": "FloatDistribution", "attributes": {"low": 1.0, "high": 100.0, "log": true, "step": null}}'


def _grid(path: Path, curves: Mapping[float, list[list[float]]], *, factorial: bool = True) -> Recorded:
    """A table of one parameter: for each of its levels, a curve for each seed."""
    about = {"mode": "min", "factorial": factorial, "distributions": {"lr": DISTRIBUTION}}
    rows = [
        {"configuration": number, "seed": seed, "lr": lr, "values": values, "seconds": [1.0] * len(values)}
        for number, (lr, seeds) in enumerate(curves.items())
        for seed, values in enumerate(seeds)
    ]
    append(path, about, rows)
    return Recorded(path)


def _quick(method: str, table: Table, *, workers: int = 4, seed: int = 0) -> Sweep:
    return simulate(table, made(method, table, seed, workers), workers=workers, trainings=(3, 6), seed=seed)


@pytest.fixture(scope="module")
def good() -> Table:
    return named("hartmann3-good")


@pytest.mark.parametrize("name", [*DESIGN, *HELD_OUT])
def test_every_table_that_is_shipped_loads_and_knows_its_best(name: str) -> None:
    table = named(name)
    sweep = _quick("random without stopping", table)
    assert table.best < table.median
    assert all(np.isfinite(value) for *_, value in sweep.reports)
    assert all(regret(table, params) >= 0 for params in sweep.trials.values())
    assert all(table.true(params) >= table.best - 1e-6 for params in sweep.trials.values())


def test_no_table_is_both_of_the_design_and_held_out() -> None:
    assert not {*DESIGN} & {*HELD_OUT}
    assert HELD_OUT_SEED >= DESIGN_SEED + 1000


@pytest.mark.parametrize("names", [DESIGN, HELD_OUT])
def test_both_parts_have_tables_whose_first_rung_predicts_the_end_and_others(names: tuple[str, ...]) -> None:
    high = {name for name in names if named(name).tau >= LEAST_TAU}
    assert high
    assert high != {*names}


def test_boosting_fits_and_is_drawn_from_its_seed() -> None:
    rows = factorials.surface(120, noise=0.1)
    binned, binned_validation = (np.digitize(part, np.linspace(0, 1, 17)[1:-1]) for part in (rows.x, rows.x_validation))
    chosen = {"lr": 0.2, "depth": 3.0, "shrinkage": 0.1, "rows": 0.65, "columns": 1.0}
    one, same, other = (
        factorials._boosted(binned, rows.y, binned_validation, rows.y_validation, chosen, seed) for seed in (0, 0, 1)
    )
    assert one == same != other
    assert len(one) == factorials.EPOCHS
    assert one[-1] < 0.5 * one[0]


def test_an_unknown_table_is_refused_with_a_hint() -> None:
    with pytest.raises(ConfigError, match=r"tables: no 'trees-cleen'; did you mean trees-clean\?"):
        named("trees-cleen")


@pytest.mark.parametrize("dimensions", [3, 6])
def test_the_hartmann_functions_have_their_published_minimum(dimensions: int) -> None:
    published = {3: -3.86278, 6: -3.32237}
    table = Hartmann("plain", dimensions, 0.0, 0.0)
    assert table.best == pytest.approx(published[dimensions], abs=1e-5)
    assert table.tau == pytest.approx(1.0), "without bias and noise every rung orders as the end does"


def test_noise_and_bias_end_with_the_budget_and_noise_comes_from_the_seed() -> None:
    table, x = Hartmann("noisy", 3, 4.0, 0.8), {"x0": 0.2, "x1": 0.5, "x2": 0.8}
    one, same, other = table.curve(x, 1).values, table.curve(x, 1).values, table.curve(x, 2).values
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    assert one[-1] == other[-1] == pytest.approx(table.true(x))


def test_tau_is_that_of_the_first_rung_and_the_end(tmp_path: Path) -> None:
    agrees = {1.0: [[1.0, 1.0]], 10.0: [[2.0, 2.0]], 100.0: [[3.0, 3.0]]}
    one_swap = {1.0: [[2.0, 1.0]], 10.0: [[1.0, 2.0]], 100.0: [[3.0, 3.0]]}
    assert _grid(tmp_path / "agrees.parquet", agrees).tau == pytest.approx(1.0)
    assert _grid(tmp_path / "swapped.parquet", one_swap).tau == pytest.approx(1 / 3)


@pytest.mark.parametrize("factorial", [True, False])
def test_recorded_points_have_their_own_curves_and_points_between_them_a_mean(tmp_path: Path, factorial: bool) -> None:
    table = _grid(tmp_path / "t.parquet", {1.0: [[4.0, 2.0]], 100.0: [[8.0, 6.0]]}, factorial=factorial)
    assert table.curve({"lr": 1.0}, 0).values.tolist() == [4.0, 2.0]
    assert table.curve({"lr": 10.0}, 0).values == pytest.approx([6.0, 4.0]), "halfway on the logarithmic scale"
    assert table.best == 2.0


def test_a_sweep_sees_one_seed_and_the_true_value_is_over_all(tmp_path: Path) -> None:
    table = _grid(tmp_path / "t.parquet", {1.0: [[1.0], [3.0]], 100.0: [[5.0], [5.0]]})
    assert [table.curve({"lr": 1.0}, seed).values[-1] for seed in (0, 1, 2)] == [1.0, 3.0, 1.0]
    assert table.true({"lr": 1.0}) == table.best == 2.0


def test_recorded_trainings_are_added_and_a_seed_that_is_not_whole_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    _grid(path, {1.0: [[1.0]], 100.0: [[5.0]]})
    about = {"mode": "min", "factorial": True, "distributions": {"lr": DISTRIBUTION}}
    more = {"values": [9.0], "seconds": [1.0]}
    append(path, about, [{"configuration": 0, "seed": 1, "lr": 1.0, **more}])
    assert Recorded(path).true({"lr": 1.0}) == 1.0
    append(path, about, [{"configuration": 1, "seed": 1, "lr": 100.0, **more}])
    assert Recorded(path).true({"lr": 1.0}) == 5.0


def _plain_loop(table: Table, seed: int, trainings: int) -> list[tuple[int, int, float]]:
    """One trial after the other, as a loop over the director would be written first."""
    director = Director(
        settings(table, seed, METHODS[PLAIN], 1), lambda trial, scale: {"point": table.space(trial, scale)}
    )
    director.opened({})
    seen: list[tuple[int, int, float]] = []
    spent = 0
    while spent < trainings * table.epochs:
        found = director.next()
        assert isinstance(found, Assignment)
        director.started(found.trial, found.attempt)
        values = table.curve(found.config["point"], seed).values
        for epoch in range(table.grace, table.epochs + 1, table.grace):
            value, spent = float(values[epoch - 1]), spent + table.grace
            seen.append((found.trial, epoch, value))
            report = Report(epoch, epoch, 0.0, 0.0, {"validation/value": Measure.exact(value)})
            if director.reported(found.trial, report).action != "continue" or spent >= trainings * table.epochs:
                break
    return seen


def test_with_one_worker_the_sweep_is_that_of_a_plain_loop(good: Table) -> None:
    sweep = _quick(PLAIN, good, workers=1, seed=3)
    assert [report[1:] for report in sweep.reports] == _plain_loop(good, 3, 6)
    assert any(epoch < good.epochs for epoch in sweep.epochs.values()), "some trials are stopped"


@pytest.mark.parametrize("method", [*METHODS, *RIVALS])
def test_equal_seeds_give_equal_sweeps_and_others_do_not(method: str, good: Table) -> None:
    assert _quick(method, good) == _quick(method, good)
    assert _quick(method, good).trials != _quick(method, good, seed=1).trials


@pytest.mark.parametrize("method", [PLAIN, *RIVALS])
def test_time_goes_forward_no_more_trials_run_than_workers_and_the_budget_ends_the_sweep(
    method: str, good: Table
) -> None:
    sweep = _quick(method, good, workers=3)
    times = [when for when, *_ in sweep.reports]
    assert times == sorted(times)
    assert sum(sweep.epochs.values()) in range(6 * good.epochs, 6 * good.epochs + good.grace)
    ended = {trial: when for when, trial, *_ in sweep.reports}
    began: dict[int, float] = {}
    for when, trial, *_ in sweep.reports:
        began.setdefault(trial, when)
    assert all(sum(began[one] <= when <= ended[one] for one in began) <= 3 for when in times[:: good.grace])


@pytest.mark.parametrize("method", RIVALS)
def test_pruners_stop_trials_and_without_one_only_the_end_of_the_sweep_does(method: str, good: Table) -> None:
    sweep = simulate(good, made(method, good, 0, 1), workers=1, trainings=(12,), seed=0)  # the median of 5 comes first
    *ended, _ = sweep.epochs.values()
    assert any(epoch < good.epochs for epoch in ended) == (method != "Optuna without pruning")


def test_the_regret_is_that_of_the_best_finished_trial_by_its_last_value(tmp_path: Path) -> None:
    curves = {1.0: [[0.0, 3.0]], 10.0: [[1.0, 1.0]], 100.0: [[2.0, 2.0]]}
    table = _grid(tmp_path / "t.parquet", curves)

    class Fixed:
        """Tries the three levels; the first is stopped although its value is the best so far."""

        def __init__(self) -> None:
            self.left = [1.0, 10.0, 100.0]

        def next(self) -> Any:
            return Proposal(3 - len(self.left), {"lr": self.left.pop(0)}) if self.left else None

        def reported(self, trial: int, epoch: int, value: float) -> bool:
            return epoch == 1 and trial > 0

    sweep = simulate(table, Fixed(), workers=1, trainings=(1, 2), seed=0)
    assert sweep.finished == [1]
    assert sweep.regrets == {1: regret(table, {"lr": 1.0}), 2: 0.0}


def test_the_director_stores_nothing_and_confirms_nothing(good: Table) -> None:
    method = Leadline(good, 0, 4, {})
    simulate(good, method, workers=4, trainings=(6,), seed=0)
    assert method.director.position == 0
    assert {trial.kind for trial in method.director.history.trials.values()} == {"search"}


def test_the_command_prints_a_line_for_each_method(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--tables", "hartmann3-good", "--seeds", "1", "--trainings", "2", "--processes", "1", "--methods"]
    comparison.main([*arguments, "random + asha"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[2] == "Design: hartmann3-good 0.85"
    assert lines[6] == "| asha + TPE | 1.00 (1.00 to 1.00) | 1.00 (1.00 to 1.00) | - |"
    assert lines[7].startswith("| random + asha | ")
    assert lines[-1].startswith("2 sweeps in ")


def test_every_method_can_be_named_in_a_list() -> None:
    assert not [name for name in (*METHODS, *RIVALS, *SYNE_TUNE) if "," in name]


def test_an_unknown_method_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        comparison.main(["--methods", "asha and TPE"])
    assert "methods: no 'asha and TPE'; did you mean asha + TPE?" in capsys.readouterr().err


@pytest.mark.parametrize("name", SYNE_TUNE)
def test_syne_tune_plays_where_it_is_installed_and_else_says_what_is_missing(name: str, good: Table) -> None:
    if name in known():
        assert _quick(name, good) == _quick(name, good)
    else:
        with pytest.raises(ConfigError, match="methods: Syne Tune is not installed"):
            made(name, good, 0, 4)


def test_a_study_is_recorded_and_the_recording_goes_on_where_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record(STUDY, "smoke", [1], 2, 1, tmp_path)
    first = Recorded(tmp_path / "toy-1.parquet")
    assert len(first.configurations) == 2
    capsys.readouterr()
    record(STUDY, "smoke", [1], 3, 1, tmp_path)
    assert capsys.readouterr().out.startswith("toy-1: configuration 2, seed 0: ")
    table = Recorded(tmp_path / "toy-1.parquet")
    assert table.configurations[:2] == first.configurations
    assert table.epochs == STUDY.scales["smoke"].budget // STUDY.scales["smoke"].grace
    assert all(np.isfinite(table.curve(params, 0).values).all() for params in table.configurations)


def test_a_ratio_is_paired_by_table_and_seed() -> None:
    regrets = {
        (PLAIN, "a", 0): {10: 0.2 - comparison.FLOOR},
        (PLAIN, "b", 0): {10: 0.5 - comparison.FLOOR},
        ("other", "a", 0): {10: 0.1 - comparison.FLOOR},
        ("other", "b", 0): {10: 1.0 - comparison.FLOOR},
    }
    assert np.exp(comparison.ratios(regrets, "other", ["a"], 10)) == pytest.approx([0.5])
    assert np.exp(comparison.ratios(regrets, "other", ["a", "b"], 10)) == pytest.approx([0.5, 2.0])


def test_what_confirms_more_often_finds_the_best(capsys: pytest.CaptureFixture[str]) -> None:
    told = confirmation.main(seeds=4, tables=("hartmann3-good", "hartmann3-terrible"))
    assert set(told) == {(rule, noise) for rule in confirmation.RULES for noise in confirmation.NOISES}
    assert all(0 <= share <= 1 and behind >= 0 for share, behind, *_ in told.values())
    rules = ("race of four", "two finalists in full", "the search's winner")
    raced, in_full, searched = (sum(told[rule, noise][1] for noise in confirmation.NOISES) for rule in rules)
    assert raced <= in_full <= searched
    assert capsys.readouterr().out.count("|") > 20
