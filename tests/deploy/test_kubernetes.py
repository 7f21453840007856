"""The manifests, raw and as kustomize builds them: valid to the letter, and hardened as we say they are."""

import ipaddress
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from ipsync import daemon
from ipsync.cli.shards import chosen
from ipsync.core.sharding import Shard
from ipsync.election import kubernetes as election

ROOT = Path(__file__).parents[2] / "deploy" / "kubernetes"
INDEXED = "overlays/indexed-job"
OVERLAYS = ["base", "overlays/eks-pod-identity", "overlays/eks-irsa", "overlays/gke", "overlays/replicas", INDEXED]
KUSTOMIZE = ["kubectl", "kustomize"] if shutil.which("kubectl") else ["kustomize", "build"]
needs_kustomize = pytest.mark.skipif(
    not shutil.which(KUSTOMIZE[0]), reason="neither kubectl nor kustomize is installed"
)
oldest_and_newest = pytest.mark.parametrize("version", ["1.30", kubernetes_validate.latest_version()])


def documents(path):
    return [d for d in yaml.safe_load_all(path.read_text()) if d]


def manifests():
    """Every document that stands alone; kustomizations, patches and the config are no Kubernetes objects."""
    files = [*ROOT.glob("base/*.yaml"), *ROOT.glob("overlays/*/*.yaml"), *ROOT.glob("components/*/*.yaml")]
    patches = {(f.parent / p["path"]) for f in files for d in documents(f) for p in d.get("patches", [])}
    skip = {"kustomization.yaml", "ipsync.yaml"}
    return [d for f in sorted(files) if f.name not in skip and f not in patches for d in documents(f)]


def built(overlay):
    out = subprocess.run([*KUSTOMIZE, str(ROOT / overlay)], check=True, capture_output=True, text=True).stdout
    return {(d["kind"], d["metadata"]["name"]): d for d in yaml.safe_load_all(out)}


@pytest.fixture(scope="module")
def cronjob():
    return documents(ROOT / "base" / "cronjob.yaml")[0]


@pytest.fixture(scope="module")
def pod(cronjob):
    return cronjob["spec"]["jobTemplate"]["spec"]["template"]["spec"]


@pytest.fixture(scope="module")
def replicas():
    return documents(ROOT / "components" / "replicas" / "stateful-set.yaml")[0]["spec"]


@oldest_and_newest
def test_each_manifest_is_valid_to_the_letter(version):
    found = manifests()
    assert {d["kind"] for d in found} == {
        "CronJob", "Namespace", "NetworkPolicy", "PersistentVolumeClaim", "Role", "RoleBinding", "ServiceAccount",
        "StatefulSet",
    }  # fmt: skip
    for document in found:
        kubernetes_validate.validate(document, version, strict=True)


def test_the_validator_sees_a_misspelt_key(cronjob):
    wrong = {**cronjob, "spec": {**cronjob["spec"], "concurencyPolicy": "Forbid"}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, "1.30", strict=True)


@needs_kustomize
@pytest.mark.parametrize("overlay", OVERLAYS)
@oldest_and_newest
def test_what_kustomize_builds_is_valid_and_whole(overlay, version):
    objects = built(overlay)
    for document in objects.values():
        kubernetes_validate.validate(document, version, strict=True)
    pod = objects["CronJob", "ipsync"]["spec"]["jobTemplate"]["spec"]["template"]
    [config] = [name for kind, name in objects if kind == "ConfigMap"]
    assert config.startswith("ipsync-config-"), "the content's hash is in the name, so that a change is taken whole"
    assert {"name": "config", "configMap": {"name": config}} in pod["spec"]["volumes"]
    assert ("PersistentVolumeClaim", "ipsync-audit") in objects
    assert pod["spec"]["containers"][0]["image"] == "registry.example.com/ipsync:0.1.0"
    assert pod["metadata"]["labels"]["app.kubernetes.io/name"] == "ipsync"
    policies = [d for (kind, _), d in objects.items() if kind == "NetworkPolicy"]
    assert all(p["spec"]["podSelector"]["matchLabels"] == pod["metadata"]["labels"] for p in policies)
    assert all(d["metadata"]["namespace"] == "ipsync" for (kind, _), d in objects.items() if kind != "Namespace")


