"""ETRM: what its encoder is asked for, what reaches it, and what must not change what is learnt."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from leadline.checkpoint import CheckpointStore
from leadline.config import ConfigError
from leadline.measure import Report
from leadline.storage import Folder
from leadline.training.loop import Loop
from leadline.training.step import World
from tests.conftest import two_workers
from tests.trainables.recursive.permuted import PERMUTED
from trainables.puzzles.puzzle import Boards
from trainables.recursive.collapse import collapse
from trainables.recursive.config import TRMConfig
from trainables.recursive.encoder import Encoded
from trainables.recursive.encoder_task import ETRMTask
from trainables.recursive.family import ETRM_FAMILY
from trainables.recursive.model import ETRM, Context, Shape, network
from trainables.recursive.scoring import judged, parts, think
from trainables.recursive.start import RecursiveData

SMALL: dict[str, Any] = {
    "train_boards": 48,
    "validation_boards": 12,
    "test_boards": 8,
    "hidden": 16,
    "heads": 2,
    "round_to": 16,
    "halt_max_steps": 3,
    "context_tokens": 4,
    "encoder_layers": 1,
    "batch": 6,
    "explore": 0,
    "steps": 6,
    "eval_every": 3,
}
FCT: dict[str, Any] = {"encoding": "fct", "rollout": "parallel_fixed"}
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data() -> RecursiveData:
    return PERMUTED.build_data(PERMUTED.config(SMALL))


def task(data: RecursiveData, **fields: Any) -> ETRMTask:
    torch.manual_seed(0)
    found = PERMUTED.task(PERMUTED.config({**SMALL, **fields}), data, CPU)
    assert isinstance(found, ETRMTask)
    return found


def step(one: ETRMTask, number: int, rows: slice = slice(None), share: float = 1.0) -> None:
    part = {name: tensor[rows] for name, tensor in one.batch(number).items()}
    loss = torch.stack(list(one.losses(one.model, part, 0.5).values())).sum()
    torch.autograd.backward(loss * share)


def steps(one: ETRMTask, count: int) -> None:
    for number in range(count):
        step(one, number)
        one.after_step(number + 1)


def gradient(one: ETRMTask) -> Tensor:
    return torch.cat([p.grad.flatten() for p in one.net.parameters() if p.grad is not None])


def told(one: ETRMTask) -> dict[str, float]:
    return {name: float(total / count) for name, (total, count) in one.tallies().items() if name.startswith("encoder/")}


def difference(found: Tensor, expected: Tensor) -> float:
    assert expected.norm() > 1e-3
    return float((found - expected).norm() / expected.norm())


@pytest.mark.parametrize(
    ("fields", "coverage", "rows"),
    [
        ({}, 1.0, 6),
        ({"pooling": "attention", "encoder": "variational"}, 1.0, 6),
        ({"pooling": "none"}, 1.0, 6),
        (FCT, 1.0, 18),
        ({"rollout": "parallel_fixed"}, 1.0, 6),
        ({"rollout": "parallel_fixed", "mode": "multi_perturbed_ce", "k": 2}, 1.0, 6),
        ({**FCT, "mode": "multi_perturbed_ce", "k": 2}, 1.0, 18),
        ({"encoding": "cached"}, 1 / 3, 2),
        ({"encoding": "cached", "halt_max_steps": 6}, 1 / 6, 1),
        ({"encoding": "cached", "mode": "multi_perturbed_ce", "k": 2}, 1 / 3, 4),
    ],
)
def test_what_is_encoded_is_used_and_covered(
    fields: dict[str, Any], coverage: float, rows: int, data: RecursiveData
) -> None:
    """Measured from gradients: 1 over the mean segments of a board behind a cache, else 1."""
    one = task(data, **fields)
    steps(one, 6)
    found = told(one)
    assert found["encoder/coverage"] == pytest.approx(coverage)
    assert found["encoder/rows"] == found["encoder/rows_used"] == pytest.approx(rows)
    assert np.isnan(told(one)["encoder/rows"]), "counts begin anew"


def test_the_budget_of_fixed_computation_counts_its_segments(data: RecursiveData) -> None:
    fixed, streamed = task(data, **FCT), task(data)
    assert fixed.samples(fixed.batch(0)) == PERMUTED.samples_per_step(fixed.config) == 18
    assert streamed.samples(streamed.batch(0)) == PERMUTED.samples_per_step(streamed.config) == 6


def test_fixed_computation_is_its_segments_one_after_another(data: RecursiveData) -> None:
    """An encoding for each segment, one for all, and a backward pass for each: one gradient, as weights stay."""
    fixed, once, streamed = task(data, **FCT), task(data, rollout="parallel_fixed"), task(data)
    for one in (fixed, once):
        step(one, 0)
    for number in range(3):
        step(streamed, number, share=1 / 3)
        streamed.after_step(number + 1)
    assert difference(gradient(fixed), gradient(once)) < 1e-5
    assert difference(gradient(fixed), gradient(streamed)) < 1e-5


@pytest.mark.parametrize("fields", [{"rollout": "act_mask"}, FCT])
def test_trajectories_of_a_board_share_its_encoding(fields: dict[str, Any], data: RecursiveData) -> None:
    """With the terms and the gradient of an encoding for each, also where each draws noise of its own."""
    one = task(data, **fields, encoder="variational", kl_weight=0.5, mode="multi_perturbed_ce", k=3)
    batch, found = one.batch(0), []

    def repeated(**rows: Any) -> Any:
        return one.net(
            **{**rows, **{name: rows[name].repeat(3, *[1] * (rows[name].dim() - 1)) for name in one.net.shown}}
        )

    for model in (one.net, repeated):
        one.net.zero_grad()
        terms = one.losses(cast(Any, model), batch, 0.5)
        torch.autograd.backward(torch.stack(list(terms.values())).sum())
        found.append((gradient(one), {name: float(term.detach()) for name, term in terms.items()}))
    (shared, told_once), (apart, told_thrice) = found
    assert told_once == pytest.approx(told_thrice, rel=1e-5)
    assert difference(shared, apart) < 1e-5


def test_a_trajectory_that_is_cut_off_does_not_count_as_covered(
    data: RecursiveData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the other one of its board has brought the encoder a gradient."""
    encode = ETRM._encode

    def cut(self: ETRM, time: int, copies: int, **shown: Tensor) -> Context:
        found = encode(self, time, copies, **shown)
        assert found.tokens is not None
        return found._replace(tokens=torch.cat([found.tokens[:6], found.tokens[6:].detach()]))

    monkeypatch.setattr(ETRM, "_encode", cut)
    one = task(data, rollout="parallel_fixed", mode="multi_perturbed_ce", k=2)
    steps(one, 1)
    found = told(one)
    assert found["encoder/coverage"] == 0.5
    assert found["encoder/rows"] == found["encoder/rows_used"] == 6


