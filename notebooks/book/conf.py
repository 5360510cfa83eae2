"""Settings of the web book; `make_book.py` gathers its sources and builds it."""

import sys
from pathlib import Path

import svae_helpers

sys.path.insert(0, str(Path(__file__).parent))  # course_links

project = "Sparse variational autoencoders, one idea at a time"
author = "the svae-helpers authors"
release = svae_helpers.__version__
copyright = f"{author}; BSD 3-clause"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "course_links",
]
exclude_patterns = ["assignments/source/**", "playground/**", "_templates/**"]

# Notebooks: as they were committed.
nb_execution_mode = "off"
nb_render_markdown_format = "myst"
nb_ipywidgets_js = {}  # a still picture stands where a slider needs a kernel
nb_merge_streams = True
nb_code_prompt_show = "Show the code that draws"
nb_code_prompt_hide = "Hide the code that draws"
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

# The API: what docstrings say, in the order of the sources.
autosummary_generate = True
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False  # torch's are torch's
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
add_module_names = False
python_use_unqualified_type_names = True
default_role = "py:obj"
napoleon_google_docstring = True
napoleon_use_rtype = False
templates_path = ["_templates"]

# Pages: nothing from a network, and none that breaks under file://.
html_theme = "furo"
html_title = "Sparse VAEs, one idea at a time"
html_static_path = ["_static"]
html_favicon = "_static/icon.svg"
html_css_files = ["book.css"]
html_show_sourcelink = False
html_copy_source = False
html_show_search_summary = False  # it would be fetched, which file:// forbids
html_show_sphinx = False
html_baseurl = ""
mathjax_path = "tex-svg.js"
mathjax3_config = {"svg": {"fontCache": "global"}, "options": {"enableMenu": False}}
pygments_style = "friendly"
pygments_dark_style = "monokai"
