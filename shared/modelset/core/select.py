"""Decides which models this machine wants, at which tier, and why."""

import contextlib
from collections.abc import Iterable, Mapping, Sequence, Set
from types import MappingProxyType
from typing import Literal

from modelset.core.catalog import Catalog
from modelset.core.errors import ModelSetError
from modelset.core.types import TIERS, Choice, LeftOut, Model, Selection
from modelset.core.values import dataclass, replace
from modelset.core.words import NEED_WORDS

# The component that stands for every one.
_ALL = "all"


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the user said about models; everything empty means the default set.

    `keys` are the only models wanted. `whisper_models` and `tts_model`, names or keys, replace
    those of the default set. `components` and `category` keep a part of it, and bring what is
    usual in a category of which it has nothing; `only` keeps a tier.
    """

    keys: tuple[str, ...] = ()
    whisper_models: tuple[str, ...] = ()
    tts_model: str = ""
    components: tuple[str, ...] = ()
    category: str = ""
    only: Literal["", "critical"] = ""


def select(
    catalog: Catalog,
    wishes: Wishes,
    *,
    capabilities: frozenset[str],
    recommended_whisper: str,
    recommended_why: str = "",
    lacking: Mapping[str, str] = MappingProxyType({}),
    besides: Sequence[str] = (),
) -> Selection:
    """The models to have, in the catalog's order, and those left out with the reason in words.

    `capabilities` holds the words of `needs` that hold on this machine. `recommended_whisper` is
    a name without its family, or empty. `lacking` says of single models what is not here, such as
    a key; `besides` are keys that the settings add to the default set. Raises ModelSetError
    `unknown-model` or `usage`.
    """
    asked, usual = _wanted(catalog, wishes, recommended_whisper, recommended_why)
    if wishes == Wishes():
        usual += [Choice(catalog.get(key), "optional", "in the settings") for key in besides]
    heads: dict[str, Choice] = {}
    barred: dict[str, Choice] = {}
    # A missing token does not silence what was asked for: its download says what to do.
    for choices, held, lacked in (
        (asked, capabilities | {"hf-token"}, {}),
        (usual, capabilities, lacking),
    ):
        obstacles = _obstacles(catalog, held, [one.model for one in choices]) | dict(lacked)
        for choice in choices:
            key = choice.model.key
            if key in obstacles:
                barred.setdefault(key, replace(choice, why=obstacles[key]))
            else:
                heads.setdefault(key, choice)

    chosen = _with_needs(catalog, heads)
    tiers = TIERS[:1] if wishes.only == "critical" else TIERS
    # What was made of a template, or is another revision, comes last.
    order = dict.fromkeys([*(key for key in catalog.models if key in chosen), *chosen])
    choices = [chosen[key] for key in order]
    order = dict.fromkeys([*(key for key in catalog.models if key in barred), *barred])
    left_out = [barred[key] for key in order if key not in chosen]
    return Selection(
        tuple(choice for choice in choices if choice.tier in tiers),
        tuple(LeftOut(choice.model, choice.why) for choice in left_out if choice.tier in tiers),
    )


def available(catalog: Catalog, selection: Selection) -> tuple[Model, ...]:
    """The models that are neither chosen nor left out, in the catalog's order."""
    rows: Sequence[Choice | LeftOut] = (*selection.choices, *selection.left_out)
    spoken_of = {row.model.key for row in rows}
    return tuple(model for key, model in catalog.models.items() if key not in spoken_of)


def with_locked(catalog: Catalog, selection: Selection, lock: Iterable[str]) -> Selection:
    """The selection, and what was downloaded besides, in the catalog's order."""
    rows: tuple[Choice | LeftOut, ...] = (*selection.choices, *selection.left_out)
    spoken_of = {row.model.key for row in rows}
    choices = [*selection.choices]
    for key in lock:
        with contextlib.suppress(ModelSetError):  # a table that is there no more
            if key not in spoken_of and (model := catalog.get(key)).key not in spoken_of:
                spoken_of.add(model.key)  # which may be in the lock under an older name as well
                choices.append(Choice(model, "optional", "in the lock"))
    order = {key: rank for rank, key in enumerate(catalog.models)}
    choices.sort(key=lambda choice: order.get(choice.model.key, len(order)))
    return replace(selection, choices=tuple(choices))


def _wanted(
    catalog: Catalog, wishes: Wishes, recommended: str, recommended_why: str
) -> tuple[list[Choice], list[Choice]]:
    """What the user asked for by name, and what is usual beside it."""
    kept = _kept_categories(catalog, wishes)
    named = kept if wishes.components or wishes.category else frozenset()
    asked = [Choice(model, "critical", "asked for") for model in _asked(catalog, wishes)]
    if wishes.keys:
        return asked, []
    usual = _default_set(catalog, wishes, recommended, recommended_why)
    usual += _brought_by_name(catalog, named - {choice.model.category for choice in asked + usual})
    return (
        [choice for choice in asked if choice.model.category in kept],
        [choice for choice in usual if choice.model.category in kept],
    )


