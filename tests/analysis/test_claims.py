"""Claims over hand-made histories: what is said of each possible outcome, and how claims are found."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from leadline import Sweep
from leadline.analysis import claims
from leadline.analysis.claims import Claim, Outcome, arms, fall, judged, reached
from leadline.analysis.report import document
from leadline.ledger.history import Baseline, History, Trial
from leadline.ledger.verdicts import Verdict
from leadline.measure import Measure, Report
from leadline.storage import Folder
from tests.leadline.analysis import conftest
from trainables.collatz.presets import LOGGED_RESULTS, RUNS
from trainables.recursive.presets import LOGGED_RESULTS as NOTED

SETTINGS = dataclasses.replace(conftest.SETTINGS, family="collatz")
UNITS = 120
DOCS = Path(__file__).parents[2] / "docs"


def made(
    values: dict[str, list[float]], trivial: dict[str, float], metric: str = "logged_violations", **settings: Any
) -> Sweep:
    """A sweep with one confirmed finalist per stratum, its replicates' counts, and one trivial predictor."""
    history = History(dataclasses.replace(SETTINGS, strata=tuple(values), confirm=1, replicates=5, **settings))
    for stratum, counts in values.items():
        number = len(history.trials)
        history.trials[number] = trained(number, stratum, None, "validation", metric, 0.0)
        for count in counts:
            run = len(history.trials)
            history.trials[run] = trained(run, stratum, number, "test", metric, count)
    history.baselines = [
        Baseline("sum", stratum, {f"test/{metric}": Measure.exact(value, 429)}) for stratum, value in trivial.items()
    ]
    history.baselines.append(
        Baseline("oracle: steps to 1", next(iter(values)), {f"test/{metric}": Measure.exact(0, 429)})
    )
    return Sweep("made", Folder.at("/nowhere"), history)


def trained(number: int, stratum: str, of: int | None, split: str, metric: str, value: float) -> Trial:
    units = tuple(0.5 + 0.01 * unit for unit in range(UNITS))
    measures = {f"{split}/hinge": Measure(0.5, UNITS, 0.4, 0.6, units), f"{split}/{metric}": Measure.exact(value, 429)}
    trial = Trial(number, stratum, "search" if of is None else "replicate", of, {}, {"seed": number}, "finished")
    trial.reports.append(Report(100, 100, 1.0, 0.0, measures))
    return trial


def five(low: float, high: float) -> list[float]:
    """Counts of five replicates, from `low` to `high`."""
    return [low, high, low, high, high]


def asked(sweep: Sweep, claim: str) -> tuple[str, str]:
    lines = judged(sweep, claims.of_family(SETTINGS))
    (line,) = [line for line in lines if line.claim.claim == claim]
    return line.measured, line.verdict


FALL = "Violations fall with lookahead."
SOLVED = "703 completely solved."


@pytest.mark.parametrize(
    ("first", "last", "trivial", "verdict"),
    [
        (five(60, 66), five(10, 14), {"10": 176, "100": 6}, "explained by a trivial predictor"),
        (five(60, 66), five(10, 14), {"10": 176, "100": 47}, "agrees"),
        (five(60, 66), five(10, 14), {}, "agrees"),
        (five(60, 66), five(50, 62), {"10": 176, "100": 47}, "not told apart"),
        (five(60, 66), five(70, 80), {"10": 176, "100": 47}, "does not agree"),
        ([60, 66], five(10, 14), {}, "no claim"),
    ],
)
def test_a_fall(first: list[float], last: list[float], trivial: dict[str, float], verdict: str) -> None:
    measured, found = asked(made({"10": first, "100": last}, trivial), FALL)
    assert found == verdict
    assert measured.startswith(f"lookahead 10: {first[0]} to {first[1]} in {len(first)} replicates")
    assert ("sum 176" in measured) == bool(trivial)
    assert measured.endswith(" (only 2 of 5 replicates)") == (verdict == "no claim")


def test_a_fall_over_lost_replicates_is_no_claim() -> None:
    sweep = made({"10": [60, 66, 61, 62, 63, 64], "100": five(10, 14)}, {})
    assert asked(sweep, FALL)[1] == "agrees"
    sweep.history.trials[2].status = "failed"
    measured, verdict = asked(sweep, FALL)
    assert verdict == "no claim"
    assert measured.endswith("(replicate 2 failed)")


def test_a_fall_needs_its_ends() -> None:
    assert asked(made({"10": [60], "20": [50]}, {}), FALL) == (
        "needs a sweep over lookahead with 10 and 100",
        "not run",
    )


@pytest.mark.parametrize(
    ("counts", "trivial", "verdict"),
    [
        ([0], {"100": 0}, "explained by a trivial predictor"),
        (five(0, 0), {"100": 3}, "agrees"),
        (five(0, 2), {"100": 3}, "not told apart"),
        (five(1, 2), {"100": 3}, "does not agree"),
        ([1, 2], {"100": 3}, "no claim"),
    ],
)
def test_a_value_that_was_reached(counts: list[float], trivial: dict[str, float], verdict: str) -> None:
    assert asked(made({"10": [9], "100": counts}, trivial, "logged_703"), SOLVED)[1] == verdict


