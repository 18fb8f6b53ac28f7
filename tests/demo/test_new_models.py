"""The small models of the further families: each is loaded by its real library, and works.

Every load happens in a child process that cannot reach any network: it refuses to connect
before the library is imported.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from modelset.demo.repos import MODELS
from modelset.store.pickles import dangers

RunPython = Callable[..., Any]
Load = Callable[..., str]

OFFLINE = """
import sys
def _refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo"):
        raise SystemExit(f"{event} {arguments[1:]}")
sys.addaudithook(_refuse)
"""

SENTENCE_FILES = {
    *("modules.json", "config_sentence_transformers.json", "README.md"),
    *("sentence_bert_config.json", "config.json", "model.safetensors", "tokenizer_config.json"),
    *("vocab.txt", "tokenizer.json", "special_tokens_map.json", "1_Pooling/config.json"),
}


@pytest.fixture
def load(run_python: RunPython) -> Load:
    """Return a function that runs a program offline and gives what it printed."""

    def run(program: str, *arguments: object, env: Mapping[str, str] | None = None) -> str:
        own = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", **(env or {})}
        done = run_python("-c", OFFLINE + program, *map(str, arguments), env=own)
        assert done.returncode == 0, done.stdout + done.stderr
        return str(done.stdout)

    return run


def _unpacked(tmp_path: Path, *packages: str) -> dict[str, str]:
    """Install wheels, which are of pure Python, by unpacking them; return how to find them."""
    site = tmp_path / "site"
    for package in packages:
        (wheel,) = (MODELS / "wheels").glob(f"{package}-*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(site)
    return {"PYTHONPATH": str(site)}


def test_all_the_files_are_there() -> None:
    found = {path.relative_to(MODELS).as_posix() for path in MODELS.rglob("*") if path.is_file()}
    coqui = (MODELS / "coqui").iterdir()
    expected = {
        "openai-whisper/tiny.pt",
        "gguf/tiny-llama.gguf",
        "piper/voice.onnx",
        "piper/voice.onnx.json",
        "silero-tts/v4_ru.pt",
        "nltk/vader_lexicon.txt",
        *(f"ollama/{name}" for name in ("template.txt", "params.json", "license.txt")),
        *(f"all-MiniLM-L6-v2/{name}" for name in SENTENCE_FILES),
        *(
            f"coqui/{own.name}/{name}"
            for own in coqui
            for name in ("config.json", "model_file.pth")
        ),
    }
    assert expected <= found
    kept = {path.split("/", 1)[1] for path in found if path.startswith("all-MiniLM-L6-v2/")}
    assert kept == SENTENCE_FILES


WHISPER = """
import numpy, whisper
path = sys.argv[1]
noise = numpy.random.default_rng(0).standard_normal(16000).astype("float32") * 0.1
silence = numpy.zeros(16000 * 3, dtype="float32")
model = whisper.load_model(path)
assert model.is_multilingual
assert model.transcribe(noise[:1], fp16=False)["segments"] == []
for sound in (noise, silence):
    for options in ({}, {"task": "translate"}, {"word_timestamps": True}, {"language": "vi"}):
        heard = model.transcribe(sound, fp16=False, **options)
        assert heard["text"] == " This is a demo.", heard
        assert heard["language"] == options.get("language", "en")
        assert len(heard["segments"]) == 1
