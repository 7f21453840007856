"""Every failure of AWS's credential chain is a sentence: which credentials, why, and what to run; and it heals."""

from __future__ import annotations

import json
import os
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from factory import NOW, Log, aws_target, config, hosts, snapshot

from ipsync import engine
from ipsync.engine import preflight
from ipsync.targets import registry
from ipsync.targets.aws import client as aws_client
from ipsync.targets.aws import credentials as aws_credentials
from ipsync.targets.aws.where import AwsAccount

SSO = """
[profile dev]
sso_session = corp
sso_account_id = 111122223333
sso_role_name = reader
[sso-session corp]
sso_region = eu-north-1
sso_start_url = https://corp.awsapps.com/start
[profile old]
sso_start_url = https://corp.awsapps.com/start
sso_region = eu-north-1
sso_account_id = 111122223333
sso_role_name = reader
"""
ROLE = "arn:aws:iam::222222222222:role/{}"


@pytest.fixture
def bare(aws, monkeypatch, tmp_path):
    """Nothing is configured; the chain ends at once."""
    monkeypatch.setattr(aws_client, "_SESSIONS", {})
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return tmp_path


@pytest.fixture(autouse=True)
def _no_traceback(caplog):
    yield
    assert [r.name for r in caplog.get_records("call") if r.exc_info and r.name.startswith("botocore")] == []


def made(aws, *, group="sg-00000000000000000", account=AwsAccount()):  # noqa: B008 - frozen
    return config(aws_target(where={"groups": (group,), "endpoint_url": aws.endpoint_url, "account": account}))


def started(aws, **where):
    clouds = engine.Clouds(lambda f: snapshot(hosts(1), feed=f.name), registry.open_reader, registry.open_writer)
    whole = made(aws, **where)
    return engine.Run("r", whole, clouds, Log(), lambda: NOW, frozenset(t.name for t in whole.targets))


def planned(aws, **where):
    (target_change,) = engine.plan(started(aws, **where)).plan.target_changes
    return target_change.error or target_change.status.value


def said(aws, *words: str, never: tuple[str, ...] = ("a fault in ipsync", "Traceback"), **where) -> None:
    """The plan and `check` say these words."""
    error = planned(aws, **where)
    (*_, finding) = preflight.check(started(aws, **where))
    assert not finding.ok
    for text in (error, finding.detail):
        for word in words:
            assert word in text
        for word in never:
            assert word not in text


def test_none_at_all(aws, bare):
    said(aws, "no AWS credentials were found", "aws sso login --profile default", "AWS_PROFILE")


def test_a_role_to_assume_with_nothing(aws, bare):
    role = ROLE.format("nothing")
    said(aws, "no AWS credentials were found", role, account=AwsAccount(role_arn=role))


def test_a_profile_that_is_not_there(aws, bare):
    said(aws, "nope", "`account: {profile: …}`", "~/.aws/config", account=AwsAccount(profile="nope"))


@pytest.mark.parametrize("profile", ["dev", "old"])
@pytest.mark.parametrize("expired", [True, False])
def test_an_sso_session_that_has_ended_or_never_began(aws, bare, profile, expired):
    (bare / "config").write_text(SSO)
    if expired:
        import hashlib

        cache = bare / ".aws/sso/cache"
        cache.mkdir(parents=True)
        key = {"dev": "corp", "old": "https://corp.awsapps.com/start"}[profile]
        token = {"accessToken": "secret-token", "expiresAt": "2026-01-01T00:00:00Z", "startUrl": key, "region": "x"}
        (cache / f"{hashlib.sha1(key.encode()).hexdigest()}.json").write_text(json.dumps(token))
    said(
        aws, "no valid SSO session", f"run `aws sso login --profile {profile}`", f"the profile {profile} (SSO",
        never=("a fault in ipsync", "secret-token"), account=AwsAccount(profile=profile),
    )  # fmt: skip


