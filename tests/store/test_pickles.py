"""Pickles: what loading would do is said in words, and never done."""

from __future__ import annotations

import builtins
import collections
import io
import os
import pickle
import pickletools
import struct
import subprocess
import sys
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.conftest import ROOT, SHARED

from modelset.core.errors import ModelSetError
from modelset.store import containers, opcodes
from modelset.store.pickles import dangers, is_pickle, refuse_dangers

LEGACY = 0x1950A86A20F9469CFC6C


class Evil:
    """Calls a function with an argument when it is loaded."""

    def __init__(self, call: Callable[..., Any], *arguments: object) -> None:
        self.call, self.arguments = call, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call, self.arguments


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """A file that every payload here would make."""
    return tmp_path / "ran"


@pytest.fixture
def evil(mark: Path) -> Evil:
    return Evil(os.system, f"touch '{mark}'")


@pytest.fixture(autouse=True)
def nothing_runs(mark: Path) -> Any:
    yield
    assert not mark.exists()


def look(folder: Path, body: bytes, name: str = "model.pt") -> list[str]:
    path = folder / "partial-file"  # the bytes tell, not the name
    path.write_bytes(body)
    return dangers(path, name)


def zipped(*rows: tuple[str, bytes]) -> bytes:
    with zipfile.ZipFile(held := io.BytesIO(), "w") as archive:
        for name, body in rows:
            archive.writestr(name, body)
    return held.getvalue()


def tarred(*rows: tuple[str, bytes]) -> bytes:
    with tarfile.open(fileobj=(held := io.BytesIO()), mode="w") as archive:
        for name, body in rows:
            info = tarfile.TarInfo(name)
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))
    return held.getvalue()


def legacy(body: bytes, protocol: int = 2) -> bytes:
    head = [pickle.dumps(one, protocol) for one in (LEGACY, 1001, {"little_endian": True})]
    return b"".join([*head, body, pickle.dumps(["0"], protocol)]) + os.urandom(4096)


def test_the_payload_of_these_tests_is_a_real_one(tmp_path: Path) -> None:
    """It makes its file when it is loaded, so that no file means that nothing was loaded."""
    other = tmp_path / "other"
    pickle.loads(pickle.dumps(Evil(os.system, f"touch '{other}'")))
    assert other.exists()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_plain_pickle_is_seen_through_in_every_protocol(
    tmp_path: Path, evil: Evil, mark: Path, protocol: int
) -> None:
    assert look(tmp_path, pickle.dumps(evil, protocol)) == ["model.pt: posix.system"]
    nested = {"weights": [1.5, (evil, "x")], "more": b"x" * 100}
    assert look(tmp_path, pickle.dumps(nested, protocol)) == ["model.pt: posix.system"]
    code = Evil(builtins.eval, f"open({str(mark)!r}, 'w')")
    (said,) = look(tmp_path, pickle.dumps(code, protocol), "a/b.pkl")
    assert said in ("a/b.pkl: builtins.eval", "a/b.pkl: __builtin__.eval")


@pytest.mark.parametrize(
    "call", [subprocess.Popen, exec, compile, open, getattr, pickle.loads, os.remove], ids=repr
)
def test_other_ways_to_do_harm_are_known(tmp_path: Path, call: Any) -> None:
    for protocol in (0, 2, 5):
        (said,) = look(tmp_path, pickle.dumps(Evil(call, "x"), protocol))
        assert call.__name__ in said


@pytest.mark.parametrize("entry", ["archive/data.pkl", "x/DATA.PKL", "odd name", "code/a.py"])
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_every_entry_of_a_torch_zip_is_looked_at(
    tmp_path: Path, evil: Evil, entry: str, protocol: int
) -> None:
    rows = (("archive/version", b"3\n"), (entry, pickle.dumps(evil, protocol)))
    said = look(tmp_path, zipped(*rows, ("archive/data/0", os.urandom(1000))))
    assert said == [f"model.pt, {entry}: posix.system"]


