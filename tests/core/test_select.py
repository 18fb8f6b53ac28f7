"""Selection: what is chosen on which machine, at which tier, and the reasons in words."""

from pathlib import Path

import pytest

import modelset
from modelset.core.catalog import Catalog, parse_catalog
from modelset.core.errors import ModelSetError
from modelset.core.select import Wishes, available, select
from modelset.core.types import Failure, Selection

FOLDER = Path(modelset.__file__).parent / "catalog"
TTS = """
category = "tts"
title = "TTS Models"
components = ["tts"]
[[model]]
key = "coqui:tacotron2-DDC"
aliases = ["coqui:tacotron"]
tier = "optional"
source = "url"
ref.url = "https://example.org/a"
[[model]]
key = "coqui:vits"
source = "url"
ref.url = "https://example.org/b"
needs = ["cuda"]
"""
PYANNOTE = (
    "pyannote:speaker-diarization-3.1",
    "pyannote:segmentation-3.0",
    "pyannote:wespeaker-voxceleb-resnet34-LM",
    "pyannote:plda",
)
TOKEN = frozenset({"hf-token"})
NOTHING: frozenset[str] = frozenset()


def parse(*own: str) -> Catalog:
    names = ("diarization", "mlx", "ner", "vad", "whisper")
    texts = {name: (FOLDER / f"{name}.toml").read_text("utf-8") for name in names}
    texts |= {f"own{number}": text for number, text in enumerate(own)}
    return parse_catalog(texts, check_ref=lambda _source, _ref: [])


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return parse()


def chosen(selection: Selection) -> dict[str, tuple[str, str]]:
    return {row.model.key: (row.tier, row.why) for row in selection.choices}


def left_out(selection: Selection) -> dict[str, str]:
    return {row.model.key: row.why for row in selection.left_out}


def pick(
    catalog: Catalog,
    *keys: str,
    capabilities: frozenset[str] = NOTHING,
    recommended: str = "",
    wishes: Wishes | None = None,
) -> Selection:
    return select(
        catalog,
        wishes or Wishes(keys=keys),
        capabilities=capabilities,
        recommended_whisper=recommended,
    )


def test_the_default_set_on_a_plain_machine_says_what_is_left_out_and_why(
    catalog: Catalog,
) -> None:
    selection = select(
        catalog,
        Wishes(),
        capabilities=NOTHING,
        recommended_whisper="small",
        recommended_why="8 GB of memory",
    )

    assert chosen(selection) == {
        "whisper:base": ("critical", "default set"),
        "whisper:small": ("optional", "recommended for this machine: 8 GB of memory"),
        "whisper:large-v3": ("optional", "default set"),
        "vad:silero": ("critical", "default set"),
        "spacy:en_core_web_trf": ("critical", "default set"),
        "spacy:en_core_web_sm": ("optional", "default set"),
    }
    assert left_out(selection) == {
        "pyannote:speaker-diarization-3.1": "no Hugging Face token",
        "pyannote:segmentation-3.0": "no Hugging Face token",
        "mlx:large-v3-turbo": "needs Apple Silicon",
    }


def test_choices_come_in_the_order_of_the_catalog(catalog: Catalog) -> None:
    selection = pick(catalog, recommended="tiny", capabilities=TOKEN)

    places = [list(catalog.models).index(row.model.key) for row in selection.choices]
    assert places == sorted(places)


def test_a_token_brings_diarization_with_everything_it_needs(catalog: Catalog) -> None:
    selection = pick(catalog, capabilities=TOKEN)

    found = chosen(selection)
    assert {key: found[key] for key in PYANNOTE} == {
        PYANNOTE[0]: ("optional", "default set"),
        PYANNOTE[1]: ("optional", "default set"),
        PYANNOTE[2]: ("optional", f"needed by {PYANNOTE[0]}"),
        PYANNOTE[3]: ("optional", f"needed by {PYANNOTE[0]}"),
    }


