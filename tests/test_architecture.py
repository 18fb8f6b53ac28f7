"""The floors and the rules of the design hold in every module, and every rule can fail."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.fakes import rules
from tests.fakes.rules import FLOORS, Module, Offence, Rule

import modelset

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = Path(modelset.__file__).parent


def _name(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


# What lies in demo/models is data, also where a model is a program.
MODULES = [
    Module(_name(path), path.read_text("utf-8"))
    for path in sorted(PACKAGE.rglob("*.py"))
    if not path.is_relative_to(PACKAGE / "demo" / "models")
]


@dataclass(frozen=True)
class Held:
    """A rule, the folders it does not speak of, and single exceptions, each with its reason."""

    rule: Rule
    free: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    exceptions: Mapping[tuple[str, str], str] = field(default_factory=dict)


# The libraries that each module of jobs loads models in.
TRIED = {
    "speech": (
        *("numpy", "torch", "torchaudio", "faster_whisper", "whisper", "mlx_whisper", "vosk"),
        "pyannote",
    ),
    "voices": ("torch", "piper", "TTS"),
    "texts": (
        *("spacy", "sentence_transformers", "transformers", "torch", "nltk", "vaderSentiment"),
    ),
    "weights": ("llama_cpp", "xllamacpp", "gguf", "safetensors", "numpy", "onnxruntime"),
}

HELD = {
    "floors": Held(rules.floors),
    "sockets": Held(rules.imports_of(*rules.SOCKET_MODULES), free=("net", "demo", "server")),
    "threads": Held(
        rules.imports_of(*rules.THREAD_MODULES),
        free=("engine", "demo"),
        exceptions={
            (f"server.{module}", "asyncio"): "the event loop that answers; it starts no thread"
            for module in ("app", "command", "gate", "jobs", "log", "run", "service", "snapshot")
        },
    ),
    "files": Held(
        rules.files,
        free=("store", "probe", "demo"),
        exceptions={
            ("cli.main", "os.open"): "the null device, for an output whose reader has gone",
            ("trial.places", ".is_file"): "finds what a library is to load",
            ("trial.places", ".rglob"): "finds what a library is to load",
            ("trial.network", "os.readlink"): "the name of a network namespace",
            ("trial.run", "tempfile"): "a folder for what a library leaves behind",
            ("trial.run", ".open"): "what a library says goes straight into the log",
        },
    ),
    "environment": Held(rules.environment, free=("settings",)),
    "printing": Held(rules.printing, free=("cli", "demo")),
    "print": Held(
        lambda module: (row for row in rules.printing(module) if row.what == "print"),
        free=("cli",),
    ),
    "clock": Held(
        rules.imports_of("time", "sched"),
        free=("demo",),
        exceptions={
            ("engine.guard", "time"): "the one clock",
            ("cli.progress", "time"): "draws rates; nothing waits for it",
        },
    ),
    "child processes": Held(
        rules.imports_of("subprocess", "pty"),
        free=("demo",),
        exceptions={
            ("net.index", "subprocess"): "asks pip",
            ("net.xet_process", "subprocess"): "runs hf_xet, which cannot be stopped otherwise",
            ("probe.system", "subprocess"): "asks the system about its cards",
            ("trial.run", "subprocess"): "loads models, which may hang, crash or take memory",
        },
    ),
    "machine learning": Held(
        rules.imports_of(*rules.ML_MODULES),
        free=("demo",),  # demo.making makes the models with the real libraries
        exceptions={
            (f"trial.{module}", library): "a job of the child process that tries a model"
            for module, libraries in TRIED.items()
            for library in libraries
        },
    ),
    "machine learning late": Held(rules.imports_at_top_of(*rules.ML_MODULES), free=("demo",)),
    "names": Held(rules.names),
    "lengths": Held(rules.lengths),
    "docstrings": Held(
        rules.docstrings,
        exceptions={
            ("probe.system", f"Nvml.{name}"): "the names and the meaning are pynvml's"
            for name in (
                *("nvmlInit", "nvmlShutdown", "nvmlSystemGetDriverVersion", "nvmlDeviceGetCount"),
                *("nvmlDeviceGetHandleByIndex", "nvmlDeviceGetName", "nvmlDeviceGetMemoryInfo"),
                "nvmlDeviceGetCudaComputeCapability",
            )
        },
    ),
    "frozen values": Held(rules.frozen, only=("core",)),
    "standard library": Held(rules.standard_library, only=("core",)),
    "no input or output": Held(
        rules.imports_of("os", "pathlib", "subprocess", "io", "logging"), only=("core",)
    ),
}


@pytest.mark.parametrize("name", HELD)
def test_the_rule_holds_in_every_module(name: str) -> None:
    held = HELD[name]
    looked_at = [
        module
        for module in MODULES
        if module.folder not in held.free and (not held.only or module.folder in held.only)
    ]
    assert len(looked_at) > 5
    found = [offence for module in looked_at for offence in held.rule(module)]
    excused = {(offence.module, offence.what) for offence in found} & held.exceptions.keys()
    assert [row for row in found if (row.module, row.what) not in excused] == []
    assert excused == set(held.exceptions), "an exception that nothing needs any more"


def test_every_folder_has_its_floor() -> None:
    assert {module.folder for module in MODULES} == set(FLOORS)


BROKEN: list[tuple[str, str, str, str]] = [
    # rule, module, text, what is found
    ("floors", "core.x", "from modelset.store.files import move", "modelset.store.files.move"),
    ("floors", "store.x", "import modelset.net.wire", "modelset.net.wire"),
    ("floors", "store.x", "def f():\n    from modelset.probe import machine", "probe.machine"),
    ("floors", "engine.x", "from modelset.cli.screen import say", "modelset.cli.screen"),
    ("floors", "engine.x", "from modelset import settings", "modelset.settings"),
    ("floors", "demo.x", "from modelset.model_set import ModelSet", "modelset.model_set"),
    ("floors", "trial.x", "from modelset.model_set import ModelSet", "modelset.model_set"),
    ("floors", "trial.x", "from modelset.demo.hub import DemoHub", "modelset.demo.hub"),
    ("floors", "sources.url", "from modelset.sources.wheel import SOURCE", "a source imports"),
    ("floors", "sources.url", "from modelset.sources import huggingface", "a source imports"),
    ("floors", "core.x", "from .types import Pin", "relative"),
    ("floors", "core.x", "import importlib\nimportlib.import_module('modelset.cli.main')", "cli"),
    ("sockets", "engine.x", "import socket", "socket"),
    ("sockets", "store.x", "from http.client import HTTPConnection", "http"),
    ("sockets", "core.x", "import urllib.request", "urllib.request"),
    ("sockets", "engine.x", "def f():\n    import pycurl", "pycurl"),
    ("threads", "store.x", "from concurrent.futures import wait", "concurrent"),
    ("threads", "net.x", "import threading as t", "threading"),
    ("files", "engine.x", "with open('a') as f: pass", "open"),
    ("files", "engine.x", "import os\nos.replace('a', 'b')", "os.replace"),
    ("files", "engine.x", "from os import replace", "os.replace"),
    ("files", "cli.x", "from pathlib import Path\nPath('a').write_text('')", ".write_text"),
    ("files", "cli.x", "def f(p):\n    return p.exists()", ".exists"),
    ("files", "cli.x", "def f(p):\n    return p.open('w')", ".open"),
    ("files", "core.x", "import shutil", "shutil"),
    ("files", "sources.x", "import os.path\nos.path.exists('a')", "os.path.exists"),
    ("environment", "cli.x", "import os\nos.environ['A']", "os.environ"),
    ("environment", "net.x", "from os import getenv", "os.getenv"),
    ("printing", "engine.x", "import sys\nsys.stderr.write('')", "sys.stderr"),
    ("print", "demo.x", "print('x')", "print"),
    ("clock", "net.x", "from time import sleep", "time"),
    ("child processes", "store.x", "import subprocess", "subprocess"),
    ("machine learning", "cli.x", "def f():\n    import torch.hub", "torch"),
    ("machine learning late", "trial.x", "import torch", "torch"),
    ("machine learning late", "trial.x", "torch: Any = import_module('torch')", "torch"),
    ("machine learning late", "trial.x", "class A:\n    import torch.hub", "torch"),
    ("names", "store.file_utils", "", "utils"),
    ("names", "engine.manager", "", "manager"),
    ("lengths", "core.x", "\n" * 251, "251 lines"),
    ("lengths", "core.x", "def f():\n    'doc'\n" + "    g()\n" * 41, "f: 41 lines"),
    ("docstrings", "core.x", "", "module"),
    ("docstrings", "core.x", "'doc'\ndef f():\n    pass", "f"),
    ("docstrings", "core.x", "'doc'\nclass A:\n    'doc'\n    def f(self):\n        pass", "A.f"),
    ("frozen values", "core.x", "@dataclass\nclass A:\n    x: int", "A"),
    ("frozen values", "core.x", "@dataclass(frozen=True)\nclass A:\n    x: int", "A"),
    ("standard library", "core.x", "import rich.table", "rich"),
    ("no input or output", "core.x", "from pathlib import Path", "pathlib"),
]


@pytest.mark.parametrize(("name", "module", "text", "what"), BROKEN)
def test_the_rule_finds_what_breaks_it(name: str, module: str, text: str, what: str) -> None:
    found = list(HELD[name].rule(Module(module, text)))
    assert found
    assert any(what in offence.what for offence in found)


CLEAN = '''"""A module."""

import json
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from modelset import __version__
from modelset.core.types import Pin


@dataclass(frozen=True, slots=True)
class Thing:
    """A value."""

    name: str

    def renamed(self, name: str) -> "Thing":
        """Another."""
        return replace(self, name=name.replace("a", "b"))


def read(text: str) -> object:
    """Pure."""
    return json.loads(text), urlsplit(text), Pin, __version__
'''


@pytest.mark.parametrize("name", HELD)
def test_the_rule_leaves_a_clean_module_alone(name: str) -> None:
    for module in ("core.thing", "sources.thing", "store.thing", "cli.thing"):
        assert list(HELD[name].rule(Module(module, CLEAN))) == []


def test_a_library_may_be_imported_when_it_is_needed() -> None:
    text = "def f():\n    import torch\n    return import_module('torch.hub')\n"
    assert list(HELD["machine learning late"].rule(Module("trial.x", text))) == []


def test_every_rule_is_seen_to_fail() -> None:
    assert {name for name, *_ in BROKEN} == set(HELD)


def test_a_function_of_forty_lines_may_have_a_docstring_besides() -> None:
    text = 'def f():\n    """One.\n\n    Two.\n    """\n' + "    g()\n" * 40
    assert list(rules.lengths(Module("core.x", text))) == []
    longer = list(rules.lengths(Module("core.x", text + "    g()\n")))
    assert longer == [Offence("core.x", 1, "f: 41 lines")]


def test_import_linter_is_told_the_same_floors() -> None:
    document = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    (contract,) = document["tool"]["importlinter"]["contracts"]
    assert contract["type"] == "layers"
    told = [
        {name.strip().removeprefix("modelset.") for name in layer.split("|")}
        for layer in reversed(contract["layers"])
    ]
    assert told == [
        {name for name, floor in FLOORS.items() if floor == number and name not in ("", "__main__")}
        for number in range(len(told))
    ]


def test_import_linter_agrees() -> None:
    program = "import sys; from importlinter.cli import lint_imports_command as run; run()"
    done = subprocess.run(
        [sys.executable, "-c", program, "--no-cache"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "shared")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 kept, 0 broken" in done.stdout