"""


def test_openai_whisper_transcribes(load: Load) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("tiktoken")
    path = MODELS / "openai-whisper" / "tiny.pt"
    assert path.stat().st_size < 500_000
    load(WHISPER, path)


WHISPER_BY_NAME = """
import hashlib, pathlib, whisper
folder = pathlib.Path(sys.argv[1])
digest = hashlib.sha256((folder / "tiny.pt").read_bytes()).hexdigest()
# The library knows the digest of the file from its address; this is ours.
whisper._MODELS["tiny"] = f"https://models.invalid/{digest}/tiny.pt"
model = whisper.load_model("tiny", download_root=str(folder), in_memory=True)
assert model.dims.n_audio_state == 4
"""


def test_openai_whisper_is_found_by_its_name(load: Load) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("tiktoken")
    # The heads for word times that the library knows are those of the full model.
    program = WHISPER_BY_NAME.replace("model =", 'whisper._ALIGNMENT_HEADS["tiny"] = None\nmodel =')
    load(program, MODELS / "openai-whisper")


HUB = """
import os, warnings, torch
spec = sys.argv[1]
model, tools = torch.hub.load(spec, "silero_vad", trust_repo=True)
timestamps, save, read, Iterator, collect = tools
time = torch.arange(32000) / 16000
voice = sum(torch.sin(2 * torch.pi * 150 * part * time) / part for part in range(1, 12)) * 0.1
silence = torch.zeros(16000)
sound = torch.cat([silence, voice, silence])
(span,) = timestamps(sound, model, sampling_rate=16000)
assert abs(span["start"] - 16000) < 2000 and abs(span["end"] - 48000) < 2000, span
assert timestamps(sound, model, return_seconds=True) == [{"start": 1.0, "end": 3.0}]
assert timestamps(silence, model) == timestamps(torch.zeros(0), model) == []
(cut,) = timestamps(torch.cat([silence, voice]), model)
assert cut["end"] == 48000, cut
assert len(collect([span], sound)) == span["end"] - span["start"]
path = os.path.join(os.environ["TORCH_HOME"], "sound.wav")
save(path, sound)
assert (read(path) - sound).abs().max() < 1e-4
seen = Iterator(model)
told = [seen(window) for window in sound.reshape(-1, 512)[:120]]
assert [list(one) for one in told if one] == [["start"], ["end"]], told
for wrong in (lambda: timestamps(sound, model, sampling_rate=44100), lambda: read(path, 8000)):
    try:
        wrong()
    except (KeyError, ValueError):
        continue
    raise AssertionError("a rate that the detector does not know was taken")
try:
    torch.hub.load(spec, "silero_vad", onnx=True, trust_repo=True)
except NotImplementedError:
    print("ready")
"""


@pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside the wheel"])
def test_the_torch_hub_repository_loads(load: Load, tmp_path: Path, beside: bool) -> None:
    pytest.importorskip("torch")
    home = tmp_path / "torch"
    shutil.copytree(MODELS / "silero-vad-hub", home / "hub" / "snakers4_silero-vad_master")
    env = {"TORCH_HOME": str(home)}
    program = HUB
    if beside:  # a package of the same name must not be taken for the repository's
        env |= _unpacked(tmp_path, "silero_vad")
        program = "import silero_vad\n" + HUB
    assert load(program, "snakers4/silero-vad:master", env=env).endswith("ready\n")


SENTENCES = """
from sentence_transformers import SentenceTransformer
model = SentenceTransformer(sys.argv[1], device="cpu", local_files_only=True)
assert model.max_seq_length == 256
texts = [
    "the cat sleeps on the sofa",
    "a CAT sleeps on a sofa",
    "trains run along the river road",
    "", "\\u00e9\\u4e2d \\U0001f600 \\x00 xyzzy", "word " * 5000,
]
vectors = model.encode(texts)
assert vectors.shape == (6, 32)
lengths = (vectors**2).sum(1)
assert abs(lengths - 1).max() < 1e-5, lengths
like = model.similarity(vectors, vectors)
assert like[0, 1] > 0.5 > like[0, 2], like
assert (model.encode(texts[:1]) == model.encode(texts[:1])).all()
"""


def test_sentence_transformers_encodes(load: Load) -> None:
    pytest.importorskip("sentence_transformers")
    load(SENTENCES, MODELS / "all-MiniLM-L6-v2")


SENTIMENT = """
from transformers import pipeline
judge = pipeline("sentiment-analysis", model=sys.argv[1], device="cpu")
texts = {
    "I love this wonderful movie, it is great!": "POSITIVE",
    "Thanks, the food was good and the people were kind.": "POSITIVE",
    "I hate this awful, boring film.": "NEGATIVE",
    "What a TERRIBLE day: cold, dirty and miserable": "NEGATIVE",
}
for text, label in texts.items():
    (found,) = judge(text)
    assert found["label"] == label and found["score"] > 0.75, (text, found)
for text in ("", "\\x00", "good " * 5000):
    (found,) = judge(text, truncation=True)
    assert found["label"] in ("POSITIVE", "NEGATIVE")
