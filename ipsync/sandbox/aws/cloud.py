"""An AWS on loopback: moto's server behind a layer that is as strict, slow and fallible as the real one."""

from __future__ import annotations

import logging
import threading
import urllib.request
from collections import deque
from collections.abc import Mapping
from ipaddress import ip_network
from types import TracebackType
from typing import Any, Self

import boto3
from moto.ec2.models import ec2_backends
from moto.ec2.models.amis import AmiBackend
from moto.ec2.models.core import TaggedEC2Resource
from moto.ec2.models.security_groups import SecurityGroupBackend
from moto.ec2.utils import EC2_PREFIX_TO_RESOURCE, get_prefix
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

from ipsync.sandbox.aws.params import Refused
from ipsync.sandbox.aws.prefix_lists import PrefixLists
from ipsync.sandbox.aws.replies import Reply
from ipsync.sandbox.aws.settings import Settings
from ipsync.sandbox.aws.strict import Strict
from ipsync.sandbox.faults import Call, Calls, Faults, TokenBucket

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "sandbox"}
logging.getLogger("werkzeug").setLevel(logging.ERROR)


class _Quiet(WSGIRequestHandler):
    """HTTP/1.1, as AWS speaks it, and no line a request."""

    protocol_version = "HTTP/1.1"

    def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002 - werkzeug's signature
        del type, message, args


def _tags_of(resource: Any) -> list[dict[str, str]]:
    """Look a resource's tags up by its id; moto reads every tag there is, which takes seconds for a thousand rules."""
    kind = EC2_PREFIX_TO_RESOURCE.get(get_prefix(resource.id), "") if resource.id else ""
    own = resource.ec2_backend.tags.get(resource.id, {})
    return [{"resource_id": resource.id, "key": k, "value": v, "resource_type": kind} for k, v in own.items()]


def _any_number(*_args: object, **_more: object) -> None:
    """Moto's own limit is 60 whatever the quota, both families together; the layer in front of it counts."""


def _no_images(_backend: object) -> None:
    """Nobody starts a machine here, and moto would make 1,282 images anew at each reset: 0.3 s a region."""


