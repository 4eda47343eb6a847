"""Provenance: the code that a sweep runs, from which commits it is, and what of it no commit has.

Three parts matter: the study (the script and the module of the search space), the family (its
modules), and the framework. Of study and family these are the files that Python would load, as far
as `import` statements say, wherever they stand; installed packages count by their versions, but a
family that is installed counts with its own package.

`<sweep>/code/<hash>.json.gz` keeps what a manifest is too small for: the sha256 of every file, how
each differs from its commit, and the version of every installed package.
"""

from __future__ import annotations

import difflib
import functools
import gzip
import hashlib
import importlib.metadata
import json
import os
import sys
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leadline.engine.redaction import redacted
from leadline.engine.source_files import closure
from leadline.engine.working_tree import Tree, trees_of
from leadline.ledger.reader import READING_PATIENCE
from leadline.ledger.settings import Settings
from leadline.storage import Folder, patiently

__all__ = ["Code", "code_of", "differences", "kept"]

LARGEST = 2**20
"""Bytes of a file above which its difference is not kept."""
NAMED = 3
"""The number of files, or of packages, that a difference names; the rest are counted."""


@dataclass(frozen=True)
class Code:
    """The code of a sweep as it was found on disk.

    Attributes:
        parts: `commit`, `dirty` and `fingerprint` of each part. The commit is that of the part's
            first module, dirty says whether any file differs from its own commit; both are None
            where the first module is in no commit. The fingerprint is None where no file was found.
        archive: what is kept beside the ledger.
    """

    parts: dict[str, dict[str, Any]]
    archive: dict[str, Any]

    @functools.cached_property
    def _content(self) -> bytes:
        return json.dumps(self.archive, sort_keys=True).encode()

    @property
    def file(self) -> str:
        """The name of the archive below the sweep's folder, by the hash of its content."""
        return f"code/{hashlib.sha256(self._content).hexdigest()[:32]}.json.gz"

    def changed(self, part: str, manifest: Mapping[str, Any]) -> bool:
        """Whether a part is another than a manifest says, or may be, as it says too little."""
        known = manifest.get("code", {}).get(part, {}).get("fingerprint")
        return known is None or known != self.parts[part]["fingerprint"]

    def keep(self, folder: Folder, patience: float, say: Callable[[str], None]) -> None:
        """Writes the archive below the sweep's folder, if it is not there yet.

        Args:
            folder: the sweep's folder.
            patience: seconds for which a storage that refuses is waited for.
            say: told where it is.

        Raises:
            StorageError: if the storage has not taken it then.
        """
        content = gzip.compress(self._content, mtime=0)

        def write() -> None:
            if not folder.exists(self.file):
                folder.write(self.file, content)

        patiently(write, folder, seconds=patience, say=say)


def code_of(space: Callable[..., Any], settings: Settings) -> Code:
    """The code of a sweep, from the files as they are now; nothing is imported for it.

    Args:
        space: the search space.
        settings: what was asked for, for the family.
    """
    family = settings.model_family()
    place = settings.family_place.partition(":")[0]
    families = closure([place, type(family).__module__, family.Config.__module__])
    package = Path(__file__).resolve().parents[1]
    files = {
        "study": closure(["__main__", getattr(space, "__module__", "")], without=families.values()),
        "family": families,
        "framework": {
            f"leadline/{path.relative_to(package).as_posix()}": path for path in sorted(package.rglob("*.py"))
        },
    }
    trees = trees_of(path for part in files.values() for path in part.values())
    parts, entries = {}, {}
    for part, found in files.items():
        # Of the framework nothing is kept where its commit is not known, as in a wheel: its
        # version and fingerprint say enough, and it is large.
        entries[part] = _entries(found, trees, whole=part != "framework")
        commit = next((entry.get("commit") for entry in entries[part].values()), None)
        dirty = any("difference" in entry or "left_out" in entry for entry in entries[part].values())
        names = "".join(f"{name}\0{entry['sha256']}\n" for name, entry in sorted(entries[part].items()))
        parts[part] = {
            "commit": commit,
            "dirty": dirty if commit else None,
            "fingerprint": hashlib.sha256(names.encode()).hexdigest() if names else None,
        }
    return Code(parts, {"parts": entries, "packages": _packages()})


