"""Asks providers whether they accept the keys that are here: one free question each."""

from modelset.core.errors import ModelSetError
from modelset.core.report import check_exit_code, is_key
from modelset.core.types import Report, Status
from modelset.core.values import replace
from modelset.engine.guard import RunGuard
from modelset.engine.task import World

# Nobody waits longer for a yes or a no.
_PATIENCE_S = 30.0
_UNASKED = (5, 12)  # no network, or no answer in time


def ask_providers(report: Report, world: World) -> Report:
    """The report with each provider's own word: a key that is not accepted is corrupt, and one
    whose provider cannot be asked stays what it was, with an exit code of its own.
    """
    statuses = []
    code = 0
    for status in report.statuses:
        error = _ask(status, world) if is_key(status) else None
        if error is None:
            statuses.append(status)
        elif error.kind.exit_code in _UNASKED:
            code = error.kind.exit_code
            words = f"its provider could not be asked: {error.failure.message}"
            statuses.append(replace(status, detail=words))
        else:
            problems = (error.failure.message,)
            statuses.append(replace(status, presence="corrupt", problems=problems))
    worst = check_exit_code(statuses, strict=False) or code
    return replace(report, statuses=tuple(statuses), exit_code=worst)


def _ask(status: Status, world: World) -> ModelSetError | None:
    model = status.model
    web = world.make_web(RunGuard(world.stop, _PATIENCE_S), lambda error, number, delay_s: None)
    try:
        world.inspector.sources[model.source].check_access(model, web)
    except ModelSetError as error:
        return error
    return None
