"""Asks providers whether they accept the keys that are here: one free question each."""

from collections.abc import Iterable

from modelset.core.errors import ModelSetError
from modelset.core.types import Failure, Model
from modelset.engine.guard import RunGuard
from modelset.engine.task import World

# Nobody waits longer for a yes or a no.
_PATIENCE_S = 30.0


def ask_providers(models: Iterable[Model], world: World) -> dict[str, Failure]:
    """The failure of each model whose key is not accepted, or whose provider cannot be asked."""
    found = {}
    for model in models:
        guard = RunGuard(world.stop, _PATIENCE_S)
        web = world.make_web(guard, lambda error, number, delay_s: None)
        try:
            world.inspector.sources[model.source].check_access(model, web)
        except ModelSetError as error:
            found[model.key] = error.failure
    return found
