"""What a sweep, a trial and a checkpoint show of themselves in a notebook."""

from __future__ import annotations

import shutil
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import torch

from leadline import Sweep
from leadline.checkpoint import Checkpoint
from leadline.ledger.ranges import edges
from leadline.markup import table
from leadline.measure import Measure, Report
from tests.leadline.analysis.conftest import HOSTILE

Build = Any


class Cells(HTMLParser):
    """The rows of a table, and the tags that there are."""

    def __init__(self, source: str | None) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.tags: set[str] = set()
        assert source is not None
        self.feed(source)

    def handle_starttag(self, tag: str, _: Any) -> None:
        self.tags.add(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data


def test_a_sweep_has_a_row_for_each_stratum(finished: Path) -> None:
    sweep = Sweep.open(finished)
    ended = Counter(view.status for view in sweep.trials if view.trial.of is None)
    counts = f"{ended['finished']} finished, {ended['stopped']} stopped, 1 failed"
    assert repr(sweep) == f"<Sweep demo; trials: {counts}; replicates: 20>"
    shown = Cells(sweep._repr_html_())
    assert shown.rows[0] == ["lookahead", "best trial", "hinge", "best trivial predictor", "searched"]
    for row, stratum in zip(shown.rows[1:], sweep.strata, strict=True):
        best = sweep.best(lookahead=stratum)
        measure = best.trial.measure("validation/hinge")
        assert measure is not None
        assert row[:2] == [stratum, str(best.number)]
        assert row[2] == f"{measure.value:.3g} [{measure.low:.3g}, {measure.high:.3g}]"
        assert row[3].startswith("sum of ln T^k: 0.09 [")
        assert [f"{name} " in row[4] for name in best.params] == [True] * 3
        assert row[4].count(" edge)") == len(edges(best.trial))


def test_what_lies_at_the_edge_is_marked(finished: Path) -> None:
    sweep = Sweep.open(finished)
    best = sweep.best(lookahead=100)
    best.trial.params["lr"] = 1.1e-4
    assert "lr 0.00011 (at the lower edge)" in str(sweep._repr_html_())
    assert "lr 0.00011 (at the lower edge)" in str(best._repr_html_())


def test_a_trial_shows_its_last_values(finished: Path) -> None:
    sweep = Sweep.open(finished)
    best = sweep.best(lookahead=100)
    assert repr(best) == f"<TrialView {best.number} of demo: finished at step 400>"
    rows = dict(Cells(best._repr_html_()).rows)
    assert rows["status"] == "finished after step 400"
    assert rows["lookahead"] == "100"
    assert rows["validation/hinge"].startswith(f"{best.trial.value('validation/hinge'):.3g} [")
    assert rows["checkpoint"] == "attempt-01/step-000000400"
    replicate = dict(Cells(best.replicates[0]._repr_html_()).rows)
    assert replicate["searched"] == f"as trial {best.number}, which it confirms"


def test_a_checkpoint_shows_no_tensors() -> None:
    kept = Checkpoint("attempt-01/step-000000400", 400, {"model": {"weight": torch.zeros(2, 3)}}, {"family": "demo"})
    assert repr(kept) == "<Checkpoint attempt-01/step-000000400: demo>"
    assert dict(Cells(kept._repr_html_()).rows) == {"family": "demo", "numbers in the model": "6"}


def test_a_checkpoint_shows_some_of_many_metrics() -> None:
    metrics = {f"validation/m{place}": Measure.exact(place / 3) for place in range(10)}
    record = {"family": "demo", "history": [Report(1, 1, 0.0, 0.0, metrics, {}).to_dict()]}
    rows = dict(Cells(Checkpoint("attempt-01/step-000000001", 1, {}, record)._repr_html_()).rows)
    assert rows["validation/m7"] == "2.33"
    assert (len(rows), rows["further metrics"]) == (11, "2")


def test_texts_are_escaped(finished: Path) -> None:
    tags = {"div", "strong", "table", "tr", "td", "th"}
    shown = Cells(table(HOSTILE, [[HOSTILE, HOSTILE]], [HOSTILE, HOSTILE], HOSTILE))
    assert (shown.tags, shown.rows) == (tags, [[HOSTILE, HOSTILE]] * 2)
    failed = Cells(Sweep.open(finished).trial(3)._repr_html_())
    assert failed.tags <= tags
    assert HOSTILE in dict(failed.rows)["marks"]


def test_it_reads_nothing_and_never_raises(build: Build) -> None:
    made = build()
    empty = Sweep.open(made.close(""))
    assert repr(empty) == "<Sweep demo; trials: none>"
    assert [row[1] for row in Cells(empty._repr_html_()).rows[1:]] == ["none finished"] * 2
    made = build("other")
    made.train(4, failing=None)
    sweep = Sweep.open(made.close())
    best = sweep.best(lookahead=10)
    shutil.rmtree(sweep.folder.path)
    assert Cells(sweep._repr_html_()).rows
    assert Cells(best._repr_html_()).rows
    best.trial.params, best.trial.distributions = {"lr": "?"}, {"lr": "no JSON"}
    assert (sweep._repr_html_(), best._repr_html_()) == (None, None)
    assert (repr(sweep)[:6], repr(best)[:10]) == ("<Sweep", "<TrialView")
