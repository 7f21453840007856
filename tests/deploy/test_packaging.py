"""The locks, the image's recipe and the make targets: reproducible, and free of any one machine."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import requires
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCKS = ["requirements.lock", "requirements-dev.lock", "requirements-build.lock"]
PIN = re.compile(r"^([a-z0-9-]+)==(\S+)(?: ; .*)? \\$")
NO_FOLDER_OF_A_MACHINE = re.compile(r"https?://|file:|--find-links|--index-url|--extra-index|(^|\s)/\w")


def pins(name):
    lines = (ROOT / name).read_text().splitlines()
    return {m[1]: m[2] for m in map(PIN.match, lines) if m}


def names(requirements):
    return {re.split(r"[\[<>=!~; ]", r)[0].lower().replace("_", "-") for r in requirements}


@pytest.fixture(scope="module")
def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_pins_and_hashes_everything_and_names_no_machine(name):
    lines = (ROOT / name).read_text().splitlines()
    entries = [i for i, line in enumerate(lines) if line and not line.startswith((" ", "#"))]
    assert entries
    assert all(PIN.match(lines[i]) for i in entries), "each entry is name==version"
    assert all(lines[i + 1].startswith("    --hash=sha256:") for i in entries)
    assert not [line for line in lines if NO_FOLDER_OF_A_MACHINE.search(line)]


def test_what_is_shipped_is_what_was_tested():
    tested = pins("requirements-dev.lock")
    for name in ("requirements.lock", "requirements-build.lock"):
        assert pins(name).items() <= tested.items()


def test_the_locks_cover_what_the_project_asks_for(project):
    extras = project["project"]["optional-dependencies"]
    assert names(project["project"]["dependencies"]) <= pins("requirements.lock").keys()
    assert names([*extras["demo"], *extras["dev"]]) - {"ipsync"} <= pins("requirements-dev.lock").keys()
    assert names(project["build-system"]["requires"]) == pins("requirements-build.lock").keys()
    assert project["dependency-groups"]["build"] == project["build-system"]["requires"]


def missing_from(lock, root, extras=()):
    """Return what an installed package asks for, on this machine, that the lock doesn't pin in a version that will do."""
    missing, seen, asked = [], set(), [(root, extra) for extra in ("", *extras)]
    while asked:
        name, extra = asked.pop()
        for text in requires(name) or () if (name, extra) not in seen else ():
            wanted = Requirement(text)
            if wanted.marker and not wanted.marker.evaluate({"extra": extra}):
                continue
            key = canonicalize_name(wanted.name)
            if key != "ipsync" and (key not in lock or not wanted.specifier.contains(lock[key], prereleases=True)):
                missing.append(f"{name} asks for {text}")
            asked += [(wanted.name, e) for e in ("", *wanted.extras)]
        seen.add((name, extra))
    return missing


def test_the_locks_are_complete_since_pip_resolves_nothing():
    assert missing_from(pins("requirements.lock"), "ipsync") == []
    assert missing_from(pins("requirements-dev.lock"), "ipsync", ["dev"]) == []
    assert missing_from(pins("requirements-build.lock"), "setuptools") == []
    assert missing_from({}, "ipsync"), "or this test can't fail"


def test_a_user_is_not_given_the_test_tools():
    assert not {"moto", "pytest", "flask", "mypy", "uv", "setuptools", "pip"} & pins("requirements.lock").keys()


def test_the_version_stands_in_one_place(project):
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "ipsync.__version__"}


def test_every_exception_to_the_style_has_its_reason():
    text = (ROOT / "pyproject.toml").read_text()
    ruff = text[text.index("[tool.ruff.lint]") : text.index("[tool.ruff.lint.pydocstyle]")]
    rules = [line for line in ruff.splitlines() if re.match(r'\s+"[A-Z]+[0-9]*"|".*" = \["', line)]
    assert len(rules) > 20
    assert not [line for line in rules if "# " not in line]


def dockerfile_stages():
    text = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    start = [i for i, line in enumerate(lines) if line.startswith("FROM ")]
    return lines[start[0] : start[1]], lines[start[1] :]


def test_the_image_is_small_unprivileged_and_builds_from_the_locks():
    build, final = dockerfile_stages()
    assert final[-2:] == ['ENTRYPOINT ["ipsync"]', 'CMD ["sync"]']
    assert "USER 65532:65532" in final
    assert not [line for line in final if " install " in line and "pip" in line.split(" install ")[0].split()[-1:]]
    assert any("pip uninstall" in line for line in final)
    installs = " ".join(build)
    assert installs.count("--no-deps --require-hashes") == 2
    assert "-r requirements.lock" in installs
    assert "-r requirements-build.lock" in installs
    assert "compileall" in installs
    assert "apt-get" not in " ".join(build + final), "wheels only: no compiler is needed"


