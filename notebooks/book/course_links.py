"""Links of the book that nobody has to write: helper names to the API, equations to notebooks."""

import re

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.ext import autosummary
from sphinx.transforms import SphinxTransform

TAG = re.compile(r"\\tag\{([\d.]+)\}")
EQUATIONS = re.compile(r"Eqs?\. \d\.\d+(?:(?:,? and |, )\d\.\d+)*")
CODE = re.compile(r"(``.*?``|`[^`]*`)", flags=re.S)
# A name in highlighted code that is no attribute, with its first attribute if it has one.
NAME = re.compile(
    r'(?<!<span class="o">\.</span>)<span class="n">(\w+)</span>'
    r'(?:<span class="o">\.</span><span class="n">(\w+)</span>)?'
)


def anchor(number: str) -> str:
    return f"eq-{number.replace('.', '-')}"


class EquationAnchors(SphinxTransform):
    """Give every numbered equation a place to link to, and keep Sphinx from splitting it."""

    default_priority = 400

    def apply(self, **kwargs) -> None:
        labels = self.env.domains.standard_domain
        for node in self.document.findall(nodes.math_block):
            text = node.astext()
            for number in TAG.findall(text):
                name = anchor(number)
                node["ids"].append(name)
                labels.anonlabels[name] = self.env.docname, name
                labels.labels[name] = self.env.docname, name, f"Eq. {number}"
            if TAG.search(text) and not text.startswith(r"\["):
                node.children = [nodes.Text(rf"\[{text}\]")]
                node["nowrap"] = node["no-wrap"] = True


def docstring_as_rst(app, what, name, obj, options, lines: list[str]) -> None:
    """Protect what reStructuredText would take for markup, and link the equations named."""
    parts = CODE.split("\n".join(lines))
    for i in range(0, len(parts), 2):  # the others are code
        parts[i] = re.sub(r"(?<!\*)\*(?!\*)|\|(?=\S)|(?<=\S)\|", r"\\\g<0>", parts[i])
        parts[i] = EQUATIONS.sub(link_equations, parts[i])
    lines[:] = "".join(parts).split("\n")


def skip_fields(app, what, name, obj, skip, options) -> bool | None:
    """A NamedTuple's fields are told under Attributes; by themselves they have nothing to say."""
    return True if type(obj).__name__ == "_tuplegetter" else None


def link_equations(found: re.Match) -> str:
    return re.sub(r"\d\.\d+", lambda n: f":ref:`{n[0]} <{anchor(n[0])}>`", found[0])


def api_addresses(app: Sphinx) -> dict[str, tuple[str, str]]:
    """Where each public name is documented, by its name without the package's."""
    objects = app.env.domains.python_domain.objects
    prefix = "svae_helpers."
    return {
        name.removeprefix(prefix): (entry.docname, entry.node_id)
        for name, entry in objects.items()
        if name.startswith(prefix) and not entry.aliased
    }


def link_helpers_in_prose(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """`name` in the text of a page becomes a link to the name's page of the API."""
    if docname.startswith("api/"):
        return
    addresses = api_addresses(app)
    for literal in list(doctree.findall(nodes.literal)):
        name = re.sub(r"\(.*\)$|\?+$", "", literal.astext())
        if name in addresses and not isinstance(literal.parent, nodes.reference):
            page, place = addresses[name]
            address = f"{app.builder.get_relative_uri(docname, page)}#{place}"
            link = nodes.reference("", "", internal=True, refuri=address, classes=["api"])
            literal.replace_self(link)
            link += literal


def link_helpers_in_code(app: Sphinx, pagename, templatename, context, doctree) -> None:
    """The same in the cells of a notebook, for names of svae_helpers itself."""
    if not re.match(r"\d\d_", pagename) or "body" not in context:
        return
    addresses = api_addresses(app)

    own = set(re.findall(r'<span class="nf">(\w+)</span>', context["body"]))  # the page's functions

    def linked(found: re.Match) -> str:
        code, name, attribute = found[0], found[1], found[2]
        rest = ""
        if f"{name}.{attribute}" not in addresses:
            code, _, rest = code.partition("</span>")
            code += "</span>"
        else:
            name = f"{name}.{attribute}"
        if name not in addresses or name in own:
            return found[0]
        page, place = addresses[name]
        address = f"{app.builder.get_relative_uri(pagename, page)}#{place}"
        return f'<a class="api" href="{address}">{code}</a>{rest}'

    context["body"] = NAME.sub(linked, context["body"])


def whole_summaries() -> None:
    """A summary goes on after "Eq. 4.2"; autosummary would end it at the dot."""
    autosummary.WELL_KNOWN_ABBREVIATIONS = (*autosummary.WELL_KNOWN_ABBREVIATIONS, "Eq.", "Eqs.")


def setup(app: Sphinx) -> dict:
    whole_summaries()
    app.add_transform(EquationAnchors)
    app.connect("autodoc-process-docstring", docstring_as_rst, priority=900)  # after napoleon
    app.connect("autodoc-skip-member", skip_fields)
    app.connect("doctree-resolved", link_helpers_in_prose)
    app.connect("html-page-context", link_helpers_in_code)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
