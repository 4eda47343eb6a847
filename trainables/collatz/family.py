"""The Collatz family: networks V(n) > 0 that fall along every orbit of the Syracuse map."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from leadline.config import TrialConfig
from leadline.curriculum import Curriculum
from leadline.family import Family
from leadline.finding import Finding
from leadline.measure import Measure, Metric
from trainables.collatz.config import CollatzConfig
from trainables.collatz.metrics import METRICS
from trainables.collatz.presets import PRESETS

if TYPE_CHECKING:  # what trains is imported where it trains: see `Family`
    import torch
    from torch import nn

    from leadline.task import Split
    from trainables.collatz.data import CollatzData
    from trainables.collatz.model import LyapunovNet
    from trainables.collatz.prediction import PredictedStep
    from trainables.collatz.task import CollatzTask

__all__ = ["COLLATZ", "CollatzFamily"]


class CollatzFamily(Family[CollatzConfig]):
    """Collatz Lyapunov networks: a positive V(n) that falls along every orbit of the Syracuse map.

    Configurations of every lookahead share their data.
    """

    name = "collatz"
    Config = CollatzConfig
    metrics: ClassVar[tuple[Metric, ...]] = METRICS
    input_help = "an odd number of at least 1, such as 27"
    objective = "hinge"
    beside = ("violations", "logged_violations")
    claims = "analysis.collatz.claims:CLAIMS"
    presets: ClassVar[Mapping[str, Callable[[float], TrialConfig]]] = PRESETS
    commands: ClassVar[Mapping[str, str]] = {
        name: f"analysis.collatz.commands:{name.upper()}"
        for name in ("failures", "ablation", "attribution", "lookahead")
    }

    def data_key(self, config: CollatzConfig) -> str:
        """Names the data by pool, data seed, draw of orbits, extra orbits, guard and population.

        Nothing else in the configuration changes the data.
        """
        rest = (
            (f"-orbits{config.orbits}", config.orbits > 0),
            (f"-extra{config.extra_orbits}", config.extra_orbits > 0),
            ("-scored", config.guard == "scored"),
            ("-population", config.population),
        )
        return f"collatz-pool{config.pool}-seed{config.data_seed}" + "".join(part for part, said in rest if said)

    def curriculum(self, config: CollatzConfig) -> Curriculum | None:
        """Returns the stages of a configuration, or None where `ramp` decides."""
        return config.curriculum

    def build_data(self, config: CollatzConfig) -> CollatzData:
        """Builds the orbits of the five groups and the random pool."""
        from trainables.collatz.data import build

        return build(config.pool, config.data_seed, config.guard, config.population, config.extra_orbits, config.orbits)

    def audit(self, config: CollatzConfig, data: CollatzData) -> list[Finding]:
        """Checks that no row that can be sampled overlaps with what is scored.

        The check is exact: it covers every row, and the private numbers of validation and test.
        """
        from trainables.collatz import audit

        return audit.audit(data)

    def baselines(self, config: CollatzConfig, data: CollatzData, split: Split) -> dict[str, dict[str, Measure]]:
        """Scores the formulas, a constant and the oracle at the configuration's lookahead."""
        from trainables.collatz import baselines

        return baselines.baselines(data, config.lookahead, split, config.common)

    def task(self, config: CollatzConfig, data: CollatzData, device: torch.device) -> CollatzTask:
        """Returns a fresh task."""
        from trainables.collatz.task import CollatzTask

        return CollatzTask(config, data, device)

    def model(self, config: CollatzConfig) -> LyapunovNet:
        """Returns the untrained network, on the CPU."""
        from trainables.collatz.model import network

        return network(config)

    def predict(self, model: nn.Module, inputs: Any, config: CollatzConfig) -> PredictedStep:
        """Returns V of a number and of the next number on its orbit.

        Args:
            model: the network.
            inputs: an odd number of at least 1 and of any length, or its decimal digits.
            config: says how far the network looks ahead and which features it sees.

        Raises:
            ConfigError: beginning with `inputs`, for anything else.
        """
        from trainables.collatz.prediction import read_number, values

        return values(model, read_number(inputs), config)

    def example(self, config: CollatzConfig) -> int:
        """Returns 27, whose orbit is famous for its length."""
        return 27


COLLATZ = CollatzFamily()
