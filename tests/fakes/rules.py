"""The rules of docs/design.md as functions from a module's syntax tree to its offences."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

# Each folder (or single module) below modelset/, and the floor it stands on.
FLOORS = {
    "": 0,  # the package itself: its version
    "core": 0,
    "sources": 1,
    "net": 1,
    "store": 1,
    "probe": 1,
    "engine": 2,
    "lookup": 2,
    "serving": 3,
    "settings": 4,
    "wiring": 5,
    "model_set": 6,
    "demo": 6,
    "trial": 6,
    "server": 7,
    "cli": 8,
    "__main__": 9,
}


@dataclass(frozen=True, slots=True)
class Offence:
    """Where a rule is broken, and by what."""

    module: str
    line: int
    what: str


@dataclass(frozen=True, slots=True)
class Module:
    """A module's dotted name below `modelset.`, its text, and the tree of it."""

    name: str
    text: str

    @property
    def folder(self) -> str:
        return self.name.partition(".")[0]

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)


Rule = Callable[[Module], Iterator[Offence]]


def imported(module: Module) -> Iterator[tuple[int, str]]:
    """Every name that a module imports, anywhere in it, with its line."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = "." * node.level + (node.module or "")
            yield from ((node.lineno, f"{above}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and _dotted(node.func).endswith("import_module"):
            yield from ((node.lineno, text) for text in map(_literal, node.args[:1]) if text)


def floors(module: Module) -> Iterator[Offence]:
    """Imports go strictly downward; folders of one floor and single sources keep apart."""
    for line, name in imported(module):
        if name.startswith("."):
            yield Offence(module.name, line, f"relative import of {name}")
        if name != "modelset" and not name.startswith("modelset."):
            continue
        parts = name.split(".")[1:]
        target = parts[0] if parts and parts[0] in FLOORS else ""
        if target == module.folder != "":
            if _is_sibling(module, parts):
                yield Offence(module.name, line, f"a source imports {name}")
        elif FLOORS[target] >= FLOORS[module.folder] and target != "":
            yield Offence(module.name, line, f"not downward: {name}")


def _is_sibling(module: Module, parts: list[str]) -> bool:
    return module.folder == "sources" and module.name != "sources"


def imports_of(*unwanted: str) -> Rule:
    """A rule against importing any of these modules, or what lies below them."""

    def rule(module: Module) -> Iterator[Offence]:
        for line, name in imported(module):
            for word in unwanted:
                if name == word or name.startswith(word + "."):
                    yield Offence(module.name, line, word)

    return rule


def imports_at_top_of(*unwanted: str) -> Rule:
    """A rule against importing any of these modules when a module is loaded, not when it works."""
    anywhere = imports_of(*unwanted)

    def rule(module: Module) -> Iterator[Offence]:
        inside = [
            range(node.lineno, (node.end_lineno or node.lineno) + 1)
            for node in ast.walk(module.tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        ]
        for offence in anywhere(module):
            if not any(offence.line in lines for lines in inside):
                yield offence

    return rule


SOCKET_MODULES = (
    *("socket", "ssl", "http", "urllib.request", "urllib3", "requests", "httpx", "aiohttp"),
    *("pycurl", "ftplib", "smtplib", "socketserver", "xmlrpc", "telnetlib", "websockets"),
    *("asyncio", "huggingface_hub"),
)
THREAD_MODULES = ("threading", "concurrent", "multiprocessing", "_thread", "asyncio")
ML_MODULES = (
    *("torch", "transformers", "faster_whisper", "ctranslate2", "spacy", "pyannote", "silero_vad"),
    *("mlx", "mlx_whisper", "numpy", "onnxruntime", "tensorflow", "torchaudio", "whisper", "vosk"),
    *("piper", "TTS", "sentence_transformers", "nltk", "vaderSentiment", "llama_cpp", "xllamacpp"),
    *("gguf", "safetensors", "onnx"),
)

# What reads, changes, lists or looks at files, called on a path or on a module.
_PATH_CALLS = frozenset(
    [
        *("read_text", "read_bytes", "write_text", "write_bytes", "unlink", "mkdir", "rmdir"),
        *("touch", "symlink_to", "hardlink_to", "chmod", "rename", "iterdir", "glob", "rglob"),
        *("exists", "is_file", "is_dir", "is_symlink", "stat", "lstat", "samefile", "readlink"),
    ]
)
_OS_CALLS = frozenset(
    [
        *("open", "replace", "rename", "renames", "remove", "unlink", "link", "symlink", "stat"),
        *("readlink", "mkdir", "makedirs", "rmdir", "removedirs", "listdir", "scandir", "walk"),
        *("lstat", "chmod", "chown", "truncate", "utime", "fsync", "access", "mkfifo", "statvfs"),
    ]
)
_CALLS_OF = {
    "os": _OS_CALLS,
    "os.path": frozenset(["exists", "isfile", "isdir", "getsize", "getmtime", "islink"]),
}
_FILE_MODULES = ("shutil", "tempfile", "zipfile", "tarfile", "glob", "fileinput", "sqlite3", "mmap")


def files(module: Module) -> Iterator[Offence]:
    """Nothing opens, changes or looks at a file."""
    yield from imports_of(*_FILE_MODULES)(module)
    for line, name in imported(module):
        if name.startswith("os.") and name[3:] in _OS_CALLS:
            yield Offence(module.name, line, name)
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Call):
            continue
        name = _dotted(node.func)
        owner, _, method = name.rpartition(".")
        if name in ("open", "io.open") or method in _CALLS_OF.get(owner, ()):
            yield Offence(module.name, node.lineno, name)
        elif isinstance(node.func, ast.Attribute) and _is_path_call(node.func):
            yield Offence(module.name, node.lineno, f".{node.func.attr}")


def _is_path_call(function: ast.Attribute) -> bool:
    if function.attr == "open":
        return _dotted(function.value) != "os"
    return function.attr in _PATH_CALLS


def environment(module: Module) -> Iterator[Offence]:
    """Nothing reads or changes the environment."""
    names = ("environ", "environb", "getenv", "putenv", "unsetenv")
    for line, name in imported(module):
        if name.startswith("os.") and name[3:] in names:
            yield Offence(module.name, line, name)
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute) and _dotted(node) in {
            *(f"os.{name}" for name in names),
            "os.path.expandvars",
        }:
            yield Offence(module.name, node.lineno, _dotted(node))


def printing(module: Module) -> Iterator[Offence]:
    """Nothing speaks to the terminal."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and _dotted(node.func) == "print":
            yield Offence(module.name, node.lineno, "print")
        elif isinstance(node, ast.Attribute) and _dotted(node) in ("sys.stdout", "sys.stderr"):
            yield Offence(module.name, node.lineno, _dotted(node))


