"""Who denies, and what helps; and what stands between us and AWS, by the name of its variable."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from factory import HTTPS, NOW, Log, aws_target, config, hosts, snapshot

from ipsync import engine
from ipsync.core.errors import Denied, Unreachable
from ipsync.core.model import Entry, Operation
from ipsync.targets import registry
from ipsync.targets.aws import client as aws_client
from ipsync.targets.aws import policy as aws_policy
from ipsync.targets.aws.group_reader import Reader
from ipsync.targets.aws.group_writer import Writer
from ipsync.targets.aws.where import AwsAccount

REFUSED = (
    "You are not authorized to perform this operation. User: arn:aws:sts::123456789012:assumed-role/ci/session is not "
    "authorized to perform: ec2:AuthorizeSecurityGroupIngress on resource: arn:aws:ec2:eu-north-1:123456789012:"
    "security-group/sg-0123456789abcdef0 {} Encoded authorization failure message: " + "x" * 600
)


def target(aws, *groups, **where):
    return aws_target(where={"groups": groups, "endpoint_url": aws.endpoint_url, **where})


def planned(made):
    clouds = engine.Clouds(lambda f: snapshot(hosts(1), feed=f.name), registry.open_reader, registry.open_writer)
    whole = config(made)
    return engine.plan(engine.Run("r", whole, clouds, Log(), lambda: NOW, frozenset({made.name}))).plan.target_changes[
        0
    ]


def written(aws, group, region="eu-north-1"):
    entry = Entry(hosts(1)[0], HTTPS, (("description", "d"), ("ipsync:owner", "acme")))
    operation = Operation("add", f"aws/123456789012/{region}/{group}", (), (), entries=(entry,))
    with pytest.raises(Denied) as caught:
        Writer(target(aws, group, region=region)).execute(operation)
    return str(caught.value)


@pytest.mark.parametrize(
    ("reason", "who", "keeper"),
    [
        ("with an explicit deny in a service control policy.", "a service control policy", "AWS Organizations"),
        ("with an explicit deny in a resource control policy.", "a resource control policy", "AWS Organizations"),
        ("with an explicit deny in a permissions boundary.", "a permissions boundary", "must widen it"),
        ("with an explicit deny in a session policy.", "a session policy", "starts the session"),
        ("with an explicit deny in a VPC endpoint policy.", "a VPC endpoint policy", "VPC endpoint"),
        ("with an explicit deny in an identity-based policy.", "an identity-based policy", "own policies"),
        ("with an explicit deny.", "an explicit Deny", "look for the Deny"),
        ("because no service control policy allows the action.", "a service control policy", "AWS Organizations"),
        ("because no permissions boundary allows the action.", "a permissions boundary", "must widen it"),
    ],
)
def test_a_deny_from_above_is_no_missing_statement(aws, reason, who, keeper):
    aws.refuse("UnauthorizedOperation", REFUSED.format(reason), status=403, action="AuthorizeSecurityGroupIngress")
    group = aws.make_group("web")
    error = written(aws, group)
    assert f"It is {who} that denies this; adding a statement to the role can't help" in error
    assert keeper in error
    assert "The role needs" not in error
    assert "xxx" not in error
    found = [f for f in Reader(target(aws, group)).check([target(aws, group)], owner="acme") if not f.ok]
    assert [f.remedy for f in found] == [aws_policy.barrier(reason)]


def test_a_missing_statement_is_one(aws):
    reason = "because no identity-based policy allows the ec2:AuthorizeSecurityGroupIngress action"
    aws.refuse("UnauthorizedOperation", REFUSED.format(reason), status=403, action="AuthorizeSecurityGroupIngress")
    error = written(aws, aws.make_group("web"))
    assert 'The role needs: {"Effect": "Allow"' in error
    assert '"arn:aws:ec2:*:*:security-group/*"' in error


@pytest.mark.parametrize(
    ("region", "partition"), [("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov"), ("eusc-de-east-1", "aws-eusc")]
)
def test_an_arn_is_of_its_region_s_partition(aws, region, partition):
    aws.deny("ec2:AuthorizeSecurityGroupIngress")
    error = written(aws, "sg-0123456789abcdef0", region)
    assert f'"arn:{partition}:ec2:*:*:security-group/*"' in error
    assert "arn:aws:" not in error


# ── proxies ──────────────────────────────────────────────────────────────────


@pytest.fixture
def unproxied(aws, monkeypatch):
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "no_proxy", "NO_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(aws_client, "_SESSIONS", {})
    return monkeypatch


@pytest.fixture
def gatekeeper():
    """A proxy that wants a password of everybody."""

    class Gatekeeper(BaseHTTPRequestHandler):
        def refuse(self):
            body = b"<html><title>Authentication required</title></html>"
            self.send_response(407)
            self.send_header("Proxy-Authenticate", "Basic")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET = do_CONNECT = refuse  # noqa: N815 - names that http.server calls

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Gatekeeper) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("HTTP_PROXY", "http://127.0.0.1:1", ("HTTP_PROXY (http://127.0.0.1:1)", "can't be reached")),
        ("http_proxy", "127.0.0.1:1", ("http_proxy (127.0.0.1:1)", "no scheme, so http:// was taken")),
        ("HTTP_PROXY", "socks5://127.0.0.1:1", ("HTTP_PROXY (socks5://127.0.0.1:1)", "no http or https one")),
        ("HTTP_PROXY", "http://me:secret@127.0.0.1:1", ("HTTP_PROXY (http://***@127.0.0.1:1)", "can't be reached")),
    ],
)
def test_a_proxy_that_can_not_be_used_is_named_by_its_variable(aws, unproxied, variable, value, words):
    unproxied.setenv(variable, value)
    error = planned(target(aws, "sg-00000000000000000")).error
    for word in (*words, "NO_PROXY"):
        assert word in error
    assert "secret" not in error


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_wants_a_password_is_named(aws, unproxied, gatekeeper, scheme):
    variable = f"{scheme.upper()}_PROXY"
    unproxied.setenv(variable, f"http://{gatekeeper}")
    error = planned(target(aws, "sg-00000000000000000", endpoint_url=f"{scheme}://127.0.0.1:9")).error
    assert f"the proxy in {variable} (http://{gatekeeper}) wants a name and a password (407)" in error


def test_a_dead_proxy_on_the_way_to_the_role_is_named(aws, unproxied):
    unproxied.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    account = AwsAccount(role_arn="arn:aws:iam::222222222222:role/behind-a-proxy")
    error = planned(target(aws, "sg-00000000000000000", account=account)).error
    assert "the proxy in HTTP_PROXY (http://127.0.0.1:1) can't be reached" in error


def test_nothing_was_written_where_the_proxy_is_dead(aws, unproxied):
    unproxied.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    entry = Entry(hosts(1)[0], HTTPS, (("description", "d"),))
    operation = Operation("add", "aws/123456789012/eu-north-1/sg-00000000000000000", (), (), entries=(entry,))
    with pytest.raises(Unreachable):
        Writer(target(aws, "sg-00000000000000000")).execute(operation)
