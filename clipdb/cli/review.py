"""`clipdb review`: people's own names and verdicts, a head at a time."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from clipdb._util.interrupts import settled
from clipdb._util.text import counted
from clipdb.cli.options.common import index_option
from clipdb.cli.show.messages import say
from clipdb.errors import ClipdbError

if TYPE_CHECKING:
    from clipdb.queries.reviews.cards import Card

_BEST = 5
_NUMBER = re.compile(r"(\d+)(\??)")


class _Quit(Exception):
    """The person has had enough; what was decided is written."""


@click.command()
@click.option("--reviewer", required=True, envvar="CLIPDB_REVIEWER", metavar="NAME", help="Who decides.")
@click.option("--model", help="Only this model [default: all models of the index].")
@click.option(
    "--labeller", metavar="NAME", help="Review this labeller's names, not the current ones: llm:MODEL, zero-shot."
)
@click.option("--head", metavar="L11.H3", help="Only this head, also where you decided on it before.")
@click.option("--spans", type=click.IntRange(min=1), default=10, show_default=True, help="Descriptions a head.")
@click.option("--sample", type=click.IntRange(min=1), metavar="N", help="Only so many heads, drawn at random.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the draw.")
@click.option("--blind", is_flag=True, help="Hide the name: you give your own.")
@click.option("--rate", is_flag=True, help="Ask too how well the name fits, from 1 to 5.")
@click.option("--verdicts", is_flag=True, help="Ask too which descriptions fit the name.")
@click.option(
    "--sheets", type=click.Path(path_type=Path, file_okay=False), metavar="DIR", help="Keep contact sheets here."
)
@click.option("--again", is_flag=True, help="Show heads that you decided on before, too.")
@index_option
def command(
    index: Path,
    reviewer: str,
    model: str | None,
    labeller: str | None,
    head: str | None,
    spans: int,
    sample: int | None,
    seed: int,
    blind: bool,
    rate: bool,
    verdicts: bool,
    sheets: Path | None,
    again: bool,
) -> None:
    """Decide on the names of heads: accept, rename, reject or skip, one at a time.

    Each head shows its descriptions, its name and the path of a contact sheet with the images that move it most and
    least. A decision is written at once, by human:NAME, and goes before all other labellers'. Stop at any point, with q
    or Ctrl-C: the same command resumes with the heads that are left.

    A rejected name no longer counts for its head, whoever gave it.
    """
    from clipdb.api.reviewing import review_cards

    drawn = sample if head is None else None
    cards = review_cards(index, reviewer=reviewer, model=model, labeller=labeller, spans=spans, sample=drawn, seed=seed)
    left = [card for card in cards if again or not card.reviewed] if head is None else _only(head, cards)
    decided = 0
    try:
        with tempfile.TemporaryDirectory(prefix="clipdb-review-") as passing:
            for place, card in enumerate(left, start=1):
                _show(card, f"{place} of {len(left)}", blind, _draw(index, card, sheets or Path(passing)))
                decided += _decide(index, card, reviewer, blind, rate, verdicts)
    except (_Quit, click.Abort):  # Abort is what a prompt makes of Ctrl-C and of the end of its input
        settled()
        click.echo()
    finally:
        say(f"{index}: {counted(decided, 'head')} decided by human:{reviewer.strip()}, {len(left) - decided} left")


def _only(head: str, cards: Sequence[Card]) -> list[Card]:
    from clipdb.schema.names import head_name, parse_head

    found = [card for card in cards if card.name == head_name(*parse_head(head))]
    if not found:
        raise ClipdbError(f"there is no head {head} to review: `clipdb query heads` lists them", kind="absent")
    return found


def _show(card: Card, place: str, blind: bool, sheet: str) -> None:
    click.echo()
    say(f"{card.model_id} {card.name}  ({place})")
    for rank, span in enumerate(card.spans, start=1):
        say(f"  {rank:>2}  {span['text']}")
    say(f"  images: {sheet}")
    if card.property is not None and not blind:
        say(f"  name: {card.property}  (by {card.labeller})")


def _draw(index: Path, card: Card, folder: Path) -> str:
    """Draw what moves the head; give the sheet's path, or why there is none."""
    import clipdb
    from clipdb.pictures.query_sheet import draw_sheet
    from clipdb.queries.named.sql_files import find_query
    from clipdb.schema.names import model_slug

    path = folder / f"{model_slug(card.model_id)}.{card.name}.png"
    query = find_query("activating")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Open for the moment only: while the index is read, the decision can't be written.
        with clipdb.open(index) as opened:
            bound = opened.bind(query, {"model": card.model_id, "head": card.name})
            if note := draw_sheet(opened, query, bound, path):
                say(f"note: {note}", err=True)
    except ClipdbError as error:
        return f"none ({error})"
    except OSError as error:
        raise ClipdbError(f"cannot write {path}: {error.strerror}: choose another folder with --sheets") from error
    return str(path)