def kept(folder: Folder, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The archive that a manifest names; empty where there is none that can be read."""
    name = manifest.get("code_file", "")
    try:
        content = patiently(lambda: folder.read(name), f"{folder}/{name}", seconds=READING_PATIENCE) if name else b""
        found = json.loads(gzip.decompress(content))
    except (OSError, EOFError, ValueError, zlib.error):
        return {}
    return found if isinstance(found, dict) else {}


def differences(
    before: Mapping[str, Any], now: Mapping[str, Any], was: Mapping[str, Any], is_now: Mapping[str, Any]
) -> list[str]:
    """What of the code differs between two runs, in words, an entry for each part.

    Args:
        before: the manifest of the earlier run. One without fingerprints names the commit of the
            framework alone.
        now: the manifest of the later run.
        was: the archive of the earlier run; empty if it is not known.
        is_now: the archive of the later run.
    """
    old, found = before.get("code") or {"framework": before}, []
    for part, new in now.get("code", {}).items():
        known = old.get(part, {})
        if "fingerprint" in known:
            same = known["fingerprint"] == new["fingerprint"]
        else:  # where no commit was recorded either, nothing is known of the earlier code
            same = not known.get("commit") or (known["commit"] == new["commit"] and not new["dirty"])
        if not same:
            files = _unlike(was.get("parts", {}).get(part), is_now.get("parts", {}).get(part))
            found.append(f"the {part}'s code differs{files} (was {_commit(known)}, now {_commit(new)})")
    told = now.get("versions", {})
    packages = {name: version for name, version in is_now.get("packages", {}).items() if name not in told}
    earlier = {name: version for name, version in was.get("packages", packages).items() if name not in told}
    changed = [
        f"{name} was {earlier.get(name, 'not there')}, now {packages.get(name, 'gone')}"
        for name in sorted({*earlier, *packages})
        if earlier.get(name) != packages.get(name)
    ]
    return [*found, *([f"other packages: {_some(changed)}"] if changed else [])]


def _unlike(was: Mapping[str, Any] | None, now: Mapping[str, Any] | None) -> str:
    if was is None or now is None:
        return ""
    hashes = [{name: entry["sha256"] for name, entry in files.items()} for files in (was, now)]
    return f": {_some([name for name in sorted({*was, *now}) if hashes[0].get(name) != hashes[1].get(name)])}"


def _some(words: list[str]) -> str:
    more = len(words) - NAMED
    return f"{', '.join(words[:NAMED])}{f' and {more} more' if more > 0 else ''}"


def _commit(part: Mapping[str, Any]) -> str:
    if not part.get("commit"):
        return "in no commit"
    return f"commit {part['commit'][:12]}{' with changes' if part.get('dirty') else ''}"


def _entries(files: Mapping[str, Path], trees: Mapping[Path, Tree], whole: bool) -> dict[str, dict[str, Any]]:
    """What is kept of each file.

    Args:
        files: the files by name.
        trees: the tree of each file.
        whole: whether all of a file is kept whose commit is not known; else nothing.
    """
    known = {path for path in files.values() if path in trees and trees[path].commit}
    differing = {path for path in files.values() if (trees[path].differs(path) if path in known else whole)}
    committed: dict[Path, bytes] = {}
    for tree in {trees[path] for path in differing & known}:
        committed |= tree.committed(path for path in differing & known if trees[path] == tree)
    entries: dict[str, dict[str, Any]] = {}
    for name, path in files.items():
        try:
            content = path.read_bytes()
        except OSError:  # it was removed meanwhile
            continue
        entries[name] = {"sha256": hashlib.sha256(content).hexdigest()}
        if path in known:
            entries[name]["commit"] = trees[path].commit
        if path in differing:
            entries[name] |= _difference(name, committed.get(path, b""), content)
    return entries


def _difference(name: str, before: bytes, now: bytes) -> dict[str, str]:
    if max(len(before), len(now)) > LARGEST:
        return {"left_out": f"larger than {LARGEST} bytes"}
    try:
        old, new = (redacted(content.decode("utf-8-sig", "replace")).splitlines() for content in (before, now))
    except (SyntaxError, ValueError, RecursionError):
        return {"left_out": "not Python that can be searched for secrets"}
    source = f"a/{name}" if before else os.devnull
    return {"difference": "\n".join(difflib.unified_diff(old, new, source, f"b/{name}", lineterm=""))}


def _packages() -> dict[str, str]:
    """The version of every installed package, the first found on the path where there are several.

    Name and version are those of the metadata's folder: to read all metadata takes a second.
    """
    found: dict[str, str] = {}
    for entry in dict.fromkeys(sys.path):
        try:
            names = sorted(os.listdir(entry or "."))
        except OSError:
            continue
        for name in names:
            stem, _, kind = name.rpartition(".")
            package, _, version = stem.partition("-")
            if kind == "egg-info":  # its name need not hold the version
                version = importlib.metadata.PathDistribution(Path(entry, name)).version or "unknown"
            if kind in ("dist-info", "egg-info"):
                found.setdefault(package.lower().replace("_", "-"), version)
    return dict(sorted(found.items()))
