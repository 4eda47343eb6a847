"""The folder for Ray's own files, among them sockets, whose paths must be short."""

from __future__ import annotations

import os
import tempfile

from leadline.config import ConfigError
from leadline.engine.ray.private import SOCKET, SOCKET_PATH_BYTES

__all__ = ["folder_for_sockets"]

PLACES = ("/tmp", "/var/tmp", "/dev/shm")
"""Where a folder is made if the path of the usual one is too long."""


def folder_for_sockets(scratch: str) -> str:
    """The folder for temporary files if its path is short enough, else a new one elsewhere.

    Args:
        scratch: the folder for temporary files.

    Raises:
        ConfigError: if it is too long, and no shorter place can be written to.
    """
    if len(os.fsencode(scratch + SOCKET)) <= SOCKET_PATH_BYTES:
        return scratch
    for place in PLACES:
        try:
            return tempfile.mkdtemp(prefix="leadline-", dir=place)
        except OSError:
            continue
    name = len(os.fsencode(os.path.basename(scratch))) + 1
    most = SOCKET_PATH_BYTES - len(SOCKET) - name
    raise ConfigError(
        f"TMPDIR: {os.path.dirname(scratch)} is too long for the sockets of Ray, and {', '.join(PLACES)} cannot be "
        f"written to; set it to a folder whose path has at most {most} bytes"
    )
