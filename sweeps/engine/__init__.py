"""How a study is run: searcher, scheduler, placement, display. `Study`, `Scale`, `Contrast` and `main` are what a sweep script needs."""

from sweeps.engine.run import main
from sweeps.engine.study import Contrast, Scale, Study

__all__ = ["Contrast", "Scale", "Study", "main"]
