"""What EC2 refuses, canonicalises, pages and delays, and moto doesn't: a WSGI layer in front of moto.

Sources: the EC2 API Reference and the project's field notes. Everything else goes through to moto untouched.
"""

from __future__ import annotations

import copy
import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable, Mapping
from io import BytesIO
from typing import Any
from urllib.parse import parse_qsl, urlencode

from ipsync.sandbox.aws import params as aws_params
from ipsync.sandbox.aws import prefix_lists as aws_lists
from ipsync.sandbox.aws import replies as aws_replies
from ipsync.sandbox.aws.params import Params, Refused
from ipsync.sandbox.aws.settings import Settings
from ipsync.sandbox.faults import Call, Kind

App = Callable[[dict[str, Any], Any], Iterable[bytes]]
Answer = tuple[int, bytes]
PAGED = {
    "DescribeSecurityGroups": ("securityGroupInfo", 5, 1000),
    "DescribeSecurityGroupRules": ("securityGroupRuleSet", 5, 1000),
    "DescribeManagedPrefixLists": ("prefixListSet", 1, 100),
}
"""The list's element, and how many of its items a page may have."""
BESIDE = {"sts", "servicequotas", "organizations"}
"""Services beside EC2 that are counted and troubled too."""
READS = ("Describe", "Get", "List")
MOST_RULES = 1000