def test_legacy_torch_files_are_looked_at_up_to_their_data(tmp_path: Path, evil: Evil) -> None:
    good = pickle.dumps(collections.OrderedDict(a=1), 2)
    for protocol in (2, 4):
        assert look(tmp_path, legacy(good, protocol)) == []
        assert look(tmp_path, legacy(pickle.dumps(evil, 2), protocol)) == ["model.pt: posix.system"]
    cut = legacy(good)[:30]
    assert "cannot be read as a pickle" in look(tmp_path, cut)[0]


@pytest.mark.parametrize("entry", ["pickle", "tensors", "storages", "data.pkl", "README"])
def test_a_tar_is_looked_through(tmp_path: Path, evil: Evil, entry: str) -> None:
    for protocol in (0, 2, 5):
        body = tarred(("sys_info", pickle.dumps({})), (entry, pickle.dumps(evil, protocol)))
        assert f"model.pt, {entry}: posix.system" in look(tmp_path, body)
        old = bytearray(body)  # as the oldest tars are, without their magic word
        for at in (0, 1024):
            old[at + 257 : at + 265] = bytes(8)
            old[at + 148 : at + 156] = b" " * 8
            old[at + 148 : at + 156] = b"%06o\0 " % sum(old[at : at + 512])
        assert f"model.pt, {entry}: posix.system" in look(tmp_path, bytes(old))
    info = tarfile.TarInfo("link")
    info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
    (said,) = look(tmp_path, info.tobuf() + b"\0" * 1024)
    assert "cannot be read as a pickle" in said


def array(descr: object, body: bytes, version: int = 1) -> bytes:
    header = repr({"descr": descr, "fortran_order": False, "shape": (1,)}).encode() + b"\n"
    length = struct.pack("<H" if version == 1 else "<L", len(header))
    return b"\x93NUMPY" + bytes([version, 0]) + length + header + body


@pytest.mark.parametrize(
    "descr",
    [
        *("|O", "O", "object", "<O8", "i4,O", [("a", "|O")], [("a", "<i4"), ("b", "O", (2,))]),
        *([("a", [("b", "O")])], ("|O", (2,)), [("a", ("O", 3))], {"names": ["a"]}, 7),
    ],
    ids=repr,
)
def test_arrays_of_objects_are_pickles(tmp_path: Path, evil: Evil, descr: object) -> None:
    body = pickle.dumps(evil)
    for version in (1, 2, 3):
        made = array(descr, body, version)
        assert look(tmp_path, made, "a.npy") == ["a.npy: posix.system"]
        assert look(tmp_path, zipped(("arr_0.npy", made)), "a.npz") == [
            "a.npz, arr_0.npy: posix.system"
        ]


def test_arrays_of_numbers_are_not(tmp_path: Path) -> None:
    numpy = pytest.importorskip("numpy")
    rows = {"numbers": numpy.arange(9), "words": numpy.array(["Object", "O"])}
    rows["fields"] = numpy.zeros(2, dtype=[("Object", "<f4"), ("O", "<M8[s]")])
    numpy.savez(tmp_path / "a.npz", **rows)
    assert dangers(tmp_path / "a.npz", "a.npz") == []
    numpy.save(tmp_path / "b.npy", rows["fields"])
    assert dangers(tmp_path / "b.npy", "b.npy") == []
    objects = numpy.array([{"a": 1}, None], dtype=object)
    numpy.save(tmp_path / "c.npy", objects, allow_pickle=True)
    assert dangers(tmp_path / "c.npy", "c.npy") == []


@pytest.mark.parametrize(
    "header",
    [
        *(b"", b"((((" * 9000, b"open('x')", b"[]", b"{'descr': [()]}", b"{'descr': []", b"1" * 60),
        *(rb"{'descr': '\d'}", b"{'descr': 1if 2 else 3}"),
    ],
)
def test_an_array_with_a_hostile_header_is_refused(tmp_path: Path, header: bytes) -> None:
    made = b"\x93NUMPY\x02\x00" + struct.pack("<L", len(header)) + header
    assert "cannot be read as a pickle" in look(tmp_path, made, "a.npy")[0]
    assert "cannot be read as a pickle" in look(tmp_path, made[:9], "a.npy")[0]


