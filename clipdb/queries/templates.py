"""Texts of a class: one template or several, of a file or the published ones."""

from __future__ import annotations

from pathlib import Path

from clipdb.errors import ClipdbError, require

OPENAI = "openai"
"""The 80 templates of Radford et al., arXiv 2103.00020, that open_clip has as OPENAI_IMAGENET_TEMPLATES."""


def written_templates(written: str) -> list[str]:
    """Return the templates that are written one a line, or those of `OPENAI`; ``{c}`` is ``{}`` in all of them.

    Raises
    ------
    ClipdbError
        If a template has no place for a class, comes twice, or there is none.
    """
    if written == OPENAI:
        require("open_clip", "ingest")
        from open_clip.zero_shot_metadata import OPENAI_IMAGENET_TEMPLATES

        return [template("{}") for template in OPENAI_IMAGENET_TEMPLATES]
    templates = [line.replace("{c}", "{}") for line in written.splitlines() if line.strip()]
    for template in templates or [written]:
        if "{}" not in template:
            raise ClipdbError(
                f"the template {template!r} has no {{}}: write it where the class goes, 'a photo of a {{}}'"
            )
    if twice := [one for place, one in enumerate(templates) if one in templates[:place]]:
        raise ClipdbError(f"the template {twice[0]!r} comes twice: leave one out, each counts once in the mean")
    return templates


def read_templates(source: str, files: bool = True) -> str:
    """Read templates from a file, one a line; `OPENAI`, and templates themselves, stay as they are.

    Parameters
    ----------
    source
        The file's path, ``openai``, or what `written_templates` takes.
    files
        Whether files may be read.

    Raises
    ------
    ClipdbError
        If the file can't be read, or a line has no place for a class.
    """
    if source == OPENAI or "{}" in source or "{c}" in source:
        return source
    if not files:
        raise ClipdbError(f"templates is {source!r}: write openai, or templates with {{}} where the class goes")
    try:
        written = Path(source).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ClipdbError(f"{source} can't be read: {error.strerror}; --templates takes a file or openai") from error
    except UnicodeDecodeError:
        raise ClipdbError(f"{source} is not text in UTF-8: --templates takes a file with a template a line") from None
    if not written.strip():
        raise ClipdbError(f"{source} has no templates: write one a line, with {{}} where the class goes")
    try:
        return "\n".join(written_templates("\n".join(map(str.strip, written.splitlines()))))
    except ClipdbError as error:
        raise ClipdbError(f"{source}: {error}") from None
