"""Multipart uploads to S3 that were begun and never completed.

Nobody sees them, but they cost money. pyarrow cannot list them; boto3 can, which `pip install
'leadline[s3]'` brings. It takes endpoint and region from the URI's options, and credentials, like
pyarrow, from the environment.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from leadline.storage import Folder

__all__ = ["Upload", "abort", "possible", "unfinished"]

MISSING = "multipart uploads that were never completed cannot be seen without boto3: pip install 'leadline[s3]'"


@dataclass(frozen=True)
class Upload:
    """One upload that was not completed.

    Attributes:
        path: its target, below the folder.
        id: S3's name for it.
        size: bytes of the parts that are there.
        begun: when it was begun.
    """

    path: str
    id: str
    size: int
    begun: datetime.datetime


def possible(folder: Folder) -> bool:
    """Returns whether the folder's storage can have multipart uploads."""
    return folder.uri.startswith("s3://")


def unfinished(folder: Folder) -> list[Upload]:
    """Returns the uploads below the folder, those under way included, in order of paths.

    Raises:
        ImportError: without boto3; its message is `MISSING`.
        OSError: if the storage refuses.
    """
    client, errors = _client(folder)
    bucket, _, path = folder.path.partition("/")
    prefix = f"{path}/" if path else ""
    try:
        pages = client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, Prefix=prefix)
        found = [upload for page in pages for upload in page.get("Uploads", [])]
        sizes = [_size(client, Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"]) for upload in found]
    except errors as error:
        raise OSError(f"{folder}: {error}") from None
    pairs = zip(found, sizes, strict=True)
    uploads = [
        Upload(upload["Key"][len(prefix) :], upload["UploadId"], size, upload["Initiated"]) for upload, size in pairs
    ]
    return sorted(uploads, key=lambda upload: (upload.path, upload.id))


def abort(folder: Folder, path: str, upload: str) -> None:
    """Ends an upload and removes its parts; nothing happens where it is gone.

    Raises:
        OSError: if the storage refuses.
    """
    client, errors = _client(folder)
    bucket, _, above = folder.path.partition("/")
    try:
        client.abort_multipart_upload(Bucket=bucket, Key=f"{above}/{path}" if above else path, UploadId=upload)
    except client.exceptions.NoSuchUpload:
        return
    except errors as error:
        raise OSError(f"{folder}/{path}: {error}") from None


def _size(client: Any, **upload: str) -> int:
    """Returns the bytes of an upload's parts; 0 where it has ended since it was listed."""
    try:
        pages = client.get_paginator("list_parts").paginate(**upload)
        return sum(part["Size"] for page in pages for part in page.get("Parts", []))
    except client.exceptions.NoSuchUpload:
        return 0


def _client(folder: Folder) -> tuple[Any, tuple[type[Exception], ...]]:
    """Returns boto3's client for the folder's server, and the errors that it raises.

    Raises:
        ImportError: without boto3; its message is `MISSING`.
    """
    try:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError:
        raise ImportError(MISSING) from None
    options = {name: values[-1] for name, values in parse_qs(urlsplit(folder.uri).query).items()}
    server = options.get("endpoint_override")
    client = boto3.client(
        "s3",
        region_name=options.get("region"),
        endpoint_url=f"{options.get('scheme', 'https')}://{server}" if server else None,
        config=Config(connect_timeout=5, read_timeout=30, s3={"addressing_style": "path"} if server else None),
    )
    return client, (BotoCoreError, ClientError)