def test_apple_silicon_brings_mlx(catalog: Catalog) -> None:
    selection = pick(catalog, capabilities=frozenset({"apple-silicon"}))

    assert chosen(selection)["mlx:large-v3-turbo"] == ("optional", "default set")
    assert "mlx:large-v3-turbo" not in left_out(selection)


@pytest.mark.parametrize(("name", "tier"), [("base", "critical"), ("large-v3", "optional")])
def test_a_recommended_model_of_the_default_set_keeps_its_tier(
    catalog: Catalog, name: str, tier: str
) -> None:
    selection = pick(catalog, recommended=name)

    assert chosen(selection)[f"whisper:{name}"] == (tier, "recommended for this machine")


def test_an_alias_can_be_recommended(catalog: Catalog) -> None:
    assert "whisper:large-v3-turbo" in chosen(pick(catalog, recommended="turbo"))


def test_whisper_models_replace_the_whisper_part_and_are_critical(catalog: Catalog) -> None:
    wishes = Wishes(whisper_models=("tiny", "whisper:large", "large-v3"))
    selection = pick(catalog, wishes=wishes, recommended="small")

    assert {key: row for key, row in chosen(selection).items() if key.startswith("whisper:")} == {
        "whisper:tiny": ("critical", "asked for"),
        "whisper:large-v3": ("critical", "asked for"),
    }
    assert "vad:silero" in chosen(selection)


def test_keys_are_all_there_is(catalog: Catalog) -> None:
    selection = pick(catalog, "whisper:large", "vad:silero", "whisper:large-v3", recommended="tiny")

    assert chosen(selection) == {
        "whisper:large-v3": ("critical", "asked for"),
        "vad:silero": ("critical", "asked for"),
    }
    assert selection.left_out == ()


def test_a_key_brings_what_it_needs_at_its_own_tier(catalog: Catalog) -> None:
    assert chosen(pick(catalog, PYANNOTE[0], capabilities=TOKEN)) == {
        PYANNOTE[0]: ("critical", "asked for"),
        **dict.fromkeys(PYANNOTE[1:], ("critical", f"needed by {PYANNOTE[0]}")),
    }


def test_a_missing_token_does_not_silence_what_was_asked_for(catalog: Catalog) -> None:
    selection = pick(catalog, PYANNOTE[0])

    assert tuple(chosen(selection)) == PYANNOTE
    assert selection.left_out == ()


def test_a_missing_machine_leaves_out_even_what_was_asked_for(catalog: Catalog) -> None:
    selection = pick(catalog, "mlx:tiny", "vad:silero")

    assert tuple(chosen(selection)) == ("vad:silero",)
    assert left_out(selection) == {"mlx:tiny": "needs Apple Silicon"}


def test_an_unknown_key_is_an_error(catalog: Catalog) -> None:
    with pytest.raises(ModelSetError) as caught:
        pick(catalog, "whisper:bse")

    assert caught.value.failure.code == "unknown-model"


OWN = """
[[model]]
key = "house:app"
category = "house"
tier = "optional"
source = "url"
ref = { url = "https://example.org/app" }
needs = ["house:engine", "spacy:en_core_web_sm"]
[[model]]
key = "house:engine"
category = "house"
source = "url"
ref = { url = "https://example.org/engine" }
needs = ["cuda", "rocm", "house:app"]
"""


def test_a_model_is_left_out_when_what_it_needs_cannot_be() -> None:
    selection = pick(parse(OWN))

    assert left_out(selection)["house:app"] == (
        "needs house:engine: needs an NVIDIA GPU, needs an AMD GPU"
    )


def test_models_may_need_each_other_and_raise_the_tier_of_what_they_need() -> None:
    own = OWN.replace('"optional"', '"critical"')
    selection = pick(parse(own), capabilities=frozenset({"cuda", "rocm"}))

    found = chosen(selection)
    assert found["house:app"] == ("critical", "default set")
    assert found["house:engine"] == ("critical", "needed by house:app")
    assert found["spacy:en_core_web_sm"] == ("critical", "needed by house:app")


