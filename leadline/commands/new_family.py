"""`leadline new family NAME`: begins a family with files that work, and whose tests pass, to be
changed.

In a checkout of the laboratory, where trainables/ has its list of families, the family gets its
folders and its line there; anywhere else, a folder of its own:

    leadline new family pendulum
"""

from __future__ import annotations

import argparse
import importlib.util
import keyword
import re
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from leadline import registry
from leadline.command_line import Command, local_path
from leadline.config import ConfigError

__all__ = ["NEW", "files"]

LIST = Path("trainables/__init__.py")
"""The file with the laboratory's list of families."""
END_OF_LIST = "\n}\n"
"""The text that ends that list."""


def files(name: str, laboratory: bool) -> dict[str, str]:
    """Returns the contents of the files to be written, by path.

    They are the family, its answer to a study, and its tests.

    Args:
        name: the family's name, a Python identifier in small letters.
        laboratory: whether it is written into the laboratory's folders.
    """
    module = f"trainables.{name}.family" if laboratory else name
    camel = "".join(part.capitalize() for part in name.split("_"))
    study = "batch_size" if laboratory else f"{name}_batch_size"
    answer = f"search_spaces.batch_size.{name}:STUDY"
    script = "sweeps/batch_size.py" if laboratory else f"{name}_study.py"
    test_file = f"tests/trainables/{name}" if laboratory else f"test_{name}.py"
    family = f" --family {name}" if laboratory else ""
    sweep = f"python {script}{family} --scale smoke"
    question = (
        f"How {name} answers the study batch_size." if laboratory else f"Which batch fits {name} best?\n\n{sweep}\n"
    )
    contract = "from leadline.testing import FamilyContract"
    imported = f"from {module} import {name.upper()}"
    values = {
        "name": name,
        "NAME": name.upper(),
        "Class": camel,
        "title": name.replace("_", " ").capitalize(),
        "module": module,
        "dotted": name if laboratory else f"{name}:{name.upper()}",
        "reference": name if laboratory else f"{name}:{name.upper()}",
        "studies": f'{{"batch_size": "{answer}"}}' if laboratory else "{}",
        "study": study,
        "docstring": question,
        "script": not laboratory,
        "sweep_command": sweep,
        "test_file": test_file,
        # Sorted as ruff wants it: in the laboratory, framework and family are one project.
        "imports": f"{contract}\n{imported}" if laboratory else f"{contract}\n\n{imported}",
    }
    environment = Environment(
        loader=PackageLoader("leadline"), undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True
    )

    def text(template: str) -> str:
        """A template with all values filled in."""
        return environment.get_template(f"{template}.jinja").render(values)

    family_file = f"{module.replace('.', '/')}.py"
    study_file = f"search_spaces/batch_size/{name}.py" if laboratory else script
    found = {family_file: text("family.py"), study_file: text("study.py")}
    if not laboratory:
        return {**found, test_file: text("test.py")}
    title = f'"""{values["title"]}."""\n'
    return {
        **found,
        f"trainables/{name}/__init__.py": title,
        f"{test_file}/__init__.py": "",
        f"{test_file}/test_{name}.py": text("test.py"),
    }


def _arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("what", choices=("family",), help="what to begin")
    parser.add_argument("name", metavar="NAME", help="its name: small letters, digits and underscores")
    parser.add_argument(
        "--to", type=local_path, metavar="FOLDER", help="the laboratory's checkout, or a new folder [here, or ./NAME]"
    )


def _new(given: argparse.Namespace) -> None:
    """Writes the files of a new family, none of which may exist, and says what to try."""
    name = given.name
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise ConfigError(f"name: must be small letters, digits and underscores, such as pendulum (got {name!r})")
    here: Path = given.to or Path()
    laboratory = (here / LIST).is_file() and "FAMILIES" in (here / LIST).read_text()
    if laboratory and name in registry.names():
        raise ConfigError(f"name: there is a family {name} already, {registry.target(name)}")
    if laboratory and END_OF_LIST not in (here / LIST).read_text():
        raise ConfigError(f"name: {here / LIST} has no FAMILIES whose last line is a brace, to add a line to")
    if not laboratory and importlib.util.find_spec(name) is not None:
        raise ConfigError(f"name: {name} is a module that is installed, which the file {name}.py would hide")
    root = here if laboratory or given.to else Path(name)
    wanted = files(name, laboratory)
    # All paths are looked at before the first file is written: a refusal leaves nothing behind.
    for path in wanted:
        if (root / path).exists():
            raise ConfigError(f"name: {root / path} exists; choose another name, or another --to")
    for path, text in wanted.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
        print(f"wrote {root / path}")
    if laboratory:
        _add_line(here / LIST, name)
    _say_what_next(name, root, laboratory)


def _add_line(path: Path, name: str) -> None:
    """Adds the family to the laboratory's list."""
    before, end, after = path.read_text().partition(END_OF_LIST)
    path.write_text(f'{before}\n    "{name}": "trainables.{name}.family:{name.upper()}",{end}{after}')
    print(f"added a line to {path}")


def _say_what_next(name: str, root: Path, laboratory: bool) -> None:
    """Prints the commands that train, test and sweep the new family."""
    go = "" if root == Path() else f"cd {root} && "
    family = name if laboratory else f"{name}:{name.upper()}"
    test = f"tests/trainables/{name}" if laboratory else f"test_{name}.py"
    sweep = f"sweeps/batch_size.py --family {name}" if laboratory else f"{name}_study.py"
    print("next:")
    print(f"    {go}python -m leadline train {family}          # one configuration, in seconds")
    print(f"    {go}python -m pytest -p no:cacheprovider {test}    # the contract suite, about a minute")
    print(f"    {go}python {sweep} --scale smoke          # a sweep with report, about a minute")


NEW = Command("begins a family: working files, with tests, to change", _arguments, _new, __doc__ or "")