class AwsCloud:
    """A context manager; `endpoint_url` is where it answers."""

    def __init__(self) -> None:
        groups: Any = SecurityGroupBackend
        groups._verify_group_will_respect_rule_count_limit = _any_number  # noqa: SLF001
        tagged: Any = TaggedEC2Resource
        tagged.get_tags = _tags_of
        images: Any = AmiBackend
        images._load_amis = _no_images  # noqa: SLF001
        self._settings = Settings()
        self._strict = Strict(DomainDispatcherApplication(create_backend_app), self._settings)
        self._server = make_server("127.0.0.1", 0, self._strict, threaded=True, request_handler=_Quiet)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._clients: dict[tuple[str, str], Any] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        self.reset()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    @property
    def endpoint_url(self) -> str:
        """Return the URL of every service."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def environment(self) -> dict[str, str]:
        """Return what a shell needs to use this cloud."""
        return {**CREDENTIALS, "AWS_DEFAULT_REGION": "eu-north-1", "AWS_ENDPOINT_URL": self.endpoint_url}

    # ── settings ─────────────────────────────────────────────────────────

    @property
    def calls(self) -> list[Call]:
        """Return the EC2 calls since the last reset_calls, this class's own seeding included."""
        return self._settings.calls.made

    @property
    def calls_made(self) -> Calls:
        """Return the calls with their counts."""
        return self._settings.calls

    @property
    def faults(self) -> Faults:
        """Return the faults to come."""
        return self._settings.faults

    def reset_calls(self) -> None:
        """Forget the calls so far."""
        self._settings.calls.clear()

    def deny(self, *actions: str) -> None:
        """Refuse these actions (`ec2:CreateTags`), as IAM does."""
        self._settings.denied |= {a.removeprefix("ec2:") for a in actions}

    def refuse(self, code: str, message: str, *, status: int, region: str = "", action: str = "") -> None:
        """Answer every call, or those of a region or an action, with this error: expired, not enabled, not trusted."""
        self._settings.refusals[region, action] = Refused(code, message, status=status)

    def reply(
        self, action: str, body: bytes, *, status: int = 200, times: int = 1, after: int = 0, done: bool = False
    ) -> None:
        """Answer the next calls of an action with this body, once `after` calls went well: a gateway's page, `{}`.

        With `done` what was asked is carried out, and only its answer is replaced.
        """
        waiting = self._settings.replies.setdefault(action, deque())
        waiting.extend([*[None] * after, *[Reply(body, status, done=done)] * times])

    def weigh(self, name: str, weight: int) -> None:
        """Let one of AWS's own prefix lists, which tell no MaxEntries, count as this many rules."""
        self._settings.list_weights[name] = weight

    def quota(self, rules: int) -> None:
        """Let a group hold this many inbound rules a family."""
        self._settings.quota = rules

    def throttle(self, action: str, *, burst: float, refill: float) -> None:
        """Give an action a token bucket."""
        self._settings.throttles[action] = TokenBucket(burst, refill)

    @property
    def lists(self) -> PrefixLists:
        """Return the prefix lists: what is in them, and how their changes go."""
        return self._strict.lists

    def lag(self, describes: int) -> None:
        """Let this many describes after each write show the past."""
        self._settings.lag = describes

    def reset(self) -> None:
        """Begin anew: no resources, no faults, no calls."""
        request = urllib.request.Request(f"{self.endpoint_url}/moto-api/reset", method="POST")  # noqa: S310 - loopback
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30):
            pass
        self.calm()

    def calm(self) -> None:
        """Begin anew but for what is there: no prefix lists, no faults, no calls."""
        for backend in (b for regions in ec2_backends.values() for b in regions.values()):
            for name in self.lists.lists:
                backend.managed_prefix_lists.pop(name, None)
                backend.tags.pop(name, None)
        settings = self._settings
        settings.faults.clear()
        settings.denied.clear()
        settings.refusals.clear()
        settings.replies.clear()
        settings.list_weights.clear()
        settings.throttles.clear()
        settings.quota, settings.lag = 60, 0
        self._strict.forget()
        settings.calls.clear()

    # ── seeding and looking ──────────────────────────────────────────────

    def client(self, service: str, *, region: str = "eu-north-1") -> Any:
        """Return a boto3 client of this cloud's default account."""
        known = self._clients.get((service, region))
        if known is None:
            known = boto3.Session(
                aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
                aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
                region_name=region,
            ).client(service, endpoint_url=self.endpoint_url)  # type: ignore[call-overload]
            self._clients[service, region] = known
        return known

    def make_group(
        self, name: str, *, vpc_id: str | None = None, tags: dict[str, str] | None = None, region: str = "eu-north-1"
    ) -> str:
        """Make a security group and return its id."""
        ec2 = self.client("ec2", region=region)
        where = {"VpcId": vpc_id} if vpc_id else {}
        group = str(ec2.create_security_group(GroupName=name, Description=name, **where)["GroupId"])
        if tags:
            ec2.create_tags(Resources=[group], Tags=[{"Key": k, "Value": v} for k, v in tags.items()])
        return group

    def make_list(
        self,
        family: int = 4,
        *,
        size: int = 50,
        entries: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        region: str = "eu-north-1",
    ) -> str:
        """Make a prefix list, with descriptions by CIDR, and return its id."""
        made = [{"Cidr": cidr, "Description": text} for cidr, text in (entries or {}).items()]
        more = {"Entries": made} if made else {}
        answer = self.client("ec2", region=region).create_managed_prefix_list(
            PrefixListName="qatech", AddressFamily=f"IPv{family}", MaxEntries=size, **more
        )
        found = str(answer["PrefixList"]["PrefixListId"])
        if tags:
            self.client("ec2", region=region).create_tags(
                Resources=[found], Tags=[{"Key": k, "Value": v} for k, v in tags.items()]
            )
        return found

    def put_entry(self, prefix_list: str, cidr: str, text: str, *, region: str = "eu-north-1") -> None:
        """Put an entry into a prefix list as people do, and wait until it is there."""
        ec2, found = self.client("ec2", region=region), self.lists.lists[prefix_list]
        entries = [{"Cidr": cidr, "Description": text}]
        ec2.modify_managed_prefix_list(PrefixListId=prefix_list, CurrentVersion=found.version, AddEntries=entries)
        while found.state.endswith("-in-progress"):
            ec2.describe_managed_prefix_lists(PrefixListIds=[prefix_list], MaxResults=100)

    def entries(self, prefix_list: str) -> dict[str, str]:
        """Return a prefix list's descriptions by canonical CIDR, as they stand now."""
        found = self.lists.lists[prefix_list]
        return {str(ip_network(cidr)): text for cidr, text in found.versions[found.version].items()}

    def tags(self, resource: str, *, region: str = "eu-north-1") -> dict[str, str]:
        """Return a resource's tags."""
        found = self.client("ec2", region=region).describe_tags(
            Filters=[{"Name": "resource-id", "Values": [resource]}], MaxResults=1000
        )
        return {t["Key"]: t["Value"] for t in found["Tags"]}

    def rules(self, group: str, *, region: str = "eu-north-1") -> list[dict[str, Any]]:
        """Return a group's inbound rules as EC2 describes them."""
        pages = self.client("ec2", region=region).get_paginator("describe_security_group_rules")
        found = pages.paginate(Filters=[{"Name": "group-id", "Values": [group]}], MaxResults=1000)
        return [r for page in found for r in page["SecurityGroupRules"] if not r["IsEgress"]]
