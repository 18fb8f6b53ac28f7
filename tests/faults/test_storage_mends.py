"""What faults of disks and clocks once broke in the store, each on its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from tests.fakes.wheels import make_wheel, placement_of
from tests.faults.places import another_host
from tests.faults.project import SHARED
from tests.faults.shim import library, shim

from modelset.core.errors import ModelSetError
from modelset.store.files import write_atomic
from modelset.store.life import FOREIGN_S, machine
from modelset.store.temporary import beside
from modelset.store.wheels import install_wheel

needs_shim = pytest.mark.skipif(library() is None, reason="no C compiler for the shim")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def python(program: str, *arguments: object, env: dict[str, str] | None = None) -> str:
    """What a program prints that stands on the package."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    own = {**os.environ, "PYTHONPATH": str(SHARED), **(env or {})}
    done = subprocess.run(command, env=own, capture_output=True, text=True, check=True, timeout=30)
    return done.stdout


@pytest.mark.parametrize("name", ["n" * 255, "\u00e9" * 127, "a [1]*?.txt", "**", "-rf"])
def test_a_name_that_the_system_takes_can_be_written_and_swept(name: str, tmp_path: Path) -> None:
    stale = tmp_path / f".{name[:48]}.{machine()}-{2**22 + 1}-0.tmp"
    stale.write_bytes(b"half")
    write_atomic(tmp_path / name, b"whole")
    assert names(tmp_path) == [name]
    assert (tmp_path / name).read_bytes() == b"whole"


def test_a_temporary_file_of_another_host_is_left_while_it_is_at_work(tmp_path: Path) -> None:
    theirs = tmp_path / f".registry.json.feedcafe-{2**22 + 1}-0.tmp"
    theirs.write_bytes(b"half")
    write_atomic(tmp_path / "registry.json", b"ours")
    assert theirs.exists()


@pytest.mark.parametrize("away_s", [-FOREIGN_S - 60, 365 * 86400], ids=["old", "from-the-future"])
def test_a_temporary_file_of_another_host_is_swept_when_nobody_writes_it(
    away_s: float, tmp_path: Path
) -> None:
    theirs = tmp_path / f".registry.json.feedcafe-{2**22 + 1}-0.tmp"
    theirs.write_bytes(b"half")
    written = time.time() + away_s
    os.utime(theirs, (written, written))
    write_atomic(tmp_path / "registry.json", b"ours")
    assert names(tmp_path) == ["registry.json"]


def test_two_uses_of_one_name_at_once_do_not_meet(tmp_path: Path) -> None:
    first, second = beside(tmp_path / "m.bin"), beside(tmp_path / "m.bin")
    first.write_bytes(b"half")
    assert first != second
    assert beside(tmp_path / "m.bin") not in (first, second)
    assert first.exists(), "a living process is at work on it"


MACHINE = "from modelset.store.life import machine; print(machine())"


def test_a_host_is_told_from_another_by_its_name_and_its_process_numbers() -> None:
    host = another_host()
    if host is None:
        pytest.skip("no user namespaces here")
    done = subprocess.run(
        [*host, sys.executable, "-c", MACHINE],
        env={**os.environ, "PYTHONPATH": str(SHARED)},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert done.stdout.strip() not in ("", machine())
    assert python(MACHINE).strip() == machine()


@needs_shim
def test_a_machine_that_has_started_again_is_another(tmp_path: Path) -> None:
    boot = tmp_path / "boot_id"
    boot.write_text("11111111-2222-3333-4444-555555555555\n")
    env = shim(swap=("/proc/sys/kernel/random/boot_id", boot))
    assert python(MACHINE, env=env).strip() not in ("", machine())


BUSY = """
import sys
from pathlib import Path
from modelset.store.owner import is_busy
print(is_busy(Path(sys.argv[1])))
"""


@needs_shim
@pytest.mark.parametrize("by_s", [0, 86400, -86400])
def test_an_owner_lives_on_when_the_clock_is_set(by_s: int, tmp_path: Path) -> None:
    program = "from modelset.store.owner import owner; print(owner()); input()"
    stat = tmp_path / "stat"
    stat.write_text(f"btime {int(psutil.boot_time()) + by_s}\n")
    with subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(SHARED)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as living:
        assert living.stdout is not None
        journal = tmp_path / f"sha256-1.{living.stdout.readline().strip()}.json"
        journal.write_text("{}")
        env = shim(swap=("/proc/stat", stat), jump_s=by_s)
        assert python(BUSY, journal, env=env) == "True\n"
        living.kill()
    assert python(BUSY, journal) == "False\n"


def test_a_wheel_is_not_written_into_what_a_file_shares_with_another_name(
    tmp_path: Path,
) -> None:
    """Installers hard-link files from their cache into site-packages."""
    site, cache = tmp_path / "site", tmp_path / "cached.bin"
    (site / "tiny_model").mkdir(parents=True)
    cache.write_bytes(b"older")
    os.link(cache, site / "tiny_model" / "weights.bin")
    made = make_wheel(tmp_path, "1.0", {"tiny_model/weights.bin": b"newer"})
    install_wheel(made, site, placement_of(made))
    assert cache.read_bytes() == b"older"
    assert (site / "tiny_model" / "weights.bin").read_bytes() == b"newer"


@pytest.mark.parametrize("planted", ["tiny_model", "tiny_model-1.0.dist-info"])
def test_a_wheel_is_not_unpacked_through_a_link_to_a_folder(planted: str, tmp_path: Path) -> None:
    site, away = tmp_path / "site", tmp_path / "away"
    site.mkdir()
    away.mkdir()
    (site / planted).symlink_to(away)
    made = make_wheel(tmp_path)
    with pytest.raises(ModelSetError) as caught:
        install_wheel(made, site, placement_of(made))
    assert caught.value.failure.code == "store-not-writable"
    assert "leads outside" in caught.value.failure.message
    assert names(away) == []


INSTALL = """
import sys
from pathlib import Path
from tests.fakes.wheels import placement_of
from modelset.store.wheels import install_wheel
wheel = Path(sys.argv[1])
install_wheel(wheel, Path(sys.argv[2]), placement_of(wheel))
"""


@needs_shim
def test_every_file_of_a_wheel_is_durable_before_its_record_has_its_name(tmp_path: Path) -> None:
    site, log = tmp_path / "site", tmp_path / "log"
    made = make_wheel(tmp_path, "1.0", {"tiny_model/weights.bin": os.urandom(9000)})
    env = shim("write,fsync,rename", f"{site}/*", log=log)
    env["PYTHONPATH"] = f"{SHARED}{os.pathsep}{SHARED.parent}"
    python(INSTALL, made, site, env=env)
    calls = [line.partition(" ")[::2] for line in log.read_text().splitlines()]
    renamed = [path for call, path in calls if call == "rename"]
    assert len(renamed) == 6
    assert renamed[-1].endswith("RECORD")
    for number, (call, path) in enumerate(calls):
        if call == "rename":
            assert calls[number - 1][0] == "fsync", f"{path} has its name before its bytes"
        if call == "write":
            assert path.endswith(".tmp"), f"{path} is written under its name"
    assert not [path for path in site.rglob("*") if path.name.endswith(".tmp")]