def test_a_web_identity_token_that_is_not_there(aws, bare, monkeypatch):
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(bare / "token"))
    monkeypatch.setenv("AWS_ROLE_ARN", ROLE.format("irsa"))
    said(
        aws,
        f"the web identity token file {bare}/token for the role",
        f"{bare}/token can't be read (No such file",
        "fsGroup",
    )


def test_a_web_identity_token_that_is_a_folder(aws, bare, monkeypatch):
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(bare))
    monkeypatch.setenv("AWS_ROLE_ARN", ROLE.format("irsa"))
    said(aws, f"{bare} can't be read (Is a directory)")


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_a_web_identity_token_that_may_not_be_read(aws, bare, monkeypatch):
    token = bare / "token"
    token.touch(mode=0o000)
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
    monkeypatch.setenv("AWS_ROLE_ARN", ROLE.format("irsa"))
    said(aws, f"{token} can't be read (Permission denied)")


def test_a_web_identity_that_sts_refuses(aws, bare, monkeypatch):
    (bare / "token").write_text("a-token")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(bare / "token"))
    monkeypatch.setenv("AWS_ROLE_ARN", ROLE.format("irsa"))
    aws.refuse(
        "InvalidIdentityToken", "No OpenIDConnect provider found", status=400, action="AssumeRoleWithWebIdentity"
    )
    said(aws, "InvalidIdentityToken", "OIDC provider", f"{bare}/token")


@pytest.mark.parametrize("token", [None, "two\nlines"])
def test_a_pod_identity_token_that_can_not_be_used(aws, bare, monkeypatch, token):
    path = bare / "pod-token"
    if token:
        path.write_text(token)
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/v1/credentials")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(path))
    said(
        aws,
        "container credentials at http://127.0.0.1:1/v1/credentials",
        str(path),
        "Auth token value" if token else "can't be read",
    )


@pytest.mark.parametrize("body", [b"{}", b"[]", b"null", b"<html/>", b'"x"'])
def test_a_pod_identity_agent_that_answers_something_else(aws, bare, monkeypatch, body):
    class Agent(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Agent) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        monkeypatch.setattr("botocore.utils.ContainerMetadataFetcher.SLEEP_TIME", 0)
        monkeypatch.setenv(
            "AWS_CONTAINER_CREDENTIALS_FULL_URI", f"http://127.0.0.1:{server.server_port}/v1/credentials"
        )
        said(aws, f"the container credentials at http://127.0.0.1:{server.server_port}")
        server.shutdown()
        thread.join()


def test_mfa_without_a_terminal(aws, bare, monkeypatch):
    (bare / "config").write_text(
        "[profile mfa]\nrole_arn = arn:aws:iam::222222222222:role/x\nsource_profile = base\n"
        "mfa_serial = arn:aws:iam::111122223333:mfa/me\n[profile base]\naws_access_key_id = A\naws_secret_access_key = B\n"
    )
    monkeypatch.setattr("getpass.getpass", lambda _: pytest.fail("nobody is there to ask"))
    said(aws, "MFA", "no terminal", "the profile mfa (role", "mfa_serial", account=AwsAccount(profile="mfa"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[profile x]\nrole_arn = arn:aws:iam::222222222222:role/x\nsource_profile = gone\n", "gone"),
        ("[profile x]\nrole_arn = arn:aws:iam::222222222222:role/x\n", "source_profile"),
        ("[profile x]\nrole_arn = arn:aws:iam::222222222222:role/x\ncredential_source = Moon\n", "Moon"),
        ("[profile x]\nrole_arn = arn:aws:iam::222222222222:role/x\nsource_profile = x\nmfa_serial = y\n", "x"),
        ("[profile x]\naws_access_key_id = A\n", "aws_secret_access_key"),
        ("[profile x]\ncredential_process = false\n", "the profile x (credential_process)"),
        ("[profile x]\ncredential_process = echo nonsense\n", "the profile x (credential_process)"),
        ("[profile x]\ncredential_process = /no/such/program\n", "/no/such/program"),
        ("[profile x]\nsso_session = gone\nsso_account_id = 1\nsso_role_name = r\n", "gone"),
        ("this is no INI file\n", "Unable to parse config file"),
        ("[profile x]\nweb_identity_token_file = /no/token\n", "role_arn"),
        ("[profile x]\nlogin_session = arn:aws:iam::111122223333:user/me\n", "pip install 'botocore[crt]'"),
    ],
)
def test_a_config_file_that_does_not_hold_together(aws, bare, text, words):
    (bare / "config").write_text(text)
    said(aws, words, account=AwsAccount(profile="x"))


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("InvalidClientTokenId", "no such access key"),
        ("ExpiredToken", "have expired: renew them"),
        ("SignatureDoesNotMatch", "clock"),
        ("RequestExpired", "clock"),
    ],
)
def test_a_role_s_own_source_may_be_spent(aws, code, advice):
    """It isn't the role's trust policy that is to be looked at."""
    aws.refuse(code, "The request is refused", status=403, action="AssumeRole")
    account = AwsAccount(role_arn=ROLE.format(code))
    said(aws, code, advice, "AWS_ACCESS_KEY_ID", never=("trust policy",), account=account)


