"""Make the files of the repository that pages link to parts of the site, below ``repository/``.

Links stay as they are on disk, where they lead from `docs/` to configurations, code and results.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

# Target of a Markdown link: a path, and a heading.
LINK = re.compile(r"(?<=\]\()(?P<path>[^)\s#:]+)(?P<heading>#[^)\s]*)?(?=\))")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what pages link to, and what is linked to from there."""
    root = _root(config)
    waiting = [Path(str(file.abs_src_path)) for file in files.documentation_pages()]
    # Navigation may lead to them without a link.
    waiting += [root / path for path in config.extra["pages"]]
    known = {Path(str(file.abs_src_path)) for file in files}
    while waiting:
        page = waiting.pop()
        for target in [page, *_targets(page)]:
            if target in known or not target.is_file():
                continue
            known.add(target)
            files.append(File.generated(config, _uri(target, config), abs_src_path=str(target)))
            if target.suffix == ".md":
                waiting.append(target)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links lead to where files are in the site."""
    source = Path(str(page.file.abs_src_path))

    def moved(match: re.Match[str]) -> str:
        target = (source.parent / match["path"]).resolve()
        if not target.is_file():
            # MkDocs names it.
            return match[0]
        start = posixpath.dirname(page.file.src_uri)
        return posixpath.relpath(_uri(target, config), start) + (match["heading"] or "")

    return LINK.sub(moved, markdown)


def _targets(page: Path) -> Iterator[Path]:
    """Yield the files that a page links to."""
    for match in LINK.finditer(page.read_text(encoding="utf-8")):
        yield (page.parent / match["path"]).resolve()


def _uri(target: Path, config: MkDocsConfig) -> str:
    """Path of a file in the site."""
    docs = Path(config.docs_dir)
    if target.is_relative_to(docs):
        return target.relative_to(docs).as_posix()
    return f"repository/{target.relative_to(_root(config)).as_posix()}"


def _root(config: MkDocsConfig) -> Path:
    return Path(str(config.config_file_path)).resolve().parent
