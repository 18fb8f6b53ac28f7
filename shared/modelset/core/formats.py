"""Which kinds of files a model is made of; pickles can run code when a library loads them."""

from collections.abc import Iterable

from modelset.core.types import Model

PICKLE = "pickle"
_SUFFIXES = {
    "safetensors": "safetensors", "gguf": "gguf", "onnx": "onnx", "npz": "npz", "npy": "npz",
    "pt": PICKLE, "pth": PICKLE, "ckpt": PICKLE, "pkl": PICKLE, "pickle": PICKLE,
    "joblib": PICKLE, "jit": PICKLE,
}  # fmt: skip
# Of the many files that end in .bin, those that PyTorch wrote.
_PICKLED_BINS = ("pytorch_model", "adapter_model", "optimizer", "scheduler", "training_args")


def format_of(name: str) -> str:
    """The kind of a file by its name, empty when the name does not tell."""
    base = name.rpartition("/")[2].lower()
    if base.endswith(".bin"):
        return PICKLE if base.startswith(_PICKLED_BINS) else ""
    return _SUFFIXES.get(base.rpartition(".")[2], "")


def formats_of(model: Model, names: Iterable[str]) -> tuple[str, ...]:
    """What the catalog says of a model's files, and what their names tell besides."""
    told = (format_of(name) for name in names)
    return tuple(dict.fromkeys([*model.formats, *filter(None, told)]))
