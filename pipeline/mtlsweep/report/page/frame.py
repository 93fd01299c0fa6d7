"""What the report and the live view have in common: how a template is read, the head of the page, and its style."""

from __future__ import annotations

from importlib.resources import files

import jinja2

from mtlsweep.report.style import css_colours

ASSETS = files("mtlsweep.report.page") / "assets"


def template_environment() -> jinja2.Environment:
    """Return the environment of a page's template, which begins with `head.html`: that takes `title` and `css`."""
    return jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: (ASSETS / name).read_text()),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )


def page_css() -> str:
    """Return the style of a page, colours of optimizers included."""
    return css_colours() + (ASSETS / "page.css").read_text()
