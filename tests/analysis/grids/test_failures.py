"""Where answers to grids are wrong: networks whose mistakes are known, the table, and the drawing."""

from __future__ import annotations

import io
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from rich.console import Console

from analysis.grids.failures import Bin, Failures, judge, questioned
from analysis.grids.figures import COLOURS, drawn, sheet
from analysis.grids.tables import failures_page
from leadline.commands.dispatch import main
from leadline.family import Family
from tests.analysis.trained_sweep import trained_sweep
from tests.trainables.recursive.test_grid_scores import Told
from trainables.arc_hrm.family import ARC_HRM
from trainables.grids.arc import load
from trainables.grids.grid import EOS, PAD, crop, encode
from trainables.grids.rules.registry import RULES
from trainables.puzzles.data import PuzzleData, build
from trainables.puzzles.grids import GridPuzzle
from trainables.puzzles.puzzle import U8, Boards
from trainables.recursive.config import ETRMConfig
from trainables.recursive.family import ETRM_FAMILY, TRM_FAMILY
from trainables.recursive.model import network

SMALL: dict[str, Any] = {
    "task": "rules",
    "size": 5,
    "train_rules": 6,
    "train_boards": 60,
    "validation_boards": 24,
    "test_boards": 24,
    "batch": 8,
    "hidden": 16,
    "heads": 2,
    "round_to": 16,
    "context_tokens": 4,
    "encoder_layers": 1,
    "halt_max_steps": 1,
    "steps": 6,
    "eval_every": 6,
}

ENCODER = ("context_tokens", "encoder_layers")
pytestmark = pytest.mark.usefixtures("shelf")


@dataclass(frozen=True)
class Planted:
    """Boards with wrong answers, and what is wrong with each."""

    config: ETRMConfig
    data: PuzzleData
    answers: U8
    kinds: dict[int, str]
    found: Failures

    @property
    def boards(self) -> Boards:
        return self.data.test

    @property
    def families(self) -> list[str]:
        return [RULES[cast(GridPuzzle, self.data.puzzle).task_names[rule]].family for rule in self.boards.extra["rule"]]


def _spoilt(label: U8, family: str) -> tuple[U8, str]:
    """The right answer with a fault that is its family's."""
    grid = crop(label, 5)
    if family == "recolour":
        other = grid.copy()
        other[0, 0] = (grid[0, 0] + 1) % 10
        return encode(other, 5), "content"
    if family == "keep":
        return encode(grid[1:], 5), "shape"
    if family == "flip":
        return np.full_like(label, PAD), "shape"
    if family == "border" and (label == EOS).any():
        return np.where(label == EOS, PAD, label).astype(np.uint8), "edge"
    return label, "right"


@pytest.fixture(scope="module")
def planted() -> Planted:
    config = ETRM_FAMILY.config(SMALL)
    data = build(config)
    boards = data.test
    assert len(np.unique(boards.inputs, axis=0)) == len(boards), "each input has one answer"
    families = [RULES[name].family for name in map(list(RULES).__getitem__, boards.extra["rule"].tolist())]
    both = [_spoilt(label, family) for label, family in zip(boards.labels, families, strict=True)]
    answers = np.stack([answer for answer, _ in both])
    told: Any = Told(network(config).eval(), boards, answers)
    found = questioned("probe", config, data, told, "test", units=4, each=2)
    return Planted(config, data, answers, {place: kind for place, (_, kind) in enumerate(both)}, found)


def _by(found: Failures, by: str) -> dict[str, Bin]:
    return {line.label: line for line in found.bins if line.by == by}