FORBIDDEN_NAMES = frozenset(
    ["utils", "util", "helpers", "helper", "common", "manager", "handler", "base", "misc"]
)


def names(module: Module) -> Iterator[Offence]:
    """No name that says nothing of what is inside."""
    for word in FORBIDDEN_NAMES.intersection(module.name.replace(".", "_").split("_")):
        yield Offence(module.name, 1, word)


def lengths(module: Module) -> Iterator[Offence]:
    """Modules of at most 250 lines, functions of at most 40 without their docstring."""
    count = len(module.text.splitlines())
    if count > 250:
        yield Offence(module.name, 1, f"{count} lines")
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node, clean=False) is not None else node.body
            length = body[-1].end_lineno - body[0].lineno + 1 if body else 0
            if length > 40:
                yield Offence(module.name, node.lineno, f"{node.name}: {length} lines")


def docstrings(module: Module) -> Iterator[Offence]:
    """Every public module, class, function and method says what it is."""
    if not ast.get_docstring(module.tree):
        yield Offence(module.name, 1, "module")
    yield from _undocumented(module, module.tree, "")


def _undocumented(
    module: Module, parent: ast.Module | ast.ClassDef, above: str
) -> Iterator[Offence]:
    for node in parent.body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        if node.name.startswith("_"):
            continue
        if not ast.get_docstring(node):
            yield Offence(module.name, node.lineno, f"{above}{node.name}")
        if isinstance(node, ast.ClassDef):
            yield from _undocumented(module, node, f"{node.name}.")


def frozen(module: Module) -> Iterator[Offence]:
    """Every dataclass is frozen and has slots."""
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.ClassDef):
            continue
        for mark in node.decorator_list:
            call = mark if isinstance(mark, ast.Call) else None
            if not _dotted(call.func if call else mark).endswith("dataclass"):
                continue
            given = {word.arg: _literal(word.value) for word in call.keywords} if call else {}
            if given.get("frozen") is not True or given.get("slots") is not True:
                yield Offence(module.name, node.lineno, node.name)


def standard_library(module: Module) -> Iterator[Offence]:
    """Nothing but the standard library and the package itself."""
    for line, name in imported(module):
        top = name.partition(".")[0]
        if top not in sys.stdlib_module_names and top != "modelset":
            yield Offence(module.name, line, top)


def _dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        above = _dotted(node.value)
        return f"{above}.{node.attr}" if above else ""
    return ""


def _literal(node: ast.AST) -> object:
    return node.value if isinstance(node, ast.Constant) else None
