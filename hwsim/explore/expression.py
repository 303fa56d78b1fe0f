"""Arithmetic that users write: derived fields, constraints and filters, over columns. Nothing is ever run as Python.

A text is parsed into Python's syntax tree, of which only numbers, words, names with dots, arithmetic, comparisons and
the functions of ``FUNCTIONS`` are let through; each node is then carried out on numpy arrays, in float64.
"""

from __future__ import annotations

import ast
import operator
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any, NoReturn

import numpy as np

from hwsim.errors import UsageError, did_you_mean
from hwsim.explore.functions import FUNCTIONS, Function

MAX_LENGTH, MAX_DEPTH = 2000, 64
WHAT_IS = "numbers, fields, + - * / // % **, comparisons, and, or, not, a if b else c, and functions"

Value = Any  # a numpy array over points, or a scalar
Lookup = Callable[[str], Value]

_BINARY: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_COMPARE: Mapping[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_SIGNS: Mapping[type[ast.cmpop], str] = {
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
}
_HINTS: Mapping[type[ast.AST], str] = {
    ast.BitAnd: "write 'and' for &",
    ast.BitOr: "write 'or' for |",
    ast.BitXor: "write ** for ^",
    ast.Invert: "write 'not' for ~",
}


@dataclass(frozen=True, slots=True)
class Bound:
    """A comparison with a number: what is compared, how, and with which."""

    value: Expression
    sign: str
    limit: float


@dataclass(frozen=True, slots=True)
class Expression:
    """A parsed text.

    Attributes:
        text: As it was written.
        names: The columns or fields it reads, with their dots, each once, in order of appearance.
    """

    text: str
    names: tuple[str, ...]
    _tree: ast.expr

    def __call__(self, value_of: Lookup, *, node_nm: Value | None = None) -> Value:
        """Return its value.

        Args:
            value_of: Gives the column, or the number, of a name; it raises for a name it does not know.
            node_nm: Process node for the functions that take one and were not given any [nm].

        Returns:
            An array, or a scalar where it reads none. What has no value (0/0, log2(-1)) is nan or infinite.

        Raises:
            UsageError: A function is asked for what it does not know.
        """
        with np.errstate(all="ignore"):
            return self._value(self._tree, value_of, node_nm)

    def where(self, value_of: Lookup, *, node_nm: Value | None = None) -> Value:
        """Return where it holds, as truth values; see ``__call__``.

        Raises:
            UsageError: It is a number, not a comparison.
        """
        found = np.asarray(self(value_of, node_nm=node_nm))
        if found.dtype != np.bool_:
            raise UsageError(f"{self.text!r}: is a number; a condition compares two, as in latency_ms < 20")
        return found

    @property
    def clauses(self) -> tuple[Expression, ...]:
        """The conditions that ``and`` joins at the top, each as an expression of its own; itself where there is one."""
        tree = self._tree
        if not (isinstance(tree, ast.BoolOp) and isinstance(tree.op, ast.And)):
            return (self,)
        return tuple(parse(ast.unparse(part)) for part in tree.values)

    @property
    def bound(self) -> Bound | None:
        """A comparison of something with a number; None for all else."""
        match self._tree:
            case ast.Compare(left=left, ops=[op], comparators=[ast.Constant(value=int() | float() as limit)]):
                return Bound(parse(ast.unparse(left)), _SIGNS[type(op)], float(limit))
        return None

    def _value(self, node: ast.expr, value_of: Lookup, node_nm: Value | None) -> Value:
        def value(child: ast.expr) -> Value:
            return self._value(child, value_of, node_nm)

        match node:
            case ast.Constant():
                return np.float64(node.value) if isinstance(node.value, int | float) else node.value
            case ast.Name() | ast.Attribute():
                return _numeric(value_of(_dotted(node)))
            case ast.UnaryOp(op=ast.Not()):
                return np.logical_not(value(node.operand))
            case ast.UnaryOp():
                operand = self._number(node.operand, value)
                return -operand if isinstance(node.op, ast.USub) else operand
            case ast.BinOp():
                return _BINARY[type(node.op)](self._number(node.left, value), self._number(node.right, value))
            case ast.BoolOp():
                join = np.logical_and if isinstance(node.op, ast.And) else np.logical_or
                return reduce(join, map(value, node.values))
            case ast.IfExp():
                return np.where(value(node.test), value(node.body), value(node.orelse))
            case ast.Compare():
                sides = [value(side) for side in (node.left, *node.comparators)]
                pairs = zip(node.ops, sides, sides[1:], strict=False)
                return reduce(np.logical_and, (self._compared(op, left, right) for op, left, right in pairs))
            case ast.Call(func=ast.Name(id=name)):
                return FUNCTIONS[name].of(self.text, [value(argument) for argument in node.args], node_nm)
        raise AssertionError(f"parse() let {type(node).__name__} in")

    def _number(self, node: ast.expr, value: Callable[[ast.expr], Value]) -> Value:
        found = value(node)
        if not _is_number(found):
            raise UsageError(f"{self.text!r}: {ast.unparse(node)} is a word; words can be compared only")
        return found

    def _compared(self, op: ast.cmpop, left: Value, right: Value) -> Value:
        if _is_number(left) != _is_number(right) or not (_is_number(left) or isinstance(op, ast.Eq | ast.NotEq)):
            raise UsageError(f"{self.text!r}: compares a word with a number, or words by size; words are == or !=")
        return _COMPARE[type(op)](left, right)


def parse(text: str) -> Expression:
    """Parse an arithmetic text.

    Raises:
        UsageError: It is too long, no expression, or holds something that is not arithmetic.
    """
    if not isinstance(text, str) or not text.strip():
        raise UsageError(f"expression {text!r}: is empty; {WHAT_IS} make one")
    if len(text) > MAX_LENGTH:
        raise UsageError(f"expression {text[:40]!r}…: has {len(text):,} characters; {MAX_LENGTH:,} is the most")
    try:
        with warnings.catch_warnings():  # Python's own remarks on odd code, such as 1(2), are not for users
            warnings.simplefilter("ignore", SyntaxWarning)
            tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        told = getattr(error, "msg", None) or str(error) or type(error).__name__
        raise UsageError(f"expression {text!r}: is not arithmetic: {told}") from None
    names: dict[str, None] = {}
    _check(text, tree, names, 0)
    return Expression(text.strip(), tuple(names), tree)


def _check(text: str, node: ast.expr, names: dict[str, None], depth: int) -> None:
    """Let a node in, or say why not; collect the names of columns."""
    if depth > MAX_DEPTH:
        raise UsageError(f"expression {text[:40]!r}…: is nested deeper than {MAX_DEPTH} levels")

    def inside(*children: ast.expr) -> None:
        for child in children:
            _check(text, child, names, depth + 1)

    match node:
        case ast.Constant(value=bool()):
            _refuse(text, node)
        case ast.Constant(value=int() | float() as number):
            if number > sys.float_info.max:
                raise UsageError(f"expression {text[:40]!r}…: a number is beyond {sys.float_info.max:.1g}")
        case ast.Constant(value=str()):
            return
        case ast.Name() | ast.Attribute():
            dotted = _dotted(node)
            if not dotted:
                _refuse(text, node)
            names[dotted] = None
        case ast.UnaryOp(op=ast.UAdd() | ast.USub() | ast.Not()):
            inside(node.operand)
        case ast.BinOp() if type(node.op) in _BINARY:
            inside(node.left, node.right)
        case ast.BoolOp():
            inside(*node.values)
        case ast.IfExp():
            inside(node.test, node.body, node.orelse)
        case ast.Compare() if all(type(op) in _COMPARE for op in node.ops):
            inside(node.left, *node.comparators)
        case ast.Call(func=ast.Name(id=name), keywords=[]):
            function = _function(text, name)
            inside(*node.args)
            function.check(text, len(node.args))
        case _:
            _refuse(text, node)


def _refuse(text: str, node: ast.expr) -> NoReturn:
    operation: ast.AST = getattr(node, "op", node)
    hint = _HINTS.get(type(operation), f"an expression may have {WHAT_IS}")
    raise UsageError(f"expression {text!r}: {ast.unparse(node)!r} is not arithmetic; {hint}")


def _function(text: str, name: str) -> Function:
    if name not in FUNCTIONS:
        hint = f"{did_you_mean(name, FUNCTIONS)}; known: {', '.join(FUNCTIONS)}"
        raise UsageError(f"expression {text!r}: there is no function {name!r}{hint}")
    return FUNCTIONS[name]


def _dotted(node: ast.expr) -> str:
    """Return a name with its dots, or an empty string for what is none."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (owner := _dotted(node.value)):
        return f"{owner}.{node.attr}"
    return ""


def _is_number(value: Value) -> bool:
    return np.asarray(value).dtype.kind in "biuf"


def _numeric(value: Value) -> Value:
    """Return numbers as float64, so that whole ones neither overflow nor refuse to be divided; the rest as it is."""
    array = np.asarray(value)
    return array.astype(np.float64) if array.dtype.kind in "iuf" else array