def test_a_slot_keeps_its_demonstrations(data: RecursiveData) -> None:
    """And takes others with its next board."""
    one = task(data)
    seen = []
    for number in range(4):
        step(one, number)
        one.after_step(number + 1)
        seen.append({name: one.carried()[name][:, 0].clone() for name in ("inputs", *one.net.shown)})
    for name, first in seen[0].items():
        assert torch.equal(first, one.batch(0)[name])
        assert torch.equal(seen[2][name], first)
        assert torch.equal(seen[3][name], one.batch(3)[name])


@pytest.mark.parametrize("encoding", ["reencode", "cached"])
def test_micro_batches_add_up(encoding: str, data: RecursiveData) -> None:
    """Each slot's noise of the encoder is its own, and its cache finds its way back."""
    fields: dict[str, Any] = {"encoder": "variational", "encoding": encoding, "mode": "multi_perturbed_ce", "k": 2}
    whole, divided = task(data, **fields), task(data, **fields)
    for number in range(2):
        step(whole, number)
        step(divided, number, slice(0, 2), 1 / 3)
        step(divided, number, slice(2, 6), 2 / 3)
        for one in (whole, divided):
            one.after_step(number + 1)
    assert difference(gradient(divided), gradient(whole)) < 1e-5
    for name, tensor in whole.carried().items():
        torch.testing.assert_close(divided.carried()[name], tensor, atol=1e-5, rtol=0)
    assert told(divided) == pytest.approx(told(whole))