# ---- tricks ----------------------------------------------------------------------------------


def text(word: str) -> bytes:
    return pickle.SHORT_BINUNICODE + bytes([len(word)]) + word.encode()


CALL = text("true") + b"\x85R."
TRICKS = {
    "plain": text("posix") + text("system") + b"\x93",
    "through the memo": text("posix") + b"\x94" + text("system") + b"\x94" + b"0h\x00h\x01\x93",
    # What the memo is told to hold is not what was written last.
    "memo of what is below": (
        text("posix") + text("x") + b"0q\x00" + text("system") + b"q\x01h\x00h\x01\x93"
    ),
    "memo set twice": b"".join(
        [text("os.path"), b"q\5", text("posix"), b"q\5", text("system"), b"h\5", text("system")]
    )
    + b"\x93",
    "a decoy that is taken off": text("posix") + text("system") + text("OrderedDict") + b"0\x93",
    "a copy": text("system") + text("posix") + b"2" + b"0" + text("system") + b"\x93",
    "a mark": text("posix") + text("system") + b"(1\x93",
    "from a list": b"]" + text("posix") + b"a" + text("system") + b"\x93",
    "as bytes": b"C\x05posix" + b"C\x06system" + b"\x93",
    "a frame between": text("posix") + b"\x95" + struct.pack("<Q", 9) + text("system") + b"\x93",
    "a number that is not set": b"h\x07h\x08\x93",
    "an extension": b"\x82\x01",
    "dots": text("pathlib") + text("os.system") + b"\x93",
    "dots below": text("torch.serialization") + text("io.os.system") + b"\x93",
    "dots behind": text("builtins") + text("eval.__call__") + b"\x93",
    "many dots": text("a") + text("b." * 20 + "c") + b"\x93",
    "a long name": text("posix") + b"X" + struct.pack("<L", 5000) + b"s" * 5000 + b"\x93",
    "old names": b"ccPickle\nloads\n",
    "old names of builtins": b"c__builtin__\neval\n",
    "old names with other words": b"curllib2\nurlopen\n",
    "another way to open": b"cio\nopen\n",
    "another way to import": b"cbuiltins\n__import__\n",
    "an instance": b"(V true\niposix\nsystem\n",
}  # fmt: skip


@pytest.mark.parametrize("name", TRICKS)
def test_no_trick_hides_a_name(tmp_path: Path, name: str) -> None:
    body = b"\x80\x04" + TRICKS[name] + CALL
    assert look(tmp_path, body)
    assert look(tmp_path, zipped(("archive/data.pkl", body)))
    assert look(tmp_path, zipped(("odd", body)))
    assert look(tmp_path, legacy(body))
    assert look(tmp_path, body[:-1]), "without its end it runs all the same"
    assert look(tmp_path, pickle.dumps(1) + body), "behind another pickle"


def test_what_is_harmless_and_looks_similar_is_let_through(tmp_path: Path) -> None:
    for name in ("a frame between", "through the memo"):
        body = b"\x80\x04" + TRICKS[name] + CALL
        good = body.replace(text("posix"), text("collections")).replace(
            text("system"), text("OrderedDict")
        )
        assert look(tmp_path, good) == []
    # Nothing that picklescan only does not know is taken for dangerous.
    assert look(tmp_path, b"\x80\x04" + text("my.module") + text("Model.Inner") + b"\x93.") == []


def test_what_comes_after_five_pickles_of_a_legacy_file_is_data(tmp_path: Path, evil: Evil) -> None:
    body = legacy(pickle.dumps({}))[:-4096] + pickle.dumps(evil)
    assert look(tmp_path, body) == []
    # Only the number that PyTorch asks for makes a file one of these.
    other = body.replace(pickle.dumps(LEGACY, 2), pickle.dumps(LEGACY + 1, 2))
    assert look(tmp_path, other) == ["model.pt: posix.system"]


