"""Jobs on files of weights: GGUF in llama.cpp, and what is known only by its kind."""

import json
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from modelset.trial import places
from modelset.trial.values import SkipError, Steps, Subject, UnfitError

_PROMPT = "Once upon a time"
_CONTEXT = 256
_OLLAMA_WEIGHTS = "application/vnd.ollama.image.model"


def llama_cpp(subject: Subject) -> Steps:
    """A GGUF file in llama.cpp; of a split one the first part leads to the others."""
    first = places.one_file(subject, "*.gguf")
    # What turns pictures into tokens may lie beside the model, and does nothing alone.
    models = [one for one in places.files(subject, "*.gguf") if not one.match("mmproj*")]
    return _generate(models[0] if models else first)


def ollama(subject: Subject) -> Steps:
    """The weights that Ollama's manifest names, in llama.cpp; nothing is asked of a daemon."""
    manifest = json.loads(places.text(_manifest(subject)))
    layers = [row["digest"] for row in manifest["layers"] if row["mediaType"] == _OLLAMA_WEIGHTS]
    if not layers:
        raise SkipError("the manifest names no weights in one file")
    blob = Path(subject.roots["ollama"], "blobs", str(layers[0]).replace(":", "-"))
    return _generate(blob)


def _manifest(subject: Subject) -> Path:
    path = Path(subject.path)
    if places.has_file(path):
        return path
    name, _, tag = str(subject.ref.get("name") or subject.name).partition(":")
    home = Path(subject.roots["ollama"], "manifests", "registry.ollama.ai", "library")
    return home / name / (tag or "latest")


def _generate(file: Path) -> Steps:
    if find_spec("llama_cpp") is not None:
        return _llama_cpp_python(file)
    if find_spec("xllamacpp") is not None:
        return _xllamacpp(file)
    return gguf_header(file)


def _llama_cpp_python(file: Path) -> Steps:
    library: Any = import_module("llama_cpp")
    yield "llama-cpp-python"
    model = library.Llama(model_path=str(file), n_ctx=_CONTEXT, n_gpu_layers=0, verbose=False)
    yield ""
    found = model(_PROMPT, max_tokens=4)
    yield _written(int(found["usage"]["completion_tokens"]))


def _xllamacpp(file: Path) -> Steps:
    library: Any = import_module("xllamacpp")
    yield "xllamacpp"
    options = library.CommonParams()
    options.model.path = str(file)
    options.n_ctx, options.n_parallel, options.n_gpu_layers = _CONTEXT, 1, 0
    # It always listens; in the folder of the trial it can, also where there is no loopback.
    options.hostnames = ["127.0.0.1" if sys.platform == "win32" else "trial.sock"]
    options.port = 0
    server = library.Server(options)
    yield ""
    found = server.handle_completions({"prompt": _PROMPT, "max_tokens": 4, "temperature": 0})
    yield _written(int(found["usage"]["completion_tokens"]))


def _written(count: int) -> str:
    if not count:
        raise UnfitError("the model wrote nothing")
    return f"wrote {count} tokens"


def gguf_header(file: Path) -> Steps:
    """What a GGUF file says of itself, and whether all its tensors are there."""
    library: Any = import_module("gguf")
    yield "gguf"
    reader = library.GGUFReader(str(file))
    yield ""
    kind = reader.get_field("general.architecture")
    values = sum(int(tensor.data.nbytes) for tensor in reader.tensors)
    yield f"header only: {kind.contents() if kind else 'unknown'}, {values} bytes of tensors"


def safetensors_header(file: Path) -> Steps:
    """What a file of safetensors says of itself; the library checks its length."""
    library: Any = import_module("safetensors")
    import_module("numpy")
    yield "safetensors"
    with library.safe_open(str(file), framework="numpy") as opened:
        yield ""
        yield f"header only: {len(list(opened.keys()))} tensors"


def onnx_session(file: Path) -> Steps:
    """A network that ONNX Runtime makes ready to run; what to feed it is not known."""
    library: Any = import_module("onnxruntime")
    yield "onnxruntime"
    session = library.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    yield ""
    names = ", ".join(one.name for one in session.get_inputs())
    yield f"made ready only: takes {names}"


_KINDS = {
    "*.gguf": gguf_header,
    "*.safetensors": safetensors_header,
    "*.onnx": onnx_session,
}


def by_kind(subject: Subject) -> Steps:
    """A model of which no library is known: the first file of a kind that something opens."""
    for pattern, job in _KINDS.items():
        if found := places.files(subject, pattern):
            return job(found[0])
    raise SkipError("its table names no library, and no file of it is gguf, safetensors or onnx")