def test_planted_faults_are_counted_where_they_are(planted: Planted) -> None:
    new, families = planted.data.puzzle.new(planted.boards), planted.families
    for part, own in (("trained", ~new), ("new", new)):
        bins = _by(planted.found, f"family, {part}")
        assert bins.keys() == {f"{family}, {part}" for family, there in zip(families, own, strict=True) if there}
        for label, line in bins.items():
            places = [i for i in np.flatnonzero(own).tolist() if f"{families[i]}, {part}" == label]
            kinds = [planted.kinds[place] for place in places]
            assert (line.boards, line.right) == (len(places), kinds.count("right"))
            counts = tuple(kinds.count(kind) for kind in ("edge", "content", "shape"))
            assert (line.edge, line.content, line.shape) == counts
            assert line.exact.value == pytest.approx(kinds.count("right") / len(places))
        whole = _by(planted.found, "all")[f"{part} rules"]
        assert whole.boards == sum(line.boards for line in bins.values()) == int(own.sum())
        assert whole.right == sum(line.right for line in bins.values())
    assert {"edge", "content", "shape", "right"} == set(planted.kinds.values())
    assert (planted.found.votes, planted.found.bins[0].pass1) == (0, None)


def test_new_rules_are_the_units_of_what_is_said_of_them(planted: Planted) -> None:
    lines = _by(planted.found, "all")
    assert lines["trained rules"].units == 24
    assert lines["new rules"].units == len(set(planted.boards.extra["rule"][planted.data.puzzle.new(planted.boards)]))


def test_wrong_cells_are_a_share_of_the_grid(planted: Planted) -> None:
    new, families = planted.data.puzzle.new(planted.boards), np.array(planted.families)
    sizes = [crop(planted.boards.labels[i], 5).size for i in np.flatnonzero((families == "recolour") & ~new)]
    line = _by(planted.found, "family, trained")["recolour, trained"]
    assert line.wrong_cells == pytest.approx(np.mean([1 / size for size in sizes]))
    assert _by(planted.found, "family, trained")["flip, trained"].wrong_cells is None


def test_the_worst_come_first_and_have_examples(planted: Planted) -> None:
    for part in ("trained", "new"):
        lines = list(_by(planted.found, f"family, {part}").values())
        assert [line.exact.value for line in lines] == sorted(line.exact.value for line in lines)
        shapes = [line.shape / line.boards for line in lines if line.exact.value == 0]
        assert shapes == sorted(shapes, reverse=True)
        own = [one.label for one in planted.found.examples if one.label.endswith(part)]
        wrong = [line.label for line in lines if line.right < line.boards]
        assert list(dict.fromkeys(own)) == wrong[:4]
        assert max(map(own.count, own)) == 2


def test_examples_are_the_boards_and_say_how_wrong(planted: Planted) -> None:
    words = {}
    for one in planted.found.examples:
        rows = [np.array([list(map(int, row)) for row in grid], np.uint8) for grid in (one.query, one.wanted)]
        np.testing.assert_array_equal(encode(rows[0], 5), planted.boards.inputs[one.board])
        np.testing.assert_array_equal(encode(rows[1], 5), planted.boards.labels[one.board])
        np.testing.assert_array_equal(RULES[one.task].answer(rows[0]), rows[1])
        assert one.kind == planted.kinds[one.board]
        assert len(one.demonstrations) == 2
        for query, answer in one.demonstrations:
            shown = np.array([list(map(int, row)) for row in query], np.uint8)
            assert ["".join(map(str, row)) for row in RULES[one.task].answer(shown).tolist()] == answer
        words[RULES[one.task].family, one.kind] = (one.words, rows[1].shape, len(one.said))
    text, shape, rows_said = words["keep", "shape"]
    assert text == f"{shape[0] - 1} x {shape[1]} in place of {shape[0]} x {shape[1]}"
    assert rows_said == shape[0] - 1
    assert words["flip", "shape"][0] == "no grid at the corner"
    assert re.fullmatch(r"1 of \d+ cells wrong", words["recolour", "content"][0])


