"""Whether a version lies in a range such as `>=3.8.0,<3.9.0`, as packages state what they need.

Only the numbers count; `packaging` knows all the rules, and takes as long to load as a check.
"""

import re
from collections.abc import Callable, Mapping
from operator import eq, ge, gt, le, lt, ne

_Release = tuple[int, ...]
_OPERATORS: Mapping[str, Callable[[_Release, _Release], bool]] = {
    ">=": ge, "<=": le, "==": eq, "!=": ne, ">": gt, "<": lt,
}  # fmt: skip
_CLAUSE = re.compile(r"\s*(>=|<=|==|!=|>|<)\s*(\d+(?:\.\d+)*)\s*")


def fits(version: str, wanted: str) -> bool:
    """Whether a version fits; what is stated in another form is taken to be met."""
    own = _release(version)
    for clause in wanted.split(","):
        found = _CLAUSE.fullmatch(clause)
        if found is None or not own:
            continue
        if not _OPERATORS[found[1]](own, _release(found[2])):
            return False
    return True


def _release(version: str) -> _Release:
    """The leading numbers, without zeros at the end, so that 3.8 is 3.8.0."""
    found = re.match(r"\d+(?:\.\d+)*", version)
    numbers = [int(part) for part in found[0].split(".")] if found else []
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)
