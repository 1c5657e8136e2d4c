"""Writes the report of a run directory: one self-contained HTML page and one Markdown file."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from tvnjax.core.atomic import write_together
from tvnjax.core.errors import InvalidInputError
from tvnjax.report.document import Document, Part
from tvnjax.report.figures.canvas import report_style
from tvnjax.report.markdown import FIGURES, render_markdown
from tvnjax.report.record import read_run
from tvnjax.report.sections import build_document
from tvnjax.report.stylesheet import STYLESHEET

_MACROS = """\
{%- macro cell(cell, index, numeric) -%}
<{{ 'th scope="row"' | safe if index == 0 else 'td' }}{% if cell.alert %} class="alert"{% endif %}>
  {{- cell.text }}{% if cell.alert %}<span class="sign" aria-hidden="true"> ▲</span>{% endif %}
  {%- if cell.note %}<small>{{ cell.note }}</small>{% endif -%}
</{{ 'th' if index == 0 else 'td' }}>
{%- endmacro -%}

{%- macro picture(figure) -%}
<figure id="figure-{{ figure.name }}">
<div class="paper" tabindex="0">{{ figure.svg | drawing }}</div>
<figcaption>{{ figure.caption }}</figcaption>
</figure>
{%- endmacro -%}

{%- macro part(block) -%}
{%- set kind = block | kind -%}
{%- if kind == "Paragraph" %}<p{% if block.strong %} class="lead"{% endif %}>{{ block.text }}</p>
{%- elif kind == "Callout" %}
<div class="callout {{ block.level }}">
{%- if block.lines | length == 1 %}<p>{{ block.lines[0] }}</p>
{%- else %}<ul>{% for line in block.lines %}<li>{{ line }}</li>{% endfor %}</ul>{% endif %}
</div>
{%- elif kind == "Subtitle" %}<h3>{{ block.text }}</h3>
{%- elif kind == "Code" %}<pre tabindex="0"><code>{{ block.text }}</code></pre>
{%- elif kind == "Picture" %}{{ picture(block) }}
{%- elif kind == "Gallery" %}<div class="gallery">
{%- for figure in block.pictures %}{{ picture(figure) }}{% endfor %}</div>
{%- elif kind == "Details" %}<details><summary>{{ block.summary }}</summary>
{%- for inner in block.blocks %}{{ part(inner) }}{% endfor %}</details>
{%- elif kind == "Table" %}
<div class="scroll" tabindex="0"><table{% if block.numeric %} class="numeric"{% endif %}>
{%- if block.caption %}<caption>{{ block.caption }}</caption>{% endif %}
{%- if block.header | select | list %}
<thead><tr>{% for name in block.header %}<th scope="col">{{ name }}</th>{% endfor %}</tr></thead>
{%- endif %}
<tbody>
{%- for row in block.rows %}
<tr>{% for value in row %}{{ cell(value, loop.index0, block.numeric) }}{% endfor %}</tr>
{%- endfor %}
</tbody></table></div>
{%- endif %}
{% endmacro -%}
"""

_TEMPLATE = """
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{{ document.title }}</title>
<style>{{ stylesheet | drawing }}</style>
</head>
<body>
<header>
<h1>{{ document.title }}</h1>
<nav aria-label="Sections">
{%- for section in document.sections %}<a href="#{{ section.anchor }}">{{ section.title }}</a>{% endfor -%}
</nav>
</header>
<main>
{%- for section in document.sections %}
<section id="{{ section.anchor }}">
<h2>{{ section.title }}</h2>
{% for block in section.blocks %}{{ part(block) }}{% endfor %}
</section>
{%- endfor %}
</main>
</body>
</html>
"""


def write_report(run_dir: Path) -> None:
    """Writes ``report.html``, ``report.md`` and ``figures/*.png`` into a run directory, from its files alone.

    Parts the run has nothing for are left out with a line that says so. An older report is replaced: all of it, or
    nothing where that cannot be written.

    Raises:
        InvalidInputError: ``results.json`` is missing or breaks its schema, ``config.json`` is no JSON object, the
            directory holds links, or cannot be written.
    """
    run_dir = Path(run_dir)
    record = read_run(run_dir)
    with report_style():
        document = build_document(record)
    try:
        write_together(document_files(document, run_dir, "report"))
    except OSError as error:
        raise InvalidInputError(
            f"a report goes into its run's directory; {error.filename or run_dir}: {error.strerror}: make room or give "
            f"permission, then write it with 'tvnjax report {shlex.quote(str(run_dir))}'"
        ) from None


def document_files(document: Document, folder: Path, stem: str) -> dict[Path, bytes]:
    """A document as files: ``figures/*.png``, ``stem.md`` and ``stem.html``, by path."""
    files = {folder / FIGURES / f"{picture.name}.png": picture.png for picture in document.pictures()}
    for name, text in ((f"{stem}.md", render_markdown(document)), (f"{stem}.html", render_html(document))):
        # A file name that is no UTF-8 reaches Python with characters that UTF-8 cannot write.
        files[folder / name] = text.encode("utf-8", errors="backslashreplace")
    return files


def render_html(document: Document) -> str:
    """The document as one page that needs no other file; all text is escaped."""
    return _environment().from_string(_MACROS + _TEMPLATE).render(document=document, stylesheet=STYLESHEET)


def render_blocks(blocks: Sequence[Part]) -> str:
    """Some parts of a document as HTML to stand in another page, without its style sheet; all text is escaped."""
    template = _MACROS + "{%- for block in blocks %}{{ part(block) }}{% endfor %}"
    return _environment().from_string(template).render(blocks=blocks)


def _environment() -> Environment:
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    # Only our own drawings and style sheet pass unescaped; matplotlib's SVG has escaped its text already.
    environment.filters |= {"kind": lambda block: type(block).__name__, "drawing": Markup}
    return environment
