"""A sweep as a Ray job: submits the script, follows its log, reattaches to a sweep that runs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import shlex
import sys
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path
from typing import Any

from leadline import registry
from leadline.config import ConfigError
from leadline.engine import options, working_tree
from leadline.engine.address import JOB, Address, no_answer
from leadline.engine.ray import environment
from leadline.engine.study import Study
from leadline.engine.supervisor import DONE, FAILED, RESUME, resume_command
from leadline.engine.sweep_name import candidates, is_free
from leadline.engine.waiting import waiting
from leadline.errors import in_one_line
from leadline.storage import Folder, patiently

__all__ = ["as_job"]

SWEEP, STORAGE = "sweep", "storage"
"""The keys of a job's metadata for the sweep's name and for its folder without options.

`LiveLeaderboard` writes the job's metadata too, and keeps these.
"""
AGENT_SECONDS = 60.0
"""How long a cluster that has just been started may take until it accepts jobs."""
LOOK_SECONDS = 3.0
"""How long a storage that this machine may not reach is asked whether a name is free."""
_NO_AGENT = "No available agent"
"""Words of Ray's error where a cluster cannot take jobs yet."""
_TAKEN = "submission_id {} already exists"
"""Words of Ray's error where a submission id is that of another job."""
_GONE = "does not exist"
"""Words of Ray's error where a cluster does not know a job."""
STOP_SECONDS = 60
"""How long a job that `ray job stop` ends may take to close its books."""
AGAIN_SECONDS = 2.0
"""Pause before the log is followed again after its connection broke."""
LEFT_OUT = (".?*", "/results", "/docs", "/tests/golden", "*.egg-info", "__pycache__")
"""Paths not sent to the cluster, besides those in .gitignore, because no trial needs them. A
leading slash holds a name to the root of the working directory, so that a package called docs or
results is sent."""


def as_job(study: Study, request: options.Request, arguments: Sequence[str], address: Address) -> int:
    """Submits the script as a job and follows it, or follows the job that already runs the sweep.

    Args:
        study: what the script asks.
        request: the command line, parsed.
        arguments: the command line as it was given.
        address: the cluster's address.

    Returns:
        the exit code.

    Raises:
        ConfigError: for bad input, or a cluster that does not answer.
    """
    os.environ["RAY_ADDRESS"] = address.text
    os.environ.pop("RAY_API_SERVER_ADDRESS", None)
    storage = Folder.at(request.storage)
    if not request.resume:
        options.settings(study, request, alone=False)
    root, script = _code()
    client = _client(address)
    name = request.resume or request.name or ""
    running = _running(client, name, storage) if name else ""
    if running and not request.resume:
        raise ConfigError(
            f"name: {name} is running on {address.text}; --resume {name} follows it, "
            "another --name begins another sweep"
        )
    with contextlib.suppress(BrokenPipeError):
        print(f"on the Ray cluster at {client.get_address()} ({address.found})", flush=True)

    def again() -> str:
        return resume_command(storage.uri, name, address.named)

    if running:
        deaf = "; it takes no options while it runs" if request.given or request.overrides else ""
        print(f"{name} runs there already, as job {running}: following it{deaf}", flush=True)
    else:
        # A cluster takes a submission id once, so that an automatic name is that of one sweep
        # there; the storage may hold sweeps of other clusters.
        moment = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
        ids: Iterable[tuple[str, str]] = (
            [(name, f"{name}-{moment}")]
            if name
            else ((new, new) for new in candidates(study.name) if _may_be_free(storage / new))
        )
        with waiting("the cluster to take the code and the job"):
            for name, running in ids:
                words = ["python", script, *_arguments(arguments, request, name, storage, root)]
                if _submit(client, running, name, storage, again(), root, words):
                    break
        print(f"submitted as job {running}; follow it again with: {again()}", flush=True)
    return _follow(client, running, f"leadline stop {shlex.quote((storage / name).uri)}", again())


def _may_be_free(folder: Folder) -> bool:
    """Whether no sweep is in a folder, as far as this machine can tell, which may not reach it."""
    try:
        return patiently(lambda: is_free(folder), folder, seconds=LOOK_SECONDS)
    except OSError:
        return True


def _code() -> tuple[Path, str]:
    """The folder to send, which is the script's project or own folder, and the script's path in
    it."""
    script = Path(sys.argv[0]).resolve()
    # Neither the home folder nor what it lies in is a project: all of it would be sent.
    around = [parent for parent in script.parents if not Path.home().is_relative_to(parent)]
    projects = (parent for parent in around if (parent / "pyproject.toml").is_file())
    root = next(projects, script.parent)
    if root == Path.home():
        raise ConfigError(f"script: put {script.name} into a folder of its own, which is sent to the cluster")
    return root, str(script.relative_to(root))


def _left_out(root: Path, storage: Folder) -> list[str]:
    """What is not sent: also the storage, where that is a folder below the one that is sent."""
    place = Path(storage.path).resolve()
    below = storage.local and place.is_relative_to(root) and place != root
    return [*LEFT_OUT, *([f"/{place.relative_to(root)}"] if below else [])]


def _arguments(given: Sequence[str], request: options.Request, name: str, storage: Folder, root: Path) -> list[str]:
    """The command line for the job: name, storage and files no longer depend on this machine."""
    words = list(given)
    for option in ("--address", "--name", "--storage", "--enqueue", "--mirror"):
        words = _without(words, option)
    certain = [] if request.resume else ["--name", name]
    if "enqueue" in request.given:
        path = request.given["enqueue"].resolve()
        if not path.is_relative_to(root):
            raise ConfigError(f"enqueue: {path} must lie below {root}, which is sent to the cluster; copy it there")
        certain += ["--enqueue", str(path.relative_to(root))]
    if "mirror" in request.given:
        certain += ["--mirror", request.given["mirror"] or "none"]
    return [*words, *certain, "--storage", storage.uri]


