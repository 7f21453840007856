"""Slow, separate readings of what ipsync reads, for the fuzzers to compare with; nothing here uses ipsync's code.

A feed is read by hand: JSON by RFC 8259's grammar, addresses by the texts of RFC 4291 and RFC 4632. A config is read
by PyYAML's own constructor, judged by the published JSON Schema, then by the rules that concern more than one key.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import yaml

Address = tuple[int, int, int]
"""Version, first address, prefix."""


class Refused(Exception):
    """The oracle doesn't take the document."""


class Undecided(Exception):
    """The oracle can't say: the document nests deeper than its own recursion should go."""


DEEPEST = 100


def need(fine: object, why: str) -> None:
    """Refuse the document unless something holds."""
    if not fine:
        raise Refused(why)


# ── addresses: RFC 4632's dotted quads, RFC 4291's three forms ───────────────


def address(text: object) -> Address:
    """Read one address or network, without host bits, netmasks, zones and leading zeros."""
    need(isinstance(text, str), "no text")
    need(len(str(text)) <= 43, "only RFC 4291's mixed form with eight full groups is longer; ipsync takes none so long")
    base, slash, prefix = str(text).partition("/")
    version, number = (6, _v6(base)) if ":" in base else (4, _v4(base))
    bits = 128 if version == 6 else 32
    length = _decimal(prefix, bits) if slash else bits
    need(number % (1 << (bits - length)) == 0, "host bits set")
    return version, number, length


def _decimal(text: str, most: int) -> int:
    need(text in {str(n) for n in range(most + 1)}, f"{text!r} is no plain number up to {most}")
    return int(text)


def _v4(text: str) -> int:
    managed_lists = text.split(".")
    need(len(managed_lists) == 4, "four numbers are needed")
    a, b, c, d = (_decimal(managed, 255) for managed in managed_lists)
    return ((a * 256 + b) * 256 + c) * 256 + d


def _v6(text: str) -> int:
    need(text.count("::") <= 1 and ":::" not in text, "one :: at most")
    head, gap, tail = text.partition("::")
    front, back = _groups(head, last=not gap), _groups(tail, last=True)
    missing = 8 - len(front) - len(back)
    need(missing >= 1 if gap else missing == 0, "eight groups are needed")
    number = 0
    for group in (*front, *[0] * missing, *back):
        number = number * 65536 + group
    return number


def _groups(text: str, *, last: bool) -> list[int]:
    groups: list[int] = []
    managed_lists = text.split(":") if text else []
    for i, managed in enumerate(managed_lists):
        if "." in managed and last and i == len(managed_lists) - 1:
            groups += divmod(_v4(managed), 65536)
            continue
        need(1 <= len(managed) <= 4 and set(managed) <= set("0123456789abcdefABCDEF"), f"{managed!r} is no group")
        groups.append(int(managed, 16))
    return groups


# ── feeds ────────────────────────────────────────────────────────────────────


def feed(body: bytes, select: str) -> set[Address]:
    """Read a feed's addresses; `select` is one of FEEDS."""
    try:
        text = body.removeprefix(b"\xef\xbb\xbf").decode("utf-8")
    except UnicodeDecodeError:
        raise Refused("not UTF-8") from None
    return {address(entry) for entry in FEEDS[select](text)}


def _lines(text: str) -> list[object]:
    found: list[object] = []
    for line in text.split("\n"):
        kept = re.sub("#.*", "", line, flags=re.DOTALL)
        kept = re.sub(r"^[ \t\r]+|[ \t\r]+\Z", "", kept)
        found += [kept] if kept else []
    return found


def _document(text: str) -> list[object]:
    found = Json(text).whole()
    need(isinstance(found, list), "no list")
    return list(found)


def _member(text: str) -> list[object]:
    found = Json(text).whole()
    need(isinstance(found, dict) and isinstance(found.get("ipAddresses"), list), "no list")
    return list(found["ipAddresses"])