def test_a_sweep_over_something_else_says_nothing() -> None:
    sweep = made({"10": [60], "100": [10]}, {}, stratify="batch", study="batch_size")
    lines = judged(sweep, claims.of_family(SETTINGS))
    assert len(lines) == 8
    assert {line.verdict for line in lines} == {"not run"}


def test_what_is_not_confirmed_says_nothing() -> None:
    sweep = made({"10": [60], "100": [10]}, {})
    for number in [number for number, trial in sweep.history.trials.items() if trial.of is not None]:
        del sweep.history.trials[number]
    assert asked(sweep, FALL) == ("needs a sweep over lookahead with 10 and 100", "not run")


def paired(better: float, noise: float, replicates: int = 5) -> Sweep:
    """Two arms on the same units, the first lower by `better`."""
    zeros: list[float] = [0] * replicates
    sweep = made({"ramp": zeros, "ramp + mining": zeros}, {}, study="curriculum_length", stratify="arm")
    for trial in sweep.history.trials.values():
        shift = (better if trial.stratum == "ramp" else 0.0) + noise * (trial.number % 3)
        values = tuple((unit * 37 % 100) / 100 - shift for unit in range(UNITS))
        split = "validation" if trial.of is None else "test"
        metrics = {f"{split}/hinge": Measure(sum(values) / UNITS, UNITS, 0, 1, values)}
        trial.reports[-1] = Report(100, 100, 1.0, 0.0, metrics)
    return sweep


@pytest.mark.parametrize(
    ("better", "noise", "replicates", "verdict"),
    [
        (0.05, 0.001, 5, "agrees"),
        (-0.05, 0.001, 5, "does not agree"),
        (0.001, 0.05, 5, "not told apart"),
        (0.05, 0.001, 4, "no claim"),
    ],
)
def test_arms_are_compared_on_the_same_units(better: float, noise: float, replicates: int, verdict: str) -> None:
    measured, found = asked(paired(better, noise, replicates), "Mining was hurting, not helping.")
    assert found == verdict
    assert measured.startswith("hinge: arm ramp: ")
    assert measured.endswith("(only 4 of 5 replicates)") == (verdict == "no claim")


def test_a_dead_learning_rate_confounds_the_logs_explanation() -> None:
    sweep = made({"10": [60]}, {})
    (trial, run) = sweep.history.trials.values()
    for one, rates in ((trial, (1e-3, 1e-7)), (run, (1e-3, 1e-7))):
        one.config["schedule"] = "plateau"
        one.reports = [
            Report(step, 1, 1.0, 0.0, one.reports[-1].metrics, {"learning_rate": rate})
            for step, rate in enumerate(rates)
        ]
    claim = "All runs plateau after the seeds are exhausted."
    measured, verdict = asked(sweep, claim)
    assert verdict == "confounded"
    assert measured.startswith("the learning rate of 2 of 2 finished trials")
    for one in (trial, run):
        one.reports = one.reports[:1]
    assert asked(sweep, claim)[1] == "not told apart"
    run.config["schedule"] = trial.config["schedule"] = "cosine"
    assert asked(sweep, claim)[1] == "not run"


def test_any_source_may_bring_claims() -> None:
    def ask(sweep: Sweep) -> Outcome | None:
        return Outcome("seen", Verdict.AGREES) if sweep.history.trials else None

    claim = Claim("a log", "a claim", "1", "anything", ask)
    empty = Sweep("empty", Folder.at("/nowhere"), History())
    assert [(line.measured, line.verdict) for line in judged(empty, (claim,))] == [("needs anything", "not run")]
    assert judged(made({"10": [1]}, {}), (claim,))[0].verdict == "agrees"
    assert arms("other", "a", "b")(made({"10": [1]}, {})) is None
    assert reached("nothing", "10", 0)(made({"10": [1]}, {})) is None
    assert fall("nothing", ("10", "100"))(made({"10": [1], "100": [1]}, {})) is None


FAMILY = """
from tests.leadline.toy import Toy
from leadline.measure import Metric


class Outside(Toy):
    name, claims = "outside", "{claims}"


OUTSIDE = Outside()
"""
CLAIM = """
from leadline.analysis.claims import Claim, Outcome
from leadline.ledger.verdicts import Verdict

CLAIMS = (Claim("a paper, table 2", "It floats.", "3 of 4", "water", lambda sweep: Outcome("5 of 5", Verdict.AGREES)),)
"""


def outside(monkeypatch: pytest.MonkeyPatch, folder: Path, claims: str, **modules: str) -> Sweep:
    """A sweep of a family from a package of its own, which says that its claims stand at `claims`."""
    package = f"outside_{folder.name}".replace("-", "_").replace("[", "_").replace("]", "_")
    (folder / package).mkdir()
    (folder / package / "__init__.py").touch()
    for name, text in {"family": FAMILY.format(claims=claims.format(package)), **modules}.items():
        (folder / package / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(folder))
    return made({"10": [1], "100": [1]}, {}, family=f"{package}.family:OUTSIDE", **REPORTED)


