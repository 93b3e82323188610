"""The documents of the repository as tests read them: their code blocks and their links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOT_DOCUMENTS = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
DOCUMENTS = [*ROOT_DOCUMENTS, *sorted((ROOT / "docs").rglob("*.md"))]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced code block.

    Attributes:
        document: the file, relative to the repository.
        line: the line of its first word, from 1.
        language: the word after the fence, such as "sh".
        text: what stands between the fences.
    """

    document: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.document}:{self.line}"


def blocks(document: Path) -> Iterator[Block]:
    """Yield the fenced code blocks of a document, in order."""
    text = document.read_text(encoding="utf-8")
    for match in _FENCE.finditer(text):
        line = text.count("\n", 0, match.start()) + 2
        yield Block(document.relative_to(ROOT).as_posix(), line, match[1], match[2])


def all_blocks(language: str) -> list[Block]:
    """Return the blocks in one language, of all documents."""
    return [block for document in DOCUMENTS for block in blocks(document) if block.language == language]


def prose(document: Path) -> str:
    """Return a document without its fenced code blocks."""
    return _FENCE.sub("", document.read_text(encoding="utf-8"))


def links(document: Path) -> list[str]:
    """Return the targets of a document's links and images, in order."""
    without_code = re.sub(r"`[^`\n]*`", "", prose(document))
    return re.findall(r"\]\(([^)\s]+)\)", without_code)


def anchors(document: Path) -> set[str]:
    """Return the anchors that GitHub makes of a document's headings."""
    headings = re.findall(r"^#+ (.+)$", prose(document), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def commands(block: Block) -> list[str]:
    """Return the commands of a shell block, lines that go on joined, comments left out."""
    joined = block.text.replace("\\\n", " ")
    lines = (re.sub(r"(^|\s+)#.*$", "", line).strip() for line in joined.splitlines())
    return [line for line in lines if line]
