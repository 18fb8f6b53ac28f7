"""Wheels: installed whole or refused, the older version gone afterwards, no code run."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
from tests.conftest import Project, run_process
from tests.fakes.wheels import make_wheel, placement_of, record_line

from modelset.core.errors import ModelSetError
from modelset.core.layout import Layout
from modelset.store.inspect import inspect
from modelset.store.wheels import install_wheel


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return tmp_path / "env" / "site-packages"


def presence(site: Path, wheel: Path, *, deep: bool = False) -> str:
    layout = Layout("site-packages", (placement_of(wheel),))
    return inspect(layout, {"site-packages": site}, deep=deep).presence()


def refused(site: Path, wheel: Path) -> str:
    before = tree(site.parent)
    with pytest.raises(ModelSetError) as caught:
        install_wheel(wheel, site, placement_of(wheel))
    assert caught.value.failure.code == "wheel-invalid"
    assert [name for name in tree(site.parent) if name not in before and "RECORD" in name] == []
    return caught.value.failure.message


def tree(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_an_installed_wheel_is_present_and_imports(tmp_path: Path, site: Path) -> None:
    wheel = make_wheel(tmp_path, "1.0", {"tiny_model/data/weights.bin": b"\0" * 100})
    assert presence(site, wheel) == "missing"
    install_wheel(wheel, site, placement_of(wheel))
    assert presence(site, wheel, deep=True) == "present"
    info = site / "tiny_model-1.0.dist-info"
    assert (info / "INSTALLER").read_text() == "modelset\n"
    assert (site / "tiny_model" / "data" / "weights.bin").read_bytes() == b"\0" * 100
    program = "import importlib.metadata as m, tiny_model as t; print(t.VERSION,"
    program += " m.version('tiny-model'))"
    env = {"PYTHONPATH": str(site), "PATH": os.environ["PATH"]}
    assert run_process([sys.executable, "-c", program], env=env).stdout == "1.0 1.0\n"


def test_nothing_of_the_wheel_is_run_or_compiled(tmp_path: Path, site: Path) -> None:
    trap = f"open({str(tmp_path / 'ran')!r}, 'w')\n".encode()
    files = {"tiny_model/trap.py": trap, "trap.pth": b"import tiny_model.trap\n"}
    install_wheel(wheel := make_wheel(tmp_path, "1.0", files), site, placement_of(wheel))
    assert presence(site, wheel, deep=True) == "present"
    assert not (tmp_path / "ran").exists()
    assert not [name for name in tree(site) if name.endswith(".pyc")]


def test_a_second_install_is_the_same_as_the_first(tmp_path: Path, site: Path) -> None:
    wheel = make_wheel(tmp_path)
    install_wheel(wheel, site, placement_of(wheel))
    before = tree(site)
    (site / "tiny_model" / "__init__.py").write_text("spoiled")
    assert presence(site, wheel) == "corrupt"
    install_wheel(wheel, site, placement_of(wheel))
    assert presence(site, wheel, deep=True) == "present"
    assert tree(site) == before


def test_an_upgrade_takes_the_older_files_away(tmp_path: Path, site: Path) -> None:
    old = make_wheel(tmp_path, "1.0", {"tiny_model/old.bin": b"old", "tiny_model/both.bin": b"1"})
    new = make_wheel(tmp_path, "2.0", {"tiny_model/both.bin": b"2"})
    install_wheel(old, site, placement_of(old))
    (site / "tiny_model" / "own.txt").write_text("of the user")
    install_wheel(new, site, placement_of(new))
    assert presence(site, new, deep=True) == "present"
    assert not (site / "tiny_model" / "old.bin").exists()
    assert not (site / "tiny_model-1.0.dist-info").exists()
    assert (site / "tiny_model" / "both.bin").read_bytes() == b"2"
    assert (site / "tiny_model" / "own.txt").exists()


def test_a_dist_info_with_folders_inside_is_taken_away_whole(tmp_path: Path, site: Path) -> None:
    old = make_wheel(tmp_path, "1.0", {"tiny_model-1.0.dist-info/licenses/LICENSE": b"MIT"})
    new = make_wheel(tmp_path, "2.0")
    install_wheel(old, site, placement_of(old))
    install_wheel(new, site, placement_of(new))
    assert not (site / "tiny_model-1.0.dist-info").exists()
    assert presence(site, new, deep=True) == "present"


def test_an_older_record_that_points_outside_removes_nothing_there(
    tmp_path: Path, site: Path
) -> None:
    precious = tmp_path / "precious.txt"
    precious.write_text("keep")
    info = site / "tiny_model-0.9.dist-info"
    info.mkdir(parents=True)
    lines = record_line("../../precious.txt", b"keep") + record_line(str(precious), b"keep")
    (info / "RECORD").write_text(lines)
    new = make_wheel(tmp_path, "2.0")
    install_wheel(new, site, placement_of(new))
    assert precious.read_text() == "keep"
    assert not info.exists()


def test_the_record_comes_last(tmp_path: Path, site: Path) -> None:
    """An install that is cut short at any file leaves no RECORD, and so no package."""
    wheel = make_wheel(tmp_path, "1.0", {"tiny_model/blocked/weights.bin": b"x"})
    (site / "tiny_model").mkdir(parents=True)
    (site / "tiny_model" / "blocked").write_text("a file where a folder should be")
    with pytest.raises(ModelSetError) as caught:
        install_wheel(wheel, site, placement_of(wheel))
    assert caught.value.failure.code == "store-not-writable"
    assert presence(site, wheel) == "missing"
    (site / "tiny_model" / "blocked").unlink()
    install_wheel(wheel, site, placement_of(wheel))
    assert presence(site, wheel, deep=True) == "present"


@pytest.mark.parametrize(
    "name", ["../evil.txt", "tiny_model/../../evil.txt", "/tmp/modelset-evil-test.txt"]
)
def test_a_path_that_leaves_the_folder_is_refused(tmp_path: Path, site: Path, name: str) -> None:
    wheel = make_wheel(tmp_path, "1.0", {name: b"evil"})
    refused(site, wheel)
    assert not list(tmp_path.rglob("evil.txt"))
    assert not Path("/tmp/modelset-evil-test.txt").exists()


def test_a_data_folder_may_not_lead_outside_either(tmp_path: Path, site: Path) -> None:
    wheel = make_wheel(tmp_path, "1.0", {"tiny_model-1.0.data/data/../../../../evil.txt": b"evil"})
    refused(site, wheel)
    assert not list(tmp_path.rglob("evil.txt"))


def test_scripts_go_beside_the_packages_and_not_into_the_running_python(
    tmp_path: Path, site: Path
) -> None:
    body = b"#!python\nprint('x')\n"
    wheel = make_wheel(tmp_path, "1.0", {"tiny_model-1.0.data/scripts/tiny-run": body})
    install_wheel(wheel, site, placement_of(wheel))
    assert (site / "bin" / "tiny-run").exists()
    assert not Path(sysconfig.get_path("scripts"), "tiny-run").exists()


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, site: Path) -> None:
    wheel = make_wheel(tmp_path, "1.0", {"tiny_model/zeros.bin": b"\0" * 20_000_000})
    assert wheel.stat().st_size < 100_000
    message = refused(site, wheel)
    assert "unpacks to" in message
    assert tree(site) == []


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ("", "no line at all"),
        (record_line("tiny_model/__init__.py", b"other bytes"), "a wrong digest"),
        (record_line("tiny_model/elsewhere.py", b""), "a file that is not there"),
        ("tiny_model/__init__.py,,\n", "no digest"),
        ("a,b,c,d,e\n", "not a record"),
    ],
)
def test_a_record_that_lies_is_refused(
    tmp_path: Path, site: Path, record: str, reason: str
) -> None:
    assert reason
    wheel = make_wheel(tmp_path, "1.0", record=record)
    message = refused(site, wheel)
    assert "tiny_model 1.0 is not a valid wheel" in message


@pytest.mark.parametrize("body", [b"", b"not a zip", b"PK\x03\x04 cut short"])
def test_what_is_no_archive_is_refused(tmp_path: Path, site: Path, body: bytes) -> None:
    wheel = tmp_path / "tiny_model-1.0-py3-none-any.whl"
    wheel.write_bytes(body)
    refused(site, wheel)


def test_a_cut_archive_is_refused(tmp_path: Path, site: Path) -> None:
    wheel = make_wheel(tmp_path, "1.0", {"tiny_model/weights.bin": os.urandom(5000)})
    whole = wheel.read_bytes()
    wheel.write_bytes(whole[:2500] + b"\0" * 100 + whole[2600:])
    refused(site, wheel)


def test_a_link_in_an_archive_does_not_become_one(tmp_path: Path, site: Path) -> None:
    wheel = make_wheel(tmp_path)
    target = b"/etc/passwd"
    info = zipfile.ZipInfo("tiny_model/link")
    info.external_attr = 0o120777 << 16
    record = "tiny_model-1.0.dist-info/RECORD"
    with zipfile.ZipFile(wheel) as old:
        bodies = {name: old.read(name) for name in old.namelist()}
    bodies[record] = record_line("tiny_model/link", target).encode() + bodies[record]
    with zipfile.ZipFile(held := io.BytesIO(), "w") as new:
        new.writestr(info, target)
        for name, body in bodies.items():
            new.writestr(name, body)
    wheel.write_bytes(held.getvalue())
    install_wheel(wheel, site, placement_of(wheel))
    assert not (site / "tiny_model" / "link").is_symlink()
    assert (site / "tiny_model" / "link").read_bytes() == target


MANAGED = """
import sys, sysconfig
from pathlib import Path
from modelset.core.errors import ModelSetError
from modelset.core.layout import InstallWheel
from modelset.core.types import Artifact
from modelset.store.wheels import install_wheel
own = Path(sysconfig.get_path("purelib"))
artifact = Artifact("a-1-py3-none-any.whl", "https://example.org/a", 1, "md5:" + "0" * 32)
try:
    install_wheel(Path(sys.argv[1]), own, InstallWheel(artifact, "a", "1"))