def test_with_a_lookup_in_the_encoders_place_it_is_trm(data: RecursiveData) -> None:
    """The same weights, those of the tasks' own contexts among them."""
    common = {name: SMALL[name] for name in ("hidden", "heads", "round_to", "halt_max_steps")}
    shape = Shape(9, 5, puzzles=7)
    trm = network(TRMConfig(**common, puzzle_emb=4 * 16, puzzle_tokens=4), shape)
    torch.nn.init.normal_(trm.get_parameter("puzzle.weight"))
    net = network(PERMUTED.config({**SMALL, "encoder": "lookup"}), shape)
    assert isinstance(net, ETRM)
    net.load_state_dict(trm.state_dict())
    inputs, puzzles = torch.randint(1, 5, (6, 9)), torch.randint(7, (6,))
    expected = trm(inputs, puzzles, *trm.start(6), 3)
    found = net(inputs, puzzles, *net.start(6), 3)
    for name in ("logits", "q_halt", "z_h", "z_l"):
        assert torch.equal(getattr(found, name), getattr(expected, name)), name


def test_a_lookup_reads_no_demonstrations_and_says_nothing_of_new_rules() -> None:
    """It trains on the same rows as an encoder, and has neither its facts, nor its guard."""
    rules = {"task": "rules", "size": 5, "train_rules": 4, "demonstrations": 2, "encoder": "lookup", "puzzle_lr": 0.01}
    small = {name: value for name, value in SMALL.items() if name != "encoder_layers"}
    config = ETRM_FAMILY.config({**small, **rules})
    data = ETRM_FAMILY.build_data(config)
    one = ETRM_FAMILY.task(config, data, CPU)
    assert isinstance(one, ETRMTask)
    before = one.net.get_parameter("puzzle.weight").detach().clone()
    assert before.shape == (4, 4 * 16)
    for number in range(2):
        step(one, number)
        for optimizer in one.optimizers:
            optimizer.step()
            optimizer.zero_grad()
        one.after_step(number + 1)
    assert not torch.equal(one.net.get_parameter("puzzle.weight"), before)
    assert not [name for name in one.tallies() if name.startswith("encoder/")]
    assert [guard.name for guard in ETRM_FAMILY.guards(config)] == ["contradiction"]
    found = one.evaluate("validation")
    assert {"exact", "shape"} <= found.keys()
    assert not {"exact_new", "context_spread", "context_between", "exact_exchanged"} & found.keys()
    other = ETRM_FAMILY.config({**small, **rules, "encoder": "standard"})
    assert config.data_key == other.data_key
    assert config.unused() == []
    idle = ETRM_FAMILY.config({**small, **rules, "pooling": "none"})
    assert idle.unused() == ["pooling=none has no effect with encoder=lookup"]
    assert idle.prefix == 4


def rows_of(data: RecursiveData, net: Any) -> dict[str, Tensor]:
    (found,) = parts(net, data.validation, len(data.validation), CPU)
    return found[1]


@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("pooling", ["mean", "attention", "none"])
def test_what_is_masked_is_not_read(pooling: str, paired: bool, data: RecursiveData) -> None:
    net = task(data, pooling=pooling, paired=paired).net.eval()
    rows = rows_of(data, net)
    absent = ~rows["demo_mask"]
    assert absent.any()
    other = {**rows, "demo_inputs": torch.where(absent[..., None], 3, rows["demo_inputs"])}
    assert torch.equal(think(net, other).logits, think(net, rows).logits)
    shown = {**other, "demo_mask": torch.ones_like(absent)}
    assert not torch.equal(think(net, shown).logits, think(net, rows).logits)
    none = think(net, {**rows, "demo_mask": torch.zeros_like(absent)}).logits
    assert none.isfinite().all()