@needs_kustomize
@pytest.mark.parametrize(
    ("overlay", "annotation"),
    [("eks-irsa", "eks.amazonaws.com/role-arn"), ("gke", "iam.gke.io/gcp-service-account")],
)
def test_an_overlay_gives_the_account_its_identity_and_no_token(overlay, annotation):
    account = built(f"overlays/{overlay}")["ServiceAccount", "ipsync"]
    assert annotation in account["metadata"]["annotations"]
    assert account["automountServiceAccountToken"] is False


def indexed():
    return documents(ROOT / INDEXED / "cronjob.yaml")[0]["spec"]["jobTemplate"]["spec"]


def test_there_are_as_many_pods_as_the_pods_believe():
    """Else some scopes are nobody's: Kubernetes tells a pod its number, and not how many there are."""
    job = indexed()
    [container] = job["template"]["spec"]["containers"]
    environment = {e["name"]: e["value"] for e in container["env"]}
    assert job["completionMode"] == "Indexed"
    assert environment["IPSYNC_SHARDS"] == str(job["completions"]) == str(job["parallelism"])
    for index in range(job["completions"]):
        assert chosen(None, {**environment, "JOB_COMPLETION_INDEX": str(index)}) == Shard(index, job["completions"])


@needs_kustomize
def test_a_pod_a_shard_keeps_all_that_the_base_demands(pod):
    objects = built(INDEXED)
    job = objects["CronJob", "ipsync"]["spec"]["jobTemplate"]["spec"]
    assert (job["completionMode"], job["backoffLimitPerIndex"]) == ("Indexed", 0)
    assert "backoffLimit" not in job, "it counts over all pods: one shard's failure would end the others"
    assert job["activeDeadlineSeconds"] < 15 * 60
    assert job["template"]["spec"]["securityContext"] == pod["securityContext"]
    [mine], [base] = job["template"]["spec"]["containers"], pod["containers"]
    for key in ("args", "securityContext", "resources", "volumeMounts"):
        assert mine[key] == base[key]
    assert all(e in mine["env"] for e in base["env"])
    claim = objects["PersistentVolumeClaim", "ipsync-audit"]["spec"]
    assert claim["accessModes"] == ["ReadWriteMany"], "pods run on several nodes, each with a log of its own there"


def test_passes_neither_overlap_nor_pile_up(cronjob):
    spec = cronjob["spec"]
    assert spec["concurrencyPolicy"] == "Forbid"
    assert spec["startingDeadlineSeconds"] == 300
    job = spec["jobTemplate"]["spec"]
    assert job["backoffLimit"] == 0
    assert 0 < job["activeDeadlineSeconds"] < 15 * 60, "ends before the next pass is due"
    assert job["template"]["spec"]["restartPolicy"] == "Never"


def test_nothing_runs_before_somebody_has_looked(cronjob):
    assert cronjob["spec"]["suspend"] is True
    text = (ROOT / "README.md").read_text()
    assert text.index("kubectl apply") < text.index("once plan") < text.index("`suspend: false`")


