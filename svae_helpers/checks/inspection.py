"""An exercise whose answer is built: models, functions that train them, numbers measured on them.

    @inspection("3.4")
    def first_vae(seen, build, training_step) -> str:
        \"\"\"An encoder, a decoder and a training step.\"\"\"
        encoder, decoder = seen.call(build, 7)
        ...
        seen.fault("heads swapped", "what was seen")
        ...
        return "Both networks and the step are right."

    first_vae.mistakes({"heads swapped": "what to say"})

`checks.first_vae(build, training_step)` is the check. The function looks at what the learner hands
over, and calls it through `seen.call(function, *arguments)`; the first `seen.fault` ends it. What
the course's own exercises say about a mistake is in explanations.toml.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from .guard import laboratory
from .learner import Learner, Problem, Stop
from .mistakes import texts_of
from .question import NOT_YET as NO_ANSWER_YET
from .result import FAILED, NOT_ATTEMPTED, NOT_YET, PASSED, Check, CheckResult, verdict
from .stub import is_stub


class Inspection(Check):
    """Judges what it is given when called; made by `inspection`."""

    def __init__(self, examine: Callable[..., str | None], number: str):
        super().__init__(examine, number)
        self.examine, self.parameters = examine, self.parameters[1:]
        self.texts = texts_of(number)

    def mistakes(self, texts: dict[str, str]) -> None:
        """Register what is said about mistakes, by their names."""
        self.texts |= texts

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
        self.texts = exercise.texts

    def fault(self, name: str, text: str = "") -> NoReturn:
        """End the examination with this mistake: its registered text, then `text`."""
        raise Stop(Problem((name,), name, f"{self.texts.get(name, '')} {text}".strip()))

    def call(self, function: Callable, *arguments: Any, like: Any = None) -> Any:
        """Call a function of the learner's; a failure in it ends the examination.

        Args:
            like: a right answer, where its type and shape are to be compared.
        """
        value, problem = Learner(function, ()).call(arguments, like)
        if problem is not None:
            raise Stop(problem)
        return value


def inspection(number: str) -> Callable[[Callable[..., str | None]], Inspection]:
    """Decorate a function that examines what was built; it becomes the exercise's check.

    It takes a `Seen`, then the learner's answers; what it returns is said where all is right.

    Args:
        number: as the notebook shows it, such as "3.4".
    """
    return lambda examine: Inspection(examine, number)
