"""The custom role: what facts of Compute Engine's permissions ask for, and nothing more."""

from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2] / "deploy" / "gcp"


def test_the_role_holds_exactly_these_permissions():
    role = yaml.safe_load((ROOT / "role.yaml").read_text())
    assert role["includedPermissions"] == [
        "compute.firewalls.create",
        "compute.firewalls.delete",
        "compute.firewalls.get",
        "compute.firewalls.list",
        "compute.firewalls.update",
        "compute.globalOperations.get",
        "compute.networks.updatePolicy",
    ]


def test_the_role_file_holds_only_keys_that_gcloud_takes():
    role = yaml.safe_load((ROOT / "role.yaml").read_text())
    assert role.keys() == {"title", "description", "stage", "includedPermissions"}
    assert len(role["title"]) <= 100
    assert len(role["description"]) <= 256
    assert role["stage"] == "GA"


def test_no_key_file_is_ever_made():
    text = (ROOT / "README.md").read_text()
    assert "keys create" not in text
    assert "deploy/gcp/role.yaml" in text
