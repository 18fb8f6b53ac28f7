"""What other programs left on this machine is found by name and size, and nothing is touched."""

from __future__ import annotations

import json
import os
import shutil
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import SHARED, Ran, config_for, run_process

from modelset.core.select import Wishes
from modelset.demo.hub import DemoHub
from modelset.engine.task import Terms
from modelset.model_set import ModelSet
from modelset.settings import load_settings

pytest.importorskip("huggingface_hub")

TINY = "Systran/faster-whisper-tiny"
VOSK = "vosk-model-small-vn-0.4"
KEYS = (
    *("whisper:tiny", "openai-whisper:tiny", "vad:silero-hub", "vosk:small-vi", "nlu:vader"),
    *("ollama:gemma2:2b", "tts:XTTS-v2", "llm:phi-2", "spacy:en_core_web_sm"),
)

# The command, in a process in which no socket can be made.
OFFLINE = """
import sys
def refuse(event, arguments):
    if event in ("socket.__new__", "socket.connect", "socket.getaddrinfo", "socket.sendto"):
        raise RuntimeError(event)
sys.addaudithook(refuse)
from modelset.cli import main
for name in ("detect", "adopt", "migrate"):
    main.COMMANDS.setdefault(name, (name, (), name))
main.run()
"""
SNAPSHOT = """
import sys
from huggingface_hub import snapshot_download
for repo in sys.argv[1:]:
    snapshot_download(repo)
"""


@dataclass(frozen=True, slots=True)
class Machine:
    """A user's home, and a project whose own roots are another folder of the same volume."""

    home: Path
    folder: Path

    @property
    def models(self) -> Path:
        return self.folder / "models"

    @property
    def environ(self) -> dict[str, str]:
        return environ_of(self.folder) | {"HOME": str(self.home)}

    def run(self, *arguments: str, env: Mapping[str, str] | None = None) -> Ran:
        """A command, in a process that can open no socket."""
        command = [sys.executable, "-c", OFFLINE, *arguments]
        return run_process(command, env=self.environ | dict(env or {}), cwd=self.folder)


def environ_of(folder: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder / "home"),
        "PYTHONPATH": str(SHARED),
        "PYTHONUTF8": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "MODELSET_CONFIG": str(folder / "modelset.toml"),
        "MODELSET_LOCK": str(folder / "models.lock.json"),
        "MODELSET_OUT": str(folder / "out"),
        "MODELSET_MODELS_ROOT": str(folder / "models"),
        "MODELSET_SITE_PACKAGES": str(folder / "site-packages"),
    }


def fill_home(home: Path, first: Path, hub: DemoHub) -> None:
    """What the libraries' own downloads leave: the Hub's by its real client, the others by hand,
    from what a first machine has.
    """
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "HF_ENDPOINT": f"{hub.url}/hf",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_UPDATE_CHECK": "1",
        "NO_PROXY": "127.0.0.1",
    }
    repos = (TINY, "tts-hub/XTTS-v2")
    ran = run_process([sys.executable, "-c", SNAPSHOT, *repos], env=environ, cwd=home)
    assert ran.code == 0, ran.stderr
    models = first / "models"
    for name, place in (("whisper", ".cache/whisper"), ("torch/hub", ".cache/torch/hub")):
        shutil.copytree(models / name, home / place)
    shutil.copytree(models / "ollama", home / ".ollama" / "models")
    shutil.copytree(models / "nltk_data", home / "nltk_data")
    shutil.copytree(models / "vosk", home / ".cache" / "vosk")
    (gguf,) = models.rglob("phi-2.Q4_K_M.gguf")
    studio = home / ".lmstudio" / "models" / "TheBloke" / "phi-2-GGUF"
    studio.mkdir(parents=True)
    shutil.copyfile(gguf, studio / gguf.name)