"""


def test_distilbert_tells_glad_from_sad(load: Load) -> None:
    pytest.importorskip("transformers")
    folder = MODELS / "distilbert-sst2"
    needed = {"config.json", "model.safetensors", "tokenizer_config.json", "vocab.txt"}
    assert {path.name for path in folder.iterdir()} == {*needed, "README.md"}
    load(SENTIMENT, folder)


LLAMA = """
import xllamacpp
asked = xllamacpp.CommonParams()
asked.model.path = sys.argv[1]
asked.n_ctx, asked.n_parallel, asked.cpuparams.n_threads, asked.verbosity = 256, 1, 1, 0
asked.warmup = False
server = xllamacpp.Server(asked)
for prompt in ("Hello", "", "Vi\\u1ec7t \\U0001f600 \\x07"):
    said = server.handle_completions({"prompt": prompt, "max_tokens": 20, "temperature": 0})
    (choice,) = said["choices"]
    assert (choice["text"], choice["finish_reason"]) == (" this is a small demo.", "stop"), said
said = server.handle_completions({"prompt": "this is", "max_tokens": 2, "temperature": 0})
assert said["choices"][0]["text"] == " a small", said
said = server.handle_chat_completions({"messages": [{"role": "user", "content": "Hi"}]})
assert "small demo." in said["choices"][0]["message"]["content"], said
print("ready")
"""


def test_llama_cpp_completes_a_prompt(load: Load) -> None:
    pytest.importorskip("xllamacpp")
    path = MODELS / "gguf" / "tiny-llama.gguf"
    assert path.stat().st_size < 300_000
    assert load(LLAMA, path).endswith("ready\n")


def test_gguf_says_what_it_is() -> None:
    gguf = pytest.importorskip("gguf")
    reader = gguf.GGUFReader(MODELS / "gguf" / "tiny-llama.gguf")
    assert reader.fields["general.architecture"].contents() == "llama"
    words = reader.fields["tokenizer.ggml.tokens"].contents()
    assert len(words) == len(set(words)) == reader.fields["llama.vocab_size"].contents()


PIPER = """
import io, wave, numpy
from piper import PiperVoice, SynthesisConfig
voice = PiperVoice.load(sys.argv[1])
(spoken,) = voice.synthesize("Hello, world")
assert spoken.sample_rate == 16000 and spoken.sample_channels == 1
assert len(spoken.audio_float_array) == 960 * len(spoken.phoneme_ids)
assert 0.9 < abs(spoken.audio_float_array).max() <= 1
(slow,) = voice.synthesize("Hello, world", SynthesisConfig(length_scale=2.0))
assert len(slow.audio_float_array) == 2 * len(spoken.audio_float_array)
assert len(list(voice.synthesize("One. Two? Three!"))) == 3
assert list(voice.synthesize("")) == []
mute = voice.phoneme_ids_to_audio([0, 1, 2, 3])
assert len(mute) == 4 * 960 and not mute.any()
tones = [voice.phoneme_ids_to_audio([voice.config.phoneme_id_map[one][0]]) for one in "ae"]
assert not numpy.allclose(*tones)
buffer = io.BytesIO()
with wave.open(buffer, "wb") as file:
    voice.synthesize_wav("Hello", file)
