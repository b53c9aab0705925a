"""Where things stand in the text of a YAML document: what PyYAML's marks leave open. Pure."""

from __future__ import annotations

import re
from typing import Any

from yaml.events import AliasEvent
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from soteirad.config.document import Loader

BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
"""Where a line ends to YAML."""

Span = tuple[int, int]


def line_start(text: str, index: int) -> int:
    """Return where the line with the character at `index` starts."""
    return max((text.rfind(char, 0, index) for char in "\r\n\x85\u2028\u2029"), default=-1) + 1


def line_end(text: str, index: int) -> int:
    """Return where the line with the character at `index` ends, before its line break."""
    found = BREAK.search(text, index)
    return found.start() if found else len(text)


def _index(mark: Any) -> int:
    """Return a mark's index; the types say that an event or a node may have no mark, which PyYAML's always have."""
    return int(mark.index)


class Tree(Loader):
    """A composer that remembers where aliases stand and which nodes are used more than once."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self.text = stream
        self.root: Node | None = None
        self._aliases: dict[tuple[int, Any], Span] = {}
        self._shared: set[int] = set()

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        """Compose one node; an alias gives the node that it stands for."""
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        node = super().compose_node(parent, index)
        if isinstance(event, AliasEvent):
            self._shared.add(id(node))
            place = index if isinstance(index, int) else id(index)
            self._aliases[id(parent), place] = (_index(event.start_mark), _index(event.end_mark))
        return node

    def alias(self, parent: Node, index: Node | int) -> Span | None:
        """Return where the alias stands that is the value of a key (its node), or an item; None if it is no alias."""
        return self._aliases.get((id(parent), index if isinstance(index, int) else id(index)))

    def is_shared(self, node: Node) -> bool:
        """Say whether an alias stands for this node somewhere."""
        return id(node) in self._shared

    def step(self) -> int:
        """Return by how many spaces the first section is indented; 2 if there is none."""
        if isinstance(self.root, MappingNode) and not self.root.flow_style:
            for _, value in self.root.value:
                if isinstance(value, MappingNode) and not value.flow_style:
                    return max(1, int(value.value[0][0].start_mark.column))
        return 2

    def end(self, node: Node, *, inside: bool = False) -> int:
        """Return where a node's last character stands, plus 1: comments and empty lines that follow are not part of it.

        `inside` is the end of the last value of a section in braces, not of the braces.
        """
        if isinstance(node, ScalarNode):
            return self._scalar_end(node)
        flow = isinstance(node, (MappingNode, SequenceNode)) and node.flow_style
        if (flow and not inside) or not node.value:
            return _index(node.end_mark)
        if isinstance(node, SequenceNode):
            return self.item_end(node, len(node.value) - 1)
        key, value = node.value[-1]
        span = self.alias(node, key)
        return span[1] if span else self.end(value)

    def item_end(self, node: SequenceNode, index: int) -> int:
        """Return where an item's last character stands, plus 1."""
        span = self.alias(node, index)
        return span[1] if span else self.end(node.value[index])

    def dashes(self, node: SequenceNode) -> list[int]:
        """Return where the dashes of a list stand that is not in brackets."""
        found = []
        for index, item in enumerate(node.value):
            span = self.alias(node, index)
            found.append(self.text.rfind("-", 0, span[0] if span else item.start_mark.index))
        return found

    def _scalar_end(self, node: ScalarNode) -> int:
        end = _index(node.end_mark)
        if node.style not in ("|", ">"):
            return end
        start = node.start_mark.index
        header = self.text[start : line_end(self.text, start)].partition("#")[0]
        # With a plus the empty lines below are text; without it they are none.
        kept = self.text[start:end].rstrip(" ")
        if "+" not in header:
            return start + len(kept.rstrip())
        found = [match.start() for match in BREAK.finditer(kept)]
        return start + (found[-1] if found and BREAK.fullmatch(kept, found[-1]) else len(kept))
