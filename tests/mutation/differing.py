"""Which mutants would have made a difference in which test, learned from one run with the sound core.

The core is pure. Where a mutant may stand, its expression is evaluated as well, on the side; only a test in which it
once had another value than the sound one can notice it. So a mutant is tried by few tests, and one that never differed
by none. Where a value cannot be told without doing more than that (a loop, a condition turned round), to get there
counts as a difference.
"""

import ast
import builtins
import copy
import operator
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import Any

from tests.mutation.damage import TEXTLESS, Mutant
from tests.mutation.patching import code_of, function_of

NAME = "_differing_{}"
OPERATORS: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.In: lambda left, right: left in right,
    ast.NotIn: lambda left, right: left not in right,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Div: operator.truediv,
    ast.BitOr: operator.or_,
    ast.BitAnd: operator.and_,
}
Other = tuple[int, Callable[..., Any]]
"""A mutant's number, and what it makes of the sound expression's parts."""
RAISED = object()


@dataclass
class Watch:
    """What is heard while one test runs."""

    hit: set[int]
    muted: bool = False
    """What is evaluated on the side tells nothing."""


WATCH = Watch(set())


class Watching:
    """Lets the functions of some mutants tell, between `begin` and `end`, which of them differ. Numbers are places in
    the list of mutants."""

    def __init__(self, mutants: Sequence[Mutant]) -> None:
        self._sound: list[tuple[FunctionType, CodeType]] = []
        by_function: dict[tuple[str, str], dict[int, Mutant]] = defaultdict(dict)
        for number, mutant in enumerate(mutants):
            by_function[mutant.module, mutant.function][number] = mutant
        self._watched = [(*key, found) for key, found in by_function.items()]

    def begin(self) -> None:
        """Put the telling code in."""
        for name, does in (("reached", _reached), ("parts", _parts), ("filtered", _filtered), ("joined", _joined)):
            setattr(builtins, NAME.format(name), does)
        for name, does in (("either", _either), ("instead", _instead)):
            setattr(builtins, NAME.format(name), does)
        for module, path, found in self._watched:
            function = function_of(module, path)
            tree = _Lifted(found).module(next(iter(found.values())), path)
            code = code_of(compile(tree, function.__code__.co_filename, "exec"), path)
            assert code.co_freevars == function.__code__.co_freevars, path
            self._sound.append((function, function.__code__))
            function.__code__ = code

    def end(self) -> None:
        """Put the sound code back."""
        for function, code in self._sound:
            function.__code__ = code

    @staticmethod
    def taken() -> set[int]:
        """Return the mutants that differed since this was last asked."""
        found, WATCH.hit = WATCH.hit, set()
        return found


# ---- what is called by the watched code


def _reached(key: Sequence[int], value: Any = None) -> Any:
    if not WATCH.muted:
        WATCH.hit.update(key)
    return value


def _filtered(key: Sequence[int], value: Any) -> Any:
    if not value and not WATCH.muted:
        WATCH.hit.update(key)
    return value


def _parts(sound: Callable[[Any, Any], Any], others: Sequence[Other], left: Any, right: Any) -> Any:
    value = sound(left, right)
    if not WATCH.muted:
        for number, other in others:
            if number not in WATCH.hit and _differs(value, other, left, right):
                WATCH.hit.add(number)
    return value


def _joined(site: tuple[bool, bool, Sequence[tuple[int, bool, Sequence[int]]]], *parts: Callable[[], Any]) -> Any:
    """`and` and `or`. What stands behind the part that decided is evaluated on the side."""
    is_and, is_truth, others = site
    values: list[Any] = []
    for part in parts:
        values.append(part())
        if bool(values[-1]) is not is_and:
            break
    value = values[-1]
    if not WATCH.muted and any(number not in WATCH.hit for number, *_ in others):
        values += [_aside(part) for part in parts[len(values) :]]
        for number, joins_and, kept in others:
            found = _joins(joins_and, [values[at] for at in kept])
            if found is RAISED or (bool(found) is not bool(value) if is_truth else not _same(value, found)):
                WATCH.hit.add(number)
    return value


def _joins(is_and: bool, values: Iterable[Any]) -> Any:
    value = None
    for value in values:
        if value is RAISED or bool(value) is not is_and:
            return value
    return value


