"""`modelset state`: what a project has decided goes to another machine."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.moving import FOLDER, HUB, House, house_in
from tests.conftest import Project, RunModelset

from modelset.cli import main
from modelset.store.state_secrets import secrets_in


@pytest.fixture
def house(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[House]:
    """A house with two models, one of them updated once."""
    monkeypatch.setitem(main.COMMANDS, "state", ("state", (), "a command"))
    with house_in(tmp_path, capsys, monkeypatch) as made:
        assert made.run("download", HUB, FOLDER).code == 0
        made.use_both()
        assert made.run("update", HUB).code == 0
        yield made


def test_another_machine_goes_on_where_this_one_stands(house: House, tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    ran = house.run("state", "export", str(file), "--json")
    assert (ran.code, set(ran.json["data"]["parts"])) == (
        0,
        {"settings", "lock", "registry", "history"},
    )
    assert "hf_demo" not in file.read_text()
    other = house.other(tmp_path / "two")
    other.config.write_text("")
    assert other.run("state", "import", str(file)).code == 2, "its settings differ"
    assert not other.lock_file.exists()
    ran = other.run("state", "import", str(file), "--force", "--json")
    assert ran.code == 0, ran.stdout
    rows = {row["name"]: row for row in ran.json["data"]["parts"]}
    assert Path(rows["settings"]["backup"]).read_text() == ""
    assert other.config.read_text() == house.config.read_text()
    assert other.lock_file.read_bytes() == house.lock_file.read_bytes()
    assert other.history == house.history
    assert other.run("check", "--json").code != 0, "the models themselves are not in it"
    assert other.run("download", HUB, FOLDER, "--frozen").code == 0
    assert other.presence(HUB, FOLDER) == {"present"}


def test_the_same_state_twice_changes_nothing(house: House, tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    assert house.run("state", "export", str(file)).code == 0
    ran = house.run("state", "import", str(file), "--json")
    assert ran.code == 0
    assert not any(row["changed"] or row["backup"] for row in ran.json["data"]["parts"])
    assert house.run("state", "import", str(tmp_path / "none")).code != 0


OWN = {"MODELSET_LOCK": "", "MODELSET_MODELS_ROOT": ""}  # so that the settings say where


def test_what_comes_lies_where_the_settings_that_come_say(
    project: Project, run_modelset: RunModelset, tmp_path: Path
) -> None:
    password = "https://somebody:s3cret@hub.example.org/"
    project.config.write_text(
        '[paths]\nlock = "locks/prod.json"\nmodels_root = "models here"\n'
        f'[mirrors]\n"https://huggingface.co/" = [{{ url = "{password}" }}]\n'
    )
    project.config.chmod(0o600)
    lock = project.folder / "locks" / "prod.json"
    lock.parent.mkdir()
    lock.write_text('{"schema_version": 1, "models": {}}\n')
    state = tmp_path / "state.json"
    assert run_modelset("state", "export", str(state), env=OWN).code == 0
    assert "s3cret" not in state.read_text()
    shutil.rmtree(lock.parent)
    before = project.config.read_text()
    ran = run_modelset("state", "import", str(state), "--force", "--json", env=OWN)
    assert ran.code == 0, ran.stderr
    assert lock.exists()
    assert not (project.folder / "models.lock.json").exists()
    backup = Path(ran.json["data"]["parts"][0]["backup"])
    assert backup.read_text() == before
    assert {path.stat().st_mode & 0o777 for path in (backup, project.config)} == {0o600}
    project.config.unlink()  # as on a new machine, where MODELSET_CONFIG names it all the same
    shutil.rmtree(lock.parent)
    ran = run_modelset("state", "import", str(state), "--json", env=OWN)
    assert ran.code == 0, ran.stderr
    assert lock.exists()
    assert project.config.exists()
    assert run_modelset("lock", "--check", env=OWN).code in (0, 9)


def test_links_to_the_lock_and_the_settings_stay_links(
    project: Project, run_modelset: RunModelset, tmp_path: Path
) -> None:
    state = tmp_path / "state.json"
    lock = project.folder / "models.lock.json"
    project.config.write_text("[download]\nmax_workers = 2\n")
    lock.write_text('{"schema_version": 1, "models": {}}\n')
    assert run_modelset("state", "export", str(state)).code == 0
    for path, old in ((project.config, "# old\n"), (lock, '{"schema_version": 1,"models": {}}')):
        shared = tmp_path / f"shared-{path.name}"
        shared.write_text(old)
        path.unlink()
        path.symlink_to(shared)
    assert run_modelset("state", "import", str(state), "--force").code == 0
    for path in (project.config, lock):
        assert path.is_symlink()
        assert "old" not in path.read_text()
    assert (tmp_path / "shared-modelset.toml").read_text() == project.config.read_text()


@pytest.mark.parametrize(
    ("text", "is_secret"),
    [
        ("sk-proj-Ab3dEf6hIj9lMn2pQr5t", True),
        ("sk-ant-api03-Ab3dEf6hIj9lMn2p", True),
        ("/data/sk-models-and-voices", False),
        ("acme/whisper-large-v3-sk-finetuned-common-voice", False),
    ],
)
def test_names_with_sk_are_no_keys(text: str, is_secret: bool) -> None:
    assert bool(list(secrets_in(f'name = "{text}"\n', is_toml=True))) is is_secret