def _kept_categories(catalog: Catalog, wishes: Wishes) -> frozenset[str]:
    if wishes.keys and (wishes.components or wishes.category):
        raise ModelSetError(
            "usage",
            "models are named both by key and by component or category",
            "name keys, or choose a part of the default set",
        )
    components = {word for known in catalog.categories.values() for word in known.components}
    unknown = [word for word in wishes.components if word not in (*components, _ALL)]
    if unknown:
        raise _unknown_word("component", ", ".join(unknown), [*sorted(components), _ALL])
    if wishes.category and wishes.category not in catalog.categories:
        raise _unknown_word("category", wishes.category, catalog.categories)
    return frozenset(
        name
        for name, known in catalog.categories.items()
        if wishes.category in ("", name)
        and (not wishes.components or set(wishes.components) & {*known.components, _ALL})
    )


def _unknown_word(what: str, word: str, known: Iterable[str]) -> ModelSetError:
    return ModelSetError("usage", f"unknown {what}: {word}", f"one of: {', '.join(known)}")


def _asked(catalog: Catalog, wishes: Wishes) -> list[Model]:
    heard = (name if ":" in name else f"whisper:{name}" for name in wishes.whisper_models)
    models = [catalog.get(key) for key in (*wishes.keys, *heard)]
    if wishes.tts_model:
        models.append(_voice(catalog, wishes.tts_model))
    return models


def _voice(catalog: Catalog, name: str) -> Model:
    if ":" in name:
        return catalog.get(name)
    voices = [
        model
        for model in catalog.models.values()
        if "tts" in catalog.categories[model.category].components
    ]
    for model in voices:
        if name in (known.partition(":")[2] for known in (model.key, *model.aliases)):
            return model
    known = f"one of: {', '.join(model.name for model in voices)}" if voices else ""
    hint = known or "the catalog has no speech synthesis model; `modelset list` shows every model"
    raise ModelSetError("unknown-model", f"unknown speech synthesis model: {name}", hint)


def _default_set(
    catalog: Catalog, wishes: Wishes, recommended: str, recommended_why: str
) -> list[Choice]:
    replaced = {"whisper"} if wishes.whisper_models else set()
    if wishes.tts_model:
        replaced |= {name for name, one in catalog.categories.items() if "tts" in one.components}
    found = {
        key: Choice(model, model.tier, "default set")
        for key, model in catalog.models.items()
        if model.tier != "available" and model.category not in replaced
    }
    if recommended and not wishes.whisper_models:
        model = catalog.get(f"whisper:{recommended}")
        reason = f": {recommended_why}" if recommended_why else ""
        found[model.key] = Choice(
            model,
            "critical" if model.tier == "critical" else "optional",
            f"recommended for this machine{reason}",
        )
    return list(found.values())


def _brought_by_name(catalog: Catalog, categories: Set[str]) -> list[Choice]:
    """What is usual in categories that were asked for by name."""
    return [
        Choice(catalog.models[key], "optional", f"usual in {category.title}")
        for category in catalog.categories.values()
        if category.name in categories
        for key in category.usual
    ]


def _obstacles(catalog: Catalog, held: frozenset[str], wanted: Sequence[Model]) -> dict[str, str]:
    """Why models cannot be used with what this machine has: their own needs, or the nearest of
    those they need. Found from the obstacles upward, so that long chains are walked once. Of what
    is wanted, no table may name some.
    """
    own: dict[str, str] = {}
    needed_by: dict[str, list[str]] = {}
    for key, model in (dict(catalog.models) | {model.key: model for model in wanted}).items():
        missing = [NEED_WORDS[word] for word in model.needs if ":" not in word and word not in held]
        if missing:
            own[key] = ", ".join(missing)
        for needed in map(catalog.get, model.needed_keys):
            needed_by.setdefault(needed.key, []).append(key)
    cause = {key: key for key in own}
    # The list grows while it is walked: who needs what cannot be used is needed by others.
    walked = list(own)
    for key in walked:
        for user in needed_by.get(key, ()):
            if user not in cause:
                cause[user] = cause[key]
                walked.append(user)
    return {key: own.get(key, f"needs {at}: {own[at]}") for key, at in cause.items()}


def _with_needs(catalog: Catalog, heads: Mapping[str, Choice]) -> dict[str, Choice]:
    """The choices and all they need, each at the best tier that wants it."""
    chosen: dict[str, Choice] = {}
    for tier in TIERS:
        # The list grows while it is walked: what is needed has needs of its own.
        links = [head for head in heads.values() if head.tier == tier]
        asked = {link.model.key: link for link in links}
        for link in links:
            key = link.model.key
            if key not in chosen:
                chosen[key] = asked.get(key, link)
                links += [
                    Choice(needed, tier, f"needed by {key}")
                    for needed in map(catalog.get, link.model.needed_keys)
                ]
    return chosen
