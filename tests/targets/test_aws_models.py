"""The small models are the whole ones but for what is never asked for; and a cache that can't be trusted isn't read."""

import ast
import json
import os
import threading
from pathlib import Path

import pytest
from botocore import xform_name
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.regions import EndpointResolver

from ipsync.targets.aws import cache, calls, service_models

OURS = Path(service_models.__file__).parent


@pytest.fixture(scope="module")
def whole():
    return Loader()


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "ipsync"


@pytest.fixture
def opened():
    """What is read of botocore's own big files."""
    return []


@pytest.fixture(autouse=True)
def _watched(monkeypatch, opened):
    real = Loader.load_data_with_path

    def noted(self, name):
        opened.append(name)
        return real(self, name)

    monkeypatch.setattr(Loader, "load_data_with_path", noted)


def the_file(home):
    (file,) = home.iterdir()
    return file


# ── what is kept ─────────────────────────────────────────────────────────────


def test_every_call_that_the_code_makes_is_in_the_table(whole):
    known = {
        xform_name(name): name
        for service in service_models.SERVICES
        for name in whole.load_service_model(service, "service-2")["operations"]
    }
    trees = [ast.parse(path.read_text()) for path in OURS.rglob("*.py")]
    used = {node.attr for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    made = {known[name] for name in used & known.keys()}
    kept = frozenset().union(*(calls.kept(service) for service in service_models.SERVICES))
    assert {"DescribeSecurityGroupRules", "CreateTags", "GetServiceQuota"} <= made, "or this test sees nothing"
    assert made <= kept, "add these to ipsync/targets/aws/calls.py, and raise nothing else"


def test_the_table_names_no_operation_that_aws_does_not_have(whole):
    for service in service_models.SERVICES:
        assert calls.kept(service) <= whole.load_service_model(service, "service-2")["operations"].keys()


def described(shape, seen=()):
    """Everything that botocore reads of a shape, whatever the documentation says."""
    if shape is None or shape.name in seen:
        return shape and shape.name
    seen = (*seen, shape.name)
    told = [shape.name, shape.type_name, dict(shape.serialization), dict(shape.metadata)]
    if shape.type_name == "structure":
        unread = calls.UNREAD.get(shape.name, set())
        told.append({name: described(member, seen) for name, member in shape.members.items() if name not in unread})
    elif shape.type_name == "list":
        told.append(described(shape.member, seen))
    elif shape.type_name == "map":
        told += [described(shape.key, seen), described(shape.value, seen)]
    return told


def test_what_nobody_reads_is_left_out_of_a_model(whole):
    ours = ServiceModel(service_models.loader(None).load_service_model("ec2", "service-2"), "ec2")
    theirs = ServiceModel(whole.load_service_model("ec2", "service-2"), "ec2")
    for name, unread in calls.UNREAD.items():
        assert unread <= theirs.shape_for(name).members.keys(), "or AWS calls it otherwise now"
        assert not unread & ours.shape_for(name).members.keys()


@pytest.mark.parametrize("service", service_models.SERVICES)
def test_what_is_kept_is_what_botocore_has(whole, service):
    ours = ServiceModel(service_models.loader(None).load_service_model(service, "service-2"), service)
    theirs = ServiceModel(whole.load_service_model(service, "service-2"), service)
    everything = set(theirs.operation_names)
    assert set(ours.operation_names) == (everything if service in calls.KEPT_WHOLE else calls.kept(service))
    assert ours.metadata == theirs.metadata
    for name in ours.operation_names:
        mine, its = ours.operation_model(name), theirs.operation_model(name)
        assert described(mine.input_shape) == described(its.input_shape), name
        assert described(mine.output_shape) == described(its.output_shape), name
        assert [described(s) for s in mine.error_shapes] == [described(s) for s in its.error_shapes], name
        assert (mine.http, mine.auth_type, mine.idempotent_members) == (its.http, its.auth_type, its.idempotent_members)


@pytest.mark.parametrize("service", service_models.SERVICES)
def test_endpoints_are_found_by_the_same_rules(whole, service):
    small = service_models.loader(None)
    said = small.load_service_model(service, "endpoint-rule-set-1")
    assert json.dumps(said, sort_keys=True) == json.dumps(
        service_models._undocumented(whole.load_service_model(service, "endpoint-rule-set-1")), sort_keys=True
    )


def test_each_region_is_where_botocore_has_it(whole):
    small = service_models.loader(None)
    data, path = small.load_data_with_path("endpoints")
    assert small.is_builtin_path(path), "else botocore takes the old way to an endpoint"
    ours, theirs = EndpointResolver(data), EndpointResolver(whole.load_data("endpoints"))
    partitions = theirs.get_available_partitions()
    assert ours.get_available_partitions() == partitions
    for partition in partitions:
        regions = theirs.get_available_endpoints("ec2", partition)
        assert ours.get_available_endpoints("ec2", partition) == regions
        for prefix in service_models.PREFIXES:
            for region in regions:
                found = [r.construct_endpoint(prefix, region, partition) for r in (ours, theirs)]
                assert found[0] == found[1], (prefix, region)


def test_another_version_of_the_api_and_what_is_not_ours_come_from_botocore(whole):
    small = service_models.loader(None)
    old = small.load_service_model("ec2", "service-2", api_version="2016-04-01")
    assert len(old["operations"]) > 100
    assert small.load_service_model("sso", "service-2") == whole.load_service_model("sso", "service-2")
    assert small.load_data("partitions") == whole.load_data("partitions")


# ── the cache ────────────────────────────────────────────────────────────────


def test_the_second_start_reads_none_of_the_big_files(home, opened):
    service_models.loader(None)
    assert any(name.startswith("ec2/") for name in opened)
    assert (home.stat().st_mode & 0o777, the_file(home).stat().st_mode & 0o777) == (0o700, 0o600)
    opened.clear()
    small = service_models.loader(None)
    assert len(small.load_service_model("ec2", "service-2")["operations"]) == len(calls.kept("ec2"))
    small.load_data("endpoints")
    assert opened == []


@pytest.fixture
def makings(monkeypatch):
    """How often small models were made; quickly, since what is looked at here is only where they are kept."""
    made = []

    def make(_whole):
        made.append(1)
        return {"endpoints": {"some": "models that open port 443"}}

    monkeypatch.setattr(service_models, "_made", make)
    return made


@pytest.mark.parametrize(
    "spoiled",
    [lambda b: b"", lambda b: b[:-1], lambda b: b[:64] + b[64:].replace(b"443", b"22", 1), lambda b: b[:70]],
    ids=["empty", "cut by a byte", "changed", "cut"],
)
def test_a_file_that_is_not_whole_is_made_again(home, makings, spoiled):
    service_models.loader(None)
    good = the_file(home).read_bytes()
    the_file(home).write_bytes(spoiled(good))
    service_models.loader(None)
    assert len(makings) == 2
    assert the_file(home).read_bytes() == good
    service_models.loader(None)
    assert len(makings) == 2, "what was made again is read"


def test_a_change_of_a_model_or_of_the_table_makes_another_file(home, monkeypatch, tmp_path, makings):
    service_models.loader(None)
    first = the_file(home)
    monkeypatch.setitem(calls.READS, "ec2", calls.READS["ec2"] | {"DescribeVpcs"})
    service_models.loader(None)
    assert len(list(home.iterdir())) == 2
    changed = tmp_path / "data"
    changed.mkdir()
    for name in (*service_models.SERVICES, "endpoints.json", "partitions.json"):
        (changed / name).symlink_to(Path(Loader.BUILTIN_DATA_PATH) / name)
    (changed / "endpoints.json").unlink()
    (changed / "endpoints.json").write_text((Path(Loader.BUILTIN_DATA_PATH) / "endpoints.json").read_text() + " ")
    monkeypatch.setattr(Loader, "BUILTIN_DATA_PATH", str(changed))
    service_models.loader(None)
    assert first in home.iterdir()
    assert len(list(home.iterdir())) == 3


def folder_others_write(home):
    home.mkdir(parents=True)
    home.chmod(0o770)


def folder_of_another(home):
    home.mkdir(parents=True)
    real = os.fstat
    return lambda fd: os.stat_result((*real(fd)[:4], 12345, *real(fd)[5:]))


def folder_is_a_link(home):
    (home.parent / "elsewhere").mkdir(parents=True)
    home.symlink_to(home.parent / "elsewhere")


def folder_cannot_be(home):
    home.parent.write_text("a file")


@pytest.mark.parametrize("spoil", [folder_others_write, folder_of_another, folder_is_a_link, folder_cannot_be])
def test_a_cache_that_is_not_ours_alone_is_neither_read_nor_written(home, monkeypatch, caplog, makings, spoil):
    faked = spoil(home)
    if faked:
        monkeypatch.setattr(cache.os, "fstat", faked)
    with caplog.at_level("INFO"):
        assert service_models.loader(None) is None
    assert caplog.records == [], "nobody needs to know"
    assert not (home.is_dir() and list(home.iterdir()))


@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_a_file_that_others_may_write_is_not_read(home, makings, mode):
    service_models.loader(None)
    the_file(home).chmod(mode)
    service_models.loader(None)
    assert len(makings) == 2
    assert the_file(home).stat().st_mode & 0o777 == 0o600


def test_a_link_in_the_place_of_the_file_is_not_followed(home, makings, tmp_path):
    service_models.loader(None)
    file = the_file(home)
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")
    service_models.loader(None)
    assert len(makings) == 2
    assert not file.is_symlink()


def test_a_full_disk_leaves_nothing_half_written(home, monkeypatch, makings):
    def full(*_args, **_more):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache.os, "replace", full)
    assert service_models.loader(None) is None
    assert list(home.iterdir()) == []