def test_the_image_holds_the_small_models_where_its_runs_look_for_them(tmp_path):
    build, final = dockerfile_stages()
    (step,) = [line for line in build if "service_models" in line]
    home = re.search(r"XDG_CACHE_HOME=(\S+)", step)[1]
    assert f"XDG_CACHE_HOME={home}" in " ".join(final).split()
    assert any(line.startswith("COPY --from=build /opt/ipsync ") for line in final)
    assert home.startswith("/opt/ipsync/")
    here = step.removeprefix("RUN ").replace("/opt/ipsync/bin/python", sys.executable).replace(home, str(tmp_path))
    subprocess.run(["sh", "-c", f"umask 022; {here}"], check=True)
    made = [tmp_path / "ipsync", *(tmp_path / "ipsync").iterdir()]
    assert [oct(path.stat().st_mode & 0o777) for path in made] == ["0o755", "0o644"]


def test_the_build_context_holds_what_the_image_copies():
    build, _ = dockerfile_stages()
    copied = {word.strip("./") for line in build if line.startswith("COPY ") for word in line.split()[1:-1]}
    allowed = {x[1:] for x in (ROOT / ".dockerignore").read_text().splitlines() if x.startswith("!")}
    assert copied == allowed


def test_ci_runs_what_a_laptop_runs():
    script = (ROOT / ".ci" / "run").read_text().splitlines()
    assert script[0] == "#!/usr/bin/env bash"
    assert "set -euo pipefail" in script
    assert [line for line in script if line.startswith("make")] == ["make lint", "make test"]


def test_the_workflow_has_no_rights_to_spare_and_pins_its_actions():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    assert workflow["permissions"] == {}
    for job in workflow["jobs"].values():
        assert job["permissions"] == {"contents": "read"}
        uses = [s["uses"] for s in job["steps"] if "uses" in s]
        assert all(re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", u) for u in uses)
        checkouts = [s for s in job["steps"] if s.get("uses", "").startswith("actions/checkout@")]
        assert all(s["with"]["persist-credentials"] is False for s in checkouts)
    assert {"run": ".ci/run"} in workflow["jobs"]["checks"]["steps"]


def make(*args, cwd):
    return subprocess.run(["make", *args], cwd=cwd, capture_output=True, check=False, text=True)


@pytest.fixture
def clone(tmp_path):
    for name in ("Makefile", "pyproject.toml", "requirements-dev.lock"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    return tmp_path


def test_make_help_lists_the_targets():
    listed = make("help", cwd=ROOT).stdout
    assert not [t for t in ("demo", "test", "lint", "bench", "prove", "lock", "clean") if f"  make {t} " not in listed]


def python_that(clone, does):
    """A stand-in for `python3`: `does` decides on the code in $2, everything else goes to the real one."""
    fake = clone / "fake-python"
    fake.write_text(f'#!/bin/sh\n{does}\nexec "{sys.executable}" "$@"\n')
    fake.chmod(0o755)
    return f"PYTHON={fake}"


@pytest.mark.parametrize(("version", "accepted"), [("3, 9, 1", False), ("3, 10, 14", False), ("3, 11, 0", True)])
def test_make_refuses_a_python_that_is_too_old(clone, version, accepted):
    pretend = f'case "$2" in *version_info*) exec "{sys.executable}" -c "import sys; sys.version_info = ({version}); $2";; esac'
    no_venv = 'case "$2" in *ensurepip*) exit 1;; esac'
    done = make("venv", python_that(clone, f"{pretend}\n{no_venv}"), cwd=clone)
    assert done.returncode != 0
    assert ("needs Python 3.11 or newer" in done.stderr) is not accepted
    assert not (clone / ".venv").exists()


def test_make_names_the_package_that_brings_venv(clone):
    done = make("venv", python_that(clone, 'case "$2" in *ensurepip*) exit 1;; esac'), cwd=clone)
    assert done.returncode != 0
    assert "apt install python3-venv" in done.stderr
    assert not (clone / ".venv").exists()


def test_make_says_so_when_there_is_no_python(clone):
    done = make("test", "PYTHON=no-such-python", cwd=clone)
    assert done.returncode != 0
    assert "ipsync needs Python 3.11 or newer, and 'no-such-python' is" in done.stderr
    assert "make PYTHON=python3.12 test" in done.stderr


def test_make_completes_a_venv_that_was_made_by_hand(clone):
    """pip itself is stood in for: what matters here is that the venv is kept, both installs run, and only once."""
    python = clone / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\necho "$@" >> "{clone}/calls"\n')
    python.chmod(0o755)
    never_anew = python_that(clone, 'case "$*" in "-m venv"*) exit 1;; esac')
    for _ in range(2):
        assert make("venv", never_anew, cwd=clone).returncode == 0
    calls = (clone / "calls").read_text().splitlines()
    assert [c.split()[:3] for c in calls] == [["-m", "pip", "install"]] * 2
    assert "--no-deps --require-hashes -r requirements-dev.lock" in calls[0]
    assert "--no-deps --no-build-isolation --editable ." in calls[1]
