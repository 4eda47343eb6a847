"""Folders on any storage that pyarrow reaches: local disk, mounts, `s3://`, `gs://`.

A file appears whole or not at all: locally through a synced temporary file, on object stores
because an object is published when its stream is closed. `pyarrow.fs.copy_files` is not used: it
can drop an upload without an error.

Storage may fail. Where a `Folder` raises or does not return, `patiently` waits for a limited time.
"""

from __future__ import annotations

import atexit
import configparser
import contextlib
import faulthandler
import os
import queue
import re
import sys
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NoReturn, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit, urlunsplit

from pyarrow import fs

from leadline.config import ConfigError
from leadline.standard_streams import flush

__all__ = ["PATIENCE", "TEMPORARY", "Folder", "StorageError", "leave", "patiently", "reconnect_where_refused"]

PATIENCE = 120.0
"""Seconds for which a store that refuses or does not answer is waited for."""
TRY_SECONDS = 30.0
"""Seconds of silence after which another try is made beside the first.

pyarrow itself may wait minutes for a frozen server.
"""
SLOWEST = 5e6
"""Bytes per second that a store must take or give; a slower one counts as silent."""
PAUSES = 0.25, 8.0
"""Seconds before the second try, and at most before a later one; pauses double."""
EXIT_SECONDS = 5.0
"""Seconds for which the end of the process waits for requests that nobody answers."""

TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}")
"""Names of the files that a local write fills before it renames them.

One that stays was left by a write that was cut off.
"""

_SECRET = re.compile("secret|password|token|credential|access_key|account_key|sas", re.IGNORECASE)
_SCHEMES = ("abfs", "abfss", "file", "gcs", "gs", "hdfs", "s3", "viewfs")

# Answers rather than failures: waiting changes nothing about them.
_ANSWERS = (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError)

_REFUSED = re.compile(
    r"ACCESS_DENIED|INVALID_ACCESS_KEY|INVALID_CLIENT_TOKEN|EXPIRED|SIGNATURE|HTTP status 40[13]", re.IGNORECASE
)
"""Words by which S3 says that it does not, or no longer, take the credentials."""
_LOCAL = fs.LocalFileSystem()
_CONNECTED: dict[str, tuple[Any, str]] = {}
"""File systems by scheme, bucket and options, each with the path of its bucket.

A file system reads its credentials when it is made, and again from their file every five minutes.
"""

_Found = TypeVar("_Found")
_OPEN: set[Future[Any]] = set()
"""Tries of `patiently` that have not returned yet."""

# Trailing checksums, the default of recent AWS SDKs, are refused by most other S3 servers. The
# variable is read when S3 is initialised.
os.environ.setdefault("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")


def _has_keys() -> bool:
    """Whether keys for S3 are in the environment, or in the chosen profile of their file."""
    if os.environ.get("AWS_ACCESS_KEY_ID") and os.environ.get("AWS_SECRET_ACCESS_KEY"):
        return True
    file = configparser.RawConfigParser(strict=False)
    with contextlib.suppress(configparser.Error, OSError, RuntimeError, UnicodeDecodeError):
        file.read(os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or Path("~/.aws/credentials").expanduser())
    profile = os.environ.get("AWS_DEFAULT_PROFILE") or os.environ.get("AWS_PROFILE") or "default"
    return all(file.get(profile, name, fallback="") for name in ("aws_access_key_id", "aws_secret_access_key"))


class StorageError(OSError):
    """The storage refused something, or did not answer, until the deadline.

    The message says what, for how long, and the last cause.
    """


