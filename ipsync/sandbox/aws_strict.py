"""What EC2 refuses, canonicalises, pages and delays, and moto doesn't: a WSGI layer in front of moto.

Sources: the EC2 API Reference and the project's field notes. Everything else goes through to moto untouched.
"""

from __future__ import annotations

import copy
import ipaddress
import json
import re
import socket
import struct
import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any
from urllib.parse import parse_qsl, urlencode

from ipsync.sandbox.faults import Call, Calls, Faults, Kind, TokenBucket

App = Callable[[dict[str, Any], Any], Iterable[bytes]]
Params = dict[str, str]
Answer = tuple[int, bytes]
NS = "http://ec2.amazonaws.com/doc/2016-11-15/"
DESCRIPTION = re.compile(r"[a-zA-Z0-9. _\-:/()#,@\[\]+=&;{}!$*]{0,255}")
PAGED = {"DescribeSecurityGroups": "securityGroupInfo", "DescribeSecurityGroupRules": "securityGroupRuleSet"}
BESIDE = {"sts", "servicequotas"}
"""Services beside EC2 that are counted and troubled too."""
READS = ("Describe", "Get", "List")
MOST_RULES, MOST_VALUES = 1000, 200
RULE_FILTERS = re.compile(r"group-id|security-group-rule-id|tag:.+")