def _prefixes(text: str) -> list[object]:
    """Do what `prefixes[].ip` means: lists inside the list are opened once, and each of its elements has an ip."""
    found = Json(text).whole()
    need(isinstance(found, dict) and isinstance(found.get("prefixes"), list), "no list")
    opened = [one for item in found["prefixes"] for one in (item if isinstance(item, list) else [item])]
    need(all(isinstance(one, dict) and one.get("ip") is not None for one in opened), "an element without an ip")
    return [one["ip"] for one in opened]


FEEDS = {"": _lines, "@": _document, "ipAddresses": _member, "prefixes[].ip": _prefixes}
"""The selections that are tried; "" is a text feed."""


class Json:
    """RFC 8259, token by token; a key that stands twice is refused."""

    SPACE = re.compile(r"[ \t\n\r]*")
    STRING = re.compile(r'"((?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*)"')
    NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
    ESCAPES: Mapping[str, str] = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
    NAMES: Mapping[str, object] = {"true": True, "false": False, "null": None}

    def __init__(self, text: str) -> None:
        self.text, self.at, self.depth = text, 0, 0

    def whole(self) -> Any:
        """Return the one value that the text is."""
        found = self._value()
        self._space()
        need(self.at == len(self.text), "something stands after the value")
        return found

    def _space(self) -> None:
        match = self.SPACE.match(self.text, self.at)
        self.at = match.end() if match else self.at

    def _taken(self, token: str) -> bool:
        self._space()
        fits = self.text.startswith(token, self.at)
        self.at += len(token) if fits else 0
        return fits

    def _value(self) -> Any:
        for opening, read in (("{", self._object), ("[", self._list)):
            if self._taken(opening):
                self.depth += 1
                if self.depth > DEEPEST:
                    raise Undecided
                found = read()
                self.depth -= 1
                return found
        for name, value in self.NAMES.items():
            if self._taken(name):
                return value
        return self._scalar()

    def _scalar(self) -> object:
        if number := self.NUMBER.match(self.text, self.at):
            self.at = number.end()
            return 0.5  # whichever: no number is an address
        return self._string()

    def _string(self) -> str:
        self._space()
        match = self.STRING.match(self.text, self.at)
        if not match:
            raise Refused(f"no value at {self.at}")
        self.at = match.end()
        plain = re.sub(r"\\(u[0-9a-fA-F]{4}|.)", self._escape, match[1])
        return plain.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")

    def _escape(self, match: re.Match[str]) -> str:
        code = match[1]
        return chr(int(code[1:], 16)) if len(code) > 1 else self.ESCAPES.get(code, code)

    def _object(self) -> object:
        return dict(self._pairs())

    def _list(self) -> object:
        return list(self._items())

    def _items(self) -> Iterator[object]:
        if self._taken("]"):
            return
        yield self._value()
        while not self._taken("]"):
            need(self._taken(","), "no comma")
            yield self._value()

    def _pairs(self) -> Iterator[tuple[str, object]]:
        seen: set[str] = set()
        if self._taken("}"):
            return
        while True:
            key = self._string()
            need(key not in seen and self._taken(":"), "a key twice, or without a value")
            seen.add(key)
            yield key, self._value()
            if self._taken("}"):
                return
            need(self._taken(","), "no comma")


# ── configs ──────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Facts:
    """What a config asks for, in plain values that both sides can be compared by."""

    owner: str
    grace: float | None
    every: float
    jitter: float
    feeds: frozenset[tuple[str, str, str, float, int]]
    targets: tuple[tuple[str, str, frozenset[str], frozenset[str], frozenset[Address]], ...]


class _Strict(yaml.constructor.SafeConstructor):
    """PyYAML's own reading, but keys stay texts, none stands twice, and dates are no dates."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        del deep
        own = [k.value for k, _ in node.value]
        need(all(isinstance(k, yaml.ScalarNode) for k, _ in node.value), "a key that is no word")
        need(len(own) == len(set(own)), "a key twice")
        merges = [k for k, _ in node.value if k.tag.endswith(":merge")]
        self.flatten_mapping(node)
        need(not merges or all(k.tag.endswith(":merge") is False for k, _ in node.value), "a merge in a merge")
        return {k.value: self.construct_object(v, deep=True) for k, v in node.value}


def _text(loader: Any, node: Any) -> object:
    return loader.construct_scalar(node)


for _tag in ("timestamp", "value"):
    _Strict.add_constructor(f"tag:yaml.org,2002:{_tag}", _text)


class _Python(_Strict, yaml.SafeLoader):
    """Over PyYAML's parser."""