@pytest.mark.parametrize("pooling", ["mean", "attention"])
def test_the_order_of_demonstrations_does_not_count(pooling: str, data: RecursiveData) -> None:
    """A set; without pooling their places count, as those of the board do."""
    net = task(data, pooling=pooling).net.eval()
    rows = rows_of(data, net)
    turned = {**rows, **{name: rows[name].roll(1, 1) for name in net.shown}}
    torch.testing.assert_close(think(net, turned).logits, think(net, rows).logits, atol=1e-4, rtol=0)


PLAIN: dict[str, Any] = {
    **{name: value for name, value in SMALL.items() if name not in ("context_tokens", "explore")},
    "pooling": "none",
    "encoder_layers": 0,
    "h_cycles": 1,
    "l_cycles": 0,
    "l_layers": 2,
    "halt_max_steps": 1,
}


@pytest.mark.parametrize("paired", [False, True])
def test_a_plain_transformer(paired: bool, data: RecursiveData) -> None:
    """Without z_L, one cycle, one segment: distinct blocks, each once, on the board behind all demonstrations."""
    config = PERMUTED.config({**PLAIN, "paired": paired})
    assert config.unused() == []
    assert config.prefix == 3 * 9 * (1 if paired else 2)
    net = network(config).eval()
    assert not any("queries" in name or ".set." in name for name, _ in net.named_parameters())
    rows = rows_of(data, net)
    said = think(net, rows)
    (context,) = net.contexts(rows["puzzle"], 1, **{name: rows[name] for name in net.shown})
    z = net.h_init + net.embed(rows["inputs"], context)
    first, second = net.lower.blocks
    assert torch.equal(net.head(second(first(z, None), None)[:, config.prefix :]), said.logits[0])
    (encoded,) = said.encoded
    (reached,) = torch.autograd.grad(said.logits.square().sum(), encoded.pairs)
    assert (reached != 0).any(-1).all(), "an answer depends on every token of its demonstrations"


def test_what_has_no_effect_without_pooling() -> None:
    assert PERMUTED.config({**SMALL, "pooling": "none", "set_layers": 2}).unused() == [
        "set_layers=2 has no effect with pooling=none",
        "context_tokens=4 has no effect with pooling=none",
    ]


def test_a_paired_cell_is_what_its_input_and_its_output_have_there(data: RecursiveData) -> None:
    """It is PAD where both are, so that an output larger than its input is read."""
    net = task(data, paired=True).net.eval()
    assert isinstance(net, ETRM)
    encoder = net.encoder
    one, other = torch.randint(1, 5, (2, 1, 1, 9))
    mask = torch.ones(1, 1, dtype=torch.bool)

    def context(*cells: int) -> Tensor:
        """Of an input that ends before the last cell, and an output with these two last cells."""
        short, last = one.clone(), torch.tensor(cells)
        short[..., -1] = 0
        found: Encoded = encoder(short, torch.cat([other[..., :-2], last.expand(1, 1, 2)], -1), mask)
        return found.context

    assert not torch.allclose(context(1, 2), context(1, 3))
    pairs = encoder(one, other, mask).pairs
    expected = 4 * (encoder.inputs(one) + encoder.outputs(other)) / 2**0.5
    torch.testing.assert_close(pairs, expected[0])


def test_a_variational_encoder_draws_in_training_alone(data: RecursiveData) -> None:
    """By slot and step; its mean is what is scored, and its divergence has a weight."""
    one = task(data, encoder="variational", kl_weight=0.5)
    first, again, second = (one._beside(one.batch(number), None)["noise"] for number in (0, 0, 1))
    assert torch.equal(first, again)
    assert len({float(row.flatten()[0]) for row in torch.cat([first, second])}) == 12
    batch = one.batch(0)
    shown = {name: batch[name] for name in one.net.shown}
    noisy, mean = (one.net.contexts(batch["puzzle"], 1, **shown, **more)[0] for more in ({"noise": first}, {}))
    assert noisy.encoded is not None
    assert mean.encoded is not None
    assert noisy.tokens is not None
    assert not torch.equal(noisy.tokens, mean.encoded.context)
    nats = mean.encoded.divergence
    assert nats is not None
    m, log_variance = mean.encoded.context.double(), -4.0
    expected = 0.5 * (m.square() + np.exp(log_variance) - 1 - log_variance).sum((1, 2))
    torch.testing.assert_close(nats.double(), expected, rtol=1e-5, atol=0)
    kl = one.losses(one.model, batch, 0.0)["kl"].detach()
    assert float(kl) == pytest.approx(0.5 * float(nats.detach().mean()), rel=1e-5)