def _decide(index: Path, card: Card, reviewer: str, blind: bool, rate: bool, verdicts: bool) -> bool:
    """Ask for everything about one head and write it down; tell whether it was decided or skipped."""
    from clipdb.api.reviewing import review

    name = _ask_own_name() if blind or card.property is None else _ask_name(card.property)
    if name is None:
        return False
    rejected = name == ""
    review(
        index,
        card.name,
        name or str(card.property),
        reviewer=reviewer,
        rejected=rejected,
        model=card.model_id,
        pool=card.pool,
        confidence=_ask_rating() if rate and not rejected else None,
        verdicts=_ask_verdicts(card) if verdicts and not rejected else None,
        blind=blind,
    )
    return True


def _ask_name(current: str) -> str | None:
    """Return the name that a person accepts or gives, "" where they reject it, None where they skip."""
    choices = click.Choice(["a", "r", "x", "s", "q"], case_sensitive=False)
    match click.prompt("[a]ccept, [r]ename, [x] reject, [s]kip, [q]uit", type=choices, show_choices=False):
        case "a":
            return current
        case "r":
            return str(click.prompt("name", value_proc=_name))
        case "x":
            return ""
        case "s":
            return None
        case _:
            raise _Quit


def _ask_own_name() -> str | None:
    given = click.prompt("name ([s]kip, [q]uit)", value_proc=_own_name)
    if given == "q":
        raise _Quit
    return None if given == "s" else str(given)


def _own_name(given: str) -> str:
    if given.strip() in ("a", "r", "x"):  # the keys of a prompt that shows a name
        raise click.BadParameter("no name is shown to accept or reject: write your own")
    return given.strip() if given.strip() in ("s", "q") else _name(given)


def _name(given: str) -> str:
    from clipdb.ingest.names.people.decisions import property_name

    try:
        return property_name(given)
    except ClipdbError as error:
        raise click.BadParameter(str(error)) from error


def _ask_rating() -> float | None:
    """Ask how well the name fits; give it as a confidence, 0..1."""
    choices = click.Choice(["", *(str(number) for number in range(1, _BEST + 1))])
    prompt = f"how well does it fit, 1 to {_BEST} (Enter: no answer)"
    given = click.prompt(prompt, default="", show_default=False, type=choices, show_choices=False)
    return (int(given) - 1) / (_BEST - 1) if given else None


def _ask_verdicts(card: Card) -> dict[str, bool | None]:
    """Ask which descriptions fit the name; those that are not named don't, and `4?` says that 4 may or may not."""

    def read(given: str) -> dict[str, bool | None]:
        words = given.replace(",", " ").split()
        numbers = {} if words in (["none"], ["all"]) else dict(_number(word, len(card.spans)) for word in words)
        if not words:
            return {}
        return {span["text"]: numbers.get(rank, words == ["all"]) for rank, span in enumerate(card.spans, start=1)}

    prompt = "which fit, like 1 3 4? with a ? where you can't say; all, none (Enter: no answer)"
    found: dict[str, bool | None] = click.prompt(prompt, default="", show_default=False, value_proc=read)
    return found


def _number(word: str, most: int) -> tuple[int, bool | None]:
    match = _NUMBER.fullmatch(word)
    if match is None or not 1 <= int(match[1]) <= most:
        raise click.BadParameter(f"{word!r} is not the number of a description: write 1 to {most}")
    return int(match[1]), None if match[2] else True
