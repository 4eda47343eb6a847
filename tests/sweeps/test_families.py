"""A study that is asked of several families: which one, what it searches there, and what a resumed sweep keeps."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, ClassVar

import pytest

from leadline import Scale, Study, registry
from leadline.config import ConfigError
from leadline.engine import options
from leadline.engine.director import Assignment, Director
from leadline.ledger.history import Trial
from leadline.ledger.segments import Ledger
from leadline.ledger.settings import Settings
from leadline.storage import Folder
from sweeps.batch_size import STUDY as BATCH_SIZE
from sweeps.curriculum_length import STUDY as CURRICULUM
from sweeps.encoder import STUDY as ENCODER
from sweeps.lookahead import STUDY as LOOKAHEAD
from sweeps.plateau import STUDY as PLATEAU
from sweeps.sigma_bands import STUDY as SIGMA_BANDS
from sweeps.stages import STUDY as STAGES
from tests.leadline.engine.test_bad_input import main
from tests.leadline.engine.test_director import BASE
from tests.leadline.engine.test_director import Simulation as Toys
from tests.leadline.toy_study import STUDY as TOY
from tests.plugin.line.family import Line
from tests.plugin.line.study import STUDY as LINE

STUDIES = [LOOKAHEAD, BATCH_SIZE, CURRICULUM, SIGMA_BANDS, STAGES, ENCODER, PLATEAU]
ASKED = [(study, family) for study in STUDIES for family in study.families]


def settings_of(study: Study, *arguments: str) -> Settings:
    return options.settings(study, options.parse(study, arguments, ""))


def proposed(study: Study, settings: Settings) -> list[Trial]:
    """Every search trial of a sweep that trains none."""
    director = Director(settings, study.of(settings.family).space)
    director.opened({})
    while len(director.history.trials) < settings.trials and isinstance(found := director.next(), Assignment):
        director.started(found.trial, found.attempt)
    return list(director.history.trials.values())


@pytest.mark.parametrize(("study", "family"), ASKED, ids=lambda value: getattr(value, "name", value))
@pytest.mark.parametrize("scale", ["smoke", "laptop", "full"])
def test_every_scale_of_every_family_proposes_what_the_family_takes(study: Study, family: str, scale: str) -> None:
    settings = settings_of(study, "--family", family, "--scale", scale)
    assert settings.family == family
    assert settings.metric == (study.of(family).metric or registry.family(family).objective)
    assert settings.metric not in settings.beside
    assert settings.trials % len(settings.strata) == 0
    for trial in proposed(study, settings):
        assert trial.status == "running", trial.reason
        assert trial.params


@pytest.mark.parametrize(("study", "family"), [(CURRICULUM, "etrm"), (CURRICULUM, "arc_hrm"), (ENCODER, "etrm")])
def test_large_networks_on_grids_are_scored_on_many_boards(study: Study, family: str) -> None:
    small, large = (study.of(family).scales[scale].fields for scale in ("laptop", "full"))
    for split in ("validation_boards", "test_boards"):
        assert large[split] >= 1000 > small[split]


@pytest.mark.parametrize("study", STUDIES, ids=lambda study: study.name)
def test_the_first_family_is_the_default(study: Study) -> None:
    assert settings_of(study, "--scale", "smoke").family == study.families[0]
    assert study.of(None).family == study.family
    assert settings_of(study) == settings_of(study, "--family", study.family)


def test_strata_and_fields_are_those_of_the_family() -> None:
    for study, family, stratify in (
        (LOOKAHEAD, "trm", "halt_max_steps"),
        (LOOKAHEAD, "collatz", "lookahead"),
        (BATCH_SIZE, "hrm", "batch"),
    ):
        for trial in proposed(study, settings_of(study, "--family", family, "--scale", "smoke")):
            assert trial.config[stratify] == int(trial.stratum)
    arms = {
        trial.stratum: trial.config
        for trial in proposed(CURRICULUM, settings_of(CURRICULUM, "--family", "trm", "--scale", "smoke"))
    }
    assert arms["no noise"]["mode"] == "none"
    assert arms["full noise from the start"]["ramp"] == 0 < arms["ramp"]["ramp"]
    assert {config["mode"] for name, config in arms.items() if name != "no noise"} == {"single_perturbed_ce"}


@pytest.mark.parametrize("family", ["etrm", "arc_hrm"])
def test_grids_grow_slowly_fast_or_not(family: str) -> None:
    settings = settings_of(CURRICULUM, "--family", family, "--scale", "smoke")
    arms = {trial.stratum: trial.config for trial in proposed(CURRICULUM, settings)}
    assert {name: config["easy_first"] for name, config in arms.items()} == {
        "slow ramp": 1.0,
        "fast ramp": 0.25,
        "all from the start": 0.0,
    }
    assert {config["task"] for config in arms.values()} == {"rules"}


def test_cycles_are_searched_of_etrm_and_dealt_to_arc_hrm() -> None:
    for trial in proposed(LOOKAHEAD, settings_of(LOOKAHEAD, "--family", "etrm")):
        assert {"h_cycles", "l_cycles"} <= set(trial.params)
        assert trial.config["halt_max_steps"] == int(trial.stratum)
    for trial in proposed(LOOKAHEAD, settings_of(LOOKAHEAD, "--family", "arc_hrm")):
        assert trial.config["max_cycles"] == int(trial.stratum)
    batches = proposed(BATCH_SIZE, settings_of(BATCH_SIZE, "--family", "arc_hrm"))
    assert {trial.config["micro_batch"] for trial in batches} == {8}, "rows of a micro-batch stop together"


def test_a_budget_in_samples_counts_boards_trajectories_and_segments() -> None:
    settings = settings_of(
        BATCH_SIZE, "--family", "trm", "--scale", "smoke", "rollout=parallel_fixed", "mode=multi_perturbed_ce", "k=2"
    )
    for trial in proposed(BATCH_SIZE, settings):
        assert trial.config["steps"] * trial.config["batch"] * 2 * trial.config["halt_max_steps"] == settings.budget


@pytest.mark.parametrize(
    ("study", "family", "said"),
    [
        (
            SIGMA_BANDS,
            "collatz",
            "sigma_bands takes trm or hrm, not collatz: its network has no latent state that could be perturbed",
        ),
        (
            LOOKAHEAD,
            "scan",
            "lookahead takes collatz, arc_hrm, etrm, hrm, physics or trm, not scan: its networks read the whole "
            "command, so that there is nothing to look ahead to",
        ),
        (
            STAGES,
            "trm",
            "stages takes physics or scan, not trm: curriculum_length asks how slowly its hard rows or its noise enter",
        ),
        (SIGMA_BANDS, "trmm", "sigma_bands takes trm or hrm, not trmm: did you mean trm?"),
        (
            CURRICULUM,
            "bert",
            "curriculum_length takes collatz, arc_hrm, etrm, hrm, physics, scan or trm, not bert: curriculum_length "
            "has no search space for it",
        ),
        (LINE, "trm", "line takes line.family:LINE, not trm: line has no search space for it"),
    ],
)
def test_another_family_is_refused_in_a_line(
    study: Study, family: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(study, "", ["--family", family])
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"error: family: {said}\n"


def test_a_family_without_a_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(LOOKAHEAD, "", ["--family"])
    assert capsys.readouterr().err == "error: family: expected one argument\n"


@pytest.mark.parametrize(
    ("family", "field"), [("collatz", "lookahead=int"), ("trm", "mlp_t=bool"), ("hrm", "q_continue=bool")]
)
def test_help_shows_the_fields_and_sizes_of_the_family(
    family: str, field: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(LOOKAHEAD, "", ["--help", "--family", family])
    said = capsys.readouterr().out
    steps = LOOKAHEAD.of(family).scales["laptop"].budget
    assert f"fields of {family}:" in said
    assert field in said
    assert f"[{steps} optimizer steps]" in said
    assert "collatz, arc_hrm, etrm, hrm, physics, trm [collatz]" in " ".join(said.split())


def test_bad_fields_of_a_recursive_family_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    for word in ("sigma_max=-1", "k=0", "heads=3", "size=7", "lookahead=10", "batch=3000"):
        with pytest.raises(SystemExit) as ended:
            main(LOOKAHEAD, "", ["--family", "trm", word])
        said = capsys.readouterr().err
        assert ended.value.code == 2
        assert said.startswith(f"error: {word.split('=')[0]}: ")
        assert said.count("\n") == 1


class Answering(Line):
    """A family that answers the study toy, whose default is another."""

    studies: ClassVar[dict[str, str]] = {
        "toy": f"{__name__}:SMALL",
        "other": f"{__name__}:SMALL",
        "counted": f"{__name__}:SMALL",
        "lost": f"{__name__}:NOWHERE",
    }


ANSWERING = Answering()
SMALL = Study(
    name="toy",
    family=f"{__name__}:ANSWERING",
    space=lambda trial, scale: {"lr": trial.suggest_float("lr", 1e-3, 1.0, log=True)},
    stratify=None,
    scales={"laptop": Scale(4, budget=8, grace=4, reduction=2, confirm=0, replicates=1, strata=("all",))},
)


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    """The storage of a sweep of the toy family, interrupted."""
    ledger = Ledger(Folder.at(str(tmp_path / "done" / "ledger")))
    for event in Toys(BASE).run(40).events:
        ledger.append(event)
    ledger.close()
    return tmp_path


def test_a_resumed_sweep_keeps_its_family(begun: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(TOY, "", ["--storage", str(begun), "--resume", "done", "--concurrent", "1", "--dry-run"])
    said = capsys.readouterr()
    assert ended.value.code == 0, said.err
    assert "study       toy: family toy, minimise error" in said.out


def test_a_resumed_sweep_is_not_given_another_family(begun: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for study, arguments, said in (
        (TOY, ["--family", SMALL.family], f"family: done was begun with {TOY.family}; begin a new sweep to change it"),
        (SMALL, [], f"family: toy takes {SMALL.family}, not {TOY.family}: toy has no search space for it"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(study, "", ["--storage", str(begun), "--resume", "done", *arguments])
        assert ended.value.code == 2
        assert capsys.readouterr().err == f"error: {said}\n"


def test_a_family_answers_a_study_of_another_default() -> None:
    answer = TOY.of(SMALL.family)
    assert answer.space is SMALL.space
    assert answer.family == SMALL.family


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "other"}, "must be a Study called other that counts steps"),
        ({"budget": "samples"}, "must be a Study called toy that counts samples"),
        ({"name": "lost"}, "cannot load .*NOWHERE"),
    ],
)
def test_an_answer_to_another_question_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=f"^study: .*{said}"):
        dataclasses.replace(TOY, **change).of(SMALL.family)