except ModelSetError as error:
    print(error.failure.code, error.failure.hint)
"""


def test_a_python_that_the_system_manages_is_left_alone(project: Project, tmp_path: Path) -> None:
    """A copied interpreter whose own library carries the marker, as Debian's does."""
    base = Path(sys.base_prefix)
    prefix = tmp_path / "python"
    library = Path(sysconfig.get_path("stdlib", vars={"installed_base": str(prefix)}))
    library.parent.mkdir(parents=True)
    library.mkdir()
    for entry in Path(sysconfig.get_path("stdlib")).iterdir():
        if entry.name not in ("site-packages", "EXTERNALLY-MANAGED"):
            (library / entry.name).symlink_to(entry)
    (library / "EXTERNALLY-MANAGED").write_text("[externally-managed]\nError=no\n")
    found = subprocess.run(
        [sys.executable, "-c", "import sys; print(sys._base_executable)"],
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    ).stdout.strip()
    paths = [path for path in sys.path if path and "site-packages" in path]
    env = {
        **project.environ,
        "PYTHONHOME": str(prefix),
        "PYTHONPATH": os.pathsep.join([project.environ["PYTHONPATH"], *paths]),
        "LD_LIBRARY_PATH": str(base / "lib"),
    }
    ran = run_process([found, "-c", MANAGED, str(tmp_path / "none.whl")], env=env)
    assert ran.stdout.startswith("python-managed run ./scripts/bootstrap.sh"), ran.stderr
