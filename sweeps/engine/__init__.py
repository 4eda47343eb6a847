"""How a study is run: searcher, scheduler, placement, display. `Study`, `Scale` and `main` are what a sweep script needs."""

from sweeps.engine.run import main
from sweeps.engine.study import Scale, Study

__all__ = ["Scale", "Study", "main"]