def test_a_frozen_encoder_stays(data: RecursiveData) -> None:
    one = task(data, freeze_encoder=True, encoder="variational")
    assert "kl" not in one.losses(one.model, one.batch(0), 0.0)
    steps(one, 2)
    assert told(one)["encoder/coverage"] == 0.0
    assert all(p.grad is None for p in one.net.get_submodule("encoder").parameters())
    assert [guard.name for guard in PERMUTED.guards(one.config)] == ["contradiction"]


def run(**fields: Any) -> list[Report]:
    config = PERMUTED.config({**SMALL, **fields})
    return list(Loop(PERMUTED, config, PERMUTED.build_data(config)).run())


def starved(reports: list[Report]) -> Iterator[float]:
    for report in reports:
        yield from (found.number for found in report.findings if found.guard == "starved_encoder" and found.failed)


def test_the_guard_says_that_a_cache_starves_the_encoder() -> None:
    reports = run(encoding="cached")
    assert list(starved(reports)) == [pytest.approx(1 / 3)]
    assert reports[-1].facts["encoder/coverage"] == pytest.approx(1 / 3)


def test_the_guard_is_silent_about_encoding_at_every_call() -> None:
    for fields in ({}, FCT):
        assert not list(starved(run(**fields)))


def test_the_guard_measures_and_does_not_assume(monkeypatch: pytest.MonkeyPatch) -> None:
    """A context cut off by mistake, whatever the configuration says."""
    encode = ETRM._encode

    def cut(self: ETRM, time: int, copies: int, **shown: Tensor) -> Context:
        found = encode(self, time, copies, **shown)
        assert found.tokens is not None
        return found._replace(tokens=found.tokens.detach())

    monkeypatch.setattr(ETRM, "_encode", cut)
    assert list(starved(run())) == [0.0]


def test_collapse_is_seen(data: RecursiveData) -> None:
    """Boards that are all shown the same: no spread, and an exchange that changes nothing."""
    net = task(data).net
    assert isinstance(net, ETRM)
    boards = data.validation
    same = {name: np.repeat(array[:1], len(array), axis=0) for name, array in boards.extra.items()}
    alike = Boards(boards.inputs, boards.labels, boards.classes, boards.guesses, same)
    assert collapse(net, alike, CPU)["context_spread"].value == pytest.approx(0, abs=1e-9)
    assert collapse(net, boards, CPU)["context_spread"].value > 1e-3


