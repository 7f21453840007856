"""A copy of each run's records in an object store, which a bucket lock can keep from everybody.

One object a run, never written over: S3 refuses with `If-None-Match: *`, Cloud Storage with `ifGenerationMatch=0`.
The file stays the log that recovery reads; the copy is for the day when somebody owned the machine. A run that was
killed, or whose copy failed, is in the next run's object, so the objects in order hold the whole chain.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlsplit

from ipsync.core.errors import AuditLogError

TIMEOUT = 30.0
STORAGE = "https://storage.googleapis.com"
SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
"""A key file's token is worth nothing without a scope; what it may do is for IAM to say (Google's OAuth 2.0 guide)."""
Put = Callable[[str, str, bytes], None]


def upload(target: str, *, name: str, data: bytes) -> str:
    """Write `data` as the object `name` under `s3://BUCKET/PREFIX` or `gs://BUCKET/PREFIX`; return its URL.

    Raises AuditLogError where it can't be written, or where an object of that name is there already.
    """
    parts = urlsplit(target)
    key = f"{parts.path.strip('/')}/{name}".lstrip("/")
    put: Put = {"s3": _put_s3, "gs": _put_gcs}[parts.scheme]
    where = f"{parts.scheme}://{parts.netloc}/{key}"
    try:
        put(parts.netloc, key, data)
    except AuditLogError:
        raise
    except Exception as error:
        raise AuditLogError(f"the run's records could not be copied to {where}: {error}") from error
    return where


def _put_s3(bucket: str, key: str, data: bytes) -> None:
    import botocore.session
    from botocore.config import Config

    bounded = Config(connect_timeout=5, read_timeout=TIMEOUT, retries={"mode": "standard", "total_max_attempts": 5})
    client: Any = botocore.session.get_session().create_client("s3", config=bounded)
    client.put_object(Bucket=bucket, Key=key, Body=data, IfNoneMatch="*", ContentType="application/x-ndjson")


def _put_gcs(bucket: str, key: str, data: bytes) -> None:
    import google.auth
    from google.auth.credentials import AnonymousCredentials
    from google.auth.transport.requests import AuthorizedSession

    emulator = os.environ.get("STORAGE_EMULATOR_HOST")  # the name that Google's own libraries look for
    credentials = AnonymousCredentials() if emulator else google.auth.default(scopes=SCOPES)[0]  # type: ignore[no-untyped-call]
    base = (emulator or STORAGE).rstrip("/")
    query = f"uploadType=media&ifGenerationMatch=0&name={quote(key, safe='')}"
    with AuthorizedSession(credentials, refresh_timeout=TIMEOUT) as session:  # type: ignore[no-untyped-call]
        answer = session.post(
            f"{base}/upload/storage/v1/b/{bucket}/o?{query}",
            data=data,
            headers={"Content-Type": "application/x-ndjson"},
            timeout=TIMEOUT,
        )
    if answer.status_code != 200:  # noqa: PLR2004 - HTTP's OK
        raise AuditLogError(f"gs://{bucket}/{key} was not written: {answer.status_code} {answer.reason}")
