from __future__ import annotations

import dataclasses
import html
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from leadline import Sweep
from leadline.analysis import notes, progress
from leadline.analysis.report import answers, document, figures, tables
from leadline.finding import Finding
from leadline.ledger import leaderboard
from leadline.ledger.history import Baseline
from leadline.ledger.verdicts import Verdict
from leadline.measure import Measure
from leadline.storage import Folder
from tests.leadline.analysis import packed

Build = Any


class Page(HTMLParser):
    """What a browser would see: elements, and text outside scripts and styles."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._raw = False
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._raw = tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._raw = False

    def handle_data(self, data: str) -> None:
        if not self._raw:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="session")
def source(finished: Path) -> str:
    return document.page(Sweep.open(finished))


def test_answers_stand_at_the_top(source: str, finished: Path) -> None:
    sweep = Sweep.open(finished)
    text = Page(source).text
    found = answers.answers(sweep.history, "orbits")
    assert [answer.label for answer in found] == ["lookahead 10", "lookahead 100"]
    for answer in found:
        assert f"{answer.label}: {answer.sentence}" in text
        assert re.match(
            r"trial \d+ confirmed at 0\.\d+ \[0\.\d+, 0\.\d+\] \(hinge on 128 test orbits, 5 replicates, chosen",
            answer.sentence,
        )
        assert "better than the best trivial predictor there, sum of ln T^k, at 0.09" in answer.sentence


def test_contents(source: str, finished: Path) -> None:
    text = Page(source).text
    headings = "The answer by lookahead,Confirmed from fresh seeds,Leaderboard,Trivial predictors,Learning curves,Early stopping,"  # noqa: E501
    headings += "Searched parameters,Importance,Parallel coordinates,Audits and guards,Cost,The log's headlines,Notes,Runs,Settings"  # noqa: E501
    facts = "constant,oracle: steps to 1 (not compared),no test row is among,with uncommitted changes,lookahead.py --seed 0,torch 2.13"  # noqa: E501
    for words in [*headings.split(","), *facts.split(","), "worse than the cut-off", "5 replicates", "pool=64"]:
        assert words in text
    board = Sweep.open(finished).leaderboard()
    assert source.count("<tr") > len(board["rows"]) + len(board["confirmed"]) + len(board["baselines"])
    stopped, saved, whole = progress.saved_steps(Sweep.open(finished).history)
    assert f"{stopped} of 12 search trials were stopped" in text
    assert f"{saved:,} steps unrun" in text
    assert whole == 4800


def test_nothing_is_loaded(source: str) -> None:
    for tag, attributes in Page(source).tags:
        assert tag not in ("iframe", "object", "embed", "base")
        assert not attributes.get("src"), tag
        assert (attributes.get("href") or "data:").startswith(("data:", "#"))
    assert 'src="http' not in source
    assert "@import" not in re.sub(r"<script>.*?</script>", "", source, flags=re.DOTALL)
    assert packed.script(source).count("plotly.js v") == 1


def test_hostile_text_is_escaped(source: str) -> None:
    assert "<script>alert" not in source
    assert "<script>alert('no')</script> & <b>bold</b>" in Page(source).text
    assert not [tag for tag, _ in Page(source).tags if tag == "b"]


def test_figures_are_json_with_transparent_backgrounds(source: str) -> None:
    found = packed.figures(source)
    assert len(found) == 1 + 2 + 3 + 2, "answer, curves, parameters, parallel coordinates"
    for one in found:
        assert one["layout"]["paper_bgcolor"] == "rgba(0,0,0,0)"


def test_hover_texts_are_escaped(finished: Path) -> None:
    history = Sweep.open(finished).history
    trial = next(trial for trial in history.search_trials() if trial.status == "stopped")
    trial.reason = "<a href='javascript:x'>press</a>"
    text = json.dumps([figure.to_plotly_json() for figure in figures.curves(history)], default=str)
    assert "<a href" not in text
    assert html.escape("<a href") in text


def test_a_trivial_predictor_beyond_the_scale_is_named(finished: Path) -> None:
    history = Sweep.open(finished).history
    assert not any("ln T^k" in note.text for note in figures.curves(history)[0].layout.annotations)
    history.baselines.append(Baseline("tiny", "10", {"validation/hinge": Measure.exact(-1.0, 96)}))
    assert figures.curves(history)[0].layout.annotations[0].text.startswith("below this scale: tiny: -1")


def test_an_oracle_is_not_compared(finished: Path) -> None:
    history = Sweep.open(finished).history
    found = leaderboard.best_trivial(history, "10", "test/hinge")
    assert found is not None
    assert found.name == "sum of ln T^k"
    history.baselines = [line for line in history.baselines if leaderboard.is_oracle(line.name)]
    assert leaderboard.best_trivial(history, "10", "test/hinge") is None
    assert "no trivial predictor was scored on the test split" in answers.answers(history, "orbits")[0].sentence


def test_a_better_trivial_predictor_is_said(finished: Path) -> None:
    history = Sweep.open(finished).history
    history.baselines.append(Baseline("tiny", "10", {"test/hinge": Measure.exact(1e-6, 128)}))
    answer = answers.answers(history, "orbits")[0]
    assert answer.verdict is Verdict.WORSE
    assert "worse than the best trivial predictor there, tiny" in answer.sentence


def test_unconfirmed_leader(build: Build) -> None:
    made = build(confirm=0)
    made.baselines()
    made.train()
    folder = made.close()
    history = Sweep.open(folder).history
    sentence = answers.answers(history, "orbits")[0].sentence
    assert "leads at" in sentence
    assert "which flatters it; no claim is made; confirmation was not asked for" in sentence
    assert "Confirmation was not asked for." in Page(document.page(Sweep.open(folder))).text


def test_unfinished_sweep(build: Build) -> None:
    made = build()
    made.baselines()
    made.train(1)
    text = Page(document.page(Sweep.open(made.close("")))).text
    assert "Unfinished (running): 1 of 12 trials have been proposed" in text
    assert "lookahead 100: no trial has been proposed." in text


def test_interrupted_during_confirmation(build: Build) -> None:
    made = build()
    made.train(14)
    text = Page(document.page(Sweep.open(made.close("interrupted")))).text
    assert "Unfinished (interrupted)" in text


def test_the_question_and_the_answer_stand_first(build: Build) -> None:
    made = build(question="How far <b>ahead</b>?", beside=["logged_violations"])
    made.baselines()
    made.train()
    page = Page(document.page(Sweep.open(made.close())))
    title = page.text.index("How far <b>ahead</b>?")
    headline = page.text.index("At lookahead 10 and 100 the trained model is better than")
    assert title < headline < page.text.index("lookahead 10: trial")
    assert "logged_violations : the log's count on its five seeds' 429 steps" in page.text


def test_guards_are_grouped_with_advice(finished: Path) -> None:
    sweep = Sweep.open(finished)
    for number, word in ((0, "<i>body</i>"), (1, "head")):
        last = sweep.history.trials[number].reports[-1]
        finding = Finding("gradient_coverage", True, 0.0625, f"{word} has a gradient on 1 step of 16", word)
        sweep.history.trials[number].reports[-1] = dataclasses.replace(last, findings=(finding,))
    page = Page(document.page(sweep))
    assert f"gradient_coverage : 2 of {len(sweep.history.trials)} trials. Look for a detach" in page.text
    assert "<i>body</i> has a gradient on 1 step of 16" in page.text
    assert not [tag for tag, _ in page.tags if tag == "i"]


def headings(source: str, title: str) -> list[str]:
    """The headings of the table with a title."""
    found = re.search(rf'aria-label="{re.escape(title)}"><table[^>]*>.*?<thead>(.*?)</thead>', source, re.DOTALL)
    assert found, title
    return [html.unescape(re.sub("<[^>]+>", "", words)) for words in re.findall(r"<th.*?</th>", found[1], re.DOTALL)]


def test_a_column_without_any_value_is_left_out(source: str, finished: Path) -> None:
    assert tables.filled([("a", "-", "", "1"), ("b", "-", "-", "")]) == [0, 3]
    found = {"Confirmed finalists": {"guards"}, "Leaderboard": {"marks", "configuration"}}
    assert found["Leaderboard"] <= set(headings(source, "Leaderboard")), "trials failed, and layers differ"
    sweep = Sweep.open(finished)
    trials = sweep.history.trials
    for number in [number for number, trial in trials.items() if trial.kind == "search" and number not in (0, 2, 4)]:
        del trials[number]
    for trial in trials.values():
        trial.config["layers"] = [4, 4]
    plain = document.page(sweep)
    assert [set(headings(plain, title)) & columns for title, columns in found.items()] == [set(), set()]
    for trial in trials.values():
        about = Finding("gradient_coverage", True, 0.0625, "a gradient on 1 step of 16")
        trial.reports[-1] = dataclasses.replace(trial.reports[-1], findings=(about,))
    marked = document.page(sweep)
    assert "guards" in headings(marked, "Confirmed finalists")
    assert "marks" in headings(marked, "Leaderboard")
    assert headings(marked, "Findings of gradient_coverage") == ["trial", "lookahead", "number", "finding"]


def test_passed_audits_are_folded_and_failed_ones_are_open(finished: Path) -> None:
    sweep = Sweep.open(finished)
    passed = sweep.history.findings[0]
    for row in ("3", "7"):
        sweep.history.findings.append({**passed, "failed": True, "sentence": f"test row {row} is among those of train"})
    page = document.page(sweep)
    audits = page[page.index('<section id="guards">') : page.index("<h3>Guards</h3>")]
    open_ones, folded = audits.split("<details>")
    assert folded.startswith("<summary>2 audits passed")
    assert folded.count("no test row is among the rows of train") == 2
    assert [f"test row {row} is among" in open_ones for row in ("3", "7")] == [True, True]
    assert "no test row" not in open_ones
    sweep.history.findings = []
    assert "No audit has been recorded." in Page(document.page(sweep)).text


def test_money_is_said_at_a_price_alone(source: str, finished: Path) -> None:
    assert " per machine hour" not in Page(source).text
    assert "at 1.5 per machine hour; machines besides" in Page(document.page(Sweep.open(finished), 1.5)).text


def test_notes_on_trials_are_shown(build: Build) -> None:
    made = build()
    made.train(2)
    sweep = Sweep.open(made.close())
    notes.add(sweep, 1, "<u>look</u> again", "ada")
    page = Page(document.page(sweep))
    assert "ada <u>look</u> again" in page.text


def test_empty_sweep(build: Build) -> None:
    folder = build().close("")
    path = document.write(Folder.at(str(folder)), "demo")
    assert path == str(folder / "report.html")
    page = Page((folder / "report.html").read_text())
    assert "No trial has been proposed." in page.text
    assert "no value on this page can be judged" in page.text
    assert not [tag for tag, attributes in page.tags if attributes.get("class") == "figure"]


def test_diverged_and_infeasible_trials(build: Build) -> None:
    made = build(fields={"pool": 64, "anchor": 0.0, "anchor_min": 0.5})
    made.train()
    text = Page(document.page(Sweep.open(made.close("failed")))).text
    assert "infeasible: anchor_min: has no effect with anchor=0" in text
    assert "State: failed" in text


def test_family_that_is_not_installed(build: Build, finished: Path) -> None:
    sweep = Sweep.open(finished)
    sweep.history.opened = dataclasses.replace(sweep.settings, family="elsewhere")
    assert "n counts independent units" in Page(document.page(dataclasses.replace(sweep, name="other"))).text


def test_a_budget_in_samples_is_said_everywhere(build: Build) -> None:
    made = build(unit="samples", budget=32 * 400, grace=32 * 100, fields={"pool": 64, "batch": 32})
    made.train()
    page = Page(document.page(Sweep.open(made.close())))
    headings = "n samples step seconds marks"
    for words in (
        headings,
        "12,800 400",
        "before their budget of 12,800 samples",
        "samples left unrun",
        "after fewer samples",
        "rung 3,200",
    ):
        assert words in page.text
    assert "left unrun" not in page.text.replace("samples left unrun", "").replace("what they left unrun", "")


def test_state(build: Build) -> None:
    history = Sweep.open(build().close("")).history
    assert progress.state(history, history.last_time + 10) == "running"
    assert progress.state(history, history.last_time + 7300) == "silent for 2 h 01 min"
    history.closed = "done"
    assert progress.state(history) == "finished"
    history.closed = "time limit"
    assert progress.state(history) == "time limit"


def test_durations() -> None:
    assert [progress.duration(seconds) for seconds in (5, 61, 3700, 90000)] == ["5 s", "1 min", "1 h 01 min", "1 d 1 h"]


def test_the_commits_of_a_run_are_told_part_by_part_and_those_of_older_ledgers_alone() -> None:
    at = {"commit": "a" * 40, "dirty": False}
    code = {"study": at, "family": {"commit": "b" * 40, "dirty": True}, "framework": at}
    said = f"study, framework: {'a' * 40}, clean; family: {'b' * 40}, with uncommitted changes"
    assert tables.manifest({"code": code})["commit"] == said
    assert tables.manifest({"code": {"study": {"commit": None, "dirty": None}}})["commit"] == "study: not recorded"
    assert tables.manifest(at)["commit"] == f"{'a' * 40}, clean"
    assert tables.manifest({})["commit"] == "not recorded"
