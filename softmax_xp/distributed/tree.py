# SPDX-License-Identifier: BSD-3-Clause
"""The sum over shards, along a binary tree that depends on the number of shards alone.

Leaf ``i`` is shard ``i``; node ``j`` of level ``k`` has the children ``2 j`` and ``2 j + 1`` of level
``k - 1``. Whoever has some of the leaves adds up what it can, and hands on the roots of the subtrees that it has whole:
of neighbours in a row no more than two for each level. Whoever gets those of all goes on in the same way. Which leaves
met where changes the traffic, and no bit of the sum.
"""

__all__ = ["Node", "TreeSum"]

from typing import Any, NamedTuple, final

from softmax_xp.errors import WorkerLostError


class Node(NamedTuple):
    """The sum over the shards below a node of the tree."""

    level: int
    place: int  # from the left
    n_samples: int  # which it is the sum over
    term: tuple[Any, ...]  # float64 arrays, numbers and None


@final
class TreeSum:
    """The sum over some or all of the shards.

    Parameters
    ----------
    n_shards : int
        How many there are in all.

    Examples
    --------
    >>> tree = TreeSum(3)
    >>> for leaf in (2, 0, 1):
    ...     tree.add(Node(0, leaf, 10, (1.0,)))
    >>> tree.total(30)
    (3.0,)
    """

    def __init__(self, n_shards: int) -> None:
        self.n_shards = n_shards
        self.height = (n_shards - 1).bit_length()
        self._nodes: dict[tuple[int, int], Node] = {}

    def add(self, node: Node) -> None:
        """Add a node, and merge it with its siblings as far as they are there.

        Parameters
        ----------
        node : Node
            Of shards that have not been added yet.
        """
        level, place, n_samples, term = node
        while level < self.height:
            if (level, place) in self._nodes:
                break
            # The last node of a level may have no sibling: it is its own parent.
            if place % 2 == 0 and (place + 1) << level >= self.n_shards:
                level, place = level + 1, place // 2
                continue
            sibling = self._nodes.pop((level, place ^ 1), None)
            if sibling is None:
                break
            # Which of the two comes first changes no bit: rounding does not ask.
            pairs = zip(sibling.term, term, strict=True)
            term = tuple(None if ours is None else ours + theirs for ours, theirs in pairs)
            level, place, n_samples = level + 1, place // 2, n_samples + sibling.n_samples
        if (level, place) in self._nodes:
            msg = f"A sum over shards must count each once; got node {place} of level {level} twice."
            raise WorkerLostError(msg)
        self._nodes[level, place] = Node(level, place, n_samples, term)

    def nodes(self) -> list[Node]:
        """Return what was added, merged: the roots of the largest subtrees.

        Returns
        -------
        list of Node
            As few as can be.
        """
        return list(self._nodes.values())

    def total(self, n_samples: int) -> tuple[Any, ...]:
        """Return the sum over all shards.

        Parameters
        ----------
        n_samples : int
            How many there must be.

        Returns
        -------
        tuple
            The term at the root.

        Raises
        ------
        WorkerLostError
            If a shard, or a row of one, is missing: a sum over a part of the data would pass for the whole.
        """
        root = self._nodes.get((self.height, 0))
        found = sum(node.n_samples for node in self._nodes.values())
        if root is None or root.n_samples != n_samples or found != n_samples:
            msg = f"A pass over the data must meet each of the {n_samples} samples once; it met {found}. Fit again."
            raise WorkerLostError(msg)
        return root.term