def test_a_needed_model_is_not_left_out_when_another_brings_it(catalog: Catalog) -> None:
    wishes = Wishes(whisper_models=("pyannote:speaker-diarization-3.1",))
    selection = pick(catalog, wishes=wishes)

    assert chosen(selection)["pyannote:segmentation-3.0"][0] == "critical"
    assert left_out(selection) == {"mlx:large-v3-turbo": "needs Apple Silicon"}


@pytest.mark.parametrize(
    ("components", "keys"),
    [
        (("nlu",), {"spacy:en_core_web_trf", "spacy:en_core_web_sm"}),
        (("asr",), {"whisper:base", "whisper:tiny", "whisper:large-v3"}),
        (
            ("asr", "vad"),
            {"whisper:base", "whisper:tiny", "whisper:large-v3", "vad:silero"},
        ),
    ],
)
def test_components_keep_a_part_of_the_default_set(
    catalog: Catalog, components: tuple[str, ...], keys: set[str]
) -> None:
    selection = pick(catalog, wishes=Wishes(components=components), recommended="tiny")

    assert set(chosen(selection)) == keys
    assert "pyannote:segmentation-3.0" not in left_out(selection)


def test_a_category_keeps_its_own_models(catalog: Catalog) -> None:
    selection = pick(catalog, wishes=Wishes(category="ner"), recommended="tiny")

    assert set(chosen(selection)) == {"spacy:en_core_web_trf", "spacy:en_core_web_sm"}
    assert selection.left_out == ()


def test_a_component_without_default_models_is_empty() -> None:
    own = OWN.replace('tier = "optional"', "")

    assert pick(parse(own), wishes=Wishes(category="house")) == Selection(())


@pytest.mark.parametrize(
    ("wishes", "failure"),
    [
        (
            Wishes(components=("asr", "nlp", "x")),
            Failure(
                "usage",
                "unknown component: nlp, x",
                "one of: asr, diarization, mlx, ner, nlu, stt, vad, all",
            ),
        ),
        (
            Wishes(category="whisprr"),
            Failure(
                "usage", "unknown category: whisprr", "one of: whisper, vad, ner, diarization, mlx"
            ),
        ),
        (
            Wishes(keys=("vad:silero",), category="ner"),
            Failure(
                "usage",
                "models are named both by key and by component or category",
                "name keys, or choose a part of the default set",
            ),
        ),
    ],
)
def test_a_wish_that_cannot_be_met_says_what_can(
    catalog: Catalog, wishes: Wishes, failure: Failure
) -> None:
    with pytest.raises(ModelSetError) as caught:
        pick(catalog, wishes=wishes)

    assert caught.value.failure == failure


def test_only_critical_keeps_critical_choices_and_their_needs(catalog: Catalog) -> None:
    wishes = Wishes(only="critical")
    selection = pick(catalog, wishes=wishes, capabilities=TOKEN, recommended="tiny")

    assert tuple(chosen(selection)) == ("whisper:base", "vad:silero", "spacy:en_core_web_trf")
    assert selection.left_out == ()


@pytest.mark.parametrize("name", ["tacotron2-DDC", "tacotron", "coqui:tacotron"])
def test_a_voice_replaces_those_of_the_default_set(name: str) -> None:
    selection = pick(parse(TTS), wishes=Wishes(tts_model=name, category="tts"))

    assert chosen(selection) == {"coqui:tacotron2-DDC": ("critical", "asked for")}


def test_an_asked_voice_that_this_machine_cannot_run_is_left_out() -> None:
    selection = pick(parse(TTS), wishes=Wishes(tts_model="vits", components=("tts",)))

    assert selection.choices == ()
    assert left_out(selection) == {"coqui:vits": "needs an NVIDIA GPU"}


def test_an_unknown_voice_is_answered_with_the_known_ones(catalog: Catalog) -> None:
    with pytest.raises(ModelSetError) as caught:
        pick(parse(TTS), wishes=Wishes(tts_model="glow"))
    assert caught.value.failure == Failure(
        "unknown-model", "unknown speech synthesis model: glow", "one of: tacotron2-DDC, vits"
    )

    with pytest.raises(ModelSetError) as caught:
        pick(catalog, wishes=Wishes(tts_model="glow"))
    assert "no speech synthesis model" in caught.value.failure.hint


