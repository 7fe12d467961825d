"""A hook of mkdocs: write formulas as MathML, which browsers show without a script.

The source is GitHub's: a fenced block of the language ``math``, or dollars around a code span within a line.
"""

from __future__ import annotations

from typing import Any

from markdown import Extension, Markdown
from markdown.inlinepatterns import InlineProcessor
from math_core import LatexToMathML

_LATEX = LatexToMathML(fancy_error=False)


def mathml(latex: str, block: bool) -> str:
    """Convert a formula; one that can't be ends the build."""
    return _LATEX.convert_with_local_state(latex, displaystyle=block)


class Formulas(Extension):
    """Formulas within a line."""

    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802
        """Go before code spans, whose backticks these are."""
        md.inlinePatterns.register(_Inline(r"\$`([^`]+)`\$", md), "formula", 200)


class _Inline(InlineProcessor):
    def handleMatch(self, m: Any, data: str) -> tuple[str, int, int]:  # noqa: N802
        return self.md.htmlStash.store(mathml(m[1], block=False)), m.start(0), m.end(0)


def _block(source: str, language: str, css_class: str, options: Any, md: Markdown, **_: Any) -> str:
    return mathml(source, block=True)


def on_config(config: Any) -> None:
    """Add both to the site's Markdown."""
    fence = {"name": "math", "class": "math", "format": _block}
    config.mdx_configs.setdefault("pymdownx.superfences", {})["custom_fences"] = [fence]
    config.markdown_extensions.append(Formulas())