class Strict:
    """The layer. `inner` is moto's application."""

    def __init__(self, inner: App, settings: Settings) -> None:
        self._inner, self._settings = inner, settings
        self._lock = threading.RLock()
        self._past: dict[tuple[str, ...], bytes] = {}
        self._stale = 0
        self.lists = aws_lists.PrefixLists()

    def forget(self) -> None:
        """Start anew: nothing is stale."""
        self._past.clear()
        self._stale = 0
        self.lists.clear()

    def __call__(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        """Answer one request."""
        with self._settings.calls.under_way():
            return self._answer(environ, start)

    def _answer(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        params = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
        action = params.get("Action", "")
        scope = aws_replies.scope(environ)
        if action.startswith("AssumeRole"):
            scope = (scope[0], "sts")  # with a web identity's token nothing is signed
        if scope[1] in BESIDE:
            return self._beside(environ, body, action, scope, start)
        if scope[1] != "ec2" or not action:
            return self._inner({**environ, "wsgi.input": BytesIO(body)}, start)
        status, data = self._answered(environ, action, params, scope)
        return aws_replies.started(start, status, data)

    def _beside(
        self, environ: dict[str, Any], body: bytes, action: str, scope: tuple[str, str], start: Any
    ) -> Iterable[bytes]:
        """Let moto answer for a service that is only read here, with EC2's troubles."""
        action = action or environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
        self._settings.calls.add(Call(action, writes=False, where=scope[0]))
        fault, reply = self._settings.faults.take(action), self._settings.reply(action)
        try:
            if refusal := self._settings.refusals.get(("", action)):
                raise refusal
            self._trouble(environ, action, fault)
        except Refused as refusal:
            said = aws_replies.query_error if scope[1] == "sts" else aws_replies.json_error
            return aws_replies.started(start, refusal.status, said(refusal.code, str(refusal)))
        if reply:
            return aws_replies.started(start, reply.status, reply.body)
        if action == "GetServiceQuota" and aws_replies.RULES_QUOTA in body.decode("utf-8", "replace"):
            status, data = 200, aws_replies.quota(self._settings.quota)
        else:
            with self._lock:
                status, data = self._from_inner(environ, body)
        if fault == "reset-after":
            aws_replies.reset(environ)
        return aws_replies.started(start, status, data[: len(data) // 2] if fault == "malformed" else data)

    def _answered(self, environ: dict[str, Any], action: str, params: Params, scope: tuple[str, str]) -> Answer:
        dry = params.get("DryRun", "").lower() == "true"
        writes = not action.startswith(READS) and not dry
        self._settings.calls.add(Call(action, writes, scope[0]))
        fault, reply = self._settings.faults.take(action), self._settings.reply(action)
        if reply and not reply.done:
            return reply.status, reply.body
        try:
            self._settings.refuse(scope[0], action)
            self._trouble(environ, action, fault)
            with self._lock:
                answer = self._carry_out(environ, action, params, dry=dry)
        except Refused as refusal:
            return refusal.status, aws_replies.error(refusal.code, str(refusal))
        except Exception as error:  # noqa: BLE001 - a fault of the emulator must not look like a lost connection
            return 500, aws_replies.error("InternalError", repr(error))
        if fault == "reset-after":
            aws_replies.reset(environ)
        if reply:
            return reply.status, reply.body
        return (200, answer[1][: len(answer[1]) // 2]) if fault == "malformed" else answer

    def _trouble(self, environ: dict[str, Any], action: str, fault: Kind | None) -> None:
        if fault == "reset-before":
            aws_replies.reset(environ)
            raise Refused("InternalError", "the connection was reset", status=500)
        if fault == "hang":
            time.sleep(self._settings.faults.seconds)
        bucket = self._settings.throttles.get(action)
        if fault == "throttle" or (bucket and not bucket.allows()):
            raise Refused("RequestLimitExceeded", "Request limit exceeded.", status=503)
        if fault == "500":
            raise Refused("InternalError", "An internal error has occurred", status=500)
        if fault == "denied" or action in self._settings.denied:
            raise Refused("UnauthorizedOperation", "You are not authorized to perform this operation.", status=403)

    def _carry_out(self, environ: dict[str, Any], action: str, params: Params, *, dry: bool) -> Answer:
        if dry:
            raise Refused("DryRunOperation", "Request would have succeeded, but DryRun flag is set.", status=412)
        if action in PAGED:
            return 200, self._described(environ, action, params)
        if action.endswith("Tags") and params.get("ResourceId.1", "").startswith("pl-"):
            aws_lists.check_tags(params)
        if "ManagedPrefixList" in action:
            return self._of_a_list(environ, action, params)
        before: set[str] = set()
        if action == "AuthorizeSecurityGroupIngress":
            params = self._authorized(environ, params)
            before = {r.get("securityGroupRuleId", "") for r in self._rules(environ, params["GroupId"])}
        if action == "RevokeSecurityGroupIngress":
            unknown = self._revoked(environ, params)
            if unknown:
                return 200, unknown
        if not action.startswith(READS) and self._settings.lag:
            self._stale = self._settings.lag
        status, data = self._forward(environ, params)
        if action == "AuthorizeSecurityGroupIngress" and status < 300:  # noqa: PLR2004 - HTTP's successes
            data = self._made(environ, params["GroupId"], before)
        return status, data

    def _of_a_list(self, environ: dict[str, Any], action: str, params: Params) -> Answer:
        if action in aws_lists.ANSWERED:
            return 200, self.lists.answer(action, params, lag=self._settings.lag)
        status, data = self._forward(environ, aws_lists.asked_of_moto(action, params))
        return status, self.lists.made(params, data)

    # ── reading ──────────────────────────────────────────────────────────

    def _described(self, environ: dict[str, Any], action: str, params: Params) -> bytes:
        aws_params.check_filters(action, params)
        name, least, most = PAGED[action]
        size, skip = aws_params.page(params, least, most)
        plain = {k: v for k, v in params.items() if k not in {"MaxResults", "NextToken"}}
        asked, filters = aws_params.split_filters(plain)
        root = aws_replies.parse(self._past_or_present(environ, asked))
        if action == "DescribeSecurityGroupRules":
            self._add_group_owners(environ, root)
        if action == "DescribeManagedPrefixLists":
            self.lists.describe(root)
        listed = root.find(name)
        if listed is not None:
            items = [i for i in listed if aws_params.passes(i, filters)]
            listed[:] = items[skip : skip + size]
            if len(items) > skip + size:
                ET.SubElement(root, "nextToken").text = f"page-{skip + size}"
        return aws_replies.written(root)

    def _past_or_present(self, environ: dict[str, Any], params: Params) -> bytes:
        key = (*(f"{k}={v}" for k, v in sorted(params.items())), *aws_replies.scope(environ))
        if self._stale > 0:
            self._stale -= 1
            past = [data for known, data in self._past.items() if known == key]
            if past:
                return past[0]
        status, data = self._forward(environ, params)
        if status >= 300:  # noqa: PLR2004 - HTTP's successes
            raise aws_replies.from_moto(status, data)
        self._past[key] = data
        return data

    def _add_group_owners(self, environ: dict[str, Any], root: ET.Element) -> None:
        """EC2 says whose group a rule is in; moto doesn't."""
        items = [i for i in root.iter("item") if i.find("securityGroupRuleId") is not None]
        if any(i.find("groupOwnerId") is None or not i.findtext("groupOwnerId") for i in items):
            owners = {g["id"]: g["owner"] for g in self._groups(environ)}
            for item in items:
                node = item.find("groupOwnerId")
                node = ET.SubElement(item, "groupOwnerId") if node is None else node
                node.text = owners.get(item.findtext("groupId") or "", "")

    def _groups(self, environ: dict[str, Any]) -> list[dict[str, str]]:
        _, data = self._forward(environ, {"Action": "DescribeSecurityGroups", "Version": "2016-11-15"})
        listed = aws_replies.parse(data).find("securityGroupInfo")
        names = {"id": "groupId", "owner": "ownerId", "vpc": "vpcId"}
        return [
            {k: item.findtext(v) or "" for k, v in names.items()} for item in (listed if listed is not None else ())
        ]

    def _rules(self, environ: dict[str, Any], group: str) -> list[dict[str, str]]:
        params = {"Action": "DescribeSecurityGroupRules", "Version": "2016-11-15"}
        params |= {"Filter.1.Name": "group-id", "Filter.1.Value.1": group}
        _, data = self._forward(environ, params)
        listed = aws_replies.parse(data).find("securityGroupRuleSet")
        return [{child.tag: child.text or "" for child in item} for item in (listed if listed is not None else ())]

    # ── writing ──────────────────────────────────────────────────────────

    def _authorized(self, environ: dict[str, Any], params: Params) -> Params:
        group = params.get("GroupId", "")
        if group not in {g["id"] for g in self._groups(environ)}:
            raise Refused("InvalidGroup.NotFound", f"The security group '{group}' does not exist")
        params = aws_params.canonical(params)
        wanted = aws_params.sources(params)
        if len(wanted) > MOST_RULES:
            raise Refused("InvalidParameterValue", f"You can't add more than {MOST_RULES} rules in one call")
        if len(set(wanted)) != len(wanted):
            raise Refused("InvalidParameterValue", "The same permission must not appear multiple times")
        held = [r for r in self._rules(environ, group) if r.get("isEgress") != "true"]
        for rule in wanted:
            if rule in {aws_params.rule_key(r) for r in held}:
                raise Refused("InvalidPermission.Duplicate", f'the specified rule "peer: {rule[3]}" already exists')
        groups, lists = aws_params.references(params)
        weights = self._weights(environ) if lists or any(r.get("prefixListId") for r in held) else {}
        for family in (4, 6):
            count = sum(aws_params.weight(r, family, weights) for r in held) + groups
            count += sum(aws_params.family_of(r[3]) == family for r in wanted) + sum(weights.get(i, 1) for i in lists)
            if count > self._settings.quota:
                raise Refused(
                    "RulesPerSecurityGroupLimitExceeded",
                    "The maximum number of rules per security group has been reached.",
                )
        return params

    def _weights(self, environ: dict[str, Any]) -> dict[str, int]:
        """Return what each prefix list weighs: one of AWS's own shows no MaxEntries, and weighs all the same."""
        _, data = self._forward(environ, {"Action": "DescribeManagedPrefixLists", "Version": "2016-11-15"})
        found = {}
        for item in aws_replies.parse(data).iterfind("prefixListSet/item"):
            name, most = item.findtext("prefixListName") or "", item.findtext("maxEntries")
            found[item.findtext("prefixListId") or ""] = int(most or self._settings.list_weights.get(name, 1))
        return found

    def _made(self, environ: dict[str, Any], group: str, before: set[str]) -> bytes:
        """Answer an Authorize with every rule that it made; moto tells the last permission's alone."""
        params = {"Action": "DescribeSecurityGroupRules", "Version": "2016-11-15"}
        _, data = self._forward(environ, {**params, "Filter.1.Name": "group-id", "Filter.1.Value.1": group})
        described = aws_replies.parse(data)
        self._add_group_owners(environ, described)
        root = ET.Element("AuthorizeSecurityGroupIngressResponse")
        ET.SubElement(root, "requestId").text = "strict-request"
        ET.SubElement(root, "return").text = "true"
        made = ET.SubElement(root, "securityGroupRuleSet")
        items = described.iterfind("securityGroupRuleSet/item")
        made.extend(i for i in items if i.findtext("securityGroupRuleId") not in before)
        return aws_replies.written(root)

    def _revoked(self, environ: dict[str, Any], params: Params) -> bytes | None:
        group = params.get("GroupId", "")
        held = self._rules(environ, group)
        ids = [v for k, v in params.items() if k.startswith("SecurityGroupRuleId.")]
        missing = [i for i in ids if i not in {r.get("securityGroupRuleId") for r in held}]
        if missing:
            raise Refused(
                "InvalidSecurityGroupRuleId.NotFound", f"The security group rule ID '{missing[0]}' does not exist"
            )
        named = aws_params.sources(aws_params.canonical(params))
        if named and not set(named) <= {aws_params.rule_key(r) for r in held}:
            # EC2 answers so in a default VPC: success, with the permissions that it didn't know.
            return (
                f'<RevokeSecurityGroupIngressResponse xmlns="{aws_replies.NS}"><requestId>strict</requestId>'
                f"<return>true</return><unknownIpPermissionSet/></RevokeSecurityGroupIngressResponse>"
            ).encode()
        return None

    def _forward(self, environ: dict[str, Any], params: Mapping[str, str]) -> Answer:
        return self._from_inner(environ, urlencode(params).encode())

    def _from_inner(self, environ: dict[str, Any], body: bytes) -> Answer:
        said: list[str] = []
        inner = {**copy.copy(environ), "wsgi.input": BytesIO(body), "CONTENT_LENGTH": str(len(body))}
        inner.pop("werkzeug.request", None)
        data = b"".join(self._inner(inner, lambda status, _headers, _exc=None: said.append(status)))
        return int(said[0].split()[0]), data
