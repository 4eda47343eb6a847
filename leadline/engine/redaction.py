"""Takes secrets out of Python source before it is kept."""

from __future__ import annotations

import ast
import bisect
import os
import re
from collections.abc import Iterator, Sequence

__all__ = ["REMOVED", "redacted"]

REMOVED = "(removed)"
"""The word that stands where a secret stood."""
LEAST = 8
"""Characters that the value of an environment variable must have to be looked for in the source."""

_WORDS = "KEY|SECRET|TOKEN|PASSWORD|PASSWD|PWD|CREDENTIAL"
_NAMES = re.compile(_WORDS, re.IGNORECASE)
_COMMENT = re.compile(rf"(#[^\n]*?(?:{_WORDS})[^\n=:]*[=:])[^\n]+", re.IGNORECASE)
_WITHIN = re.compile(rf"(?:{_WORDS})\w*\s*[=:]\s*\S", re.IGNORECASE)
"""A name with its value within a literal, as in a command for a shell."""
_SHAPES = re.compile(
    r"\bA[KS]IA[0-9A-Z]{16}"
    r"|\bgh[opsru]_\w{16,}|\bgithub_pat_\w{16,}"
    r"|\bsk-[\w-]{16,}"
    r"|\bhf_\w{16,}"
    r"|(?<=://)[^/\s:@'\"]+:[^/\s@'\"]+(?=@)"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
    re.DOTALL,
)
"""Tokens of AWS, GitHub, OpenAI and Hugging Face; who logs in by a URL; private keys in PEM."""


def redacted(text: str) -> str:
    """Returns source without what looks like a secret.

    Removed are string literals that are given to a name with KEY, SECRET, TOKEN, PASSWORD, PASSWD,
    PWD or CREDENTIAL in it, that stand beside one, or hold one with its value; what follows such a
    name in a comment; the values of environment variables of such names; and well-known tokens.
    Numbers stay. Too much is removed rather than too little.

    Raises:
        SyntaxError, ValueError: if the text is not Python.
        RecursionError: if it is nested too deeply.
    """
    if _NAMES.search(text):
        text = _COMMENT.sub(rf"\1 {REMOVED}", _without_literals(text))
    text = _SHAPES.sub(REMOVED, text)
    for value in sorted(_values(), key=len, reverse=True):
        text = text.replace(value, REMOVED)
    return text


def _values() -> Iterator[str]:
    return (value for name, value in os.environ.items() if len(value) >= LEAST and _NAMES.search(name))


def _without_literals(text: str) -> str:
    content = text.encode()
    starts = [0]  # of each line, in bytes, as the columns of `ast` are
    lines = list[int]()
    for number, line in enumerate(content.splitlines(keepends=True), 1):
        starts.append(starts[-1] + len(line))
        if _NAMES.search(line.decode()):
            lines.append(number)
    spans = {
        (starts[literal.lineno - 1] + literal.col_offset, starts[literal.end_lineno - 1] + literal.end_col_offset)
        for node in _on(lines, ast.parse(text))
        for name, value in _given(node)
        if _NAMES.search(name)
        for literal in _literals(value)
        if literal.end_lineno is not None and literal.end_col_offset is not None
    }
    kept, at = b"", 0
    for start, end in sorted(spans):
        if start >= at:  # else it lies within an f-string that is removed whole
            kept += content[at:start] + f'"{REMOVED}"'.encode()
        at = max(at, end)
    return (kept + content[at:]).decode()


def _on(lines: Sequence[int], tree: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a syntax tree that stand on these lines, which rise; few of many, as a rule."""
    nodes = [tree]
    for node in nodes:
        if isinstance(node, ast.stmt | ast.expr):
            decorators = getattr(node, "decorator_list", ())  # they stand above the node's own line
            first = min([node.lineno, *(decorator.lineno for decorator in decorators)])
            next_one = bisect.bisect_left(lines, first)
            if next_one == len(lines) or lines[next_one] > (node.end_lineno or node.lineno):
                continue
        yield node
        nodes += ast.iter_child_nodes(node)


def _given(node: ast.AST) -> list[tuple[str, ast.expr]]:
    """The values that a node gives to names, each with the source of its name."""
    match node:
        case ast.Assign(targets=targets, value=value):
            return [(ast.unparse(target), value) for target in targets]
        case ast.AnnAssign(target=target, value=ast.expr() as value):
            return [(ast.unparse(target), value)]
        case ast.AugAssign(target=target, value=value) | ast.NamedExpr(target=target, value=value):
            return [(ast.unparse(target), value)]
        case ast.keyword(arg=str(name), value=value):
            return [(name, value)]
        case ast.Dict(keys=keys, values=values):
            return [(ast.unparse(key), value) for key, value in zip(keys, values, strict=True) if key]
        case ast.Compare(left=left, comparators=compared):
            sides = [left, *compared]
            return [(ast.unparse(name), value) for name in sides for value in sides if value is not name]
        case ast.Call(func=called, args=args, keywords=keywords):  # os.environ.setdefault("API_KEY", ...)
            names = " ".join([ast.unparse(called), *_texts(args)])
            return [(names, value) for value in (*args, *(keyword.value for keyword in keywords))]
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            return [(" ".join(_texts(parts)), value) for value in parts]
        case ast.Constant(value=str(said)) if _WITHIN.search(said):
            return [(said, node)]
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            returned = (part.value for part in ast.walk(node) if isinstance(part, ast.Return))
            return [(name, value) for value in returned if value]
        case ast.arguments(posonlyargs=first, args=args, defaults=defaults):
            by_place = [*first, *args][len(first) + len(args) - len(defaults) :]
            pairs = [*zip(by_place, defaults, strict=True), *zip(node.kwonlyargs, node.kw_defaults, strict=True)]
            return [(argument.arg, value) for argument, value in pairs if value]
    return []


def _texts(nodes: Sequence[ast.expr]) -> list[str]:
    return [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def _literals(node: ast.AST) -> Iterator[ast.expr]:
    if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)):
        yield node
        return
    for child in ast.iter_child_nodes(node):
        yield from _literals(child)
