"""The shape of the transformer: its width decides the rest, as the log has it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Shape"]


@dataclass(frozen=True)
class Shape:
    """The shape of a transformer.

    Attributes:
        width: the width of its embeddings and of its residual stream.
        layers: layers of the encoder, and as many of the decoder.
        heads: heads of each attention; they divide the width.
        expansion: the inner width of the feed-forward layers over the width.
    """

    width: int
    layers: int
    heads: int
    expansion: int

    @classmethod
    def of(cls, width: int, layers: int = 0, heads: int = 0, expansion: int = 0) -> Shape:
        """Fills in what is 0 by the log's rule: 4, 4 and 2 up to a width of 128, else 6, 8, 4."""
        small = width <= 128
        return cls(width, layers or (4 if small else 6), heads or (4 if small else 8), expansion or (2 if small else 4))