@dataclass(frozen=True)
class Folder:
    """A folder on some storage. It exists once it holds a file.

    Attributes:
        path: its path on its file system, from the root.
        uri: its local path or URI, by which other processes find it.
    """

    path: str
    uri: str

    @staticmethod
    def at(uri: str) -> Folder:
        """The folder at a local path or a URI.

        `~` at the start of a local path is the home folder, also where no shell has expanded it, as
        in `--storage=~/results`.

        Raises:
            ConfigError: if the URI is not understood, has one slash for two, or carries a secret.
        """
        if "://" not in uri:
            _refuse_one_slash(uri)
            try:
                path = str(Path(uri).expanduser().absolute())
            except RuntimeError:  # of ~name, where there is no such user
                raise ConfigError(f"storage: there is no home folder for {uri}") from None
            return Folder(path, path)
        if "@" in uri.split("://", 1)[1].split("/", 1)[0]:
            raise ConfigError("storage: credentials belong in the environment, not in the URI")
        for name in parse_qs(uri.partition("?")[2], keep_blank_values=True):
            if _SECRET.search(name):
                raise ConfigError(f"storage: {name}: credentials belong in the environment, not in the URI")
        root = shown = uri.partition("?")[0]
        try:
            root = _root(uri)
            _, base = _connected(uri)
        except (ValueError, OSError) as error:
            raise ConfigError(
                f"storage: cannot use {shown}: {str(error).replace(root, root.partition('?')[0])}"
            ) from None
        path = base + unquote(urlsplit(uri).path).rstrip("/")
        return Folder(path.lstrip("/") if uri.startswith("abfs") else path, uri)

    @property
    def files(self) -> Any:
        """The folder's file system, of pyarrow; all folders of a bucket share one."""
        if "://" not in self.uri:
            return _LOCAL
        return _connected(self.uri)[0]

    @property
    def local(self) -> bool:
        """Whether the folder is on a file system of this machine."""
        return "://" not in self.uri or self.uri.startswith("file:")

    def holds(self, other: Folder) -> bool:
        """Whether another folder is this one, or lies below it, as far as their names tell."""
        if self.local and other.local:
            return Path(os.path.realpath(other.path)).is_relative_to(os.path.realpath(self.path))
        same = not (self.local or other.local) and _root(self.uri) == _root(other.uri)
        return same and f"{other.path}/".startswith(f"{self.path}/")

    def __truediv__(self, name: str) -> Folder:
        """The folder `name` below this one."""
        base, mark, options = self._parted()
        return Folder(f"{self.path}/{name}", f"{base.rstrip('/')}/{name}{mark}{options}")

    @property
    def above(self) -> Folder:
        """The folder in which this one lies."""
        base, mark, options = self._parted()
        above = base.rstrip("/").rpartition("/")[0]
        return Folder(self.path.rstrip("/").rpartition("/")[0], f"{above}{mark}{options}")

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.path.rstrip("/").rpartition("/")[2]

    def __str__(self) -> str:
        return self._parted()[0]

    def _parted(self) -> tuple[str, str, str]:
        """Splits the URI at the `?` before its options; a local path has none, even with a `?`."""
        return self.uri.partition("?") if "://" in self.uri else (self.uri, "", "")

    def write(self, name: str, content: bytes, *, exclusive: bool = False) -> None:
        """Publishes a file: others see all of it, or none.

        Args:
            name: the file's name, which may contain folders.
            content: what it will hold.
            exclusive: whether to refuse to replace an existing file. That is atomic on local disks;
                elsewhere it is a check before writing.

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
            OSError: if the storage refuses, or gives less than there is.
        """
        with self.files.open_input_file(f"{self.path}/{name}") as stream:
            size = stream.size()
            content = bytes(stream.read(size))  # in one request; an input stream would make many
        if len(content) < size:
            raise OSError(f"{self}/{name}: {len(content)} of {size} bytes came")
        return content

    def exists(self, name: str = "") -> bool:
        """Whether a file, or a folder with something in it, is there."""
        target = f"{self.path}/{name}".rstrip("/")
        return bool(self.files.get_file_info(target).type != fs.FileType.NotFound)

    def sizes(self, *, recursive: bool = False, hidden: bool = False) -> dict[str, int]:
        """Sizes in bytes of the files below the folder, by relative name.

        Nothing is below a folder that does not exist.

        Args:
            recursive: whether files in folders below are among them.
            hidden: whether files whose name begins with a dot are among them.
        """
        files = [
            info
            for info in self._infos(recursive=recursive)
            if info.is_file and (hidden or not info.base_name.startswith("."))
        ]
        return {info.path[len(self.path) + 1 :]: info.size for info in files}

    def folders(self) -> list[str]:
        """Names of the folders directly below, sorted."""
        return sorted(info.base_name for info in self._infos(recursive=False) if info.type == fs.FileType.Directory)

    def _infos(self, *, recursive: bool) -> list[fs.FileInfo]:
        """Lists what is below the folder; nothing where it does not exist."""
        selector = fs.FileSelector(self.path, recursive=recursive, allow_not_found=True)
        try:
            return self.files.get_file_info(selector)  # type: ignore[no-any-return]
        except FileNotFoundError:
            # The folder came into being after pyarrow had not found it, and before pyarrow asked
            # whether it is there.
            return self.files.get_file_info(selector)  # type: ignore[no-any-return]

    def delete(self) -> None:
        """Removes the folder and all below it; nothing happens where it does not exist."""
        with contextlib.suppress(FileNotFoundError):  # another may remove it at the same time
            if self.exists():
                self.files.delete_dir(self.path)


