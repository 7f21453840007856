"""Answers as AWS writes them, to be sent back over WSGI."""

from __future__ import annotations

import json
import re
import socket
import struct
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ipsync.sandbox.aws.params import Refused

NS = "http://ec2.amazonaws.com/doc/2016-11-15/"


RULES_QUOTA = "L-0EA8095F"
GATEWAY_PAGE = (
    b'<?xml version="1.0" encoding="UTF-8"?><!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN" '
    b'"http://www.w3.org/TR/xhtml1/DTD/xhtml1-strict.dtd"><html xmlns="http://www.w3.org/1999/xhtml"><head>'
    b"<title>Sign in to the network</title></head><body><p>Please sign in.</p></body></html>"
)
"""What a captive portal or a gateway answers to anything: well-formed XML, status 200."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A canned answer; `done`: what was asked is carried out first, and only its answer is replaced."""

    body: bytes
    status: int = 200
    done: bool = False


def scope(environ: Mapping[str, Any]) -> tuple[str, str]:
    """Return region and service from the signature's credential scope."""
    match = re.search(r"Credential=[^/]+/\d+/([^/]+)/([^/]+)/", environ.get("HTTP_AUTHORIZATION", ""))
    return (match[1], match[2]) if match else ("", "")


def started(start: Any, status: int, data: bytes) -> Iterable[bytes]:
    """Send an answer."""
    start(f"{status} {'OK' if status < 300 else 'Refused'}", _headers(data))  # noqa: PLR2004 - HTTP's successes
    return [data]


def query_error(code: str, text: str) -> bytes:
    """Return an error as STS and the other services of the query protocol write it; EC2's form is its own."""
    root = ET.Element("ErrorResponse")
    error = ET.SubElement(root, "Error")
    for name, value in (("Type", "Sender"), ("Code", code), ("Message", text)):
        ET.SubElement(error, name).text = value
    ET.SubElement(root, "RequestId").text = "sandbox"
    return ET.tostring(root)


def json_error(code: str, text: str) -> bytes:
    """Return an error as the services of the JSON protocol write it."""
    return json.dumps({"__type": code, "message": text}).encode()


def _headers(data: bytes) -> list[tuple[str, str]]:
    return [("Content-Type", "text/xml;charset=UTF-8"), ("Content-Length", str(len(data)))]


def parse(data: bytes) -> ET.Element:
    """Read moto's answer, whose operations disagree about the namespace."""
    return ET.fromstring(re.sub(rb' xmlns="[^"]*"', b"", data))  # noqa: S314 - moto's own answer


def error(code: str, message: str) -> bytes:
    """Return an error as EC2 writes it."""
    root = ET.Element("Response")
    error = ET.SubElement(ET.SubElement(root, "Errors"), "Error")
    ET.SubElement(error, "Code").text = code
    ET.SubElement(error, "Message").text = message
    ET.SubElement(root, "RequestID").text = "strict-request"
    return ET.tostring(root)


def written(root: ET.Element) -> bytes:
    """Write an answer of EC2's, in its namespace."""
    root.set("xmlns", NS)
    return ET.tostring(root)


def from_moto(status: int, data: bytes) -> Refused:
    """Return moto's error answer as one of ours."""
    root = parse(data)
    return Refused(root.findtext(".//Code") or "Unknown", root.findtext(".//Message") or "", status=status)


def reset(environ: Mapping[str, Any]) -> None:
    """Close the connection with a TCP reset."""
    sock = environ.get("werkzeug.socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.shutdown(socket.SHUT_RDWR)


def quota(value: int) -> bytes:
    """Return Service Quotas' answer about the rules of a group."""
    said = {"ServiceCode": "vpc", "QuotaCode": RULES_QUOTA, "QuotaName": "Inbound or outbound rules per security group"}
    return json.dumps({"Quota": {**said, "Value": float(value), "Adjustable": True}}).encode()