@dataclass(frozen=True, slots=True)
class Origin:
    """A hub, the lock of a machine that was there before, and the home of a user."""

    hub: DemoHub
    first: Path
    home: Path

    def archive(self, folder: Path, key: str) -> Path:
        """The one file of a model, as its publisher has it."""
        lock = json.loads((self.first / "models.lock.json").read_text())
        (row,) = lock["models"][key]["files"]
        url = row["url"].replace("https://github.com", f"{self.hub.url}/github")
        url = url.replace("https://alphacephei.com", f"{self.hub.url}/vosk")
        target = folder / url.rpartition("/")[2]
        with urllib.request.urlopen(url) as answer:
            target.write_bytes(answer.read())
        self.hub.forget_requests()
        return target

    def machine(self, folder: Path, home: Path | None = None) -> Machine:
        """A second machine with the lock of the first, no model, and nothing taken on trust."""
        folder.mkdir()
        shutil.copyfile(self.first / "models.lock.json", folder / "models.lock.json")
        config = (self.first / "modelset.toml").read_text()
        assert "first_use = true" in config
        (folder / "modelset.toml").write_text(config.replace("first_use = true", ""))
        self.hub.forget_requests()
        return Machine(home or self.home, folder)


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Origin]:
    first, home = tmp_path_factory.mktemp("first"), tmp_path_factory.mktemp("home")
    with DemoHub() as hub:
        (first / "modelset.toml").write_text(config_for(hub))
        models = ModelSet(load_settings({}, environ_of(first), first))
        report = models.download(Wishes(keys=KEYS), Terms())
        assert report.exit_code == 0, [row.failure for row in report.outcomes if row.failure]
        fill_home(home, first, hub)
        yield Origin(hub, first, home)


@pytest.fixture
def machine(origin: Origin, tmp_path: Path) -> Machine:
    return origin.machine(tmp_path / "second")


def found(ran: Ran) -> dict[str, Any]:
    """What was found, by place and name."""
    assert ran.code == 0, ran.stderr
    return {f"{row['place']} {row['what']}": row for row in ran.json["data"]["found"]}


