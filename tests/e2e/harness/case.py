"""What a test is: a function with a docstring that states the promise."""
import dataclasses
from typing import Callable

from .api import Api

# When a test runs. FIRST and LAST alone and in order, TOGETHER two at a time, ALONE one at a time after these.
FIRST, TOGETHER, ALONE, LAST = range(4)


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    promise: str
    when: int
    breaks: bool
    run: Callable[[Api], None]


CASES: list[Case] = []


def case(when=TOGETHER, breaks=False):
    """Makes a function a test. `breaks`: it ends nodes or programs of the control plane, on the own cluster only."""
    def register(function):
        CASES.append(Case(function.__name__, function.__doc__.strip(), when, breaks, function))
        return function
    return register


class Skipped(Exception):
    """This cluster cannot show it; says why."""


class Broken(AssertionError):
    """weir has broken a promise that no busy machine excuses: this is not tried again."""


def kept(is_true, promise):
    """`expect`, for what must hold however slow or broken everything else is."""
    if not is_true:
        raise Broken(promise)


def expect(is_true, complaint):
    """An assertion that Python's -O does not remove."""
    if not is_true:
        raise AssertionError(complaint)
