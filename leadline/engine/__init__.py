"""How a study is run: searcher, scheduler, placement, display. `Study`, `Scale`, `Contrast` and `main` are what a sweep script needs."""

from leadline.engine.run import main
from leadline.engine.study import Contrast, Scale, Study

__all__ = ["Contrast", "Scale", "Study", "main"]
