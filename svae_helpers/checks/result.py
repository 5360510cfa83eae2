"""What a check hands back: a verdict that reads well in a notebook and in a terminal."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass

PASSED, FAILED, NOT_ATTEMPTED = "passed", "failed", "not attempted"
_MARKS = {PASSED: "✓", FAILED: "✗", NOT_ATTEMPTED: "○"}
_COLOURS = {PASSED: "#009E73", FAILED: "#D55E00", NOT_ATTEMPTED: "#888888"}


@dataclass(frozen=True, repr=False)
class CheckResult:
    """The verdict on one exercise.

    Attributes:
        status: "passed", "failed" or "not attempted".
        message: the diagnosis, then what was seen; begins with ✓, ✗ or ○ and the number.
        misconception: short name of the mistake, or None where it has none.
        details: long tensors in full, folded in a notebook.
    """

    status: str
    message: str
    misconception: str | None = None
    details: str = ""

    def __bool__(self) -> bool:
        return self.status == PASSED

    def require(self) -> CheckResult:
        """Return the result if it passed, raise AssertionError with the message if not."""
        if self.status != PASSED:
            raise AssertionError(self.message)
        return self

    def __repr__(self) -> str:
        return self.message

    def _repr_html_(self) -> str:
        colour = _COLOURS.get(self.status, "#888888")
        head, _, rest = self.message.partition("\n")
        head = re.sub(r"^(\S+ \d+\.\d+)", r"<b>\1</b>", _code(head))
        body = "".join(f"<div>{_code(line)}</div>" for line in rest.splitlines() if line.strip())
        if self.details:
            text = html.escape(self.details, quote=False)
            body += f"<details><summary>The whole case</summary><pre>{text}</pre></details>"
        return (
            f'<div style="border-left: 5px solid {colour}; background: {colour}22; color: inherit;'
            f' padding: 6px 12px; margin: 4px 0; border-radius: 3px"><div>{head}</div>{body}</div>'
        )


def verdict(
    status: str, number: str, text: str, misconception: str | None = None, details: str = ""
) -> CheckResult:
    """Build a result whose message carries the mark and the exercise's number."""
    return CheckResult(status, f"{_MARKS[status]} {number} {text}", misconception, details)


def _code(text: str) -> str:
    """Escape text for HTML and turn `backticks` into <code>."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text, quote=False))
