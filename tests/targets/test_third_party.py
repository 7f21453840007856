"""A kind that somebody else's package brings: everything works with it, and no line of ours knows it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from factory import HTTPS

from ipsync.core.configured import Limits, Target
from ipsync.core.errors import UsageError
from ipsync.sandbox.feed import FeedServer
from ipsync.targets import registry
from ipsync.testing.contract import Contract

PACKAGE = Path(__file__).parents[1] / "third_party"
CACHES = (registry.kind, registry._points)


@pytest.fixture(scope="session")
def installed(tmp_path_factory):
    """Install the package as its users would, into a folder of its own; no network, no build isolation."""
    source, place = tmp_path_factory.mktemp("source") / "acme", tmp_path_factory.mktemp("installed")
    shutil.copytree(PACKAGE, source)  # a build writes beside its source
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--no-compile", "--target", str(place), str(source)], check=True)
    return place


@pytest.fixture
def acme(installed, monkeypatch):
    monkeypatch.syspath_prepend(str(installed))
    for cached in CACHES:
        cached.cache_clear()
    yield
    for cached in CACHES:
        cached.cache_clear()


@pytest.fixture
def router(tmp_path):
    file = tmp_path / "edge.json"
    file.write_text(json.dumps({"rules": []}))
    return file


def put(file: Path, cidr: str) -> None:
    """Let an address in as the router's people would."""
    by_hand = {"id": f"hand {cidr}", "cidr": cidr, "ports": "443/tcp", "tags": {"why": "by hand"}}
    file.write_text(json.dumps({"rules": [*rules(file), by_hand]}))


def rules(file: Path) -> list[dict[str, str]]:
    return json.loads(file.read_text())["rules"]


def test_its_name_is_among_the_kinds(acme):
    assert registry.names()[-1] == "acme/edge"


class TestAcmeEdge(Contract):
    """The shared suite, on a file."""

    remedy = "edgectl thaw"

    @pytest.fixture
    def target(self, acme, router, monkeypatch):
        self.file, self.monkeypatch = router, monkeypatch
        self.written = []
        replace = os.replace

        def counted(source, place):
            if Path(place) == router:
                self.written.append(source)
            replace(source, place)

        monkeypatch.setattr(os, "replace", counted)
        kind = registry.known("acme/edge")
        where = kind.where(kind.schema.model_validate(entry(router)), {})
        return Target("edge", kind.name, ("qatech",), (HTTPS,), where, limits=(("qatech", Limits()),))

    def held(self):
        return sorted(r["cidr"] for r in rules(self.file))

    def writes(self):
        return len(self.written)

    def put_foreign(self, cidr):
        put(self.file, cidr)

    def break_reading(self):
        self.file.write_text("<html>a gateway's page</html>")

    def fail_writing(self, fault):
        """Lose the reply of the next write, after it was done or before."""
        replace = os.replace

        def lost(source, place):
            self.monkeypatch.setattr(os, "replace", replace)
            if fault == "reset-after":
                replace(source, place)
            raise OSError(fault)

        self.monkeypatch.setattr(os, "replace", lost)

    def deny_writing(self):
        self.file.write_text(json.dumps({"rules": rules(self.file), "frozen": "alice"}))


# ── as its users run it ──────────────────────────────────────────────────────


def entry(router: Path, **changes: object) -> dict[str, object]:
    return {"name": "edge", "kind": "acme/edge", "feed": "list", "file": str(router), "ports": ["443/tcp"], **changes}


@pytest.fixture
def served():
    with FeedServer() as server:
        yield server


@pytest.fixture
def ipsync(installed, router, served, tmp_path):
    """Return how to run the program, as a process, with a config of one such target."""

    def run(*words: str, **changes: object) -> subprocess.CompletedProcess[str]:
        grace = changes.pop("grace", "72h")
        config = {
            "version": 1,
            "owner": "acme",
            "feeds": {"list": {"url": served.url, "select": "ipAddresses"}},
            "removal": {"grace": grace},
            "targets": [entry(router, **changes)],
            "audit": {"path": str(tmp_path / "audit.jsonl")},
        }
        (tmp_path / "ipsync.yaml").write_text(json.dumps(config))
        command = [sys.executable, "-m", "ipsync", *words]
        environment = {**os.environ, "PYTHONPATH": str(installed)}
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    return run