def test_several_at_once_make_one_whole_file(home, makings):
    start = threading.Barrier(4)
    found = []

    def make():
        start.wait()
        found.append(service_models.loader(None))

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [small.load_data("endpoints") for small in found] == [{"some": "models that open port 443"}] * 4
    assert cache._seal(the_file(home).read_bytes()[64:]) == the_file(home).read_bytes()[:64]


def test_files_of_before_do_not_stay_for_ever(home, makings):
    service_models.loader(None)
    for i in range(20):
        old = home / f"old-{i}"
        old.write_text("x")
        os.utime(old, (i, i))
    the_file_now = next(f for f in home.iterdir() if f.name.startswith("aws-"))
    the_file_now.unlink()
    service_models.loader(None)
    left = {f.name for f in home.iterdir()}
    assert len(left) == cache.MOST_KEPT
    assert the_file_now.name in left
    assert "old-19" in left


def test_models_of_the_users_own_go_first(monkeypatch, tmp_path):
    assert service_models.loader("/some/models") is None
    monkeypatch.setattr(Loader, "CUSTOMER_DATA_PATH", str(tmp_path))
    assert service_models.loader(None) is None


def test_a_botocore_that_we_do_not_know_serves_whole(monkeypatch):
    monkeypatch.setattr(service_models, "_endpoints", lambda whole: whole["of another shape"])
    assert service_models.loader(None) is None


def test_without_a_cache_home_it_is_the_users_own(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/is/ignored")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert cache._home() == "/home/somebody/.cache"