def test_an_edge_is_neither_shape_nor_content(planted: Planted) -> None:
    puzzle, boards = cast(GridPuzzle, planted.data.puzzle), planted.boards
    found = judge(puzzle, boards, np.where(boards.labels == EOS, PAD, boards.labels).astype(np.int64))
    reaching = ~(boards.labels == EOS).any(1)
    np.testing.assert_array_equal(found.kinds, np.where(reaching, "right", "edge"))
    numberless = judge(puzzle, boards, np.full(boards.labels.shape, -1))
    assert set(numberless.kinds.tolist()) == {"shape"}


LAYERS: dict[str, Any] = {"heads": 2, "hidden": 16, "max_cycles": 2, "batch": 8, "task": "rules", "size": 5}
RULED: dict[str, Any] = {**LAYERS, "train_rules": 6, "train_boards": 60, "test_boards": 24}


@pytest.mark.parametrize(
    ("family", "fields", "new"),
    [
        (ETRM_FAMILY, SMALL, True),
        (TRM_FAMILY, {**{name: SMALL[name] for name in set(SMALL) - set(ENCODER)}, "demonstrations": 1}, False),
        (ARC_HRM, RULED, False),
        (ARC_HRM, {**RULED, "demonstrations": 2, "demonstrations_in_input": True}, True),
    ],
)
def test_counts_are_those_that_a_trial_reports(family: Family[Any], fields: dict[str, Any], new: bool) -> None:
    """New rules are asked only where demonstrations show them."""
    config = family.config({**fields, "votes": 2})
    torch.manual_seed(0)
    data = family.build_data(config)
    task = family.task(config, data, torch.device("cpu"))
    task.model.eval()
    reported = task.evaluate("test")
    found = questioned("probe", config, data, task.model, "test", 3)
    lines = _by(found, "all")
    assert ("new rules" in lines) == ("exact_new" in reported) == new
    for metric in ("exact", "pass1", "pass2"):
        assert getattr(lines["trained rules"], metric).units == reported[metric].units
    assert lines["trained rules"].shape == round(24 * (1 - reported["shape"].value))
    trivial = family.baselines(config, data, "test")[found.trivial]
    assert lines["trained rules"].trivial.units == trivial["exact"].units


def test_tasks_of_arc_are_named_and_drawn_with_their_demonstrations() -> None:
    """Also where the network is shown none: those that are trained on."""
    config = TRM_FAMILY.config(
        {"task": "arc", "size": 8, "puzzle_emb": 16, "hidden": 16, "heads": 2, "round_to": 16, "halt_max_steps": 1}
    )
    torch.manual_seed(0)
    found = questioned("probe", config, build(config), network(config).eval(), "validation", 3)
    assert [line.label for line in found.bins if line.by == "all"] == ["all tasks"]
    names = {task.name: task for task in load("arcagi1", "evaluation")}
    lines = _by(found, "task")
    assert lines.keys() <= names.keys()
    assert all(line.units == 1 for line in lines.values())
    assert len(found.examples) == 3
    for one in found.examples:
        rows = [["".join(map(str, row)) for row in pair[1].tolist()] for pair in names[one.task].queries]
        assert one.wanted in rows
        known = [["".join(map(str, row)) for row in pair[0].tolist()] for pair in names[one.task].demonstrations]
        assert one.demonstrations
        assert all(query in known for query, _ in one.demonstrations)


def test_wrong_cells_are_crossed_out_and_the_right_shape_is_framed() -> None:
    right, other = np.array([[1, 2], [3, 4]], np.uint8), np.array([[1, 5], [5, 4]], np.uint8)
    assert "wrong" not in drawn(right, 10, right)
    wrong = drawn(other, 10, right)
    assert re.findall(r'class="wrong" d="([^"]*)"', wrong)[0].count("M") == 2
    assert "M1 0m" in wrong
    assert "M0 1m" in wrong
    assert 'class="shape"' not in wrong
    smaller = drawn(other[:1], 10, right)
    assert 'class="shape" width="2" height="2"' in smaller
    assert smaller.count("M1 0m") == 2, "a dark line below a light one"
    assert [drawn(right, 10).count(f'fill="{COLOURS[colour]}"') for colour in range(6)] == [0, 1, 1, 1, 1, 0]
    assert 'width="2" height="2"' in drawn(np.zeros((0, 0), np.uint8), 10, right)


