"""modelset list: the catalog, marked present, selected or available."""

import argparse

from modelset.cli.options import settings_of
from modelset.cli.screen import Screen
from modelset.core.report import envelope, group_by_category, model_data
from modelset.core.select import Wishes
from modelset.core.words import size_text
from modelset.engine.guard import Stop
from modelset.model_set import ModelSet


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    parser.add_argument("--category", default="", metavar="NAME", help="such as whisper or ner")
    parser.add_argument("--recommended", action="store_true", help="only what this machine wants")


def run(options: argparse.Namespace, screen: Screen, stop: Stop) -> int:
    """List, draw, and return the exit code."""
    models = ModelSet(settings_of(options), stop)
    selection = models.select(Wishes(category=options.category))
    chosen = {choice.model.key for choice in selection.choices}
    present = models.present_keys()
    shown = [
        model
        for model in models.catalog.models.values()
        if options.category in ("", model.category)
        and (model.key in chosen or not options.recommended)
    ]
    rows = []
    for category, numbers in group_by_category(shown, models.catalog.categories):
        for number in numbers:
            model = shown[number]
            mark = "present" if model.key in present else ""
            state = mark or ("selected" if model.key in chosen else "available")
            size = size_text(model.size_bytes) if model.size_bytes else ""
            gate = "gated" if model.gate else ""
            rows.append([model.key, category.title, size, state, model.licence, gate])
    screen.table(["model", "category", "size", "state", "licence", "gate"], rows)
    states = {row[0]: row[3] for row in rows}
    data = [{**model_data(model), "state": states[model.key]} for model in shown]
    screen.document(envelope("list", 0, {"models": data}))
    return 0