CODE = re.compile(r"^ *```(?:console|sh)\n(.*?)^ *```", flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", sorted(ROOT.parent.glob("*/README.md")), ids=lambda page: page.parent.name)
def test_a_command_of_a_recipe_is_whole_when_copied(page):
    """A line that begins with `|` ends the command before it; a command in running text is broken where the text is."""
    prose = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    assert not [span for span in re.findall(r"`([^`]+)`", prose) if "\n" in span and "|" in span]
    for block in CODE.findall(page.read_text()):
        commands = [re.sub(r"^ *[$#] ", "", line) for line in block.splitlines() if line.strip()]
        assert not [line for line in commands if line.lstrip().startswith(("|", "&&"))]
        done = subprocess.run(["bash", "-n"], input="\n".join(commands), capture_output=True, check=False, text=True)
        assert not done.stderr, block


STUB = """#!/bin/sh
echo "$*" >> "{folder}/calls"
case "$*" in
  *"create job"*) cat "{folder}/job.json" ;;
  *"create --filename -"*) cat > "{folder}/created.json" ;;
  *"get job "*) echo Failed ;;
  *"get pods"*) printf 3 ;;
  *logs*) echo "what it said" ;;
esac
"""


@pytest.mark.skipif(not shutil.which("jq"), reason="jq isn't installed")
@pytest.mark.parametrize("kind", ["base", INDEXED])
def test_once_starts_one_job_with_other_arguments_and_ends_as_it_did(cronjob, tmp_path, kind):
    spec = cronjob["spec"]["jobTemplate"]["spec"]
    more = {k: v for k, v in indexed().items() if k != "template"} if kind == INDEXED else {}
    job = {"kind": "Job", "metadata": {"name": "x"}, "spec": {**spec, **more}}
    (tmp_path / "job.json").write_text(json.dumps(job))
    (tmp_path / "kubectl").write_text(STUB.format(folder=tmp_path))
    (tmp_path / "kubectl").chmod(0o755)
    environ = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "IPSYNC_ACTOR": "ops@desk"}
    words = ["sync", "--approve", "sha256:4 be", "-v"]
    done = subprocess.run([ROOT / "once", *words], env=environ, capture_output=True, check=False, text=True)
    assert (done.returncode, done.stdout) == (3, "what it said\n"), done.stderr
    created = json.loads((tmp_path / "created.json").read_text())
    [container] = created["spec"]["template"]["spec"]["containers"]
    assert container["args"] == words
    assert {"name": "IPSYNC_ACTOR", "value": "ops@desk"} in container["env"]
    kubernetes_validate.validate({**created, "apiVersion": "batch/v1"}, "1.30", strict=True)
    assert "suspend" not in created["spec"], "the CronJob's own switch doesn't hold back a job by hand"
    assert not {"completionMode", "completions", "parallelism", "backoffLimitPerIndex"} & created["spec"].keys()
    assert created["spec"]["backoffLimit"] == 0


def test_the_pod_meets_the_restricted_standard(pod):
    assert pod["automountServiceAccountToken"] is False
    assert pod["serviceAccountName"] == "ipsync"
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
    security = pod["securityContext"]
    assert (security["runAsUser"], security["runAsGroup"], security["runAsNonRoot"]) == (65532, 65532, True)
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    [container] = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
    assert "memory" in container["resources"]["limits"]
    assert all(v.keys() & {"configMap", "emptyDir", "persistentVolumeClaim"} for v in pod["volumes"])


def test_a_replica_is_as_hardened_as_the_job_but_for_its_token(pod, replicas):
    spec, [container] = replicas["template"]["spec"], replicas["template"]["spec"]["containers"]
    [job] = pod["containers"]
    assert spec["automountServiceAccountToken"] is True, "it asks for a Lease"
    for key in ("serviceAccountName", "enableServiceLinks", "securityContext", "terminationGracePeriodSeconds"):
        assert spec[key] == pod[key]
    for key in ("image", "env", "securityContext", "resources", "volumeMounts"):
        assert container[key] == job[key]
    assert spec["terminationGracePeriodSeconds"] > daemon.PATIENCE


def test_replicas_take_one_anothers_place(replicas):
    [container], listened = replicas["template"]["spec"]["containers"], {"path": "/readyz", "port": "http"}
    assert replicas["replicas"] == 2
    assert container["args"][:2] == ["run", "--leader-elect"]
    assert container["startupProbe"]["httpGet"] == listened
    [claim] = replicas["volumeClaimTemplates"]
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"], "a log, and so a volume, for each"