class _C(_Strict, yaml.CSafeLoader):
    """Over libyaml's, for what PyYAML's own can't parse, like a tab before a comment."""


def _loaded(text: str) -> Any:
    try:
        return yaml.load(text, Loader=_Python)
    except yaml.YAMLError:
        return yaml.load(text, Loader=_C)


def config(data: bytes, environ: Mapping[str, str], schema: Mapping[str, Any]) -> Facts:
    """Read a config; raise Refused for everything that may not be one."""
    try:
        document = _filled(_loaded(data.decode("utf-8")), environ)
        jsonschema.Draft202012Validator(schema).validate(document)
    except (yaml.YAMLError, jsonschema.ValidationError, UnicodeDecodeError) as error:
        raise Refused(f"{type(error).__name__}: {error}"[:300]) from None
    feeds = {name: feed or {} for name, feed in (document.get("feeds") or {}).items()}
    for name, one in feeds.items():
        _check_feed(name, one)
    for target in document["targets"]:
        _check_target(target, feeds)
    _check_targets(document["targets"])
    return _facts(document, feeds)


def _filled(value: Any, environ: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(inner, environ) for key, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, environ) for inner in value]
    if not isinstance(value, str):
        return value
    managed_lists = re.split(r"(\$\$\{|\$\{\w+\})", value, flags=re.ASCII)
    need(all("${" not in managed for managed in managed_lists[::2]), "a ${ that is no variable")
    return "".join("${" if p == "$${" else _variable(p, environ) if i % 2 else p for i, p in enumerate(managed_lists))


def _variable(text: str, environ: Mapping[str, str]) -> str:
    need(text[2:-1] in environ, "an unset variable")
    return environ[text[2:-1]]


def _check_feed(name: str, one: Mapping[str, Any]) -> None:
    need(re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,63}", name) and name != "static", "a feed's name")
    need(one.get("url") or name == "qatech", "a feed without a url")
    need(one.get("format", "json") == "json" or one.get("select") is None, "a text feed that selects")
    managed_lists = urlsplit(one.get("url") or "https://x")
    need(managed_lists.username is None and "@" not in managed_lists.netloc and managed_lists.hostname, "a url's host")
    local = managed_lists.hostname in {"localhost", "127.0.0.1", "::1"}
    need(managed_lists.scheme == "https" or local or one.get("insecure") is True, "plain http")
    need(not one.get("ca_file") or Path(one["ca_file"]).is_file(), "no CA file")
    need(0 < _seconds(one.get("timeout", 30)) <= 600, "a feed's timeout")
    need(0 < _bytes(one.get("max_bytes", 1)) <= 100 * 2**20, "a feed's size")
    for cidr in one.get("allow_special_use", []):
        address(cidr)
    for key, value in one.get("headers", {}).items():
        need(not re.search(r"[\r\n\0]", key + value) and value.isascii() and value.strip() == value != "", "a header")
        need(key.lower() not in {"host", "content-length", "transfer-encoding", "accept-encoding"}, "our header")


def _check_target(target: Mapping[str, Any], feeds: Mapping[str, Any]) -> None:
    need(all(name in feeds for name in _names(target)), "a feed that isn't there")
    need(_names(target) or target.get("static"), "wants nothing")
    need(all(address(cidr)[2] > 0 for cidr in target.get("static", [])), "the whole internet")
    need(target["name"] != "static", "a reserved name")
    spans = [_span(port) for port in target["ports"]]
    need(all(protocol != "all" for protocol, _, _ in spans) or len(spans) == 1, "all beside others")
    for i, (protocol, first, last) in enumerate(spans):
        need(0 <= first <= last <= 65535 and last > 0, "a range of ports")
        need(all(p != protocol or last < a or b < first for p, a, b in spans[:i]), "overlapping ports")
    if target["kind"] == "aws-security-group":
        need(bool(target.get("groups")) != bool(target.get("match")), "groups or match")
        need(all(protocol != "sctp" for protocol, _, _ in spans), "sctp on AWS")
        account = target.get("account", {})
        need(account.get("external_id") is None or account.get("role_arn") is not None, "an external id alone")
    else:
        need(not (target.get("target_tags") and target.get("target_service_accounts")), "tags and accounts")


