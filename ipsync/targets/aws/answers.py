"""Is it AWS that answered, and to what was asked? Anything else is unreadable, whatever its status.

botocore reads any well-formed XML as an answer in which everything happens to be missing: the page of a gateway, with
status 200, becomes an empty list (botocore issue 2463). So each answer is looked at before botocore parses it.
EC2's XML names the operation in its root (`<DescribeSecurityGroupsResponse>`) and always has the list's own element,
an empty one (`<securityGroupInfo/>`) where nothing was found. A write says `<return>true</return>`.
"""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from typing import Any

from botocore.parsers import ResponseParserError

from ipsync.targets.aws.parsing import ROOT

LISTS = {
    "DescribeSecurityGroupRules": "securityGroupRuleSet",
    "DescribeSecurityGroups": "securityGroupInfo",
    "DescribeManagedPrefixLists": "prefixListSet",
    "GetManagedPrefixListEntries": "entrySet",
    "GetManagedPrefixListAssociations": "prefixListAssociationSet",
    "ModifyManagedPrefixList": "prefixList",
    "DescribeRegions": "regionInfo",
    "AuthorizeSecurityGroupIngress": "securityGroupRuleSet",
}
RETURNS = {"AuthorizeSecurityGroupIngress", "RevokeSecurityGroupIngress", "CreateTags", "DeleteTags"}
FIELDS = {
    "SecurityGroupRules": ("SecurityGroupRuleId", "GroupId", "IsEgress", "IpProtocol"),
    "SecurityGroups": ("GroupId",),
    "PrefixLists": ("PrefixListId",),
    "Entries": ("Cidr",),
    "PrefixListAssociations": ("ResourceId",),
    "Regions": ("RegionName",),
    "Accounts": ("Id", "Arn"),
    "OrganizationalUnits": ("Id",),
    "Tags": ("Key",),
}
"""What each item of a list has, however else it looks."""
NAMESPACE = re.compile(r"\{[^}]*amazonaws\.com/doc/[^}]*\}|")
"""AWS's own, or none at all, as some emulators write it."""
PROTOCOLS = {"ec2", "query", "json"}
"""EC2's, STS's and that of Service Quotas and Organizations."""
SUCCESSES_END, SERVER_ERRORS = 301, 500
"""botocore's own bounds: what is below the first is parsed as a success."""
WHO = "something between here and AWS answered: a proxy, a gateway, or a wrong `endpoint_url`"


class OtherShape(ResponseParserError):
    """An answer that isn't one to what was asked: nothing can be concluded from it."""


def demand(**event: Any) -> None:
    """Look at an answer before botocore parses it; for its event `before-parse`. Raises OtherShape."""
    operation_model, response_dict = event["operation_model"], event["response_dict"]
    if operation_model.service_model.resolved_protocol not in PROTOCOLS:
        return  # SSO's, which writes an error's code into a header; botocore's own chain judges these
    status, body = int(response_dict["status_code"]), bytes(response_dict.get("body") or b"")
    if status >= SERVER_ERRORS and not _error_code(body):
        response_dict["body"] = b""  # a gateway's page: without a body botocore takes the status, and tries again
    elif status >= SUCCESSES_END and not _error_code(body):
        raise OtherShape(f"answered {status} with {described(body)}, no error of AWS's: {WHO}")
    elif status < SUCCESSES_END and (wrong := _wrong(operation_model, body, response_dict)):
        raise OtherShape(f"answered {status}, but {wrong}: {WHO}")


def check_page(answer: Mapping[str, Any], key: str, token: str | None) -> None:
    """Look at a parsed page of a list, asked for with this token.

    Raises OtherShape: no list, an item that lacks what every one of its kind has, or the same page for ever.
    """
    if answer.get(key) is None:
        raise OtherShape(f"answered without {key}: {WHO}")
    for item in answer[key]:
        missing = [name for name in FIELDS[key] if item.get(name) in {None, ""}]
        if missing:
            raise OtherShape(f"answered with one of {key} that has no {missing[0]}: {WHO}")
    if token and answer.get("NextToken") == token:
        raise OtherShape(f"answered with the same page of {key} again and again: {WHO}")