def test_a_role_allows_the_lease_and_nothing_else():
    role, binding = documents(ROOT / "components" / "replicas" / "role.yaml")
    owner = yaml.safe_load((ROOT / "base" / "ipsync.yaml").read_text())["owner"]
    assert all((r["apiGroups"], r["resources"]) == (["coordination.k8s.io"], ["leases"]) for r in role["rules"])
    named, made = role["rules"]
    assert (named["resourceNames"], named["verbs"]) == ([election.default_name(owner)], ["get", "update"])
    assert (made["verbs"], "resourceNames" in made) == (["create"], False), "Kubernetes can't bound it by name"
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "ipsync", "namespace": "ipsync"}]


def test_the_namespace_enforces_the_restricted_standard():
    [namespace] = documents(ROOT / "base" / "namespace.yaml")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_no_manifest_holds_a_secret():
    text = "\n".join(f.read_text() for f in ROOT.rglob("*.yaml"))
    assert not [word for word in ("kind: Secret", "AWS_SECRET", "AKIA", "private_key") if word in text]


def test_only_dns_and_https_go_out_and_nothing_comes_in():
    [policy] = documents(ROOT / "base" / "network-policy.yaml")
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert policy["spec"]["ingress"] == []
    dns, https = policy["spec"]["egress"]
    assert sorted((p["protocol"], p["port"]) for p in dns["ports"]) == [("TCP", 53), ("UDP", 53)]
    assert [(p["protocol"], p["port"]) for p in https["ports"]] == [("TCP", 443)]
    assert all("to" in rule for rule in (dns, https)), "a rule without `to` means everywhere"


def test_https_reaches_public_addresses_and_neither_metadata_nor_neighbours():
    [policy] = documents(ROOT / "base" / "network-policy.yaml")
    blocks = [peer["ipBlock"] for peer in policy["spec"]["egress"][1]["to"]]

    def reached(text):
        address = ipaddress.ip_address(text)
        inside = [b for b in blocks if address in ipaddress.ip_network(b["cidr"])]
        return any(not any(address in ipaddress.ip_network(x) for x in b.get("except", [])) for b in inside)

    assert all(reached(a) for a in ("8.8.8.8", "52.94.236.248", "2600:1901::1"))
    assert not [a for a in ("169.254.169.254", "10.0.0.1", "172.16.0.1", "192.168.1.1", "fd00:ec2::23") if reached(a)]


CONFIG_KEYS = {"version", "owner", "feeds", "removal", "guards", "targets", "audit", "schedule", "aws", "gcp"}
TARGET_KEYS = {
    "aws-security-group": {"name", "kind", "feed", "region", "account", "groups", "match", "ports", "static"},
    "gcp-firewall": {
        "name", "kind", "feed", "project", "network", "rule", "ports", "static", "target_tags", "target_service_accounts",
        "priority",
    },
}  # fmt: skip


def test_the_example_config_holds_what_the_contract_knows(pod):
    config = yaml.safe_load((ROOT / "base" / "ipsync.yaml").read_text())
    assert config["version"] == 1
    assert config.keys() <= CONFIG_KEYS
    assert {t["kind"] for t in config["targets"]} == TARGET_KEYS.keys(), "one example of each kind"
    for target in config["targets"]:
        assert target.keys() <= TARGET_KEYS[target["kind"]]
        assert target["feed"] in config["feeds"]
    mounts = {m["name"]: m["mountPath"] for m in pod["containers"][0]["volumeMounts"]}
    assert Path(config["audit"]["path"]).parent == Path(mounts["audit"]), "the root file system is read-only"
    environment = {e["name"]: e["value"] for e in pod["containers"][0]["env"]}
    assert environment["IPSYNC_CONFIG"] == f"{mounts['config']}/ipsync.yaml"
