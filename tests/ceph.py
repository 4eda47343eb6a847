"""A small Ceph with its S3 gateway on this machine, in memory, from the distribution's packages:
see `make test-ceph`.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from leadline.storage import Folder
from tests.conftest import answers, free_port

__all__ = ["KEY", "SECRET", "Ceph"]

KEY, SECRET = "ceph-test-key", "ceph-test-secret"
_BYTES = 4 * 2**30
_SECONDS = 90.0
"""For which each part may take to come up."""

# One monitor, one object store of one copy in memory, one gateway; no authentication but the gateway's own.
_CONFIGURATION = """
[global]
fsid = {fsid}
mon_host = [v1:127.0.0.1:{monitor}]
mon_initial_members = a
ms_bind_msgr2 = false
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 8
osd_pool_default_pgp_num = 8
osd_crush_chooseleaf_type = 0
osd_objectstore = memstore
osd_max_object_name_len = 256
osd_max_object_namespace_len = 64
memstore_device_bytes = {bytes}
mon_allow_pool_size_one = true
mon_max_pg_per_osd = 1000
mon_data = {place}/mon
osd_data = {place}/osd
mgr_data = {place}/mgr
run_dir = {place}
admin_socket = {place}/$name.asok
log_file = {place}/$name.log
[mon.a]
mon_addr = 127.0.0.1:{monitor}
[client.rgw]
rgw_frontends = beast endpoint={host}:{gateway}
rgw_enable_apis = s3
"""


class Ceph:
    """Its gateway can be killed, frozen and started again; what it has stored stays.

    Args:
        host: the address on which the gateway listens.
    """

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.host = host
        self.place = Path(tempfile.mkdtemp(prefix="ceph-"))  # short, as paths of sockets must be
        self.port = free_port()
        self._running: list[subprocess.Popen[bytes]] = []
        for name in ("mon", "osd", "mgr"):
            (self.place / name).mkdir()
        fsid, monitor = str(uuid.uuid4()), free_port()
        words = _CONFIGURATION.format(
            fsid=fsid, monitor=monitor, host=host, gateway=self.port, place=self.place, bytes=_BYTES
        )
        (self.place / "ceph.conf").write_text(words)
        try:
            self._start_store(fsid, monitor)
            self.start()
            self._run("radosgw-admin", "-n", "client.rgw", "user", "create", "--uid=test", "--display-name=test")
            self.grant(KEY, SECRET)
        except BaseException:
            self.end()
            raise

    def _start_store(self, fsid: str, monitor: int) -> None:
        monitors = str(self.place / "monmap")
        self._run("monmaptool", "--create", "--addv", "a", f"[v1:127.0.0.1:{monitor}]", "--fsid", fsid, monitors)
        self._run("ceph-mon", "--mkfs", "-i", "a", "--monmap", monitors)
        self._spawn("ceph-mon", "-f", "-i", "a")
        number = self._run("ceph", "osd", "create").strip()
        self._run("ceph-osd", "--mkfs", "-i", number)
        self._spawn("ceph-mgr", "-f", "-i", "x")
        stores = [self._spawn("ceph-osd", "-f", "-i", number)]

        def up() -> bool:
            if (
                stores[-1].poll() is not None
            ):  # it may ask the monitor before it has its map, and ends at the answer "wrong fsid"
                stores.append(self._spawn("ceph-osd", "-f", "-i", number))
            return "1 up" in self._run("ceph", "--connect-timeout", "5", "osd", "stat", refused="")

        _until(up)

    def start(self) -> None:
        """Starts the gateway."""
        self._gateway = self._spawn("radosgw", "-f", "-n", "client.rgw")
        _until(lambda: answers(self.port, self.host))

    @property
    def options(self) -> str:
        """Of a URI on the gateway."""
        return f"scheme=http&endpoint_override={self.host}:{self.port}&region=us-east-1&allow_bucket_creation=true"

    def at(self, path: str) -> Folder:
        """A folder in a bucket."""
        return Folder.at(f"s3://bucket/{path}?{self.options}")

    def grant(self, key: str, secret: str) -> None:
        """Lets a key in."""
        self._run(
            "radosgw-admin",
            "-n",
            "client.rgw",
            "key",
            "create",
            "--uid=test",
            f"--access-key={key}",
            f"--secret-key={secret}",
        )

    def revoke(self, key: str) -> None:
        """Lets it in no more."""
        self._run("radosgw-admin", "-n", "client.rgw", "key", "rm", "--uid=test", f"--access-key={key}")

    def kill(self) -> None:
        """The gateway, by SIGKILL."""
        self._gateway.kill()
        self._gateway.wait()

    def freeze(self) -> None:
        """The gateway, by SIGSTOP."""
        self._gateway.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """The gateway, by SIGCONT."""
        self._gateway.send_signal(signal.SIGCONT)

    def end(self) -> None:
        """Ends all of it."""
        for process in reversed(self._running):
            process.kill()
            process.wait()
        shutil.rmtree(self.place)

    def _command(self, name: str, arguments: tuple[str, ...]) -> list[str]:
        return [name, *([] if name == "monmaptool" else ["-c", f"{self.place}/ceph.conf"]), *arguments]

    def _run(self, name: str, *arguments: str, refused: str | None = None) -> str:
        """What a command prints; or `refused`, if it is given, where the command fails."""
        done = subprocess.run(
            self._command(name, arguments), capture_output=True, text=True, timeout=_SECONDS, env=_environment()
        )
        assert done.returncode == 0 or refused is not None, f"{name}: {done.stderr}"
        return done.stdout if done.returncode == 0 else str(refused)

    def _spawn(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (self.place / f"{name}.out").open("ab") as out:
            process = subprocess.Popen(self._command(name, arguments), stdout=out, stderr=out, env=_environment())
        self._running.append(process)
        return process


def _environment() -> dict[str, str]:
    """Without this environment's libraries for Python: `ceph` is a script of the distribution's own Python."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}


def _until(true: Callable[[], bool]) -> None:
    given_up = time.monotonic() + _SECONDS
    while not true():
        assert time.monotonic() < given_up, "Ceph did not come up"
        time.sleep(0.1)