def _connected(uri: str) -> tuple[Any, str]:
    """The file system of a bucket, and the bucket's path on it.

    To connect may take seconds, so that it is done once for each bucket.
    """
    root = _root(uri)
    found = _CONNECTED.get(root)  # another thread may clear them
    if found is None:
        # Without this the SDK asks Amazon's metadata service whenever it connects, which takes 4 to
        # 14 s wherever packets to that service are dropped.
        if root.startswith("s3:") and _has_keys():
            os.environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")
        files, base = fs.FileSystem.from_uri(root)
        found = _CONNECTED[root] = files, base.rstrip("/")
    return found


def _root(uri: str) -> str:
    """The URI of the bucket: the part for which a file system of its own is needed."""
    parts = urlsplit(_one_request(uri))
    return urlunsplit((parts.scheme, parts.netloc, "" if parts.netloc else "/", parts.query, ""))


def _refuse_one_slash(path: str) -> None:
    """Refuses `s3:/bucket`, whose writer means `s3://bucket`.

    A local folder may be called `s3:`; it is written `./s3:/bucket`.
    """
    scheme, mark, rest = path.partition(":/")
    if mark and scheme in _SCHEMES:
        rest = re.sub(r"^[^/]*@", "", rest).partition("?")[0]  # without what may be secret
        slashes = "///" if scheme == "file" else "//"
        raise ConfigError(f"storage: {scheme}:/{rest} has one slash; write {scheme}:{slashes}{rest}")


def _one_request(uri: str) -> str:
    """The URI with the option by which pyarrow stores a small file in one request to S3.

    Without it, it takes the three of a multipart upload.
    """
    option = "allow_delayed_open"
    if not uri.startswith("s3://") or f"{option}=" in uri:
        return uri
    mark = "&" if "?" in uri else "?"
    return f"{uri}{mark}{option}=true"