def tree(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Every name with its inode, size and time."""
    return {
        str(path.relative_to(folder)): (stat.st_ino, stat.st_size, stat.st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        for stat in [path.lstat()]
    }


def test_every_cache_is_found_with_key_size_and_what_the_set_makes_of_it(
    machine: Machine, origin: Origin
) -> None:
    before = tree(origin.home)
    ran = machine.run("detect", "--json")
    # Pipelines in the environment that runs the tests are its own business.
    rows = {name: row for name, row in found(ran).items() if not name.startswith("spaCy")}
    assert {name: (row["keys"][:1], row["state"]) for name, row in rows.items()} == {
        "Hugging Face Hub models--Systran--faster-whisper-tiny": (["whisper:tiny"], "adopt"),
        "Hugging Face Hub models--tts-hub--XTTS-v2": (["tts:XTTS-v2"], "adopt"),
        "openai-whisper tiny.pt": (["openai-whisper:tiny"], "adopt"),
        "torch.hub snakers4_silero-vad_master": (["vad:silero-hub"], "adopt"),
        f"Vosk {VOSK}": (["vosk:small-vi"], "archive"),
        "NLTK sentiment/vader_lexicon.zip": (["nlu:vader"], "adopt"),
        "Ollama manifests/registry.ollama.ai/library/gemma2/2b": (["ollama:gemma2:2b"], "adopt"),
        "LM Studio TheBloke/phi-2-GGUF": (["llm:phi-2"], "adopt"),
    }
    whisper = rows["openai-whisper tiny.pt"]
    assert whisper["size_bytes"] == (origin.home / ".cache/whisper/tiny.pt").stat().st_size
    assert whisper["wanted"]
    hub = rows["Hugging Face Hub models--Systran--faster-whisper-tiny"]
    own = origin.home / ".cache/huggingface/hub/models--Systran--faster-whisper-tiny"
    blobs = [path for path in (own / "blobs").iterdir() if path.is_file()]
    assert hub["size_bytes"] >= sum(path.stat().st_size for path in blobs) > 0
    assert tree(origin.home) == before
    assert not machine.models.exists()
    assert origin.hub.requests == []


def test_people_see_a_table_and_how_much_can_be_taken(machine: Machine) -> None:
    ran = machine.run("detect")
    assert ran.code == 0, ran.stderr
    (row,) = [line for line in ran.stdout.splitlines() if "tiny.pt" in line]
    assert "openai-whisper:tiny" in row
    assert "can be adopted" in row
    assert "only with" in ran.stdout
    assert "`modelset adopt --trust-first-use` takes such folders" in ran.stdout
    assert "`modelset adopt` can take 7 of them" in ran.stdout
    assert machine.run("detect", "--quiet").stdout == ""


def test_an_unpacked_archive_says_what_it_needs_to_be_adopted(
    machine: Machine, tmp_path: Path
) -> None:
    home = tmp_path / "own"
    shutil.copytree(machine.home / ".cache" / "vosk", home / ".cache" / "vosk")
    folder = home / ".cache" / "vosk" / VOSK
    own = Machine(home, machine.folder)

    def state() -> str:
        return str(found(own.run("detect", "--json"))[f"Vosk {VOSK}"]["state"])

    assert state() == "archive"
    config = machine.folder / "modelset.toml"
    config.write_text(config.read_text().replace("[policy]", "[policy]\nfirst_use = true"))
    assert state() == "trust"
    shown = own.run("detect").stdout
    assert "on trust" in shown
    assert "`modelset adopt` can take 1 of them" in shown
    assert "--trust-first-use" not in shown
    os.mkfifo(folder / "pipe")
    assert state() == "other"
    (folder / "pipe").unlink()
    (folder / "conf" / "mfcc.conf").rename(folder / "conf" / "mfcc.config")
    assert state() == "other"


def test_only_what_the_set_wants_is_listed_on_demand(machine: Machine) -> None:
    unknown = machine.home / ".cache" / "whisper" / "somebody-elses.pt"
    unknown.write_bytes(b"model")
    try:
        row = found(machine.run("detect", "--json"))["openai-whisper somebody-elses.pt"]
        assert (row["keys"], row["state"], row["wanted"]) == ([], "unknown", False)
        rows = found(machine.run("detect", "--wanted", "--json"))
        assert all(row["wanted"] for row in rows.values())
        assert "openai-whisper tiny.pt" in rows
    finally:
        unknown.unlink()


def test_without_a_lock_it_says_what_is_lacking(machine: Machine) -> None:
    (machine.folder / "models.lock.json").unlink()
    rows = found(machine.run("detect", "--json"))
    assert rows["openai-whisper tiny.pt"]["state"] == "unpinned"
    assert not rows["openai-whisper tiny.pt"]["wanted"]


def test_variables_of_the_libraries_lead_to_their_places(machine: Machine, tmp_path: Path) -> None:
    hub = machine.home / ".cache/huggingface/hub"
    moved = tmp_path / "hf"
    shutil.copytree(hub, moved / "hub", symlinks=True)
    empty = tmp_path / "empty"
    empty.mkdir()
    ran = Machine(empty, machine.folder).run("detect", "--json", env={"HF_HOME": str(moved)})
    (row,) = [row for name, row in found(ran).items() if "faster-whisper" in name]
    # It is where this project puts Hub models then, too.
    assert (row["keys"], row["state"]) == (["whisper:tiny"], "here")


def test_odd_names_and_huge_folders_do_no_harm(machine: Machine, tmp_path: Path) -> None:
    home = tmp_path / "odd"
    vosk = home / ".cache" / "vosk"
    (vosk / "vosk-model-[red]").mkdir(parents=True)
    (vosk / "vosk-model-[red]" / "x\x1b[31m").write_bytes(b"1")
    crowd = vosk / "vosk-model-crowd"
    crowd.mkdir()
    for number in range(20_050):
        (crowd / str(number)).touch()
    hub = home / ".cache" / "huggingface" / "hub"
    hub.mkdir(parents=True)
    (hub / "models--a--b").symlink_to("/usr")
    odd = Machine(home, machine.folder)
    ran = odd.run("detect", "--json")
    rows = found(ran)
    assert rows["Vosk vosk-model-[red]"]["files"] == 1
    assert rows["Vosk vosk-model-crowd"]["files"] == 20_000
    assert not any("models--a--b" in name for name in rows)
    assert any("20000 entries" in note for note in ran.json["data"]["notes"])
    shown = odd.run("detect")
    assert "vosk-model-[red]" in shown.stdout
    assert "\x1b" not in shown.stdout + shown.stderr
    assert "note: " in shown.stderr