def test_available_are_the_models_that_selection_does_not_speak_of(catalog: Catalog) -> None:
    selection = pick(catalog, recommended="tiny")
    rest = available(catalog, selection)

    keys = [model.key for model in rest]
    assert keys[0] == "whisper:tiny.en"
    assert "mlx:large-v3-turbo" not in keys
    spoken_of = len(selection.choices) + len(selection.left_out)
    assert len(rest) + spoken_of == len(catalog.models)


# ---- what is usual, what is lacking, and what no table names --------------------------------

HOUSE = """
category = "house"
title = "House Models"
components = ["house", "asr"]
usual = ["house:one", "house:three"]
[default]
source = "url"
[[model]]
key = "house:one"
ref.url = "https://example.org/1"
needs = ["house:two"]
[[model]]
key = "house:two"
ref.url = "https://example.org/2"
[[model]]
key = "house:three"
ref.url = "https://example.org/3"
needs = ["cuda"]
[[model]]
key = "house:four"
ref.url = "https://example.org/4"
[[model]]
key = "house:*"
ref.url = "https://example.org/*"
[[model]]
key = "gpu:*"
ref.url = "https://example.org/gpu/*"
needs = ["cuda"]
"""
CUDA = frozenset({"cuda"})


@pytest.fixture(scope="module")
def house() -> Catalog:
    return parse(HOUSE)


def test_a_component_brings_what_is_usual_where_the_default_set_has_nothing(
    house: Catalog,
) -> None:
    selection = pick(house, wishes=Wishes(components=("house",)), capabilities=CUDA)

    assert chosen(selection) == {
        "house:one": ("optional", "usual in House Models"),
        "house:two": ("optional", "needed by house:one"),
        "house:three": ("optional", "usual in House Models"),
    }


def test_a_category_brings_what_is_usual_too(house: Catalog) -> None:
    selection = pick(house, wishes=Wishes(category="house"))

    assert set(chosen(selection)) == {"house:one", "house:two"}
    assert left_out(selection) == {"house:three": "needs an NVIDIA GPU"}


def test_what_is_usual_is_no_part_of_the_default_set(house: Catalog) -> None:
    selection = pick(house, capabilities=CUDA)
    assert not [key for key in chosen(selection) if key.startswith("house:")]
    critical = pick(house, wishes=Wishes(category="house", only="critical"))
    assert critical == Selection(())


def test_where_the_default_set_has_something_nothing_is_brought() -> None:
    own = HOUSE.replace('key = "house:four"', 'key = "house:four"\ntier = "optional"')
    selection = pick(parse(own), wishes=Wishes(category="house"), capabilities=CUDA)

    assert chosen(selection) == {"house:four": ("optional", "default set")}


def test_what_is_left_out_of_the_default_set_counts_as_something() -> None:
    own = HOUSE.replace('key = "house:three"', 'key = "house:three"\ntier = "optional"')
    selection = pick(parse(own), wishes=Wishes(category="house"))

    assert chosen(selection) == {}
    assert left_out(selection) == {"house:three": "needs an NVIDIA GPU"}


def test_one_word_may_name_a_full_and_an_empty_category(house: Catalog) -> None:
    selection = pick(house, wishes=Wishes(components=("asr",)), recommended="tiny")

    assert set(chosen(selection)) == {
        "whisper:base", "whisper:tiny", "whisper:large-v3", "house:one", "house:two",
    }  # fmt: skip


@pytest.mark.parametrize("components", [("all",), ("all", "vad"), ("house", "all")])
def test_all_is_the_default_set_and_what_is_usual_elsewhere(
    house: Catalog, components: tuple[str, ...]
) -> None:
    selection = pick(house, wishes=Wishes(components=components), recommended="tiny")
    default = pick(house, recommended="tiny")

    assert set(chosen(selection)) == {*chosen(default), "house:one", "house:two"}
    assert left_out(selection) == {**left_out(default), "house:three": "needs an NVIDIA GPU"}
    for key, row in chosen(default).items():
        assert chosen(selection)[key] == row