def _either(key: tuple[int | None, int | None], test: Any, body: Callable[[], Any], orelse: Callable[[], Any]) -> Any:
    """`body if test else orelse`; the mutants are one of them alone."""
    taken, left = (body, orelse) if test else (orelse, body)
    value, number = taken(), key[1 if test else 0]
    if not WATCH.muted and number is not None and number not in WATCH.hit and not _same(value, _aside(left)):
        WATCH.hit.add(number)
    return value


def _instead(key: Sequence[int], sound: Callable[[], Any], *others: Callable[[], Any]) -> Any:
    value = sound()
    if not WATCH.muted:
        for number, other in zip(key, others, strict=True):
            if number not in WATCH.hit and not _same(value, _aside(other)):
                WATCH.hit.add(number)
    return value


def _aside(part: Callable[[], Any]) -> Any:
    WATCH.muted = True
    try:
        return part()
    except Exception:  # noqa: BLE001
        return RAISED
    finally:
        WATCH.muted = False


def _differs(value: Any, other: Callable[..., Any], *parts: Any) -> bool:
    try:
        return not _same(value, other(*parts))
    except Exception:  # noqa: BLE001
        return True


def _same(one: Any, other: Any) -> bool:
    return one is other or (type(one) is type(other) and bool(one == other))


# ---- how the code is made to tell


class _Lifted:
    """One function's text with its places wrapped."""

    def __init__(self, mutants: dict[int, Mutant]) -> None:
        self._places: dict[ast.AST, list[tuple[int, ast.AST]]] = defaultdict(list)
        for number, mutant in mutants.items():
            self._places[mutant.place].append((number, mutant.instead))
        self._left = set(mutants)

    def module(self, any_of_them: Mutant, path: str) -> ast.Module:
        """Return a module in which that function tells."""
        sound = any_of_them.sound
        *owner, name = path.split(".")
        body = sound.body
        for one in owner:
            body = next(node for node in body if isinstance(node, ast.ClassDef) and node.name == one).body
        function = next(node for node in body if isinstance(node, ast.FunctionDef) and node.name == name)
        fresh = copy.copy(function)
        fresh.decorator_list, fresh.body = [], [self.lift(node) for node in function.body]  # type: ignore[misc]
        if self._left:
            told = ast.Expr(_call("reached", sorted(self._left)))
            fresh.body = [told, *fresh.body]
        return ast.fix_missing_locations(ast.Module([_within(fresh, owner)], []))

    def lift(self, node: ast.AST, *, is_truth: bool = False) -> Any:
        """Return the node with every place in it wrapped."""
        if isinstance(node, (*TEXTLESS, ast.Assert, ast.Raise, ast.pattern)):
            return node
        found, fresh = self._places.get(node, []), self._children(node, is_truth=is_truth)
        if found:
            wrapped = self._wrapped(node, fresh, found, is_truth=is_truth)
            self._left -= {number for number, _ in found}
            return ast.copy_location(wrapped, node) if hasattr(node, "lineno") else wrapped
        return fresh

    def _children(self, node: ast.AST, *, is_truth: bool) -> ast.AST:
        fresh = copy.copy(node)
        for name, value in ast.iter_fields(node):
            if name in {"annotation", "returns", "ctx"}:
                continue
            truth = name in {"test", "ifs"} or (isinstance(node, ast.BoolOp) and is_truth)
            truth = truth or (isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not))
            if isinstance(value, list):
                setattr(fresh, name, [self.lift(one, is_truth=truth) if _is_node(one) else one for one in value])
            elif _is_node(value):
                setattr(fresh, name, self.lift(value, is_truth=truth))
        return fresh

    def _wrapped(self, node: ast.AST, fresh: Any, found: list[tuple[int, ast.AST]], *, is_truth: bool) -> ast.AST:
        numbers = tuple(number for number, _ in found)
        binds = any(isinstance(one, ast.NamedExpr | ast.Yield | ast.Await) for one in ast.walk(node))
        match node:
            case ast.comprehension():
                return ast.comprehension(
                    fresh.target, fresh.iter, [_call("filtered", numbers, fresh.ifs[0]), *fresh.ifs[1:]], fresh.is_async
                )
            case ast.If() | ast.While():
                fresh.test = _call("reached", numbers, fresh.test)
                return fresh
            case ast.Compare(ops=[op], comparators=[right]):
                parts, others = self._constants(node.left, right, fresh.left, fresh.comparators[0], type(op))
                others += [(number, OPERATORS[type(one.ops[0])]) for number, one in found]  # type: ignore[attr-defined]
                return _call("parts", OPERATORS[type(op)], others, *parts)
            case ast.BinOp(op=op):
                parts, others = self._constants(node.left, node.right, fresh.left, fresh.right, type(op))
                others += [(number, OPERATORS[type(one.op)]) for number, one in found]  # type: ignore[attr-defined]
                return _call("parts", OPERATORS[type(op)], others, *parts)
            case ast.BoolOp() if not binds:
                return _call("joined", _joining(node, found, is_truth=is_truth), *map(_later, fresh.values))
            case ast.IfExp() if not binds:
                by = {ast.unparse(one): number for number, one in found}
                key = (by.get(ast.unparse(node.body)), by.get(ast.unparse(node.orelse)))
                return _call("either", key, fresh.test, _later(fresh.body), _later(fresh.orelse))
            case ast.Call() if not binds:
                others = found + self._arguments(node, fresh)
                keys = tuple(number for number, _ in others)
                return _call("instead", keys, _later(fresh), *(_later(one) for _, one in others))
        return _call("reached", numbers, fresh)

    def _constants(
        self, left: ast.AST, right: ast.AST, fresh_left: Any, fresh_right: Any, op: type[ast.AST]
    ) -> tuple[list[Any], list[Other]]:
        """A constant that is compared or computed with differs where the outcome does."""
        sound, others = OPERATORS[op], []
        parts = [fresh_left, fresh_right]
        for at, node in enumerate((left, right)):
            for number, instead in self._places.get(node, []):
                if isinstance(node, ast.Constant) and isinstance(instead, ast.Constant):
                    others.append((number, _with_constant(sound, at, instead.value)))
                    parts[at] = node
        return parts, others

    def _arguments(self, node: ast.Call, fresh: Any) -> list[tuple[int, ast.AST]]:
        """A constant among what the least or greatest is taken of."""
        found: list[tuple[int, ast.AST]] = []
        for at, argument in enumerate(node.args):
            for number, instead in self._places.get(argument, []) if isinstance(argument, ast.Constant) else ():
                given: list[Any] = [*node.args[:at], instead, *node.args[at + 1 :]]
                found.append((number, ast.Call(node.func, given, node.keywords)))
                fresh.args[at] = argument
        return found


