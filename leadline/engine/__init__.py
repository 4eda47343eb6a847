"""How a study is run: searcher, scheduler, placement, display.

`Study`, `Scale`, `Contrast` and `main` are what a sweep script needs. They are imported
when they are asked for: a trial's process, which imports modules of this package, needs no driver.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from leadline.engine.run import main
    from leadline.engine.study import Contrast, Scale, Study

__all__ = ["Contrast", "Scale", "Study", "main"]


def __getattr__(name: str) -> Any:
    if name == "main":
        from leadline.engine.run import main

        return main
    if name in __all__:
        from leadline.engine import study

        return getattr(study, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