def test_the_sheet_draws_every_grid_of_every_example(planted: Planted) -> None:
    page = sheet(planted.found.examples)
    assert page.count("<h2>") == len(planted.found.examples)
    assert page.count("<svg") == sum(3 + 2 * len(one.demonstrations) for one in planted.found.examples)


@pytest.mark.parametrize(("width", "votes"), [(80, 0), (80, 3), (100, 3)])
def test_the_page_fits(planted: Planted, width: int, votes: int) -> None:
    config = ETRM_FAMILY.config({**SMALL, "votes": votes})
    found = planted.found
    if votes:
        found = questioned("probe", config, planted.data, network(config).eval(), "test", units=2)
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(failures_page(found, width))
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text, "no cell is cut"
    assert text.count("  recolour") == 2, "trained and new"
    assert ("95 %" in text) == (width == 100)
    assert ("pass@2" in text) == bool(votes)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> str:
    config = ETRM_FAMILY.config(SMALL)
    folder = tmp_path_factory.mktemp("results") / "demo"
    data = ETRM_FAMILY.build_data(config)
    return str(trained_sweep(folder, ETRM_FAMILY, [config], data, stratify="task", stratum="rules"))


def test_the_command_answers_and_draws(sweep: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "wrong.html"
    words = [
        "failures",
        sweep,
        "--json",
        "--split",
        "validation",
        "--votes",
        "2",
        "--worst",
        "1",
        "--figure",
        str(path),
    ]
    assert main(words) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["trial"], found["split"], found["votes"]) == ("demo, trial 0", "validation", 2)
    assert found["bins"][0]["pass1"]["n"] == 24
    page = path.read_text()
    assert page.count("<h2>") == len(found["examples"]) == 2
    assert "demo, trial 0: wrong answers" in page


def test_without_a_sweep_it_says_whose_command_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """Rather than that there is none, with a general command of a name like it."""
    assert main(["failures"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: command: failures, of ")
    assert "etrm" in said
    assert said.endswith(" is followed by a sweep: leadline failures SWEEP ...\n")
    assert main(["failures", "nowhere", "7"]) == 2
    assert capsys.readouterr().err.endswith("nowhere: there is no such folder\n")


def test_bad_words_are_refused(sweep: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def refused(*words: str) -> str:
        assert main(["failures", *words]) == 2
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        return err

    assert refused(sweep, "7").startswith("error: trial: demo has no trial 7")
    assert refused(sweep, "--votes", "-1").startswith("error: votes: input should be greater than or equal to 0")
    assert refused(sweep, "--votes", "x") == "error: votes: expected a whole number (got 'x')\n"
    assert refused(sweep, "--split", "train").startswith("error: split: invalid choice: 'train'")
    assert refused(sweep, "--worst", "0").startswith("error: worst: must be a whole number of at least 1")
    assert refused(sweep, "--figure", str(tmp_path)) == f"error: figure: {tmp_path} is a folder; name a file\n"
    config = TRM_FAMILY.config(
        {
            "train_boards": 20,
            "validation_boards": 2,
            "test_boards": 2,
            "batch": 4,
            "hidden": 8,
            "heads": 2,
            "round_to": 8,
            "halt_max_steps": 1,
            "steps": 1,
            "eval_every": 1,
        }
    )
    other = trained_sweep(
        tmp_path / "sudokus", TRM_FAMILY, [config], TRM_FAMILY.build_data(config), stratify="task", stratum="sudoku"
    )
    assert refused(str(other)) == "error: sweep: trial 0 answers task=sudoku; this command reads arc and rules\n"