def test_two_entries_of_one_name_are_refused(tmp_path: Path, evil: Evil) -> None:
    with warnings.catch_warnings(action="ignore"):
        body = zipped(("a/data.pkl", pickle.dumps(evil)), ("a/data.pkl", pickle.dumps({})))
    assert look(tmp_path, body) == [
        "model.pt, a/data.pkl: posix.system",
        "model.pt, a/data.pkl: cannot be read as a pickle: there are two entries of this name",
    ]


@pytest.mark.parametrize("field", ["flags", "method", "name", "crc", "offset"])
def test_a_zip_entry_that_lies_is_not_passed_over(tmp_path: Path, evil: Evil, field: str) -> None:
    body = bytearray(zipped(("first", b"x" * 50), ("data.pkl", pickle.dumps(evil))))
    at = body.rindex(b"PK\x01\x02")
    local = body.rindex(b"PK\x03\x04")
    if field == "flags":
        body[at + 8] |= 1
    elif field == "method":
        body[at + 10] = 93
    elif field == "name":
        body[local + 30] = ord("D")
    elif field == "crc":  # readers of models do not look at it
        body[at + 16] ^= 1
    else:
        body[at + 42] ^= 1
    said = "; ".join(look(tmp_path, bytes(body)))
    expected = "posix.system" if field == "crc" else "cannot be read as a pickle"
    assert f": {expected}" in said


def test_names_are_shown_so_that_they_do_nothing_to_a_terminal(tmp_path: Path) -> None:
    body = b"\x80\x04" + text("os") + text("\x1b[2Jx") + b"\x93."
    for made in (body, zipped(("\x1b[2J.pkl", body)), zipped(("x.pkl", b"\x1b[2J"))):
        for said in look(tmp_path, made):
            assert said.isascii()
            assert said.isprintable()


def test_many_dangers_are_not_all_listed(tmp_path: Path) -> None:
    body = b"".join(b"cos\nf%d\n0" % number for number in range(3000)) + b"N."
    said = look(tmp_path, body)
    assert len(said) == 50
    (tmp_path / "one").write_bytes(body)
    with pytest.raises(ModelSetError) as caught:
        refuse_dangers(tmp_path / "one", "model.pt")
    assert caught.value.failure.code == "pickle-refused"
    assert caught.value.failure.message.startswith("model.pt: os.f0; model.pt: os.f1; ")
    assert caught.value.failure.message.endswith("; and 45 more")
    (tmp_path / "two").write_bytes(pickle.dumps({"a": 1}))
    refuse_dangers(tmp_path / "two", "model.pt")


# ---- damage ----------------------------------------------------------------------------------

DAMAGED = {
    "empty": b"",
    "text": b"not a pickle\n",
    "page": b"<!DOCTYPE html><html></html>",
    "gzip": b"\x1f\x8b\x08" + bytes(40),
    "7z": b"7z\xbc\xaf\x27\x1c" + bytes(40),
    "cut": pickle.dumps({"a": list(range(100))})[:50],
    "garbage behind": pickle.dumps({"a": 1}) + b"\xff garbage",
    "zip": b"PK\x03\x04 and no more",
    "empty zip": b"PK\x05\x06 and no more",
    "digits": b"I" + b"9" * 10_000 + b"\n.",
    "line": b"V" + b"x" * 2_000_000,
    "length": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 62) + b"x.",
    "negative": b"\x80\x01T" + struct.pack("<i", -5) + b"x.",
    "entry": zipped(("archive/data.pkl", b"\x80\x02}")),
    "entry of text": zipped(("archive/data.pkl", b"hello")),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_what_cannot_be_read_is_dangerous_in_words(tmp_path: Path, name: str) -> None:
    (said,) = look(tmp_path, DAMAGED[name], "model.pkl")
    assert ": cannot be read as a pickle: " in said
    assert said.startswith("model.pkl")


def test_a_file_that_cannot_be_opened_is_an_error_of_the_disk(tmp_path: Path) -> None:
    with pytest.raises(ModelSetError) as caught:
        dangers(tmp_path / "none", "model.pt")
    assert caught.value.failure.code == "store-read-error"


