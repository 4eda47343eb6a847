"""Which learning rate and batch fit a line best?

python line_study.py --trials 4
"""

from leadline.engine import Scale, Study, main


def space(trial, scale):
    """What is searched, as a plain function."""
    return {"lr": trial.suggest_float("lr", 1e-3, 1.0, log=True), "batch": trial.suggest_categorical("batch", [4, 16])}


laptop = Scale(trials=6, budget=90, grace=10, reduction=3, confirm=1, replicates=2, strata=("all",), startup=3)
STUDY = Study(name="line", family="line:LINE", space=space, stratify=None, scales={"laptop": laptop})

if __name__ == "__main__":
    main(STUDY, __doc__)
