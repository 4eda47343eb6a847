"""How this family answers the study `batch_size`, whose default is another family."""

from leadline import Scale, Study


def space(trial, scale):
    """The learning rate; the batch is dealt."""
    return {"lr": trial.suggest_float("lr", 1e-3, 1.0, log=True)}


sizes = {"budget": 256, "grace": 64, "reduction": 2, "confirm": 1, "replicates": 1, "strata": (4, 16)}
STUDY = Study(
    name="batch_size",
    question="How large a batch should a line be fitted with?",
    family="line",
    space=space,
    stratify="batch",
    budget="samples",
    comparable=True,
    scales={"smoke": Scale(4, startup=1, **sizes), "laptop": Scale(8, startup=2, **sizes)},
)
