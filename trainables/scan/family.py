"""The SCAN family: networks that answer commands of a small grammar, some under changed rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from leadline.config import TrialConfig
from leadline.curriculum import Curriculum
from leadline.family import Family
from leadline.finding import Finding
from leadline.measure import Measure, Metric
from trainables.scan.config import ScanConfig
from trainables.scan.metrics import METRICS
from trainables.scan.presets import PRESETS

if TYPE_CHECKING:  # what trains is imported where it trains: see `Family`
    import torch
    from torch import nn

    from leadline.task import Split
    from leadline.training.guards.guard import Guard
    from trainables.scan.data import ScanData
    from trainables.scan.prediction import Answer
    from trainables.scan.task import ScanTask

__all__ = ["SCAN", "ScanFamily"]


class ScanFamily(Family[ScanConfig]):
    """Networks that answer SCAN's commands, by the grammar and under changed rules of it."""

    name = "scan"
    Config = ScanConfig
    metrics: ClassVar[tuple[Metric, ...]] = METRICS
    input_help = 'a command such as \'jump around left twice\', or JSON of it and a rule: ["jump twice", "jump->walk"]'
    objective = "exact"
    beside = ("exact", "tokens", "held_out")
    claims = "analysis.scan.claims:CLAIMS"
    studies: ClassVar[Mapping[str, str]] = {
        study: f"search_spaces.{study}.scan:STUDY" for study in ("stages", "curriculum_length", "batch_size")
    }
    presets: ClassVar[Mapping[str, Callable[[float], TrialConfig]]] = PRESETS
    commands: ClassVar[Mapping[str, str]] = {"failures": "analysis.scan.commands:FAILURES"}

    def curriculum(self, config: ScanConfig) -> Curriculum:
        """Returns the stages of the configuration."""
        return config.curriculum

    def data_key(self, config: ScanConfig) -> str:
        """Names the data by split, protocol, seed, rules and held-out cells.

        Nothing else changes the data, or what their audit says.
        """
        rules = " ".join(config.rule_names or ("log",))
        cells = " ".join(config.cells.split())
        logged = "-logged" if config.protocol == "logged" else ""
        return f"scan-{config.split}{logged}-seed{config.data_seed}-{rules}" + (f"-without-{cells}" if cells else "")

    def build_data(self, config: ScanConfig) -> ScanData:
        """Builds the commands, and their answers under every rule."""
        from trainables.scan.data import build

        return build(config.split, config.data_seed, config.rule_names, config.held_cells)

    def audit(self, config: ScanConfig, data: ScanData) -> list[Finding]:
        """Checks that nothing scored is trained on, and that rules do what they say.

        The log's pooled split is refused, unless `protocol` is that of the log.
        """
        from trainables.scan import audit
        from trainables.scan.rule_audit import collapsed_swaps, unchanged_targets

        return [*audit.audit(data, config.protocol), unchanged_targets(data), collapsed_swaps(data)]

    def baselines(self, config: ScanConfig, data: ScanData, split: Split) -> dict[str, dict[str, Measure]]:
        """Scores predictors that learn nothing, and the interpreter as the oracle."""
        from trainables.scan import baselines

        return baselines.baselines(config, data, split)

    def task(self, config: ScanConfig, data: ScanData, device: torch.device) -> ScanTask:
        """Returns a fresh task."""
        from trainables.scan.task import ScanTask

        return ScanTask(config, data, device)

    def model(self, config: ScanConfig) -> nn.Module:
        """Returns the untrained network, on the CPU."""
        from trainables.scan.task import network

        return network(config)

    def guards(self, config: ScanConfig) -> Sequence[Guard]:
        """Returns the guards on lost training and, where the split has a band, on such scores.

        A network that trains under changed rules is no plain one.
        """
        from trainables.scan.guards import BANDS, BeyondReach, ForgottenSteps

        plain = not any(stage.numbers["modified"] for stage in config.curriculum.stages)
        reach = [BeyondReach(config.split)] if plain and config.split in BANDS else []
        return [ForgottenSteps(), *reach]

    def predict(self, model: nn.Module, inputs: Any, config: ScanConfig) -> Answer:
        """Returns the answer to a command, with the interpreter's beside it.

        Args:
            model: the network.
            inputs: a command of SCAN as text, or a pair of it and the name of a rule, such as
                ("jump twice", "jump->walk").
            config: says how many beginnings decoding keeps.

        Raises:
            ConfigError: beginning with `inputs`, for anything else.
        """
        from trainables.scan.prediction import answer

        return answer(model, inputs, config.beam)

    def example(self, config: ScanConfig) -> str:
        """Returns a command of the paper."""
        return "jump around left twice and walk opposite right"


SCAN = ScanFamily()
