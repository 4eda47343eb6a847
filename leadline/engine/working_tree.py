"""The commit that files are of, and which of them differ from it.

Git is asked where the files lie. A job on a cluster comes without its repository: the submitter
hands on what git said.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from leadline.engine.source_files import installed, script

__all__ = ["HANDED_ON", "Tree", "handed_on", "trees_of"]

HANDED_ON = "LEADLINE_CODE"
"""The environment variable that tells a submitted job of which commit the folder is that was sent,
and which files there differ from it."""
LONGEST = 100_000
"""Characters of `HANDED_ON` above which all files count as changed; Linux takes 128 KiB."""
GIT_SECONDS = 10.0
"""How long git may take for one answer."""


@dataclass(frozen=True)
class Tree:
    """A folder under version control.

    Attributes:
        root: the folder.
        commit: the commit that is checked out; None where there is none, or git does not say.
        changed: the files that differ from it, and folders of which nothing is in it, by their
            paths below the root; None where they are not known.
        stored: whether the repository is here.
    """

    root: Path
    commit: str | None
    changed: frozenset[str] | None
    stored: bool = True

    def differs(self, path: Path) -> bool:
        """Whether a file differs from the commit, or is not in it."""
        if self.commit is None or self.changed is None:
            return True
        if not self.changed:
            return False
        name = path.relative_to(self.root)
        return not self.changed.isdisjoint(part.as_posix() for part in (name, *name.parents))

    def committed(self, paths: Iterable[Path]) -> dict[Path, bytes]:
        """The contents of files at the commit, as far as it has them."""
        wanted = list(paths)
        if not (self.stored and self.commit and wanted):
            return {}
        names = "".join(f"{self.commit}:{path.relative_to(self.root).as_posix()}\n" for path in wanted)
        rest, found = _git(self.root, "cat-file", "--batch", given=names.encode()) or b"", {}
        for path in wanted:
            head, _, rest = rest.partition(b"\n")
            if head.count(b" ") == 2 and b" blob " in head:
                size = int(head.rpartition(b" ")[2])
                found[path], rest = rest[:size], rest[size + 1 :]
        return found


def trees_of(paths: Iterable[Path]) -> dict[Path, Tree]:
    """The tree in which each file lies; installed files lie in none."""
    sent = _sent()
    roots: dict[Path, list[Path]] = {}
    trees: dict[Path, Tree] = {}
    repository = functools.cache(_repository)
    for path in paths:
        if sent and path.is_relative_to(sent.root):
            trees[path] = sent
        elif not installed(path) and (root := repository(path.parent)):
            roots.setdefault(root, []).append(path)
    for root, files in roots.items():
        tree = _status(root, [str(path.relative_to(root)) for path in files], "--ignored=matching")
        trees |= dict.fromkeys(files, tree)
    return trees


def _repository(folder: Path) -> Path | None:
    return next((place for place in (folder, *folder.parents) if (place / ".git").exists()), None)


def _status(root: Path, names: Iterable[str], *options: str) -> Tree:
    """The repository at `root`, as far as these of its files are concerned."""
    form = ("--porcelain=v2", "--branch", "-z", "--no-renames", "--untracked-files=all")
    said = _git(root, "--literal-pathspecs", "status", *form, *options, "--", *names)
    commit, changed = "", set()
    for record in (said or b"").decode(errors="surrogateescape").split("\0"):
        if record.startswith("# branch.oid "):
            commit = record.rpartition(" ")[2]
        elif record and record[0] in "1u?!":
            fields = {"1": 8, "u": 10}.get(record[0], 1)
            changed.add(record.split(" ", fields)[fields].rstrip("/"))
    return Tree(root, None if commit in ("", "(initial)") else commit, frozenset(changed))


def _git(folder: Path, *arguments: str, given: bytes | None = None) -> bytes | None:
    # A hook of git runs with variables that name its own repository, which is not asked here.
    redirects = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")
    environment = {name: value for name, value in os.environ.items() if name not in redirects}
    try:
        return subprocess.run(
            ["git", *arguments],
            cwd=folder,
            env={**environment, "GIT_OPTIONAL_LOCKS": "0"},
            input=given or b"",
            capture_output=True,
            timeout=GIT_SECONDS,
            check=True,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None


def handed_on(root: Path, name: str) -> str:
    """The value of `HANDED_ON` for a job: the commit of the folder that is sent, and what differs.

    It is of the whole folder, since the family of a sweep that is resumed is known from its ledger
    alone.

    Args:
        root: the folder.
        name: the path of the script below it, by which the job finds the folder where it runs.
    """
    top = _repository(root)
    if top is None:
        return json.dumps({"script": name, "commit": None, "changed": []})
    tree = _status(top, [str(root.relative_to(top))])
    changed = [
        path.relative_to(root).as_posix()
        for path in (top / name for name in sorted(tree.changed or ()))
        if path.is_relative_to(root) and (path.suffix == ".py" or path.is_dir())
    ]
    found = {"script": name, "commit": tree.commit, "changed": changed}
    return text if len(text := json.dumps(found)) <= LONGEST else json.dumps({**found, "changed": None})


def _sent() -> Tree | None:
    """The folder that was sent with this job; None in a process that is no job."""
    given = json.loads(os.environ.get(HANDED_ON) or "{}")
    started = script()
    if not given or started is None:
        return None
    changed = given["changed"]
    root = started.parents[given["script"].count("/")]
    return Tree(root, given["commit"], None if changed is None else frozenset(changed), stored=False)