def test_all_and_a_category_are_that_category(house: Catalog) -> None:
    wishes = Wishes(components=("all",), category="vad")
    assert set(chosen(pick(house, wishes=wishes))) == {"vad:silero"}


def test_all_is_not_a_word_beside_unknown_ones(house: Catalog) -> None:
    with pytest.raises(ModelSetError, match="unknown component: hous"):
        pick(house, wishes=Wishes(components=("all", "hous")))


def test_what_was_asked_for_takes_the_place_of_what_is_usual() -> None:
    own = TTS.replace('tier = "optional"', "").replace(
        "[[model]]", 'usual = ["coqui:vits"]\n[[model]]', 1
    )
    wishes = Wishes(tts_model="tacotron", components=("tts",))

    assert chosen(pick(parse(own), wishes=wishes, capabilities=CUDA)) == {
        "coqui:tacotron2-DDC": ("critical", "asked for")
    }
    usual = pick(parse(own), wishes=Wishes(components=("tts",)), capabilities=CUDA)
    assert chosen(usual) == {"coqui:vits": ("optional", "usual in TTS Models")}


def test_what_is_lacking_leaves_out_what_is_usual_and_not_what_was_asked_for(
    house: Catalog,
) -> None:
    lacking = {"house:one": "no HOUSE_KEY", "vad:silero": "no VAD_KEY"}
    usual = select(
        house,
        Wishes(components=("house", "vad")),
        capabilities=CUDA,
        recommended_whisper="",
        lacking=lacking,
    )
    assert set(chosen(usual)) == {"house:three"}
    assert left_out(usual) == lacking

    keys = ("house:one", "vad:silero")
    asked = select(
        house, Wishes(keys=keys), capabilities=NOTHING, recommended_whisper="", lacking=lacking
    )
    assert set(chosen(asked)) == {*keys, "house:two"}
    assert left_out(asked) == {}


def test_what_is_made_of_a_template_comes_after_what_has_a_table(house: Catalog) -> None:
    selection = pick(house, "house:new", "vad:silero", "house:four", "whisper:tiny@v2")

    assert list(chosen(selection)) == ["vad:silero", "house:four", "house:new", "whisper:tiny@v2"]
    assert set(chosen(selection).values()) == {("critical", "asked for")}
    keys = [model.key for model in available(house, selection)]
    assert "house:new" not in keys
    assert "house:*" not in keys
    assert "whisper:tiny" in keys


def test_a_model_and_another_revision_of_it_are_two(house: Catalog) -> None:
    selection = pick(house, "whisper:tiny", "whisper:tiny@v2", "whisper:tiny@v2")

    assert list(chosen(selection)) == ["whisper:tiny", "whisper:tiny@v2"]


def test_another_revision_brings_what_the_model_needs(house: Catalog) -> None:
    assert chosen(pick(house, "house:one")).keys() == {"house:one", "house:two"}
    assert tuple(chosen(pick(house, f"{PYANNOTE[0]}@v2"))) == (*PYANNOTE[1:], f"{PYANNOTE[0]}@v2")


@pytest.mark.parametrize("key", ["gpu:new", "mlx:tiny@v2", "house:three@v2"])
def test_a_machine_that_cannot_run_it_leaves_out_what_no_table_names_too(
    house: Catalog, key: str
) -> None:
    selection = pick(house, key, "vad:silero")

    assert tuple(chosen(selection)) == ("vad:silero",)
    words = "needs Apple Silicon" if key.startswith("mlx") else "needs an NVIDIA GPU"
    assert left_out(selection) == {key: words}


def test_a_whisper_of_another_revision_replaces_those_of_the_default_set(house: Catalog) -> None:
    wishes = Wishes(whisper_models=("tiny@v2",), components=("asr",))
    selection = pick(house, wishes=wishes)

    assert "whisper:tiny@v2" in chosen(selection)
    assert "whisper:base" not in chosen(selection)