class Refused(Exception):
    """EC2's error answer."""

    def __init__(self, code: str, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.status = code, status


@dataclass(slots=True)
class Settings:
    """What tests and the demo may set."""

    calls: Calls = field(default_factory=Calls)
    faults: Faults = field(default_factory=Faults)
    denied: set[str] = field(default_factory=set)
    throttles: dict[str, TokenBucket] = field(default_factory=dict)
    refusals: dict[tuple[str, str], Refused] = field(default_factory=dict)
    """By region and action, either of which may be "" for all."""
    quota: int = 60
    lag: int = 0
    """How many describes after a write still show the past."""

    def refuse(self, region: str, action: str) -> None:
        """Raise what was set for this call, if anything was."""
        for key in ((region, action), (region, ""), ("", action), ("", "")):
            if key in self.refusals:
                raise self.refusals[key]


class Strict:
    """The layer. `inner` is moto's application."""

    def __init__(self, inner: App, settings: Settings) -> None:
        self._inner, self._settings = inner, settings
        self._lock = threading.RLock()
        self._past: dict[tuple[str, ...], bytes] = {}
        self._stale = 0

    def forget(self) -> None:
        """Start anew: nothing is stale."""
        self._past.clear()
        self._stale = 0

    def __call__(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        """Answer one request."""
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        params = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
        action = params.get("Action", "")
        scope = _scope(environ)
        if scope[1] in BESIDE:
            return self._beside(environ, body, action, scope, start)
        if scope[1] != "ec2" or not action:
            return self._inner({**environ, "wsgi.input": BytesIO(body)}, start)
        status, data = self._answered(environ, action, params, scope)
        return _started(start, status, data)

    def _beside(
        self, environ: dict[str, Any], body: bytes, action: str, scope: tuple[str, str], start: Any
    ) -> Iterable[bytes]:
        """Let moto answer for a service that is only read here, with EC2's troubles."""
        action = action or environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
        self._settings.calls.add(Call(action, writes=False, where=scope[0]))
        fault = self._settings.faults.take(action)
        try:
            if refusal := self._settings.refusals.get(("", action)):
                raise refusal
            self._trouble(environ, action, fault)
        except Refused as refusal:
            said = _query_error if scope[1] == "sts" else _json_error
            return _started(start, refusal.status, said(refusal.code, str(refusal)))
        with self._lock:
            status, data = self._from_inner(environ, body)
        if fault == "reset-after":
            _reset(environ)
        return _started(start, status, data[: len(data) // 2] if fault == "malformed" else data)

    def _answered(self, environ: dict[str, Any], action: str, params: Params, scope: tuple[str, str]) -> Answer:
        dry = params.get("DryRun", "").lower() == "true"
        writes = not action.startswith(READS) and not dry
        self._settings.calls.add(Call(action, writes, scope[0]))
        fault = self._settings.faults.take(action)
        try:
            self._settings.refuse(scope[0], action)
            self._trouble(environ, action, fault)
            with self._lock:
                answer = self._carry_out(environ, action, params, dry=dry)
        except Refused as refusal:
            return refusal.status, _error(refusal.code, str(refusal))
        except Exception as error:  # noqa: BLE001 - a fault of the emulator must not look like a lost connection
            return 500, _error("InternalError", repr(error))
        if fault == "reset-after":
            _reset(environ)
        return (200, answer[1][: len(answer[1]) // 2]) if fault == "malformed" else answer

    def _trouble(self, environ: dict[str, Any], action: str, fault: Kind | None) -> None:
        if fault == "reset-before":
            _reset(environ)
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
        if action == "AuthorizeSecurityGroupIngress":
            params = self._authorized(environ, params)
        if action == "RevokeSecurityGroupIngress":
            unknown = self._revoked(environ, params)
            if unknown:
                return 200, unknown
        if not action.startswith(READS) and self._settings.lag:
            self._remember(environ)
        return self._forward(environ, params)

    # ── reading ──────────────────────────────────────────────────────────

    def _described(self, environ: dict[str, Any], action: str, params: Params) -> bytes:
        _check_filters(action, params)
        size, skip = _page(params)
        plain = {k: v for k, v in params.items() if k not in {"MaxResults", "NextToken"}}
        root = _parse(self._past_or_present(environ, plain))
        if action == "DescribeSecurityGroupRules":
            self._add_group_owners(environ, root, plain)
        listed = root.find(PAGED[action])
        if listed is not None:
            items = list(listed)
            for item in [*items[:skip], *items[skip + size :]]:
                listed.remove(item)
            if len(items) > skip + size:
                ET.SubElement(root, "nextToken").text = f"page-{skip + size}"
        return ET.tostring(root)

    def _past_or_present(self, environ: dict[str, Any], params: Params) -> bytes:
        key = (*(f"{k}={v}" for k, v in sorted(params.items())), *_scope(environ))
        if self._stale > 0:
            self._stale -= 1
            past = [data for known, data in self._past.items() if known == key]
            if past:
                return past[0]
        status, data = self._forward(environ, params)
        if status >= 300:  # noqa: PLR2004 - HTTP's successes
            raise _from_moto(status, data)
        self._past[key] = data
        return data

    def _remember(self, environ: dict[str, Any]) -> None:
        del environ
        self._stale = self._settings.lag

    def _add_group_owners(self, environ: dict[str, Any], root: ET.Element, params: Params) -> None:
        """EC2 says whose group a rule is in; moto doesn't."""
        del params
        items = [i for i in root.iter("item") if i.find("securityGroupRuleId") is not None]
        if any(i.find("groupOwnerId") is None or not i.findtext("groupOwnerId") for i in items):
            owners = {g["id"]: g["owner"] for g in self._groups(environ)}
            for item in items:
                node = item.find("groupOwnerId")
                node = ET.SubElement(item, "groupOwnerId") if node is None else node
                node.text = owners.get(item.findtext("groupId") or "", "")

    def _groups(self, environ: dict[str, Any]) -> list[dict[str, str]]:
        _, data = self._forward(environ, {"Action": "DescribeSecurityGroups", "Version": "2016-11-15"})
        listed = _parse(data).find("securityGroupInfo")
        names = {"id": "groupId", "owner": "ownerId", "vpc": "vpcId"}
        return [
            {k: item.findtext(v) or "" for k, v in names.items()} for item in (listed if listed is not None else ())
        ]

    def _rules(self, environ: dict[str, Any], group: str) -> list[dict[str, str]]:
        params = {"Action": "DescribeSecurityGroupRules", "Version": "2016-11-15"}
        params |= {"Filter.1.Name": "group-id", "Filter.1.Value.1": group}
        _, data = self._forward(environ, params)
        listed = _parse(data).find("securityGroupRuleSet")
        return [{child.tag: child.text or "" for child in item} for item in (listed if listed is not None else ())]

    # ── writing ──────────────────────────────────────────────────────────

    def _authorized(self, environ: dict[str, Any], params: Params) -> Params:
        group = params.get("GroupId", "")
        if group not in {g["id"] for g in self._groups(environ)}:
            raise Refused("InvalidGroup.NotFound", f"The security group '{group}' does not exist")
        params = _canonical(params)
        wanted = _sources(params)
        if len(wanted) > MOST_RULES:
            raise Refused("InvalidParameterValue", f"You can't add more than {MOST_RULES} rules in one call")
        if len(set(wanted)) != len(wanted):
            raise Refused("InvalidParameterValue", "The same permission must not appear multiple times")
        held = [r for r in self._rules(environ, group) if r.get("isEgress") != "true"]
        for rule in wanted:
            if rule in {_key(r) for r in held}:
                raise Refused("InvalidPermission.Duplicate", f'the specified rule "peer: {rule[3]}" already exists')
        for family in (4, 6):
            count = sum(_counts(r, family) for r in held) + sum(_family(r[3]) in {family, 0} for r in wanted)
            if count > self._settings.quota:
                raise Refused(
                    "RulesPerSecurityGroupLimitExceeded",
                    "The maximum number of rules per security group has been reached.",
                )
        return params

    def _revoked(self, environ: dict[str, Any], params: Params) -> bytes | None:
        group = params.get("GroupId", "")
        held = self._rules(environ, group)
        ids = [v for k, v in params.items() if k.startswith("SecurityGroupRuleId.")]
        missing = [i for i in ids if i not in {r.get("securityGroupRuleId") for r in held}]
        if missing:
            raise Refused(
                "InvalidSecurityGroupRuleId.NotFound", f"The security group rule ID '{missing[0]}' does not exist"
            )
        named = _sources(_canonical(params))
        if named and not set(named) <= {_key(r) for r in held}:
            # EC2 answers so in a default VPC: success, with the permissions that it didn't know.
            return (
                f'<RevokeSecurityGroupIngressResponse xmlns="{NS}"><requestId>strict</requestId>'
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


# ── EC2's parameters ─────────────────────────────────────────────────────────

Source = tuple[str, str, str, str]


def _canonical(params: Params) -> Params:
    """Write CIDRs as EC2 does: host bits off, compressed. Refuse what EC2 refuses in a permission."""
    made = dict(params)
    for key, value in params.items():
        if key.endswith((".CidrIp", ".CidrIpv6")):
            try:
                network = ipaddress.ip_network(value, strict=False)
            except ValueError:
                raise Refused("InvalidParameterValue", f"CIDR block {value} is malformed") from None
            if "/" not in value or (network.version == 6) != key.endswith("v6"):  # noqa: PLR2004 - the IP version
                raise Refused("InvalidParameterValue", f"CIDR block {value} is malformed")
            made[key] = str(network)
        if key.endswith(".Description") and not DESCRIPTION.fullmatch(value):
            raise Refused(
                "InvalidParameterValue",
                "Invalid rule description. Valid descriptions are strings less than 256 characters from the following set:  a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*",
            )
    for prefix in {".".join(k.split(".")[:2]) for k in params if k.startswith("IpPermissions.")}:
        _check_ports(params, prefix)
    return made


def _check_ports(params: Params, prefix: str) -> None:
    protocol = params.get(f"{prefix}.IpProtocol", "")
    if protocol not in {"tcp", "udp", "icmp", "icmpv6", "-1"} and not protocol.isdigit():
        raise Refused("InvalidParameterValue", f"Invalid value '{protocol}' for IP protocol")
    if protocol in {"tcp", "udp", "6", "17"}:
        first, last = (int(params.get(f"{prefix}.{n}Port", "-1")) for n in ("From", "To"))
        if not 0 <= first <= last <= 65535:  # noqa: PLR2004 - the last port there is
            raise Refused("InvalidParameterValue", f"Invalid TCP/UDP port range ({first}:{last})")


def _sources(params: Params) -> list[Source]:
    found = []
    for key, value in sorted(params.items()):
        match = re.fullmatch(r"(IpPermissions\.\d+)\.(?:IpRanges|Ipv6Ranges)\.\d+\.Cidr(?:Ip|Ipv6)", key)
        if match:
            prefix = match[1]
            ports = [params.get(f"{prefix}.{n}Port", "-1") for n in ("From", "To")]
            protocol = params.get(f"{prefix}.IpProtocol", "")
            found.append((protocol, *(["-1", "-1"] if protocol == "-1" else ports), value))
    return found  # type: ignore[return-value]


def _key(rule: Mapping[str, str]) -> Source:
    cidr = rule.get("cidrIpv4") or rule.get("cidrIpv6") or ""
    shown = str(ipaddress.ip_network(cidr, strict=False)) if cidr else ""
    protocol = rule.get("ipProtocol", "")
    ports = ("-1", "-1") if protocol == "-1" else (rule.get("fromPort", "-1"), rule.get("toPort", "-1"))
    return (protocol, *ports, shown)


def _family(cidr: str) -> int:
    return ipaddress.ip_network(cidr).version if cidr else 0


def _counts(rule: Mapping[str, str], family: int) -> bool:
    """Count a rule for its family, and a reference to a group for both."""
    return _family(_key(rule)[3]) in {family, 0}


def _check_filters(action: str, params: Params) -> None:
    for key, value in params.items():
        name = re.fullmatch(r"Filter\.(\d+)\.Name", key)
        if name and action == "DescribeSecurityGroupRules" and not RULE_FILTERS.fullmatch(value):
            raise Refused("InvalidParameterValue", f"The filter '{value}' is invalid")
        if name and sum(k.startswith(f"Filter.{name[1]}.Value.") for k in params) > MOST_VALUES:
            raise Refused("FilterLimitExceeded", f"The maximum number of filter values ({MOST_VALUES}) was exceeded")


def _page(params: Params) -> tuple[int, int]:
    size = int(params.get("MaxResults", "1000"))
    if not 5 <= size <= 1000:  # noqa: PLR2004 - EC2's bounds
        raise Refused("InvalidParameterValue", f"Value ( {size} ) for parameter maxResults is invalid.")
    token = params.get("NextToken", "page-0")
    if not token.startswith("page-"):
        raise Refused("InvalidNextToken", "The token is not valid")
    return size, int(token.removeprefix("page-"))


# ── answers ──────────────────────────────────────────────────────────────────


def _scope(environ: Mapping[str, Any]) -> tuple[str, str]:
    """Return region and service from the signature's credential scope."""
    match = re.search(r"Credential=[^/]+/\d+/([^/]+)/([^/]+)/", environ.get("HTTP_AUTHORIZATION", ""))
    return (match[1], match[2]) if match else ("", "")


def _started(start: Any, status: int, data: bytes) -> Iterable[bytes]:
    start(f"{status} {'OK' if status < 300 else 'Refused'}", _headers(data))  # noqa: PLR2004 - HTTP's successes
    return [data]


def _query_error(code: str, text: str) -> bytes:
    """Return an error as STS and the other services of the query protocol write it; EC2's form is its own."""
    root = ET.Element("ErrorResponse")
    error = ET.SubElement(root, "Error")
    for name, value in (("Type", "Sender"), ("Code", code), ("Message", text)):
        ET.SubElement(error, name).text = value
    ET.SubElement(root, "RequestId").text = "sandbox"
    return ET.tostring(root)


def _json_error(code: str, text: str) -> bytes:
    """Return an error as the services of the JSON protocol write it."""
    return json.dumps({"__type": code, "message": text}).encode()


def _headers(data: bytes) -> list[tuple[str, str]]:
    return [("Content-Type", "text/xml;charset=UTF-8"), ("Content-Length", str(len(data)))]


def _parse(data: bytes) -> ET.Element:
    """Read moto's answer, whose operations disagree about the namespace."""
    return ET.fromstring(re.sub(rb' xmlns="[^"]*"', b"", data))  # noqa: S314 - moto's own answer


def _error(code: str, message: str) -> bytes:
    root = ET.Element("Response")
    error = ET.SubElement(ET.SubElement(root, "Errors"), "Error")
    ET.SubElement(error, "Code").text = code
    ET.SubElement(error, "Message").text = message
    ET.SubElement(root, "RequestID").text = "strict-request"
    return ET.tostring(root)


def _from_moto(status: int, data: bytes) -> Refused:
    root = _parse(data)
    return Refused(root.findtext(".//Code") or "Unknown", root.findtext(".//Message") or "", status=status)


def _reset(environ: Mapping[str, Any]) -> None:
    """Close the connection with a TCP reset."""
    sock = environ.get("werkzeug.socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.shutdown(socket.SHUT_RDWR)
