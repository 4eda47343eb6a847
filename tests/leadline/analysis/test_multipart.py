"""Multipart uploads that were begun on S3 and never completed: `doctor` shows them, `gc` ends them."""

from __future__ import annotations

import datetime
import sys
import uuid
from pathlib import Path
from typing import Any

import boto3
import pytest

from leadline.analysis.upkeep import multipart
from leadline.commands.dispatch import main
from leadline.ledger.lease import Lease
from leadline.storage import Folder
from tests.leadline.analysis.stored_sweep import copied, publish, train

Build = Any


@pytest.fixture
def sweep(build: Build, s3_options: str) -> Folder:
    """A closed sweep on S3."""
    made = build()
    train(made)
    folder: Path = made.close()
    publish(folder, steps=2)
    return copied(folder, Folder.at(f"s3://bucket/{uuid.uuid4().hex}/demo?{s3_options}"))


def begin(folder: Folder, path: str, *parts: bytes) -> str:
    """Begins an upload and leaves it alone."""
    server = folder.uri.partition("endpoint_override=")[2].partition("&")[0]
    client = boto3.client("s3", endpoint_url=f"http://{server}", region_name="us-east-1")
    bucket, _, above = folder.path.partition("/")
    upload = client.create_multipart_upload(Bucket=bucket, Key=f"{above}/{path}")["UploadId"]
    for number, part in enumerate(parts, 1):
        client.upload_part(Bucket=bucket, Key=f"{above}/{path}", UploadId=upload, PartNumber=number, Body=part)
    return str(upload)


CUT_OFF = "trials/0001/attempt-02/step-000000300/state.pt"


def test_they_are_shown_and_ended_and_nothing_else_is(sweep: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    other = Folder.at(sweep.uri.replace("/demo?", "/demo-two?"))
    begin(sweep, CUT_OFF, b"x" * 5 * 2**20, b"yz")
    begin(sweep, "ledger/00000099.jsonl")
    begin(other, CUT_OFF, b"x")
    before = sweep.sizes(recursive=True)
    assert main(["doctor", sweep.uri]) == 0
    out = capsys.readouterr().out
    assert "multipart  warning  2 begun and never completed: 5,242,882 bytes; `leadline gc` removes them" in out
    assert f"{CUT_OFF}: 5,242,882 bytes, begun " in out
    assert main(["gc", sweep.uri, "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert f"would remove {CUT_OFF}, 5,242,882 bytes: an upload that was never completed\n" in said
    assert len(multipart.unfinished(sweep)) == 2
    assert main(["gc", sweep.uri]) == 0
    assert capsys.readouterr().out == said.replace("would remove", "removed")
    assert (multipart.unfinished(sweep), sweep.sizes(recursive=True)) == ([], before)
    assert len(multipart.unfinished(other)) == 1
    assert main(["doctor", sweep.uri]) == 0
    assert "multipart  ok       no upload that was never completed" in capsys.readouterr().out


def test_while_it_runs_a_fresh_one_is_its_own(
    sweep: Folder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = Lease.take(sweep / "lease", pytest.fail)
    begin(sweep, CUT_OFF)
    assert main(["gc", sweep.uri]) == 2
    age = datetime.datetime.now(datetime.UTC) - multipart.unfinished(sweep)[0].begun  # moto: since 2010
    monkeypatch.setattr("leadline.analysis.upkeep.doctor.UNDER_WAY", age - datetime.timedelta(hours=1))
    assert main(["doctor", sweep.uri]) == 0
    assert "multipart  warning  1 begun" in capsys.readouterr().out
    monkeypatch.setattr("leadline.analysis.upkeep.doctor.UNDER_WAY", age + datetime.timedelta(hours=1))
    assert main(["doctor", sweep.uri]) == 0
    assert "multipart  ok       no upload that was never completed; 1 may be under way" in capsys.readouterr().out
    lease.release()


def test_one_that_has_ended_meanwhile_is_no_error(sweep: Folder) -> None:
    upload = begin(sweep, CUT_OFF)
    for _ in range(2):
        multipart.abort(sweep, CUT_OFF, upload)
    assert multipart.unfinished(sweep) == []


def test_what_the_storage_refuses_is_said(sweep: Folder) -> None:
    missing = Folder.at(sweep.uri.replace("s3://bucket/", "s3://no-such-bucket/"))
    with pytest.raises(OSError, match=r"^s3://no-such-bucket/\w+/demo: .*NoSuchBucket") as caught:
        multipart.unfinished(missing)
    assert "secret" not in str(caught.value)


def test_without_boto3_it_is_said_what_to_install(
    sweep: Folder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    begun = "multipart uploads that were never completed cannot be seen without boto3: pip install 'leadline[s3]'"
    assert main(["doctor", sweep.uri]) == 0
    assert f"multipart  warning  not looked at: {begun}\n" in capsys.readouterr().out
    assert main(["gc", sweep.uri]) == 0
    assert f"warning: {begun}\n" in capsys.readouterr().err
