# SPDX-License-Identifier: GPL-2.0-only
#
# Sphinx's settings; `make htmldocs` gives the version and the folders.
import re

from docutils import nodes
from sphinx import addnodes

project = "kvm"
copyright = "the kvm maintainers, GPL-2.0-only"
extensions = ["myst_parser"]
html_theme = "sphinx_rtd_theme"
html_title = "kvm"
html_static_path = ["site.css"]
html_css_files = ["site.css"]
html_copy_source = False
primary_domain = "c"
c_id_attributes = ["__user", "__init", "__exit", "__always_inline", "noinline", "notrace"]
highlight_language = "none"

# A reference that leads nowhere is a warning, but for the C types and functions that
# no page describes: most are the kernel's.
nitpicky = True
nitpick_ignore_regex = [("c:.*", ".*")]


def link_functions(app, doctree):
    """``name()`` in the text leads to the function's description, if there is one."""
    for literal in list(doctree.findall(nodes.literal)):
        name = re.fullmatch(r"(\w+)\(\)", literal.astext())
        if name and not isinstance(literal.parent, addnodes.pending_xref):
            link = addnodes.pending_xref(
                "", refdomain="c", reftype="func", reftarget=name[1], refdoc=app.env.docname
            )
            literal.replace_self(link)
            link += literal


def setup(app):
    app.connect("doctree-read", link_functions)
