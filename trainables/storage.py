"""Folders on any storage that pyarrow reaches: local disk, mounts, `s3://`, `gs://`.

A file appears whole or not at all: locally through a synced temporary file, on object stores because an object is
published when its stream is closed. `pyarrow.fs.copy_files` is not used: it can drop an upload without an error.
"""

from __future__ import annotations

import os
import re
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyarrow import fs

from trainables.config import ConfigError

__all__ = ["TEMPORARY", "Folder"]

TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}")
"""Names of the files that a local write fills before it renames them; one that stays was left by a write that was cut off."""

_SCHEMES = ("abfs", "abfss", "file", "gcs", "gs", "hdfs", "s3", "viewfs")

# Trailing checksums, the default of recent AWS SDKs, are refused by most other S3 servers. Read when S3 is initialised.
os.environ.setdefault("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")


@dataclass(frozen=True)
class Folder:
    """A folder; `path` is absolute on its file system, `uri` names it to other processes. It exists once it holds a file."""

    files: Any
    path: str
    uri: str

    @staticmethod
    def at(uri: str) -> Folder:
        """The folder at a local path or a URI.

        Raises:
            ConfigError: if the URI is not understood, has one slash for two, or carries a secret.
        """
        if "://" not in uri:
            _refuse_one_slash(uri)
            path = str(Path(uri).absolute())
            return Folder(fs.LocalFileSystem(), path, path)
        if "@" in uri.split("://", 1)[1].split("/", 1)[0]:
            raise ConfigError("storage: credentials belong in the environment, not in the URI")
        try:
            files, path = fs.FileSystem.from_uri(uri)
        except (ValueError, OSError) as error:
            raise ConfigError(f"storage: cannot use {uri.partition('?')[0]}: {error}") from None
        return Folder(files, path.rstrip("/"), uri)

    @property
    def local(self) -> bool:
        """Whether the folder is on a file system of this machine."""
        return isinstance(self.files, fs.LocalFileSystem)

    def __truediv__(self, name: str) -> Folder:
        base, mark, options = self._parted()
        return Folder(self.files, f"{self.path}/{name}", f"{base.rstrip('/')}/{name}{mark}{options}")

    def __str__(self) -> str:
        return self._parted()[0]

    def _parted(self) -> tuple[str, str, str]:
        """The URI without its options, `?`, the options; a local path has none, whatever it is called."""
        return self.uri.partition("?") if "://" in self.uri else (self.uri, "", "")

    def write(self, name: str, content: bytes, *, exclusive: bool = False) -> None:
        """Publishes a file.

        Args:
            exclusive: refuse to replace an existing file; atomic on local disks, a check before writing elsewhere.

        Raises:
            FileExistsError: if `exclusive` and the file exists.
            OSError: if the storage refuses.
        """
        target = f"{self.path}/{name}"
        if self.local:
            _write_local(Path(target), content, exclusive)
            return
        if exclusive and self.exists(name):
            raise FileExistsError(target)
        with self.files.open_output_stream(target) as stream:
            stream.write(content)

    def read(self, name: str) -> bytes:
        """The content of a file.

        Raises:
            FileNotFoundError: if there is none.
        """
        with self.files.open_input_stream(f"{self.path}/{name}") as stream:
            return bytes(stream.readall())

    def exists(self, name: str = "") -> bool:
        """Whether a file, or a folder with something in it, is there."""
        target = f"{self.path}/{name}".rstrip("/")
        return bool(self.files.get_file_info(target).type != fs.FileType.NotFound)

    def sizes(self, *, recursive: bool = False, hidden: bool = False) -> dict[str, int]:
        """Files below the folder: relative name to size in bytes; `hidden`: also those whose name begins with a dot.

        Empty where the folder does not exist.
        """
        found = self.files.get_file_info(fs.FileSelector(self.path, recursive=recursive, allow_not_found=True))
        files = [info for info in found if info.is_file and (hidden or not info.base_name.startswith("."))]
        return {info.path[len(self.path) + 1 :]: info.size for info in files}

    def folders(self) -> list[str]:
        """Names of the folders directly below, sorted."""
        found = self.files.get_file_info(fs.FileSelector(self.path, allow_not_found=True))
        return sorted(info.base_name for info in found if info.type == fs.FileType.Directory)

    def delete(self) -> None:
        """Removes the folder and all below it; nothing happens where it does not exist."""
        if self.exists():
            self.files.delete_dir(self.path)


def _refuse_one_slash(path: str) -> None:
    """A local folder may be called `s3:`, but who writes `s3:/bucket` means another one; `./s3:/bucket` is that folder."""
    scheme, mark, rest = path.partition(":/")
    if mark and scheme in _SCHEMES:
        rest = re.sub(r"^[^/]*@", "", rest).partition("?")[0]  # without what may be secret
        slashes = "///" if scheme == "file" else "//"
        raise ConfigError(f"storage: {scheme}:/{rest} has one slash; write {scheme}:{slashes}{rest}")


def _write_local(target: Path, content: bytes, exclusive: bool) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
    try:
        with open(temporary, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        if exclusive:
            os.link(temporary, target)
        else:
            os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    directory = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
