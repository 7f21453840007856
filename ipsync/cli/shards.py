"""Which shard a command is for: `--shard I/N`, else what a Kubernetes Indexed Job says in the environment.

`JOB_COMPLETION_INDEX` is the pod's number in its Job, from 0 (Kubernetes, Jobs, "Completion mode"). How many pods there
are, Kubernetes doesn't say: IPSYNC_SHARDS does. Without that one a command is for all of the config.
"""

from __future__ import annotations

from collections.abc import Mapping

from ipsync.core.sharding import FORM, Shard, read

INDEX, COUNT = "JOB_COMPLETION_INDEX", "IPSYNC_SHARDS"
WRITE = f"write {FORM}"
JOB = f"let {COUNT} be the number of the Job's pods, as its `completions`, and leave {INDEX} to Kubernetes"


def chosen(text: str | None, environ: Mapping[str, str]) -> Shard | None:
    """Return the shard that the option, or else the environment, names. Raises ValueError that says what is wrong."""
    if text is not None:
        return _read(f"--shard {text}", text, WRITE)
    count, index = environ.get(COUNT), environ.get(INDEX)
    if count is None:
        return None
    if index is None:
        raise ValueError(
            f"{COUNT} is {count!r}, and {INDEX} isn't set, so nobody knows which shard this is: "
            f"give --shard I/N, or unset {COUNT} to work on all of the config"
        )
    return _read(f"{INDEX} {index!r} of {COUNT} {count!r}", f"{index}/{count}", JOB)


def _read(what: str, text: str, form: str) -> Shard:
    try:
        return read(text)
    except ValueError as error:
        said = str(error).removesuffix(WRITE)
        raise ValueError(f"{what}: {said}{'; ' if said else ''}{form}") from None
