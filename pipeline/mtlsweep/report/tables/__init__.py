"""Tables for people, in HTML, Markdown and LaTeX."""