def _check_targets(targets: list[dict[str, Any]]) -> None:
    names = [target["name"] for target in targets]
    need(len(set(names)) == len(names), "a name twice")
    rules: dict[tuple[str, str], tuple[object, ...]] = {}
    for target in (t for t in targets if t["kind"] == "gcp-firewall"):
        key = target["project"], target["rule"]
        listed = [frozenset(target.get(k, ())) for k in ("target_tags", "target_service_accounts")]
        ports = frozenset(_span(port) for port in target["ports"])
        plain = target.get("network", "default"), target.get("priority", 1000), target.get("max_ranges", 256)
        need(rules.setdefault(key, (*listed, ports, *plain)) == (*listed, ports, *plain), "two of a rule disagree")
    for project, rule in rules:
        for end in (r"-v6", r"-[0-9]+", r"-v6-[0-9]+"):
            stem = re.sub(f"{end}\\Z", "", rule)
            need(stem == rule or (project, stem) not in rules, "a neighbour's name")


def _names(target: Mapping[str, Any]) -> list[str]:
    named = target.get("feed", [])
    return [named] if isinstance(named, str) else list(named)


def _span(port: str) -> tuple[str, int, int]:
    """Return protocol, first and last, whichever stands first; those without ports stand for all of them."""
    words = re.split("[/:]", port.lower())
    if len(words) == 1:
        return {"icmp6": "icmpv6", "ipv6-icmp": "icmpv6"}.get(words[0], words[0]), 1, 65535
    numbers, protocol = sorted(words)  # digits come before letters
    first, _, last = numbers.partition("-")
    return protocol, int(first), int(last or first)


def _seconds(value: Any) -> float:
    if isinstance(value, int | float):
        return float(value)
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
    return float(sum(int(n) * units[u] for n, u in re.findall(r"([0-9]+)([a-z])", value)))


def _bytes(value: Any) -> int:
    text = str(value)
    return int(text.rstrip("BKMi")) * (2**20 if "M" in text else 2**10 if "K" in text else 1)


def _facts(document: Mapping[str, Any], feeds: Mapping[str, Any]) -> Facts:
    schedule = document.get("schedule", {})
    every, jitter = _seconds(schedule.get("every", "15m")), _seconds(schedule.get("jitter", "60s"))
    need(every >= 10 and jitter < every, "a schedule")
    grace = document.get("removal", {}).get("grace", "72h")
    return Facts(
        owner=document["owner"],
        grace=None if grace == "never" else _seconds(grace),
        every=every,
        jitter=jitter,
        feeds=frozenset(_feed_facts(name, one) for name, one in feeds.items()),
        targets=tuple(_target_facts(target) for target in document["targets"]),
    )


def _feed_facts(name: str, one: Mapping[str, Any]) -> tuple[str, str, str, float, int]:
    url = one.get("url") or "https://api.qa.tech/v1/outbound-ips"
    select = one.get("select") or ("ipAddresses" if name == "qatech" else "@")
    how = f"select {select}" if one.get("format", "json") == "json" else "text"
    return name, url, how, _seconds(one.get("timeout", 30)), _bytes(one.get("max_bytes", 5 * 2**20))


def _target_facts(
    target: Mapping[str, Any],
) -> tuple[str, str, frozenset[str], frozenset[str], frozenset[Address]]:
    ports = frozenset(str(_span(port)) for port in target["ports"])
    static = frozenset(address(cidr) for cidr in target.get("static", []))
    return target["name"], target["kind"], frozenset(_names(target)), ports, static
