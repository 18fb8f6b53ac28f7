"""Jobs of the libraries that read: each gets one sentence."""

import json
from importlib import import_module
from pathlib import Path
from typing import Any

from modelset.trial import places
from modelset.trial.values import Steps, Subject, UnfitError

_SENTENCE = "Tim Cook lives in London, and he likes this very good city."
# What a model was made for, by the end of the name of its class.
_TASKS = {
    "ForSequenceClassification": "sentiment-analysis",
    "ForTokenClassification": "token-classification",
    "ForCausalLM": "text-generation",
}


def spacy(subject: Subject) -> Steps:
    """A pipeline of spaCy, which is a package of its own."""
    library: Any = import_module("spacy")
    yield "spacy"
    name = places.package_name(subject)
    places.own_module(subject, name)
    pipeline = library.load(name)
    yield ""
    found = pipeline(_SENTENCE)
    names = ", ".join(entity.text for entity in found.ents) or "no names"
    yield f"read {len(found)} words, found {names}"


def sentence_transformers(subject: Subject) -> Steps:
    """A model that turns sentences into vectors."""
    library: Any = import_module("sentence_transformers")
    yield "sentence-transformers"
    model = library.SentenceTransformer(subject.path, device="cpu", local_files_only=True)
    yield ""
    (vector,) = model.encode([_SENTENCE], show_progress_bar=False)
    yield f"turned a sentence into {len(vector)} numbers"


def transformers(subject: Subject) -> Steps:
    """A model of transformers, at the task that it was made for."""
    library: Any = import_module("transformers")
    import_module("torch")  # the library itself loads without
    yield "transformers"
    pipeline = library.pipeline(_task(subject), model=subject.path, device="cpu")
    yield ""
    (found, *_) = pipeline(_SENTENCE) or [{}]
    label, score = found.get("label"), found.get("score")
    yield f"found {label} ({score:.2f})" if label and score else "read a sentence"


def _task(subject: Subject) -> str:
    config = json.loads(places.text(places.folder(subject) / "config.json"))
    for name in config.get("architectures") or ():
        for end, task in _TASKS.items():
            if str(name).endswith(end):
                return task
    return "sentiment-analysis"


def nltk(subject: Subject) -> Steps:
    """Data of NLTK: VADER judges a sentence, other data is found and opened."""
    data: Any = import_module("nltk.data")
    sentiment: Any = import_module("nltk.sentiment.vader")
    yield "nltk"
    place = subject.roots["nltk"]
    data.path[:] = [place]  # no other copy of it on this machine
    if "vader" not in f"{subject.key} {subject.path}":
        found = data.find(Path(subject.path).relative_to(place).as_posix())
        yield ""
        yield f"found {Path(str(found)).name}"
        return
    analyser = sentiment.SentimentIntensityAnalyzer()
    yield ""
    yield _mood(analyser)


def vader(subject: Subject) -> Steps:
    """VADER out of its own wheel."""
    places.own_module(subject, "vaderSentiment")
    library: Any = import_module("vaderSentiment.vaderSentiment")
    yield "vaderSentiment"
    analyser = library.SentimentIntensityAnalyzer()
    yield ""
    yield _mood(analyser)


def _mood(analyser: Any) -> str:
    score = float(analyser.polarity_scores("It is a very good and happy day.")["compound"])
    if score <= 0:
        raise UnfitError(f"a happy sentence got {score}: the lexicon is not whole")
    return f"a happy sentence got {score:.2f}"