def test_the_whole_job_with_no_line_of_ours_changed(ipsync, router, served):
    put(router, "192.168.0.0/16")
    served.addresses = ["8.8.8.8", "8.8.4.4", "9.9.9.9", "2600::1"]
    planned = json.loads(ipsync("plan", "--output", "json").stdout)
    assert [t["resource"] for t in planned["targets"]] == [f"acme{router}"]
    assert len(rules(router)) == 1
    assert ipsync("sync").returncode == 0
    assert len(rules(router)) == 5
    assert ipsync("sync", "--detailed-exitcode").returncode == 0
    served.addresses = ["8.8.8.8", "8.8.4.4", "2600::1"]
    left = json.loads(ipsync("sync", "--output", "json").stdout)
    assert [e["cidr"] for e in left["targets"][0]["leaving"]] == ["9.9.9.9/32"]
    assert ipsync("sync", grace="0s").returncode == 0
    assert sorted(r["cidr"] for r in rules(router)) == ["192.168.0.0/16", "2600::1/128", "8.8.4.4/32", "8.8.8.8/32"]
    assert ipsync("audit", "verify").returncode == 0
    assert "9.9.9.9/32" in ipsync("audit", "show").stdout


def test_the_guards_hold_for_it(ipsync, router, served):
    served.addresses = ["8.8.8.8", "8.8.4.4", "9.9.9.9"]
    assert ipsync("sync").returncode == 0
    served.addresses = ["8.8.8.8"]
    refused = ipsync("sync", grace="0s")
    assert (refused.returncode, "max-removals" in refused.stdout) == (3, True)
    served.addresses = ["10.0.0.1"]
    assert "special-use" in ipsync("sync").stdout
    assert len(rules(router)) == 3


def test_check_and_schema_know_it(ipsync, router, served):
    served.addresses = ["8.8.8.8"]
    checked = ipsync("check")
    assert (checked.returncode, f"acme {router}: write" in checked.stdout) == (0, True)
    assert "The router's file, absolute." in ipsync("schema").stdout


def test_a_mistake_in_its_part_of_the_config_is_told_with_its_line(ipsync, served):
    wrong = ipsync("plan", file="edge.json", colour="red")
    assert wrong.returncode == 1
    assert "file" in wrong.stderr
    assert "colour" in wrong.stderr


# ── packages that don't keep to it ───────────────────────────────────────────


def offer(folder: Path, monkeypatch, name: str, value: str) -> None:
    made = folder / f"odd-{abs(hash(name + value))}.dist-info"
    made.mkdir(parents=True)
    (made / "METADATA").write_text("Metadata-Version: 2.1\nName: odd\nVersion: 1\n")
    (made / "entry_points.txt").write_text(f"[ipsync.targets]\n{name} = {value}\n")
    monkeypatch.syspath_prepend(str(folder))
    for cached in CACHES:
        cached.cache_clear()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("odd/gone", "no_such_module:KIND", "the kind odd/gone of package odd can't be loaded: ModuleNotFoundError"),
        ("odd/list", "json:loads", "package odd offers json:loads as kind odd/list, and that is no ipsync Kind"),
        ("odd", "json:loads", "package odd offers the kind odd; a package's kind has its maker's name before a slash"),
    ],
)
def test_a_package_that_is_wrong_is_named(tmp_path, monkeypatch, name, value, said, acme):
    offer(tmp_path, monkeypatch, name, value)
    with pytest.raises(UsageError, match=said):
        registry.kind(name)


def test_two_packages_of_one_kind_are_both_named(tmp_path, monkeypatch, acme):
    offer(tmp_path, monkeypatch, "acme/edge", "json:loads")
    with pytest.raises(UsageError, match="the packages acme-edge and odd both offer the kind acme/edge; remove one"):
        registry.kind("acme/edge")


def test_no_package_takes_the_name_of_ours(tmp_path, monkeypatch, acme):
    offer(tmp_path, monkeypatch, "gcp-firewall", "json:loads")
    assert registry.known("gcp-firewall").name == "gcp-firewall"
    assert registry.names().count("gcp-firewall") == 1