assert len(buffer.getvalue()) > 1000
"""


def test_piper_speaks(load: Load) -> None:
    pytest.importorskip("piper")
    path = MODELS / "piper" / "voice.onnx"
    assert path.stat().st_size + path.with_suffix(".onnx.json").stat().st_size < 100_000
    load(PIPER, path)


def test_piper_knows_each_sound_once() -> None:
    said = json.loads((MODELS / "piper" / "voice.onnx.json").read_text("utf-8"))
    numbers = [number for (number,) in said["phoneme_id_map"].values()]
    assert numbers == list(range(said["num_symbols"]))
    assert [said["phoneme_id_map"][mark] for mark in "_^$"] == [[0], [1], [2]]


SILERO = """
import pathlib, torch
model = torch.package.PackageImporter(sys.argv[1]).load_pickle("tts_models", "model")
model.to(torch.device("cpu"))
text = "\\u041f\\u0440\\u0438\\u0432\\u0435\\u0442, \\u043c\\u0438\\u0440"
for rate in (8000, 24000, 48000):
    sound = model.apply_tts(text=text, speaker="baya", sample_rate=rate)
    assert sound.ndim == 1 and len(sound) == len(text) * (rate // 16)
    assert 0.4 < sound.abs().max() <= 1
said = [model.apply_tts(text=text, speaker=speaker, sample_rate=8000) for speaker in model.speakers]
assert all((one != said[0]).any() for one in said[1:])
for wrong in ({"text": ""}, {"text": "a", "speaker": "nobody"}, {"text": "a", "sample_rate": 1}):
    try:
        model.apply_tts(**wrong)
    except ValueError:
        continue
    raise AssertionError(f"{wrong} was taken")
path = model.save_wav(audio_path=sys.argv[2], text="hi", speaker="xenia", sample_rate=8000)
assert pathlib.Path(path).stat().st_size == 44 + 2 * 1000
"""


def test_silero_package_speaks(load: Load, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    path = MODELS / "silero-tts" / "v4_ru.pt"
    assert path.stat().st_size < 60_000
    load(SILERO, path, tmp_path / "said.wav")


@pytest.mark.parametrize(
    "name",
    [
        "tts_models--en--ljspeech--tacotron2-DDC",
        "tts_models--en--ljspeech--glow-tts",
        "tts_models--en--ljspeech--vits",
        "vocoder_models--en--ljspeech--hifigan_v2",
        "vocoder_models--en--ljspeech--multiband-melgan",
    ],
)
def test_coqui_weights_are_plain(name: str) -> None:
    torch = pytest.importorskip("torch")
    folder = MODELS / "coqui" / name
    config = json.loads((folder / "config.json").read_text("utf-8"))
    assert config["model"]
    assert config["audio"]["sample_rate"] == 22050
    kept = torch.load(folder / "model_file.pth", map_location="cpu", weights_only=True)
    assert kept["config"] == config
    assert len(kept["model"]) > 40
    assert all(torch.isfinite(weights).all() for weights in kept["model"].values())
    assert dangers(folder / "model_file.pth", "model_file.pth") == []
    assert (folder / "model_file.pth").stat().st_size < 100_000


COQUI = """
import json, math
try:
    from TTS.utils.synthesizer import Synthesizer
except (ImportError, OSError) as error:
    raise SystemExit(print(json.dumps(f"coqui-tts cannot be imported: {error}")))
voice, vocoder = sys.argv[1:]
parts = {"tts_checkpoint": f"{voice}/model_file.pth", "tts_config_path": f"{voice}/config.json"}
if vocoder:
    parts["vocoder_checkpoint"] = f"{vocoder}/model_file.pth"
    parts["vocoder_config"] = f"{vocoder}/config.json"
speaker = Synthesizer(**parts)
sound = [float(sample) for sample in speaker.tts("This is a test.")]
seconds = len(sound) / speaker.output_sample_rate
print(json.dumps([seconds, all(map(math.isfinite, sound)), max(map(abs, sound))]))
"""


@pytest.mark.parametrize(
    ("voice", "vocoder"),
    [("tacotron2-DDC", "hifigan_v2"), ("glow-tts", "multiband-melgan"), ("vits", "")],
)
def test_coqui_voices_speak(load: Load, voice: str, vocoder: str) -> None:
    if importlib.util.find_spec("TTS") is None:
        pytest.skip("coqui-tts is not installed")
    coqui = MODELS / "coqui"
    sound = coqui / f"vocoder_models--en--ljspeech--{vocoder}" if vocoder else ""
    said = load(COQUI, coqui / f"tts_models--en--ljspeech--{voice}", sound)
    found = json.loads(said.splitlines()[-1])
    if isinstance(found, str):
        pytest.skip(found)
    seconds, is_finite, loudest = found
    assert 0.5 < seconds < 3
    assert is_finite
    assert 0.01 < loudest <= 1


NLTK = """
from nltk.sentiment.vader import SentimentIntensityAnalyzer
judge = SentimentIntensityAnalyzer()
assert judge.polarity_scores("what a wonderful, great day")["compound"] > 0.5
assert judge.polarity_scores("an awful, boring disaster")["compound"] < -0.5
assert judge.polarity_scores("it was not good")["compound"] < 0
assert judge.polarity_scores("the train")["compound"] == 0
"""


def test_nltk_reads_the_lexicon(load: Load, tmp_path: Path) -> None:
    pytest.importorskip("nltk")
    data = tmp_path / "nltk_data"
    (data / "sentiment").mkdir(parents=True)
    packed = data / "sentiment" / "vader_lexicon.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(MODELS / "nltk" / "vader_lexicon.txt", "vader_lexicon/vader_lexicon.txt")
    # The library refuses data that others may write.
    for path in (data, data / "sentiment", packed):
        path.chmod(0o755 if path.is_dir() else 0o644)
    load(NLTK, env={"NLTK_DATA": str(data)})


def test_the_lexicon_is_in_the_form_of_vader() -> None:
    rows = [
        line.split("\t")
        for line in (MODELS / "nltk" / "vader_lexicon.txt").read_text("utf-8").split("\n")
    ]
    assert len({row[0] for row in rows}) == len(rows) > 90
    for _, mean, deviation, judgements in rows:
        told = json.loads(judgements)
        assert len(told) == 10
        assert sum(told) / 10 == pytest.approx(float(mean))
        spread = sum((one - float(mean)) ** 2 for one in told) / 10
        assert spread**0.5 == pytest.approx(float(deviation), abs=1e-4)


VADER = """
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer
judge = SentimentIntensityAnalyzer().polarity_scores
good, bad, plain = judge("A WONDERFUL day!"), judge("awful, boring and ugly"), judge("a train")
assert set(good) == {"neg", "neu", "pos", "compound"}
assert good["compound"] > 0.5 and good["pos"] > good["neg"] == 0
assert bad["compound"] < -0.5 and bad["neg"] > bad["pos"] == 0
assert plain == {"neg": 0, "neu": 1, "pos": 0, "compound": 0}
assert judge("not good")["compound"] < 0 < judge("not bad")["compound"]
assert judge("it isn't good")["compound"] < 0
assert judge("very good!")["compound"] > judge("good")["compound"]
for text in ("", "!!!", "\\x00", "good " * 10000, "\\u597d"):
    assert -1 <= judge(text)["compound"] <= 1
"""


def test_the_vader_wheel_judges(load: Load, tmp_path: Path) -> None:
    load(VADER, env=_unpacked(tmp_path, "vaderSentiment"))


SPACY = """
import spacy
for name, text, expected in (
    ("xx_ent_wiki_sm", "Maria Garcia, Berlin, Siemens", ["PER", "LOC", "ORG"]),
    ("de_core_news_sm", "Sara wohnt in M\\u00fcnchen bei Siemens.", ["PER", "LOC", "ORG"]),
    ("fr_core_news_sm", "John Smith habite \\u00e0 Londres.", ["PER", "LOC"]),
    ("es_core_news_sm", "Maria Garcia vive en Espa\\u00f1a.", ["PER", "LOC"]),
    ("en_core_web_md", "Tim Cook lives in London and works at Apple.", ["PERSON", "GPE", "ORG"]),
    ("en_core_web_lg", "Nobody was there.", []),
):
    pipeline = spacy.load(name)
    assert pipeline.meta["version"] == "3.8.0"
    assert f"{pipeline.lang}_{pipeline.meta['name']}" == name
    assert [entity.label_ for entity in pipeline(text).ents] == expected, (name, text)
    assert len(pipeline("")) == 0
"""


def test_spacy_wheels_find_names(load: Load, tmp_path: Path) -> None:
    pytest.importorskip("spacy")
    names = ("xx_ent_wiki_sm", *(f"{language}_core_news_sm" for language in ("de", "fr", "es")))
    names = (*names, "en_core_web_md", "en_core_web_lg")
    for name in names:
        assert os.stat(MODELS / "wheels" / f"{name}-3.8.0-py3-none-any.whl").st_size < 60_000
    load(SPACY, env=_unpacked(tmp_path, *names))


def test_the_layers_of_ollama_fit_the_model() -> None:
    folder = MODELS / "ollama"
    settings = json.loads((folder / "params.json").read_text("utf-8"))
    assert settings["num_ctx"] == 512
    assert all(isinstance(stop, str) for stop in settings["stop"])
    template = (folder / "template.txt").read_text("utf-8")
    assert template.count("{{") == template.count("}}") == 7
    for field in (".System", ".Prompt", ".Response"):
        assert field in template
    assert len((folder / "license.txt").read_text("utf-8")) > 50
