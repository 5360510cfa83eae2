"""An exercise whose answer is built: models, functions that train them, numbers measured on them.

    @inspection("3.4", examine)
    def first_vae() -> tuple:
        \"\"\"An encoder, a decoder and a training step.\"\"\"
        return build, train_step  # a right answer

    first_vae.mistakes(("heads swapped", lambda: (build_swapped, train_step), "what to say"))

`examine(seen, *answers)` looks at what the learner hands over, calls it through
`seen.call(function, *arguments)`, and says `seen.fault("heads swapped")` where it finds that
mistake, or `seen.fault(name, text)` for one that is not in the catalogue; the first fault ends it.
What it returns, if anything, is said where nothing was found.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from .guard import laboratory
from .learner import Learner, Problem, Stop
from .mistakes import Mistake, explained
from .question import NOT_YET as NO_ANSWER_YET
from .result import FAILED, NOT_ATTEMPTED, NOT_YET, PASSED, CheckResult, verdict
from .stub import is_stub


class Inspection:
    """Judges what it is given when called; made by `inspection`."""

    def __init__(self, right: Callable[[], tuple], number: str, examine: Callable):
        self.__name__, self.__module__ = right.__name__, right.__module__
        self.__doc__ = f"Check exercise {number}: {inspect.getdoc(right)}"
        self.right, self.number, self.examine = right, number, examine
        self.parameters = tuple(inspect.signature(examine).parameters)[1:]
        self.known: tuple[Mistake, ...] = ()

    def mistakes(self, *entries: tuple) -> None:
        """Register the known mistakes; each is a function that makes a wrong answer."""
        self.known += explained(entries, self.number)

    def catalogue(self) -> Iterator[tuple[Mistake, tuple]]:
        """Every mistake with each of its wrong answers."""
        return ((mistake, wrong()) for mistake in self.known for wrong in mistake.variants)

    def __call__(self, *answers: Any) -> CheckResult:
        """Judge what the learner built; leave every global state as it was."""
        n = self.number
        if len(answers) != len(self.parameters):
            text = f"Hand over {len(self.parameters)} things: {', '.join(self.parameters)}."
            return verdict(FAILED, n, text, "wrong number of arguments")
        if any(a is None or a is ... for a in answers):
            return verdict(NOT_ATTEMPTED, n, NO_ANSWER_YET)
        if any(callable(a) and is_stub(a) for a in answers):
            return verdict(NOT_ATTEMPTED, n, NOT_YET)
        with laboratory():
            try:
                text = self.examine(Seen(self), *answers)
            except Stop as stop:
                return verdict(FAILED, n, stop.problem.text, stop.problem.name)
        return verdict(PASSED, n, text or f"`{self.__name__}` is right.")


class Seen:
    """What an examination calls the learner's functions through, and tells its findings."""

    def __init__(self, exercise: Inspection):
        self.exercise = exercise

    def fault(self, name: str, text: str = "") -> NoReturn:
        """End the examination: this is the mistake; known ones bring their own text."""
        known = {mistake.name: mistake.explanation for mistake in self.exercise.known}
        said = " ".join(filter(None, (known.get(name, ""), text)))
        raise Stop(Problem((name,), name, said))

    def call(self, function: Callable, *arguments: Any, like: Any = None) -> Any:
        """Call a function of the learner's; a failure in it ends the examination.

        Args:
            like: a right answer, where its type and shape are to be compared.
        """
        value, problem = Learner(function, ()).call(arguments, like)
        if problem is not None:
            raise Stop(problem)
        return value


def inspection(
    number: str, examine: Callable[..., str | None]
) -> Callable[[Callable[[], tuple]], Inspection]:
    """Decorate a function that makes a right answer; it becomes the exercise's check.

    Args:
        number: as the notebook shows it, such as "3.4".
        examine: looks at an answer, as described above.
    """
    return lambda right: Inspection(right, number, examine)