def test_an_exchange_is_a_derangement(data: RecursiveData, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that reads its answer off its demonstrations is right on its own boards, and wrong on exchanged ones."""
    net = task(data).net
    assert isinstance(net, ETRM)
    config = net.config

    def oracle(model: Any, rows: dict[str, Tensor]) -> Any:
        table = torch.zeros(len(rows["inputs"]), config.vocabulary, dtype=torch.int64)
        table.scatter_(1, rows["demo_inputs"].flatten(1), rows["demo_labels"].flatten(1))
        answer = torch.nn.functional.one_hot(table.gather(1, rows["inputs"]), config.vocabulary).float()
        q = torch.zeros(1, len(answer))
        return type("Said", (), {"logits": answer[None], "q_halt": q, "q_continue": q})

    monkeypatch.setattr("trainables.recursive.collapse.think", oracle)
    rows = rows_of(data, net)
    assert judged(net, oracle(net, rows), rows["labels"]).exact.mean() > 0.9
    assert collapse(net, data.validation, CPU)["exact_exchanged"].value < 0.2
    assert "chance" not in collapse(net, data.validation, CPU), "boards whose tasks have no number"
    boards = data.validation
    for tasks, chance in (([0, 0, 1, 2], 3 / 12), ([0, 1, 2, 3], 0.0)):
        extra = {**boards.extra, "rule": np.tile(tasks, 3)}
        named = Boards(boards.inputs, boards.labels, boards.classes, boards.guesses, extra)
        assert collapse(net, named, CPU)["chance"].value == chance


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"puzzle_emb": 8}, "puzzle_emb: must be 0, as the encoder takes its place (got 8)"),
        ({"encoding": "fct"}, "rollout: must be parallel_fixed with encoding=fct (got serial_act)"),
        (
            {"encoding": "cached", "rollout": "act_mask"},
            "rollout: must be serial_act with encoding=cached (got act_mask)",
        ),
    ],
)
def test_refuses_in_one_line(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        PERMUTED.config({**SMALL, **fields})
    assert str(refused.value) == said


@pytest.mark.parametrize("fields", [{"task": "sudoku"}, {"task": "sudoku", "size": 4}, {"task": "maze", "size": 8}])
def test_refuses_a_puzzle_without_demonstrations(fields: dict[str, Any]) -> None:
    """Whatever its size: that is not what the user has to change."""
    with pytest.raises(ConfigError) as refused:
        ETRM_FAMILY.config(fields)
    assert str(refused.value) == f"task: input should be 'rules' or 'arc' (got '{fields['task']}')"


@pytest.mark.parametrize("task", ["rules", "arc"])
def test_the_puzzles_with_demonstrations(task: str) -> None:
    """A step, with demonstrations of each board's own task; arc has fewer than three of some."""
    config = ETRM_FAMILY.config({**SMALL, "task": task, "demonstrations": 3, "size": 5})
    data = ETRM_FAMILY.build_data(config)
    torch.manual_seed(0)
    one = ETRM_FAMILY.task(config, data, CPU)
    assert isinstance(one, ETRMTask)
    assert bool(one.batch(0)["demo_mask"].all()) == (task == "rules")
    step(one, 0)
    one.after_step(1)
    found = told(one)
    assert found["encoder/coverage"] == 1.0
    assert found["encoder/rows"] == found["encoder/rows_used"] == 6


def test_what_of_the_context_is_the_tasks(data: RecursiveData) -> None:
    """Where boards of a task are shown the same there is nothing within it; named at random, little is between."""
    net = task(data).net
    assert isinstance(net, ETRM)
    boards = data.validation
    tasks = np.arange(len(boards)) // 4
    assert "context_between" not in collapse(net, boards, CPU)

    def between(extra: dict[str, Any]) -> float:
        named = Boards(boards.inputs, boards.labels, boards.classes, boards.guesses, {**extra, "rule": tasks})
        return collapse(net, named, CPU)["context_between"].value

    same = {name: array[tasks * 4] for name, array in boards.extra.items()}
    assert between(same) > 1e3
    assert 0 < between(dict(boards.extra)) < 1


def _as_worker(rank: int, folder: str) -> None:
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    config = PERMUTED.config({**SMALL, "encoding": "cached"})
    store = CheckpointStore(Folder.at(f"{folder}/two"), 1)
    list(Loop(PERMUTED, config, PERMUTED.build_data(config), store=store, world=World(rank, 2)).run())
    dist.destroy_process_group()


def test_two_workers_cache_what_one_does(tmp_path: Path) -> None:
    """Also on steps in which no slot takes another board, so that the encoder has nothing to encode."""
    two_workers(_as_worker, str(tmp_path))
    config = PERMUTED.config({**SMALL, "encoding": "cached"})
    stores = [CheckpointStore(Folder.at(str(tmp_path / name)), 1) for name in ("one", "two")]
    list(Loop(PERMUTED, config, PERMUTED.build_data(config), store=stores[0]).run())
    one, two = (store.newest() for store in stores)
    assert one is not None
    assert two is not None
    for name, tensor in one.state["model"].items():
        torch.testing.assert_close(two.state["model"][name], tensor, rtol=0, atol=1e-4)
    for name in ("demo_inputs", "demo_mask", "steps"):
        assert torch.equal(two.state["task"]["carry"][name], one.state["task"]["carry"][name]), name
    mine, whole = (found.record["history"][-1]["facts"] for found in (two, one))
    for name in ("encoder/coverage", "encoder/rows", "encoder/rows_used"):
        assert mine[name] == pytest.approx(whole[name]), name