REPORTED: dict[str, Any] = {"trials": 2, "budget": 100, "grace": 50, "reduction": 2, "seed": 0, "scale": "smoke"}
REPORTED |= {"sampler": "random"}


def test_an_outside_family_s_claims_are_found_by_their_dotted_path(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    sweep = outside(monkeypatch, tmp_path, "{}.claimed:CLAIMS", claimed=CLAIM)
    (found,) = claims.of_family(sweep.settings)
    assert (found.source, found.claim) == ("a paper, table 2", "It floats.")
    assert [(line.measured, line.verdict) for line in judged(sweep, (found,))] == [("5 of 5", Verdict.AGREES)]
    page = document.page(sweep)
    assert 'It floats. <span class="soft">(a paper, table 2)</span></td><td class="wide">3 of 4</td>' in page
    assert '<td class="wide">5 of 5</td><td class="tag">agrees</td>' in page


@pytest.mark.parametrize(
    ("path", "module", "said"),
    [
        ("{}.nowhere:CLAIMS", CLAIM, "cannot load {0}.nowhere:CLAIMS: No module named &#39;{0}.nowhere&#39;"),
        ("{}.claimed:OTHERS", CLAIM, "cannot load {0}.claimed:OTHERS: module &#39;{0}.claimed&#39; has no attribute"),
        ("{}.claimed:CLAIMS", "1 / 0", "cannot load {0}.claimed:CLAIMS: ZeroDivisionError: division by zero"),
        ("{}.claimed:CLAIMS", "CLAIMS = [1]", "{0}.claimed:CLAIMS is no tuple of leadline.analysis.claims.Claim"),
        ("{}.claimed", CLAIM, "&#39;{0}.claimed&#39; is neither a name nor package.module:NAME"),
    ],
    ids=["package", "name", "import", "kind", "form"],
)
def test_claims_that_cannot_be_loaded_cost_a_line_and_no_report(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, path: str, module: str, said: str
) -> None:
    sweep = outside(monkeypatch, tmp_path, path, claimed=module)
    package = sweep.settings.family.split(".")[0]
    page = document.page(sweep)
    (line,) = [line for line in page.splitlines() if "claims: " in line]
    assert line.startswith(f'<p class="notice">claims: {said.format(package)}')
    assert line.endswith("</p>")
    assert "Leaderboard" in page


def test_a_family_without_claims_or_that_is_not_installed_has_none() -> None:
    assert claims.of_family(dataclasses.replace(SETTINGS, family="tests.leadline.toy:TOY")) == ()
    assert claims.of_family(dataclasses.replace(SETTINGS, family="elsewhere")) == ()
    assert "The log's headlines" not in document.page(
        made({"10": [1]}, {}, family="tests.leadline.toy:TOY", **REPORTED)
    )


def test_every_number_of_the_log_stands_in_its_claims() -> None:
    """As they stood there before they were made from the table of the log's results."""
    said = [
        claim.logged
        for family in ("collatz", "trm", "hrm")
        for claim in claims.of_family(dataclasses.replace(SETTINGS, family=family))
    ]
    best = "each the best of 20 evaluations of one run on 1024 boards, less than a standard error apart"
    assert said == [
        "64, 58, 14 of 429 steps at lookahead 10, 20, 100",
        "nothing above lookahead 100 was tried",
        "0 of 62 steps at lookahead 100, all of them on training orbits",
        "37, 32, 13 of 189 steps at lookahead 10, 20, 100",
        "80 and 73 violations with mining, 64 without",
        "80 violations with a ramp of half the budget, 87 with a ramp of the whole",
        "73 violations with it, 80 without; worst margin -1.22 with it, -0.66 without",
        "no change from about step 40,000 to 100,000",
        f"exact accuracy 0.6084 against 0.5947: {best}",
        "0.6084 to 0.5508 against 0.5947 to 0.4971",
        f"exact accuracy 0.6250 against 0.6328: {best}",
        "0.6250 to 0.5889 against 0.6328 to 0.5801",
    ]


def test_the_documents_quote_the_log_as_its_table_has_it() -> None:
    results = (DOCS / "results.md").read_text()
    counts = {run: found.violations for run, found in LOGGED_RESULTS.items()}
    assert f"| - | {counts[5]} | {counts[6]} | - | {counts[7]} | - |" in results
    rows = re.findall(r"^\| ([2-7]) \| (\d+) \| (\d+) \| \d+ \| \d+ \| \d+ \| ([\d.]+) \|", results, re.MULTILINE)
    wanted = [(run, RUNS[run]["lookahead"], counts[run], found.pass_rate) for run, found in LOGGED_RESULTS.items()]
    assert [(int(run), int(ahead), int(count), float(rate)) for run, ahead, count, rate in rows] == wanted
    bands = " ".join((DOCS / "sigma_bands.md").read_text().split())
    for noisy, plain in NOTED.values():
        assert f"{noisy.best:.4f} against {plain.best:.4f}" in bands