SEEDS = [
    *(body for name, body in DAMAGED.items() if name not in ("line", "digits")),
    *(b"\x80\x04" + trick + CALL for trick in TRICKS.values()),
    zipped(("a/data.pkl", pickle.dumps({"a": (1, 2)})), ("a/data/0", bytes(range(256)))),
    tarred(("pickle", pickle.dumps({"a": 1}))),
    array("|O", pickle.dumps([1])),
]


@settings(max_examples=300, deadline=None)
@example(data=b"")
@given(data=st.binary(max_size=300))
def test_no_bytes_make_it_raise(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    assert isinstance(look(tmp_path_factory.getbasetemp(), data), list)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_no_damage_makes_it_raise(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    body = bytearray(data.draw(st.sampled_from(SEEDS)) or b"x")
    for _ in range(data.draw(st.integers(1, 5))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    assert isinstance(look(tmp_path_factory.getbasetemp(), bytes(body)), list)


PLAIN = st.recursive(
    st.one_of(
        *(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary()),
        st.sampled_from([collections.OrderedDict, collections.Counter, complex]),
    ),
    lambda inner: st.one_of(
        st.lists(inner),
        st.lists(inner).map(tuple),
        st.dictionaries(st.text(), inner),
        st.dictionaries(st.text(), inner).map(collections.OrderedDict),
    ),
    max_leaves=15,
)


@settings(max_examples=200, deadline=None)
@given(value=PLAIN, protocol=st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_what_python_pickles_by_itself_is_read_to_its_end(
    tmp_path_factory: pytest.TempPathFactory, value: object, protocol: int
) -> None:
    body = pickle.dumps(value, protocol)
    assert look(tmp_path_factory.getbasetemp(), body) == []
    seen = opcodes.look(io.BytesIO(body))
    assert not seen.is_hidden
    # Every name, as another reader of instructions finds them: one that keeps a whole stack.
    assert set(seen.names) == names_by_loading(body)


def names_by_loading(body: bytes) -> set[tuple[str, str]]:
    """The names that `pickle` itself asks for."""
    asked: set[tuple[str, str]] = set()

    class Watching(pickle._Unpickler):  # the one in Python, whose lookup sees what is written
        def find_class(self, module: str, name: str) -> Any:
            asked.add((module, name))
            return super().find_class(module, name)

    Watching(io.BytesIO(body)).load()
    return asked


# ---- what real libraries write ---------------------------------------------------------------


def test_what_torch_saves_is_let_through_and_an_evil_thing_in_it_is_not(
    tmp_path: Path, evil: Evil
) -> None:
    torch = pytest.importorskip("torch")
    state = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4)).state_dict()
    many = {f"t{n}": torch.randn(50).to(kind) for n in range(60) for kind in (torch.float16,)}
    path = tmp_path / "file"
    for new in (True, False):
        for good in (state, {"model": state, "epoch": 3, "lr": [0.1]}, many):
            torch.save(good, path, _use_new_zipfile_serialization=new)
            assert dangers(path, "model.pt") == []
        torch.save({"model": state, "x": evil}, path, _use_new_zipfile_serialization=new)
        (said,) = dangers(path, "model.pt")
        assert said.startswith("model.pt")
        assert said.endswith(": posix.system")
    torch.save(state, path, pickle_protocol=4)
    assert dangers(path, "model.pt") == []


@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_what_torch_jit_saves_is_let_through(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    module = torch.jit.trace(torch.nn.Linear(3, 4), torch.zeros(1, 3))
    module.save(str(tmp_path / "model.jit"))
    assert dangers(tmp_path / "model.jit", "model.jit") == []


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:TypedStorage")
def test_torch_packages_are_looked_at(tmp_path: Path, evil: Evil) -> None:
    package = pytest.importorskip("torch.package")
    torch = pytest.importorskip("torch")
    for thing, expected in (({"a": torch.zeros(3)}, False), ({"a": evil}, True)):
        path = tmp_path / "package.pt"
        with package.PackageExporter(path) as exporter:
            exporter.extern("**")
            exporter.save_pickle("tts_models", "model", thing)
        said = dangers(path, "package.pt")
        assert bool(said) is expected
        assert all(one.endswith(": posix.system") for one in said)


def test_the_models_of_the_demo_are_let_through() -> None:
    folder = SHARED / "modelset" / "demo" / "models"
    found = [path for path in folder.rglob("*") if is_pickle(path.name)]
    assert len(found) >= 4
    for path in [*found, *folder.rglob("*.npz")]:
        assert dangers(path, path.name) == []
    assert ROOT in folder.parents


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *((f"a/model{suffix}", True) for suffix in (".pt", ".pth", ".ckpt", ".pkl", ".PT", ".jit")),
        *((f"a/b{suffix}", True) for suffix in (".pickle", ".joblib")),
        *((name, True) for name in ("x/pytorch_model.bin", "pytorch_model-00001-of-2.bin")),
        *((name, True) for name in ("adapter_model.bin", "optimizer.bin", "training_args.bin")),
        *((name, False) for name in ("model.bin", "a/model.bin", "weights.bin", "ggml-base.bin")),
        *((name, False) for name in ("model.safetensors", "a.npz", "a.npy", "a.pt/config")),
        *((name, False) for name in ("model.onnx", "model.gguf", "README", "a.pkl.txt")),
    ],
)
def test_pickles_are_told_by_their_names(name: str, expected: bool) -> None:
    assert is_pickle(name) is expected


# ---- quiet, small, quick to load -------------------------------------------------------------


def test_picklescan_says_nothing_and_is_loaded_late(
    tmp_path: Path, evil: Evil, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    assert look(tmp_path, pickle.dumps(evil))
    assert look(tmp_path, b"garbage")
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []
    program = "import sys, modelset.store.pickles; print('picklescan' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(SHARED)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout == "False\n"


def test_long_values_are_passed_over(tmp_path: Path, evil: Evil) -> None:
    """A hundred megabytes as one value, before what is dangerous, without holding it."""
    path = tmp_path / "large"
    with open(path, "wb") as stream:
        stream.write(b"\x80\x04")
        for code in (b"B", b"X", b"T", b"\x8b"):  # bytes, text, old text, a number
            stream.write(code + struct.pack("<I", 25_000_000))
            for _ in range(25):
                stream.write(bytes(1_000_000))
            stream.write(b"0")
        stream.write(pickle.dumps(evil, 4)[2:])
    program = (
        "import sys; from pathlib import Path; from modelset.store.pickles import dangers\n"
        "print(dangers(Path(sys.argv[1]), 'large'))\n"
        "print(*(line for line in open('/proc/self/status') if 'VmHWM' in line))\n"
    )
    if not Path("/proc/self/status").exists():
        pytest.skip("no figures of this process")
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        env={**os.environ, "PYTHONPATH": str(SHARED)},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    said, memory = done.stdout.splitlines()[:2]
    assert said == "['large: posix.system']"
    assert int(memory.split()[1]) < 60_000  # in kB


def test_data_that_looks_like_instructions_is_not_followed_for_ever(tmp_path: Path) -> None:
    data = io.BytesIO(b"N" * 3_000_000)
    seen = opcodes.look(data, 1000)
    assert "more than 1000 instructions" in seen.damage
    assert data.tell() < 2000
    body = zipped(("archive/data.pkl", pickle.dumps({})), ("archive/data/0", data.getvalue()))
    assert look(tmp_path, body) == []


def test_every_instruction_is_known_or_ends_what_is_followed() -> None:
    """A Python with new kinds of instructions has to be looked at anew."""
    known = {one.name for one in pickletools.opcodes}
    followed = opcodes._STRINGS | opcodes._GETS | opcodes._PUTS | opcodes._EXTENSIONS
    assert followed <= known
    pushing = {one.name for one in pickletools.opcodes if "UNICODE" in one.name}
    assert pushing <= opcodes._STRINGS
    assert len(known) == 68
    assert containers._LEGACY.match(pickle.dumps(LEGACY, 2))
