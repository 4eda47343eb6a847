"""What is trained and scored: rows by stage, their lengths, and the metrics' arithmetic."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pytest
import torch

from leadline.config import ConfigError
from leadline.task import Batch
from trainables.scan.config import ScanConfig
from trainables.scan.data import Answers, ScanData
from trainables.scan.family import SCAN
from trainables.scan.metrics import METRICS, score
from trainables.scan.rows import Sampler, scored
from trainables.scan.rule_audit import collapsed_swaps, unchanged_targets
from trainables.scan.rules import combination, group
from trainables.scan.task import ScanTask

RULES = "base:1/2,rules:1/2:modified=0.5:rules=simple+novel"
CAPPED = "base:1/2,simple:1/2:modified=0.7:rules=simple"


@pytest.fixture(scope="module")
def data() -> ScanData:
    return SCAN.build_data(_config())


def _config(**fields: Any) -> ScanConfig:
    return SCAN.config({"width": 8, "batch": 16, "steps": 80, "eval_rules": 60, **fields})


def test_rows_are_those_of_the_stage_and_are_trained(data: ScanData) -> None:
    config = _config(stages=RULES)
    task = ScanTask(config, data, torch.device("cpu"))
    assert task.clock is not None
    seen: dict[int, set[str]] = {0: set(), 1: set()}
    shares = []
    for step in range(80):
        rows = task.sampler.rows(step, task.clock.at(step))
        assert data.tasks.trained[rows.names, rows.places].all()
        assert np.isin(rows.places, data.train).all()
        seen[step >= 40] |= {data.groups[name] for name in rows.names}
        shares.append(float((rows.names > 0).mean()))
    assert seen == {0: {"base"}, 1: {"base", "simple", "novel"}}
    assert np.mean(shares[40:]) == pytest.approx(0.5, abs=0.06)


def test_batches_are_of_like_length_and_no_row_is_favoured(data: ScanData) -> None:
    config = _config()
    sampler, clock = Sampler(config, data), cast(Any, ScanTask(config, data, torch.device("cpu")).clock)
    padded, actions, lengths = 0, 0, list[float]()
    for step in range(80):
        rows = sampler.rows(step, clock.at(step))
        padded += rows.actions.size
        actions += int((rows.actions > 0).sum())
        lengths += (rows.actions > 0).sum(1).tolist()
    assert padded < 1.25 * actions, "a random batch of 16 needs 2.2 times its actions"
    trained = data.answers.lengths[0, data.train] + 1
    assert np.mean(lengths) == pytest.approx(trained.mean(), abs=4 * trained.std() / len(lengths) ** 0.5)


def test_a_cap_makes_every_share_the_same(data: ScanData) -> None:
    config = _config(stages="a:1/2:modified=0.3:rules=simple,b:1/2:modified=0.7:rules=simple", modified_cap=1100)
    task = ScanTask(config, data, torch.device("cpu"))
    assert task.facts(1) == task.facts(80) == {"modified": 1100 / (1100 + len(data.train))}


def test_the_cap_on_the_pooled_split() -> None:
    """1,100 rows beside 39,708; the log divides by the latter alone and has 2.8 %."""
    config = _config(split="pooled", protocol="logged", rules="jump->walk", modified_cap=1100, stages=CAPPED)
    task = ScanTask(config, SCAN.build_data(config), torch.device("cpu"))
    assert task.facts(80) == {"modified": 1100 / (1100 + 39_708)}
    assert task.facts(80)["modified"] == pytest.approx(0.027, abs=5e-5)


@pytest.mark.parametrize(
    ("clip", "by", "expected"),
    [
        (1.0, "value", (1.0, -0.5)),
        (1.0, "norm", (3 / math.hypot(3, 0.5), -0.5 / math.hypot(3, 0.5))),
        (0.0, "value", (3.0, -0.5)),
    ],
)
def test_gradients_are_bounded_at_the_step(data: ScanData, clip: float, by: str, expected: tuple[float, float]) -> None:
    task = ScanTask(_config(clip=clip, clip_by=by), data, torch.device("cpu"))
    for parameter in task.model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    some = next(parameter for parameter in task.model.parameters() if parameter.requires_grad)
    assert some.grad is not None
    some.grad.view(-1)[:2] = torch.tensor([3.0, -0.5])
    task.optimizers[0].step()
    assert some.grad.view(-1)[:2].tolist() == pytest.approx(expected, rel=1e-5)


def test_the_loss_is_the_mean_over_all_actions_however_it_is_divided(data: ScanData) -> None:
    task = ScanTask(_config(stages="joint:1:modified=0.5:rules=complex"), data, torch.device("cpu"))
    batch = task.batch(3)
    whole = task.losses(task.model, batch, 0.0)["cross_entropy"]
    logits = task.model(batch["rules"], batch["commands"], batch["inputs"]).log_softmax(-1)
    own = logits.gather(2, batch["labels"][..., None])[..., 0]
    torch.testing.assert_close(whole, -own[batch["labels"] > 0].mean())
    parts: list[Batch] = [
        {name: tensor[rows] for name, tensor in batch.items()} for rows in (slice(0, 4), slice(4, 16))
    ]
    divided = sum(task.losses(task.model, part, 0.0)["cross_entropy"] * len(part["rules"]) / 16 for part in parts)
    torch.testing.assert_close(whole, divided)


def test_inputs_are_the_answer_one_position_later(data: ScanData) -> None:
    batch = ScanTask(_config(), data, torch.device("cpu")).batch(0)
    assert (batch["inputs"][:, 0] == 1).all()
    later, before = batch["inputs"][:, 1:], batch["labels"][:, :-1]
    assert torch.equal(later, before.masked_fill(before == 2, 0))


@pytest.mark.parametrize("split", ["validation", "test"])
def test_scored_rows_are_unseen_and_the_rule_changes_them(data: ScanData, split: Any) -> None:
    config = _config(eval_commands=100)
    found = scored(config, data, split)
    assert list(found) == [metric.name for metric in METRICS if metric.name not in ("tokens", "held_out_rules")]
    assert len(found["exact"].rules) == (100 if split == "validation" else 4182)
    for metric, rows in found.items():
        assert not data.tasks.trained[rows.names, rows.places].any()
        assert len(np.unique(rows.places)) == len(rows.places), "a command is one unit"
        if metric != "exact":
            assert len(rows.places) == 60
            assert data.changed[rows.names, rows.places].all()
            assert np.isin(rows.places, data.train).all() == (metric == "unseen_pairs")
        if metric in ("simple", "complex", "novel", "held_out"):
            assert {data.groups[name] for name in rows.names} == {metric}
            rules = data.groups.count(metric)
            assert len(set(rows.names)) >= min(rules, 6), "commands are dealt to all rules"
    again = scored(config, data, split)
    assert all(np.array_equal(rows.places, again[metric].places) for metric, rows in found.items())


def test_held_out_rules_are_pairs_whose_parts_are_trained(data: ScanData) -> None:
    held = [name for name, kind in zip(data.names, data.groups, strict=True) if kind == "held_out"]
    assert len(held) >= 10
    for name in held:
        parts = combination(name)
        assert len(parts) == 2
        assert {group((part,)) for part in parts} <= {"simple", "complex"}


def test_scores_by_hand(data: ScanData) -> None:
    """Two of three positions right is no exact match; an answer that goes on is none; -1 is not a number."""
    rows = scored(_config(eval_commands=20), data, "validation")["exact"]
    said = np.pad(rows.actions, ((0, 0), (0, 3)))
    length = int((said[0] > 0).sum())
    said[0, 0] = 9 if said[0, 0] != 9 else 8
    said[1, (said[1] > 0).sum()] = 5
    found = score({"exact": rows}, {"exact": said})
    assert found["exact"].units == (0.0, 0.0, *18 * [1.0])
    assert found["tokens"].units == (1 - 1 / length, *19 * [1.0])
    said[3] = -1
    assert np.isnan(score({"exact": rows}, {"exact": said})["exact"].value)


def test_a_pair_of_rules_is_a_unit_of_its_own(data: ScanData) -> None:
    rows = scored(_config(eval_commands=20), data, "validation")["held_out"]
    said = rows.actions.copy()
    first, second = np.unique(rows.names)[:2]
    said[rows.names == first, 0] += 1
    said[np.flatnonzero(rows.names == second)[0], 0] += 1
    found = score({"held_out": rows}, {"held_out": said})
    pairs, count = len(np.unique(rows.names)), int((rows.names == second).sum())
    assert found["held_out_rules"].units == (0.0, pytest.approx(1 - 1 / count), *(pairs - 2) * [1.0])
    assert found["held_out_rules"].n == pairs < found["held_out"].n


def test_rules_without_pairs_have_no_score_on_pairs() -> None:
    config = _config(rules="jump->walk twice=once", stages="joint:1:modified=0.5:rules=simple+complex", eval_commands=5)
    few = SCAN.build_data(config)
    task = ScanTask(config, few, torch.device("cpu"))
    found = task.evaluate("validation")
    assert {name for name, measure in found.items() if not measure.n} == {"novel", "held_out", "held_out_rules"}
    assert set(SCAN.baselines(config, few, "validation")["nearest training command"]) == set(found)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"split": "lenght"}, "split: there is no such split; did you mean length?"),
        ({"rules": "jump->wlak"}, "rules: no rule 'jump->wlak'; did you mean jump->walk?"),
        ({"rules": "jump->walk+jump<->walk"}, "rules: jump->walk and jump<->walk both change 'jump'"),
        ({"cells": "jump"}, "cells: expected RULE:WORD"),
        ({"cells": "run->jump:fly"}, "cells: no word 'fly'; there are walk"),
        ({"cells": "run->jmup:left"}, "cells: no rule 'run->jmup' is used; did you mean run->jump?"),
        ({"cells": "run->jump:left", "rules": "jump->walk"}, "cells: no rule 'run->jump' is used"),
        ({"beam": 0}, "beam: input should be greater than or equal to 1"),
        ({"model": "transformer", "width": 30}, "width: 4 heads do not divide a width of 30"),
        ({"model": "transformer", "width": 32, "heads": 5}, "heads: 5 heads do not divide a width of 32"),
        ({"stages": "a:1/2,b:1/4"}, "stages: the shares add up to 0.75"),
        ({"stages": "a:1:modified=0.5"}, "stages: a: modified rows need a rule"),
        ({"stages": "a:1:rules=novel"}, "stages: a: rules have no effect with modified=0"),
        (
            {"stages": "a:1:modified=0.5:rules=novel", "rules": "jump->walk"},
            "stages: a: no rule of novel is among 'jump->walk'",
        ),
        ({"stages": "a:1:until=exakt>=0.9"}, "stages: a: until: no metric 'exakt'"),
    ],
)
def test_bad_input_is_refused_in_one_line(fields: Mapping[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        _config(**fields)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_the_data_s_name_holds_all_that_changes_them() -> None:
    """And the protocol, by which the audit judges."""
    variants: list[dict[str, Any]] = [
        {}, {"split": "length"}, {"data_seed": 1}, {"rules": "jump->walk"}, {"protocol": "logged"},
        {"rules": "jump->walk", "cells": "jump->walk:left"},
    ]  # fmt: skip
    assert len({SCAN.data_key(_config(**fields)) for fields in variants}) == len(variants)
    same = _config(model="lstm", seed=3, stages=RULES, eval_commands=7)
    assert SCAN.data_key(same) == SCAN.data_key(_config())


class Planted(Answers):
    """Answers in which some rules answer as others do."""

    def __init__(self, answers: Answers, instead: Mapping[int, int]) -> None:
        vars(self).update(vars(answers))
        self.instead = instead

    def __call__(self, rules: Any, commands: npt.NDArray[np.int64]) -> npt.NDArray[np.int8]:
        given = np.broadcast_to(np.asarray(rules), np.shape(commands))
        return super().__call__(np.array([self.instead.get(int(rule), int(rule)) for rule in given]), commands)


def test_rules_that_are_told_and_not_obeyed_are_named(data: ScanData) -> None:
    """The log's defect: 'twice and thrice are swapped', 'twice means once', and the unchanged answer."""
    assert not unchanged_targets(data).failed
    instead = {data.names.index(name): 0 for name in ("twice<->thrice", "twice=once")}
    found = unchanged_targets(dataclasses.replace(data, answers=Planted(data.answers, instead)))
    assert found.failed
    assert found.number == 68 + 34, "sentences with twice or thrice, and those with twice"
    assert "twice<->thrice (68), twice=once (34)" in found.sentence


def test_two_way_swaps_that_collapse_are_named() -> None:
    """The log replaces `left` by `right` and then `right` by `left`, or the reverse: one direction is left."""
    config = _config(rules="jump<->walk jump->walk left<->right")
    small = SCAN.build_data(config)
    assert not collapsed_swaps(small).failed
    instead = {small.names.index("jump<->walk"): small.names.index("jump->walk")}
    found = collapsed_swaps(dataclasses.replace(small, answers=Planted(small.answers, instead)))
    assert found.failed
    assert "jump<->walk" in found.sentence
    assert "left<->right" not in found.sentence