def _without(words: list[str], option: str) -> list[str]:
    """The words without an option and its value."""
    left = list[str]()
    rest = iter(words)
    for word in rest:
        if word == option:
            next(rest, "")
        elif not word.startswith(f"{option}="):
            left.append(word)
    return left


def _client(address: Address) -> Any:
    environment.prepare(cluster=True)
    from ray.exceptions import AuthenticationError
    from ray.job_submission import JobSubmissionClient

    # These loggers would name each file that is not sent.
    for loud in ("ray", "ray.dashboard.modules.dashboard_sdk", "ray.dashboard.modules.job.sdk"):
        logging.getLogger(loud).setLevel(logging.ERROR)
    try:
        return JobSubmissionClient(address.text)
    except AuthenticationError:
        raise ConfigError(
            f"address: {address.text} wants another token than the one here, or one at all: copy the head's "
            "~/.ray/auth_token and set RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=FILE; "
            "--address local uses this machine alone"
        ) from None
    except Exception as error:
        raise no_answer(address, _brief(error)) from None


def _brief(error: Exception) -> str:
    """The first sentence of an error, on one line."""
    return in_one_line(error).partition(". ")[0]


def _running(client: Any, name: str, storage: Folder) -> str:
    """The submission id of the job that runs a sweep; empty if none does."""
    wanted = {SWEEP: name, STORAGE: str(storage / name)}.items()
    try:
        jobs = client.list_jobs()
    except (RuntimeError, OSError) as error:
        raise ConfigError(f"address: the cluster did not name its jobs: {_brief(error)}") from None
    for job in jobs:
        if not job.status.is_terminal() and wanted <= (job.metadata or {}).items():
            return str(job.submission_id)
    return ""


def _submit(client: Any, id_: str, name: str, storage: Folder, again: str, root: Path, words: list[str]) -> bool:
    """Submits a job; returns False where the cluster has one with this submission id.

    Raises:
        ConfigError: if the cluster does not take it.
    """
    variables = {
        **environment.QUIET,
        JOB: id_,
        RESUME: again,
        working_tree.HANDED_ON: working_tree.handed_on(root, words[1]),
        registry.HANDED_ON: registry.handed_on(),
        "RAY_JOB_STOP_WAIT_TIME_S": str(STOP_SECONDS),
    }
    until = time.monotonic() + AGENT_SECONDS
    while True:
        try:
            client.submit_job(
                entrypoint=shlex.join(words),
                submission_id=id_,
                metadata={SWEEP: name, STORAGE: str(storage / name)},
                runtime_env={"working_dir": str(root), "excludes": _left_out(root, storage), "env_vars": variables},
            )
            return True
        except (RuntimeError, ValueError, OSError) as error:
            if _TAKEN.format(id_) in str(error):
                return False
            if _NO_AGENT not in str(error) or time.monotonic() > until:
                raise ConfigError(f"address: the cluster did not take the job: {_brief(error)}") from None
            time.sleep(AGAIN_SECONDS)


def _follow(client: Any, job: str, stop: str, again: str) -> int:
    """Prints the job's log to its end and returns the exit code of the script.

    A connection that breaks is opened again; Ctrl-C detaches.
    """
    try:
        asyncio.run(_print(client, job))
    except KeyboardInterrupt:
        with contextlib.suppress(BrokenPipeError):
            print(
                "\ndetached; the sweep goes on\n"
                f"follow it, or go on with it once it has ended: {again}\nstop it: {stop}",
                flush=True,
            )
        return DONE
    except LookupError as lost:
        print(f"{lost}; go on with: {again}", file=sys.stderr)
        return FAILED
    try:
        info = client.get_job_info(job)
    except (RuntimeError, OSError) as error:
        print(f"how job {job} has ended is not known ({_brief(error)}); go on with: {again}", file=sys.stderr)
        return FAILED
    if info.driver_exit_code is not None:
        return int(info.driver_exit_code)
    if info.status == "SUCCEEDED":
        return DONE
    print(f"job {job} has ended: {info.status}: {info.message}; go on with: {again}", file=sys.stderr)
    return FAILED


async def _print(client: Any, job: str) -> None:
    printed = 0  # how many characters of the log are on the screen
    told = False  # whether the user knows that the connection broke
    while True:
        try:
            seen = 0
            lines: AsyncIterator[str] = client.tail_job_logs(job)
            async for text in lines:  # each connection sends the whole log again
                new = text[max(0, printed - seen) :]
                seen += len(text)
                if new:
                    sys.stdout.write(new)
                    sys.stdout.flush()
                printed = max(printed, seen)
            if client.get_job_status(job).is_terminal():
                return
        except BrokenPipeError:  # the reader of the output has gone, as after `| head`
            raise KeyboardInterrupt from None
        except Exception as error:
            if _GONE in str(error):
                raise LookupError(f"the cluster does not know job {job} any more: it was started anew") from None
            if not told:
                told = True
                print(
                    f"the connection to the cluster broke ({error}); trying again, Ctrl-C detaches",
                    file=sys.stderr,
                    flush=True,
                )
        await asyncio.sleep(AGAIN_SECONDS)
