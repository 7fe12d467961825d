"""What the pages of one explorer share: the index's readers, its models, pictures, and the frame around each page."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, cast

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from clipdb.api.opening import open_with
from clipdb.errors import ClipdbError
from clipdb.explorer.access import Access
from clipdb.explorer.answering import MOST_ROWS, Answer, ask
from clipdb.explorer.decisions import Decisions
from clipdb.explorer.kept_answers import Kept
from clipdb.explorer.model_client import Models
from clipdb.explorer.readers import MOST_SECONDS, Readers
from clipdb.explorer.templating import environment, file_name
from clipdb.explorer.thumbnails import Thumbnails
from clipdb.explorer.uploads import Uploads
from clipdb.queries.find_image import is_file
from clipdb.queries.index import Index
from clipdb.queries.named.sql_files import find_query
from clipdb.sandbox import Sandbox
from clipdb.schema.names import is_url

CONSOLES = 2
"""How many questions of the SQL console may run at once."""

HUES = 8

CACHE_BYTES = 32 * 2**20
"""Of vectors in memory: 5 heads of 51,200 images, in float16."""

_MODELS = """
select model_id, count(*) as heads, models.model_id is not null as has_model
from heads left join models using (model_id) group by all
union select model_id, 0, true from models where model_id not in (select model_id from heads)
order by has_model desc, model_id
"""
_PALETTE = "select property_key from head_properties group by all order by count(*) desc, property_key"


_EVERYTHING = Access()


@dataclass(frozen=True)
class Frame:
    """What is around a page: the models with their numbers of heads, and each property's hue."""

    models: dict[str, int]
    palette: dict[str, int]
    images: int


