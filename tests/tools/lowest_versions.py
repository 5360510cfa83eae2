"""Print the lowest version of each package that pyproject.toml promises, as pip's constraints.

`make test-lowest` installs them. Every bound must therefore name a release that exists.
"""

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


def lowest_versions(pyproject: dict) -> Iterator[str]:
    """A line `name==version` for each requirement; all have a lower bound and nothing else."""
    project = pyproject["project"]
    for requirements in (project["dependencies"], *project["optional-dependencies"].values()):
        for requirement in requirements:
            bound = re.fullmatch(r"([\w.-]+)>=([\w.]+)", requirement)
            if bound is None:
                raise ValueError(f"pyproject.toml asks for {requirement!r}, wanted 'name>=version'")
            yield "==".join(bound.groups())


if __name__ == "__main__":
    try:
        print("\n".join(lowest_versions(tomllib.loads(PYPROJECT.read_text(encoding="utf-8")))))
    except ValueError as error:
        sys.exit(f"error: {error}")