def _with_constant(sound: Callable[[Any, Any], Any], at: int, value: Any) -> Callable[[Any, Any], Any]:
    return (lambda _, right: sound(value, right)) if at == 0 else (lambda left, _: sound(left, value))


def _joining(node: ast.BoolOp, found: list[tuple[int, ast.AST]], *, is_truth: bool) -> tuple[bool, bool, Any]:
    is_and = isinstance(node.op, ast.And)
    return is_and, is_truth, [(number, *_kept(node, one, is_and=is_and)) for number, one in found]


def _kept(node: ast.BoolOp, one: ast.AST, *, is_and: bool) -> tuple[bool, tuple[int, ...]]:
    """Return how a mutant joins, and which of the sound parts."""
    every = enumerate(node.values)
    if isinstance(one, ast.BoolOp) and all(one is not value for value in node.values):
        flipped = len(one.values) == len(node.values)
        return is_and is not flipped, tuple(at for at, value in every if any(value is left for left in one.values))
    return is_and, tuple(at for at, value in every if value is one)


def _within(function: ast.FunctionDef, owner: Sequence[str]) -> ast.stmt:
    found: ast.stmt = function
    for name in reversed(owner):
        found = ast.ClassDef(name, [], [], [found], [])
    return found


def _is_node(value: object) -> bool:
    return isinstance(value, ast.AST)


def _later(node: Any) -> ast.Lambda:
    nothing = ast.arguments([], [], None, [], [], None, [])
    return ast.Lambda(nothing, node)


_KEYS: list[Any] = []
setattr(builtins, NAME.format("keys"), _KEYS)


def _call(name: str, *arguments: Any) -> ast.Call:
    """A call with what is no text of the program in a list beside it."""
    return ast.Call(ast.Name(NAME.format(name), ast.Load()), [_argument(one) for one in arguments], [])


def _argument(one: Any) -> ast.expr:
    if isinstance(one, ast.expr):
        return one
    _KEYS.append(one)
    return ast.Subscript(ast.Name(NAME.format("keys"), ast.Load()), ast.Constant(len(_KEYS) - 1), ast.Load())
