"""What a user lets onto the machine: the rules for files that can run code."""

from modelset.core.errors import ModelSetError
from modelset.core.formats import PICKLE, formats_of
from modelset.core.types import Model, Pin
from modelset.core.values import dataclass

# Pickles with a digest that is known before they come, or none at all.
PICKLES = ("pinned", "refuse")


@dataclass(frozen=True, slots=True)
class Policy:
    """`first_use` trusts the first download of a pickle that nobody publishes a digest of."""

    pickles: str = "pinned"
    first_use: bool = False


def refuse_by_policy(model: Model, pin: Pin, policy: Policy) -> None:
    """Raise ModelSetError for a model that must not come under a policy."""
    if PICKLE not in formats_of(model, (artifact.name for artifact in pin.artifacts)):
        return
    if policy.pickles == "refuse":
        raise ModelSetError(
            "pickle-refused",
            f"{model.key} is made of pickles, which can run code when they are loaded",
            'choose another form of it, or set `pickles = "pinned"` in [policy]',
        )
    if not pin.is_exact and not policy.first_use:
        raise ModelSetError(
            "digest-unknown",
            f"{model.key} is made of pickles, and nobody publishes their digest",
            "put the sha256 that you trust into the model's table as `ref.digest`,"
            " or run it once with --trust-first-use",
        )
