"""A page of the explorer as a file: its links lead to other files, and what only a server answers is left out."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import escape
from html.parser import HTMLParser
from urllib.parse import urljoin

_LINKS = ("href", "src", "data-vectors")
_WITHOUT_CONTENT = ("img", "link")
_NAMES = re.compile(r"/models/[^/]+/[^/]+/heads/[^/?]+(\?span=\d+)?|/properties/.+")

FileOf = Callable[[str], str | None]
"""Returns where an address leads from the page at hand; None where there is no file for it."""


def with_files(page: str, address: str, file_of: FileOf, part: Callable[[str], str]) -> str:
    """Rewrite a page.

    Parameters
    ----------
    page
        Its HTML.
    address
        Its address in the explorer.
    file_of
        Where links lead.
    part
        Returns the HTML of a part that the page would load later; it is put into the page.

    Returns
    -------
    str
        The same page, whose links are relative. Forms are left out, but for those with ``data-frozen``. A link to a
        head or a property that has no file leads nowhere; any other link that has none is left out.
    """
    rewriter = _Rewriter(address, file_of, part)
    rewriter.feed(page)
    rewriter.close()
    return "".join(rewriter.made)


class _Rewriter(HTMLParser):
    def __init__(self, address: str, file_of: FileOf, part: Callable[[str], str]) -> None:
        super().__init__(convert_charrefs=False)
        self.made: list[str] = []
        self._address, self._file_of, self._part = address, file_of, part
        self._left_out: str | None = None  # the element that is left out with its content
        self._depth = 0  # of elements of its name inside it

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._left_out:
            self._depth += tag == self._left_out
            return
        given = dict(attrs)
        if tag == "form" and "data-frozen" not in given:
            self._leave_out(tag)
        elif (later := given.pop("data-part", None)) is not None:
            self.made += [_written(tag, given), self._inner(later), f"</{tag}>"]
            self._leave_out(tag)
        elif not given.keys() & {*_LINKS}:
            self.made.append(self.get_starttag_text() or "")
        else:
            self._link(tag, given)

    def _link(self, tag: str, given: dict[str, str | None]) -> None:
        for name in _LINKS:
            value = given.get(name)
            if value is None or value.startswith("#"):
                continue
            address = urljoin(self._address, value)
            file = self._file_of(address)
            if file is not None:
                given[name] = file
            elif _NAMES.fullmatch(address):
                del given[name]  # a link that leads nowhere looks like the text that it is
            else:
                self._leave_out(tag)
                return
        self.made.append(_written(tag, given))

    def _leave_out(self, tag: str) -> None:
        if tag not in _WITHOUT_CONTENT:
            self._left_out, self._depth = tag, 0

    def _inner(self, address: str) -> str:
        return with_files(self._part(urljoin(self._address, address)), self._address, self._file_of, self._part)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._as_it_is(self.get_starttag_text() or "")  # as <rect/> in a picture; what links is written otherwise

    def handle_endtag(self, tag: str) -> None:
        if self._left_out:
            if tag == self._left_out:
                self._depth -= 1
            if self._depth < 0:
                self._left_out = None
        else:
            self.made.append(f"</{tag}>")

    def _as_it_is(self, text: str) -> None:
        if not self._left_out:
            self.made.append(text)

    def handle_data(self, data: str) -> None:
        self._as_it_is(data)

    def handle_entityref(self, name: str) -> None:
        self._as_it_is(f"&{name};")

    def handle_charref(self, name: str) -> None:
        self._as_it_is(f"&#{name};")

    def handle_decl(self, decl: str) -> None:
        self._as_it_is(f"<!{decl}>")


def _written(tag: str, attributes: dict[str, str | None]) -> str:
    values = (f" {name}" if value is None else f' {name}="{escape(value)}"' for name, value in attributes.items())
    return f"<{tag}{''.join(values)}>"