class Site:
    """An index that is shown.

    Parameters
    ----------
    path
        The directory of an index or of an export, or the export's URL.
    queries
        Folders of named queries of the user's own.
    device, checkpoint
        Where models run, and from which weights: see `clipdb.api.opening.open`.
    thumbnails
        The file that keeps small pictures. Default: one in the user's cache.
    access
        What visitors may do.
    reviewer
        Who decides on names; nobody does without one.

    Raises
    ------
    ClipdbError
        If there is no index, it can't be opened, or nobody could review it.
    """

    most_seconds: ClassVar[float | None] = MOST_SECONDS
    """After which a page is given up; None where nobody waits for it."""

    def __init__(
        self,
        path: str | Path,
        queries: Sequence[str | Path] = (),
        device: str = "auto",
        checkpoint: str | Path | None = None,
        thumbnails: Path | None = None,
        access: Access = _EVERYTHING,
        reviewer: str | None = None,
    ) -> None:
        self.path = path
        self.access = access
        self.folders = tuple(Path(folder) for folder in queries)
        self.models = Models({"path": path, "device": device, "checkpoint": checkpoint})
        self.readers = Readers(self._opened, most_seconds=self.most_seconds)
        self.decisions = self._reviewed(reviewer)
        self.thumbnails = Thumbnails(thumbnails)
        self.uploads = Uploads()
        self.templates = environment()
        self.consoles = threading.BoundedSemaphore(CONSOLES)
        self._sandbox: Sandbox | None = None
        self._lock = threading.Lock()
        self._kept = Kept()
        self._frames: dict[int, Frame] = {}

    def _opened(self) -> Index:
        embedder = cast("Callable[[Index], Any]", lambda _index: self.models)
        index = open_with(self.path, embedder, queries=self.folders, files=False)
        index.cache_bytes = CACHE_BYTES
        return index

    def _reviewed(self, reviewer: str | None) -> Decisions | None:
        if reviewer is None:
            if "review" in self.access.allow:
                raise ClipdbError("--allow review needs --reviewer NAME: who decides")
            return None
        if not self.access.allows("review"):
            raise ClipdbError("whoever visits a public explorer could decide for --reviewer: add --allow review")
        return Decisions(self.path, reviewer)

    def close(self) -> None:
        """Stop what was started, and close the index."""
        if self.decisions is not None:
            self.decisions.close()
        self.models.close()
        if self._sandbox is not None:
            self._sandbox.close()
        self.readers.close()
        self.thumbnails.close()
        self.uploads.close()

    @property
    def sandbox(self) -> Sandbox:
        """What answers the SQL console, started when it is first asked.

        Raises
        ------
        ClipdbError
            If the index is a URL, or this system is not Linux.
        """
        with self._lock:
            if self._sandbox is None:
                self._sandbox = Sandbox(self.path, at_once=CONSOLES, spare=False)
            return self._sandbox

    @contextmanager
    def reading(self, *images: str | None) -> Iterator[Index]:
        """Give a cursor of the index to this thread, which may read the files of images that were brought."""
        brought = any(one is not None and self.uploads.path(one) is not None for one in images)
        with self.readers.reading(files=brought) as index:
            yield index

    def ask(self, index: Index, name: str, limit: int = MOST_ROWS, offset: int = 0, /, **given: Any) -> Answer:
        """Ask a named query, whose image may be one that was brought: see `clipdb.explorer.answering.ask`."""
        brought = {}
        query = find_query(name, index.folders)
        for parameter in query.parameters:
            if parameter.type == "image" and (value := str(given.get(parameter.name) or "")):
                if (path := self.uploads.path(value)) is not None and index.files:
                    brought[parameter.name] = str(path)
                elif index.files and is_file(value):  # somebody else's file, of which nothing may be learnt
                    raise ClipdbError(f"no image {value!r} in this index", kind="absent")
        values = {key: value for key, value in (given | brought).items() if value is not None}
        key = (self.readers.state(index), query, limit, offset, *sorted((one, str(values[one])) for one in values))
        answer = self._kept.get(key, lambda: self._asked(index, name, limit, offset, values))
        if not brought:
            return answer
        names = {str(given[one]): self.uploads.name(str(given[one])) or "" for one in brought}
        shown = {one: names[str(given[one])] for one in brought}
        ids = {one: str(given[one]) for one in brought}
        return replace(answer, given={**answer.given, **ids}, values={**answer.values, **shown}, files=names)

    def _asked(self, index: Index, name: str, limit: int, offset: int, values: Mapping[str, Any]) -> Answer:
        answer = ask(index, name, limit, offset, **values).noted(self.models.said(map(str, values.values())))
        if not self.access.public:
            return answer
        rows = [{column: _without_folder(row, column) for column in row} for row in answer.rows]
        return replace(answer, rows=rows, console=self.access.allows("sql"))

    def shown(self, text: str) -> str:
        """Return text as visitors may see it: a public explorer doesn't say where its index lies."""
        if self.access.public and not is_url(self.path):
            path = Path(self.path)
            for one in (path.resolve(), path.absolute(), path):
                text = text.replace(str(one), path.name)
        return text

    def frame(self, index: Index) -> Frame:
        """Read what is around a page; it is the same as long as the state of the index is."""
        state = self.readers.state(index)
        frame = self._frames.get(state)
        if frame is None:
            models = {row[0]: row[1] for row in index.execute(_MODELS).fetchall()}
            hues = index.execute(_PALETTE).fetchall()
            [(images,)] = index.execute("select count(*) from images").fetchall()
            frame = Frame(models, {row[0]: min(place, HUES) for place, row in enumerate(hues)}, images)
            self._frames = {state: frame}  # older states are hardly asked any more
        return frame

    def model_of(self, index: Index, request: Request) -> str:
        """Return the model that an address names.

        Raises
        ------
        ClipdbError
            If the index has no such model: the message lists those that it has.
        """
        model = "{arch}/{pretrained}".format(**request.path_params)
        known = self.frame(index).models
        if model not in known:
            raise ClipdbError(f"no model {model!r} in this index: it has {', '.join(known) or 'none'}", kind="absent")
        return model

    def render(
        self, request: Request, template: str, index: Index | None, /, status: int = 200, **context: Any
    ) -> Response:
        """Make a page of a template.

        Parameters
        ----------
        request
            What is answered.
        template
            Its name.
        index
            An open index; None where there is none to be read.
        status
            Of the answer.
        **context
            What the template takes; ``answers`` are shown at the foot of the page.
        """
        frame = Frame({}, {}, 0) if index is None else self.frame(index)
        model = context.pop("model", None) or request.query_params.get("model")
        if model not in frame.models:
            model = next(iter(frame.models), None)
        made = self.templates.get_template(template).render(
            {
                "request": request,
                "frame": frame,
                "model": model,
                "place": "index" if is_url(self.path) else Path(self.path).name,
                "allows": self.access.allows,
                "reviews": self.decisions is not None,
                "answers": [],
                **context,
            }
        )
        return HTMLResponse(self.shown(made), status)


def _without_folder(row: Mapping[str, Any], column: str) -> Any:
    """Return a row's value without the folder that the row's image is in."""
    value, uri = row[column], row.get("uri")
    return value.replace(uri, file_name(uri)) if uri and isinstance(value, str) else value


def page(function: Callable[[Site, Index, Request], Response]) -> Callable[[Request], Response]:
    """Make an endpoint of a function that takes the site and an open index."""

    def endpoint(request: Request) -> Response:
        site: Site = request.app.state.site
        named = {**request.query_params, **request.path_params}
        with site.reading(named.get("image"), named.get("image_b")) as index:
            return function(site, index, request)

    return endpoint


def tried(ask_for: Callable[[], Answer]) -> tuple[Answer | None, str | None]:
    """Ask for one part of a page: the answer, or why there is none, in words with the command that helps.

    Raises
    ------
    ClipdbError
        If the model is at work, for which the whole page waits.
    """
    try:
        return ask_for(), None
    except ClipdbError as error:
        if error.kind == "busy":
            raise
        return None, str(error)


def aligner_of(index: Index, model: str) -> tuple[str, float] | None:
    """Return whose texts reach a model through an aligner, and its R^2; None of a model that has a text tower."""
    return index.execute("select target, r2 from aligners where model_id = $model", {"model": model}).fetchone()


def asked(request: Request, *names: str) -> Mapping[str, str]:
    """Return the values of an address's query string that are not empty."""
    found = {name: request.query_params.get(name, "").strip() for name in names}
    return {name: value for name, value in found.items() if value}