def _write_local(target: Path, content: bytes, exclusive: bool) -> None:
    """Writes a local file through a temporary one; the file and its folder are synced to disk."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
    try:
        with open(temporary, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        if exclusive:
            # A link, unlike a rename, fails where the name is taken.
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


def reconnect_where_refused(error: OSError) -> None:
    """Forgets all connections if S3 refused the credentials, which may since have been renewed."""
    if _REFUSED.search(str(error)):
        _CONNECTED.clear()


def patiently(
    action: Callable[[], _Found],
    what: object,
    *,
    seconds: float = PATIENCE,
    try_seconds: float = TRY_SECONDS,
    size: int = 0,
    alive: Callable[[], None] = lambda: None,
    say: Callable[[str], None] = lambda text: None,
) -> _Found:
    """Tries an action until it succeeds, also where it raises OSError or does not return.

    A try that does not return is left to itself beside the next one, and may still do its work,
    even after this function has returned or raised. The action must bear that: it writes the same
    bytes under the same name each time, or removes what nobody writes again. What is found by one
    try is what another would have found. A file that was written with `exclusive` may be there
    because an earlier try has written it: whoever gets a FileExistsError looks at its content.

    Args:
        action: what to do with the storage.
        what: the folder or file that it is about, for messages; a `Folder` shows no options of its
            URI.
        seconds: how long to wait in all.
        try_seconds: how long to wait for one try.
        size: bytes that the action moves; at `SLOWEST` they are added to both times.
        alive: called about once a second while this waits.
        say: told once when the storage does not do it at once, and once when it has done it after
            all.

    Returns:
        What the action returned.

    Raises:
        StorageError: if the action has not succeeded after `seconds`.
        FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError: at once, as the
            action raised them.
        Exception: at once, anything but an OSError that the action raises.
    """
    begun = time.monotonic()
    allowed = size / SLOWEST
    until = begun + seconds + allowed
    pause, longest = PAUSES
    said = False
    tries = _Tries(action)
    cause: OSError | None = None
    while True:
        last = tries.start()
        limit = min(until, time.monotonic() + try_seconds + allowed)
        # Any try that ends counts, not only the last one: an earlier one may come back after all.
        while (ended := tries.next(limit, alive)) is not None:
            try:
                found = ended.result()
            except _ANSWERS:
                raise
            except OSError as error:
                cause = error
                reconnect_where_refused(error)
                limit = min(limit, time.monotonic() + pause) if ended is last else limit
            else:
                if said:
                    say(f"{what}: done after {time.monotonic() - begun:.0f} s")
                return found
        reason = cause or TimeoutError(f"no answer for {time.monotonic() - begun:.0f} s")
        if time.monotonic() >= until:
            raise StorageError(f"{what}: given up after {time.monotonic() - begun:.0f} s: {reason}") from reason
        if not said:
            said = True
            say(f"{what}: refused or not answered, tried again for {until - begun:.0f} s: {reason}")
        pause = min(2 * pause, longest)


class _Tries(Generic[_Found]):
    """Tries of an action, each in a thread that the end of the process does not wait for."""

    def __init__(self, action: Callable[[], _Found]) -> None:
        self._action = action
        self._ended: queue.SimpleQueue[Future[_Found]] = queue.SimpleQueue()

    def start(self) -> Future[_Found]:
        """Begins another try."""
        outcome: Future[_Found] = Future()
        _OPEN.add(outcome)
        threading.Thread(target=self._try, args=(outcome,), name="storage", daemon=True).start()
        return outcome

    def _try(self, outcome: Future[_Found]) -> None:
        """Does the action and puts what came of it into the queue."""
        try:
            outcome.set_result(self._action())
        except BaseException as error:
            outcome.set_exception(error)
        _OPEN.discard(outcome)
        self._ended.put(outcome)

    def next(self, until: float, alive: Callable[[], None]) -> Future[_Found] | None:
        """Waits for the next try that ends; None where none does until then (monotonic clock)."""
        while True:
            left = until - time.monotonic()
            try:
                return self._ended.get(timeout=min(1.0, max(0.0, left)))
            except queue.Empty:
                if left <= 1.0:
                    return None
                alive()


def leave(code: int) -> NoReturn:
    """Ends the process with this code, also where a request to a store hangs.

    pyarrow would wait for such a request at the end of the process while it holds the GIL.
    """
    flush()
    if _OPEN:
        os._exit(code)
    sys.exit(code)


def _end_of_process() -> None:
    """Ends a process that does not `leave`, within `EXIT_SECONDS` where a request hangs."""
    if not _OPEN:
        return
    flush()
    with open(os.devnull, "w") as nowhere:
        faulthandler.dump_traceback_later(EXIT_SECONDS, exit=True, file=nowhere)
        fs.ensure_s3_finalized()
        faulthandler.cancel_dump_traceback_later()


# Registered after pyarrow has registered its own function, and so called before that.
atexit.register(_end_of_process)
