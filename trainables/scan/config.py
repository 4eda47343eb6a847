"""The configuration of the SCAN family.

"Log" is the experiment log whose language run is `train_progressive_minimal.py` of github
fergusmeiklejohn/neural_networks_research (b261e4d).
"""

from __future__ import annotations

from typing import Literal

import pydantic

from leadline.config import TrialConfig, configuration, did_you_mean, knob
from leadline.curriculum import Curriculum, Stages, Vocabulary
from leadline.training.precision import PRECISION, RECOMPUTE, Precision
from trainables.scan.rule_split import check_cells
from trainables.scan.rules import DEFAULT, GROUPS, combination, group
from trainables.scan.shape import Shape
from trainables.scan.splits import NAMES

__all__ = ["VOCABULARY", "ScanConfig"]

VOCABULARY = Vocabulary(
    numbers={"modified": (0.0, 1.0)},
    choices={"rules": GROUPS},
    metrics=("exact", "tokens", "simple", "complex", "novel", "unseen_pairs", "held_out"),
)
"""What a stage can set.

`modified` is the share of the rows whose command is answered under a rule; `rules` are the groups
that these rules come from.
"""


@configuration
class ScanConfig(TrialConfig):
    """The settings of a network that answers SCAN's commands, some of them under a changed rule."""

    split: str = knob("simple", "the commands that are trained on and scored, such as simple, length, addprim_jump")
    protocol: Literal["clean", "logged"] = knob(
        "clean", "clean: no scored command may be trained on; logged: it may, as in the log, and is counted"
    )
    data_seed: int = knob(0, "seed of splits that are random, and of the validation rows", ge=0, le=2**32 - 1)
    rules: str = knob(
        "",
        "rules beside the base rule, with spaces between them, such as 'jump->walk twice=once jump->walk+twice=once'; "
        "by default the log's eleven and all pairs that can apply together",
    )
    cells: str = knob(
        "",
        "pairs RULE:WORD, with spaces between them, such as 'run->jump:left': the rule is never trained with the word",
    )
    model: Literal["attention", "lstm", "transformer"] = knob(
        "attention",
        "LSTM with attention to the command (Luong et al. 2015); the log's LSTM, which adds the encoder's mean; "
        "or a transformer",
    )
    width: int = knob(32, "width of embeddings and states (log: 128)", ge=2, le=1024)
    layers: int = knob(0, "the transformer's; 0: by the width, 4 up to 128, else 6 (log)", ge=0, le=24)
    heads: int = knob(0, "the transformer's; 0: by the width, 4 up to 128, else 8 (log)", ge=0, le=64)
    expansion: int = knob(
        0, "the transformer's inner width over its width; 0: by the width, 2 up to 128, else 4 (log)", ge=0, le=16
    )
    dropout: float = knob(0.0, "share of embeddings and layers' outputs that training drops", ge=0, lt=1)
    precision: Precision = knob("float32", f"the transformer's, {PRECISION}")
    recompute: bool = knob(False, f"the transformer's: {RECOMPUTE}")
    reads_rules: bool = knob(True, "the log's LSTM has its path for rules (log: built once a rule was met)")
    batch: int = knob(64, "rows of a step (log: 32)", unit="rows", ge=1, le=2**14)
    lr: float = knob(1e-2, "AdamW learning rate at its highest (log: 1e-3)", gt=0, le=1)
    schedule: Literal["cosine", "constant"] = knob(
        "cosine", "cosine falls to 0 (Loshchilov and Hutter 2017); constant stays (log); stages multiply it"
    )
    warmup: float = knob(0.02, "share of the budget over which lr rises from 0 (log: 0)", ge=0, lt=1)
    weight_decay: float = knob(0.0, "AdamW decoupled decay (log: 0)", ge=0, le=1)
    clip: float = knob(1.0, "bound on the gradient; 0: none (log: 1)", ge=0, le=1e6)
    clip_by: Literal["norm", "value"] = knob("norm", "what is bounded: the norm of all, or each value (log: value)")
    smoothing: float = knob(0.0, "share of a label's weight that all actions share in the loss (log: 0)", ge=0, lt=1)
    stages: Stages = knob(
        ("joint:1",),
        "curriculum of `modified`, the share of rows under a rule, and `rules`, their groups (log: base; simple .3; "
        f"complex .5; novel .7); {VOCABULARY.help}",
    )
    modified_cap: int = knob(
        0, "most rows under a rule in an epoch, whatever a stage's share; 0: no cap (log: 1100)", unit="rows", ge=0
    )
    clear_every: int = knob(
        0,
        "steps after which model and optimizer begin anew, the log's `clear_session` in its loop; 0: never",
        unit="optimizer steps",
        ge=0,
    )
    eval_commands: int = knob(
        500, "validation commands that are scored, a fixed draw; test is scored whole", unit="commands", ge=2, le=20910
    )
    eval_rules: int = knob(
        200,
        "commands scored for each group of rules, where the rule changes the answer",
        unit="commands",
        ge=2,
        le=20910,
    )
    beam: int = knob(1, "beginnings that decoding keeps; 1: greedy", ge=1, le=64)

    @pydantic.field_validator("split")
    @classmethod
    def _known(cls, split: str) -> str:
        if split not in NAMES:
            raise ValueError(f"there is no such split; {did_you_mean(split, NAMES) or 'there are ' + ', '.join(NAMES)}")
        return split

    @pydantic.model_validator(mode="after")
    def _consistent(self) -> ScanConfig:
        known = {group(combination(name)) for name in self.rule_names or ()} or set(GROUPS)
        made = [tuple(rule.name for rule in combination(name)) for name in self.rule_names or ()]
        if twice := [parts for parts in made if made.count(parts) > 1]:
            raise ValueError(f"rules: {'+'.join(twice[0]) or 'base'} stands twice, perhaps in another order")
        for cell in self.cells.split():
            if not all(cell.rpartition(":")):
                raise ValueError(f"cells: expected RULE:WORD, such as run->jump:left (got {cell})")
        check_cells(self.held_cells, [combination(name) for name in self.rule_names or DEFAULT])
        for stage in Curriculum.of(self.stages, VOCABULARY).stages:
            groups: set[str] = set(stage.choices["rules"]) - {"base"}
            modified = stage.numbers["modified"]
            if modified > 0 and not groups:
                raise ValueError(f"stages: {stage.name}: modified rows need a rule, such as rules=simple")
            if groups and modified == 0:
                raise ValueError(f"stages: {stage.name}: rules have no effect with modified=0")
            if groups - known:
                raise ValueError(f"stages: {stage.name}: no rule of {min(groups - known)} is among {self.rules!r}")
            if groups and self.model == "lstm" and not self.reads_rules:
                raise ValueError(f"reads_rules: must be true where stages train rules, as {stage.name} does")
        if self.model != "transformer" and (self.precision != "float32" or self.recompute):
            name = "recompute" if self.recompute else "precision"
            raise ValueError(f"{name}: only model=transformer has it (got model={self.model})")
        shape = self.shape
        if self.model == "transformer" and shape.width % shape.heads:
            field = "heads" if self.heads else "width"
            raise ValueError(f"{field}: {shape.heads} heads do not divide a width of {shape.width}")
        return self

    @property
    def rule_names(self) -> tuple[str, ...] | None:
        """Names of the rules beside the base rule; None for the log's eleven and their pairs."""
        return tuple(self.rules.split()) or None

    @property
    def held_cells(self) -> tuple[tuple[str, str], ...]:
        """The pairs of a rule and a word that are never trained together."""
        return tuple((rule, word) for rule, _, word in (cell.rpartition(":") for cell in self.cells.split()))

    @property
    def shape(self) -> Shape:
        """The transformer's shape, with what is 0 decided by the width."""
        return Shape.of(self.width, self.layers, self.heads, self.expansion)

    @property
    def curriculum(self) -> Curriculum:
        """The stages."""
        return Curriculum.of(self.stages, VOCABULARY)
