"""Sphinx's configuration of the documentation site; scripts/site.py lays out the pages that it reads."""

project = "memtool"
author = "the memtool authors"
extensions = ["myst_nb"]
# Notebooks have their outputs in them; a test executes them.
nb_execution_mode = "off"
# The anchors that a code host makes of headings, so that links work there and here.
myst_heading_anchors = 4
html_theme = "furo"
html_title = "memtool"
html_copy_source = False
html_show_sourcelink = False
html_static_path = ["_static"]
html_css_files = ["wide.css"]
exclude_patterns = ["_build"]
# Text in blocks of several languages that highlighters only guess at.
highlight_language = "text"