def test_sts_out_of_reach(aws, bare, monkeypatch):
    (bare / "token").write_text("a-token")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(bare / "token"))
    monkeypatch.setenv("AWS_ROLE_ARN", ROLE.format("irsa"))
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:1")
    said(aws, "what gives them can't be reached", "127.0.0.1:1")


def test_it_heals_when_credentials_come_back(aws, bare, monkeypatch):
    group = aws.make_group("web")
    assert "no AWS credentials" in planned(aws, group=group)
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(bare / "token"))
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/irsa")
    assert "can't be read" in planned(aws, group=group)
    (bare / "token").write_text("a-token")
    assert planned(aws, group=group) == "change"


def test_rotated_keys_of_the_shared_file_are_read_again(aws, bare):
    def keys(name):
        (bare / "credentials").write_text(f"[default]\naws_access_key_id = {name}\naws_secret_access_key = x\n")

    group, seen = aws.make_group("web"), []
    keys("AKIAOLDOLDOLDOLDOLD1")
    for name in ("AKIAOLDOLDOLDOLDOLD1", "AKIANEWNEWNEWNEWNEW2"):
        keys(name)
        assert planned(aws, group=group) == "change"
        (session,) = aws_client._SESSIONS.values()
        seen.append(session.get_credentials().access_key)
    assert seen == ["AKIAOLDOLDOLDOLDOLD1", "AKIANEWNEWNEWNEWNEW2"]


@pytest.mark.parametrize("code", ["ExpiredToken", "InvalidClientTokenId", "RequestExpired", "SignatureDoesNotMatch"])
def test_credentials_that_aws_calls_spent_are_asked_for_again(aws, code):
    group = aws.make_group("web")
    planned(aws, group=group)
    before = list(aws_client._SESSIONS.values())
    aws.refuse(code, "No", status=403, region="eu-north-1")
    assert code in planned(aws, group=group)
    assert AwsAccount() not in {account for account, *_ in aws_client._SESSIONS}
    aws.reset()
    planned(aws, group=aws.make_group("web"))
    assert not [s for s in aws_client._SESSIONS.values() if s in before]


def test_a_session_is_kept_while_it_is_of_use(aws):
    group = aws.make_group("web")
    planned(aws, group=group)
    first = dict(aws_client._SESSIONS)
    planned(aws, group=group)
    assert dict(aws_client._SESSIONS) == first


def test_a_code_is_asked_for_on_a_terminal(monkeypatch):
    class Terminal:
        def isatty(self):
            return True

    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("getpass.getpass", lambda prompt: f"{prompt}123456")
    assert aws_credentials.ask_for_code("code: ") == "code: 123456"


def test_whatever_is_raised_becomes_a_row_of_check(aws, monkeypatch):
    def broken(*_args, **_kwargs):
        raise AttributeError("'NoneType' object has no attribute 'get'")

    monkeypatch.setattr("ipsync.targets.registry.open_reader", broken)
    (*_, finding) = preflight.check(started(aws))
    assert not finding.ok
    assert "AttributeError" in finding.detail
