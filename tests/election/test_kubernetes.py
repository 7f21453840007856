"""A Lease through lightkube, against an API as strict as the real one; and what is said where it says no."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from kube import kubernetes

from ipsync.core.errors import UsageError
from ipsync.election import kubernetes as ours
from ipsync.election.lease import Conflict, Lease, LeaseError, Timing, held, released

NOW = datetime(2026, 1, 31, 9, tzinfo=UTC)
NAME = "ipsync-acme-leader"


@pytest.fixture
def kube(tmp_path, monkeypatch):
    with kubernetes() as made:
        monkeypatch.setenv("KUBECONFIG", str(made.kubeconfig(tmp_path / "kubeconfig")))
        yield made


@pytest.fixture
def store(kube):
    made = ours.store(NAME)
    yield made
    made.close()


def mine(before=None, *, now=NOW):
    return held(before, "me", now=now, timing=Timing())


def test_a_lease_is_made_renewed_taken_over_and_given_back(store):
    assert store.read() is None
    made = store.create(mine())
    assert (store.name, made.holder, made.seconds) == (f"ipsync/{NAME}", "me", 15)
    later = datetime(2026, 1, 31, 9, 0, 2, 5, tzinfo=UTC)
    renewed = store.replace(mine(made, now=later))
    assert (renewed.transitions, renewed.renewed_at) == (0, later)
    assert renewed.acquired_at == made.acquired_at
    other = store.replace(held(renewed, "you", now=later, timing=Timing()))
    assert (other.holder, other.transitions, other.acquired_at) == ("you", 1, later)
    store.replace(released(other, now=later))
    assert store.read().holder == ""


def test_a_time_without_fraction_is_written_with_six_digits(kube, store):
    """Kubernetes refuses a MicroTime without them, and once in a million seconds a clock shows none."""
    store.create(mine(now=NOW))
    assert kube.leases["ipsync", NAME]["spec"]["renewTime"] == "2026-01-31T09:00:00.000001Z"


def test_who_reads_an_old_version_writes_nothing(kube, store):
    made = store.create(mine())
    store.replace(mine(made))
    with pytest.raises(Conflict):
        store.replace(mine(made))
    with pytest.raises(Conflict):
        store.create(mine())
    kube.leases.clear()
    with pytest.raises(Conflict):
        store.replace(mine(made))


def test_what_others_wrote_on_it_stays(kube, store):
    store.create(mine())
    kube.leases["ipsync", NAME]["metadata"]["labels"] = {"team": "edge"}
    store.replace(mine(store.read()))
    assert kube.leases["ipsync", NAME]["metadata"]["labels"] == {"team": "edge"}


def test_a_lease_that_somebody_made_by_hand_without_a_holder(kube, store):
    meta = {"name": NAME, "namespace": "ipsync", "resourceVersion": "7"}
    kube.leases["ipsync", NAME] = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": meta}
    assert store.read() == Lease()
    assert store.replace(mine(store.read())).holder == "me"


def test_another_namespace(kube):
    kube.namespaces.add("edge")
    store = ours.store("edge/mine")
    store.create(mine())
    store.close()
    assert kube.holder("mine", "edge") == "me"


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("403", ["refuses (403)", "cannot get resource", "Role in namespace ipsync", "resourceNames: [ipsync-acme-leader]"]),
        ("500", ["refuses (500)", "etcdserver: request timed out"]),
        ("html", ["refuses (502)", "127.0.0.1"]),
        ("shape", ["127.0.0.1"]),
        ("reset", ["gives no answer"]),
        ("hang", ["gives no answer", "timed out"]),
    ],
)  # fmt: skip
def test_what_is_said_where_kubernetes_says_no(kube, monkeypatch, fault, words, store):
    monkeypatch.setattr(ours, "ANSWER_TIME", 0.3)
    kube.fault = fault
    with pytest.raises(LeaseError) as error:
        store.read()
    assert all(word in str(error.value) for word in [f"ipsync/{NAME}", *words]), error.value
    assert kube.token not in str(error.value)


def test_a_namespace_that_is_not_there(kube, store):
    kube.namespaces.clear()
    with pytest.raises(LeaseError, match="there is no namespace ipsync in this cluster"):
        store.create(mine())


def test_a_token_that_no_longer_holds_is_read_anew(kube, tmp_path, store):
    store.create(mine())
    kube.token = "another"
    with pytest.raises(LeaseError, match=r"refuses \(401\).*no longer holds"):
        store.read()
    kube.kubeconfig(tmp_path / "kubeconfig")
    assert store.read().holder == "me"


@pytest.mark.parametrize("text", [None, "", "{", "clusters: []\ncontexts: []\n", "- 1"])
def test_no_cluster_to_ask(tmp_path, monkeypatch, text):
    path = tmp_path / "kubeconfig"
    monkeypatch.setenv("KUBECONFIG", str(path))
    if text is not None:
        path.write_text(text)
    with pytest.raises(LeaseError, match=r"there is no cluster to ask: in a pod, mount .* KUBECONFIG"):
        ours.store(NAME).read()


def test_nobody_has_the_name_of_another_replica():
    assert ours.identity() != ours.identity()
    assert ours.default_name("acme-") == "ipsync-acme--leader"


def test_without_the_package_it_says_which(monkeypatch):
    monkeypatch.setitem(sys.modules, "lightkube", None)
    with pytest.raises(UsageError, match=r"pip install 'ipsync\[kubernetes\]'"):
        ours.store(NAME)


def test_a_command_without_the_flag_loads_nothing_of_it():
    code = "import sys\nfrom ipsync.cli import sync, worker\nprint('lightkube' in sys.modules, 'httpx2' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"


def test_replace_keeps_the_version_out_of_the_comparison():
    assert replace(Lease("a"), version="1") == replace(Lease("a"), version="2")
