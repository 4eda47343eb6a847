"""What a person is told of a board is what the board's score counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from leadline.config import ConfigError
from leadline.training.loop import Loop
from trainables.recursive.family import ETRM_FAMILY, HRM_FAMILY, TRM_FAMILY, FilledBoard, RecursiveFamily
from trainables.recursive.scoring import score

SMALL: dict[str, Any] = {
    "train_boards": 1000,
    "validation_boards": 64,
    "test_boards": 16,
    "hidden": 32,
    "heads": 2,
    "round_to": 32,
    "halt_max_steps": 2,
    "batch": 32,
    "lr": 3e-3,
    "ema": 0.9,
}
TRAINED: list[tuple[RecursiveFamily[Any], dict[str, Any]]] = [
    (TRM_FAMILY, {"steps": 400, "eval_every": 400}),
    (HRM_FAMILY, {"steps": 400, "eval_every": 400}),
]


@pytest.mark.parametrize(("family", "fields"), TRAINED, ids=["trm", "hrm"])
def test_predicting_agrees_with_evaluating(family: RecursiveFamily[Any], fields: dict[str, Any]) -> None:
    """Board by board: whether it is solved, after how many segments Q would halt, and whether Q says so."""
    config = family.config({**SMALL, **fields})
    data = family.build_data(config)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        loop = Loop(family, config, data)
        (report,) = loop.run()
        model = family.model(config)
        model.load_state_dict(
            family.scored_weights({"model": loop.task.model.state_dict(), "task": loop.task.state_dict()})
        )
        model.eval()
        with torch.no_grad():
            scores = score(model, data.validation, 8, torch.device("cpu"))
        assert scores["exact"].value == report.metrics["validation/exact"].value
        answers = [family.predict(model, data.puzzle.show(board), config) for board in data.validation.inputs]
    finally:
        torch.set_num_threads(threads)
    assert 0 < scores["exact"].value < 1, "some boards are solved and some are not"
    solved = [
        answer.board == data.puzzle.show(label) for answer, label in zip(answers, data.validation.labels, strict=True)
    ]
    assert (
        [float(bool(answer.valid)) for answer in answers]
        == list(scores["exact"].units)
        == [float(one) for one in solved]
    )
    assert [float(answer.halting_segment) for answer in answers] == list(scores["halt_steps"].units)
    assert [float((answer.q_halt >= 0) == answer.valid) for answer in answers] == list(scores["q_accuracy"].units)
    assert {answer.segments for answer in answers} == {2}
    shown = [np.array([list(line) for line in answer.board]) for answer in answers]
    right = [
        (board == np.array([list(line) for line in data.puzzle.show(label)])).mean()
        for board, label in zip(shown, data.validation.labels, strict=True)
    ]
    assert right == pytest.approx(list(scores["accuracy"].units))


def test_an_untrained_network_answers_a_maze() -> None:
    config = TRM_FAMILY.config(
        {**SMALL, "task": "maze", "size": 7, "train_boards": 8, "validation_boards": 3, "test_boards": 2, "batch": 8}
    )
    model = TRM_FAMILY.model(config).eval()
    maze = TRM_FAMILY.example(config)
    found = TRM_FAMILY.predict(model, maze, config)
    assert isinstance(found, FilledBoard)
    assert (len(found.board), {len(line) for line in found.board}) == (7, {7})
    assert not found.valid
    assert str(found).splitlines() == list(found.board)
    with pytest.raises(ConfigError, match=r"^inputs: expected a maze of side 7"):
        TRM_FAMILY.predict(model, "1234341221434321", config)


def test_a_grid_is_asked_with_what_its_network_reads() -> None:
    """Demonstrations where they are encoded; the name of the task where that has an embedding."""
    small = {"size": 5, "train_boards": 60, "hidden": 16, "heads": 2, "round_to": 16, "halt_max_steps": 1, "batch": 8}
    query, name = ["012", "340", "000"], "keep 3"
    shown = [[["300", "100", "000"], ["300", "000", "000"]]]
    etrm, lookup = (ETRM_FAMILY.config({**small, "encoder": kind}) for kind in ("standard", "lookup"))
    trm = TRM_FAMILY.config({**small, "task": "rules", "puzzle_emb": 16})
    answers: dict[RecursiveFamily[Any], Any] = {
        ETRM_FAMILY: (
            etrm,
            {"query": query, "demonstrations": shown},
            {"query": query, "task": name},
            "demonstrations",
        ),
        TRM_FAMILY: (trm, {"query": query, "task": name}, query, "task"),
        HRM_FAMILY: (HRM_FAMILY.config({**small, "task": "rules"}), query, None, ""),
    }
    for family, (config, right, wrong, lacking) in answers.items():
        model = family.model(config).eval()
        assert family.predict(model, right, config).valid is None
        if lacking:
            with pytest.raises(ConfigError, match=f"^inputs: needs `{lacking}`"):
                family.predict(model, wrong, config)
    model = ETRM_FAMILY.model(lookup).eval()
    named = {"query": query, "task": name}
    assert ETRM_FAMILY.predict(model, named, lookup) == ETRM_FAMILY.predict(
        model, {**named, "demonstrations": shown}, lookup
    )