def described(body: bytes) -> str:
    """Say what a body is without quoting it: a page's title at most, in harmless letters."""
    text = body[:4096].decode("utf-8", "replace").strip()
    if not text:
        return "an empty body"
    if title := re.search(r"<title[^>]*>([^<]{1,200})", text, re.IGNORECASE):
        return f"a web page ({' '.join(re.sub(r'[^A-Za-z0-9 .,:()/-]', ' ', title[1]).split())[:80]})"
    if re.match(r"(?:<\?xml[^>]*>\s*)?<(?:!doctype\s+html|html)\b", text, re.IGNORECASE):
        return "a web page"
    if text.startswith(("{", "[")):
        return "JSON" if len(text) > 2 else f"JSON ({text})"  # noqa: PLR2004 - {} and []
    return "XML" if text.startswith("<") else "text"


def _wrong(model: Any, body: bytes, response: dict[str, Any]) -> str:
    """Say what is wrong with a success, if anything; XML that was read for it is left for who parses it."""
    protocol, name = model.service_model.resolved_protocol, str(model.name)
    if protocol == "json":
        return _wrong_json(name, body)
    try:
        response[ROOT] = root = ET.fromstring(body, ET.XMLParser(encoding="utf-8"))  # noqa: S314 - expat's own limits hold; as botocore parses it
    except ET.ParseError:
        return f"with {described(body)}, no whole <{name}Response>"
    return _wrong_xml(name, root, body, wrapped=protocol == "query")


def _wrong_json(name: str, body: bytes) -> str:
    said = _json(body)
    if said is None:
        return f"with {described(body)}, no JSON object"
    if name == "GetServiceQuota":
        quota = said.get("Quota")
        value = quota.get("Value") if isinstance(quota, dict) else None
        if isinstance(value, bool) or not isinstance(value, int | float):
            return "without the quota's value"
    return ""


def _wrong_xml(name: str, root: ET.Element, body: bytes, *, wrapped: bool) -> str:
    space, tag = _split(root.tag)
    if tag != f"{name}Response" or not NAMESPACE.fullmatch(space):
        return f"with {described(body)}, no <{name}Response>"
    if wrapped:
        return _wrong_result(name, root.find(f"{space}{name}Result"), space)
    if name in LISTS and root.find(f"{space}{LISTS[name]}") is None:
        return f"without <{LISTS[name]}>"
    if name in RETURNS and not _returned(root, space, name):
        return "without the word that it was done"
    return ""


def _wrong_result(name: str, result: ET.Element | None, space: str) -> str:
    if result is None:
        return f"without <{name}Result>"
    if name.startswith("Assume"):
        given = result.find(f"{space}Credentials")
        needed = ("AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration")
        if given is None or not all(given.findtext(f"{space}{key}") for key in needed):
            return "without credentials"
    return ""


def _returned(root: ET.Element, space: str, name: str) -> bool:
    """Tell whether a write says that it was done. Of tags, some emulators say so by the request's id alone."""
    said = root.findtext(f"{space}return")
    if said is None and name.endswith("Tags"):
        return root.find(f"{space}requestId") is not None
    return said == "true"


def _error_code(body: bytes) -> bool:
    """Tell whether a body is an error as AWS writes it: XML with a <Code>, or JSON with a __type or a code."""
    said = _json(body)
    if said is not None:
        return bool(said.get("__type") or said.get("code") or said.get("Code") or said.get("error"))
    try:
        root = ET.fromstring(body)  # noqa: S314 - as above
    except ET.ParseError:
        return False
    tags = [_split(element.tag)[1] for element in root.iter()]
    return tags[0] in {"Response", "ErrorResponse", "Error"} and "Code" in tags


def _json(body: bytes) -> dict[str, Any] | None:
    try:
        said = json.loads(body)
    except ValueError:
        return None
    return said if isinstance(said, dict) else None


def _split(tag: str) -> tuple[str, str]:
    space, brace, name = tag.rpartition("}")
    return space + brace, name
