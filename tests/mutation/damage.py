"""Small faults for the decision core: each changes one place of one function, as a slip of the pen would. Pure.

Only what stands within functions is changed: the code of a function can be put into a process in which everything is
imported already, so that a mutant costs a fork and its tests, and nothing else.
"""

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

Changed = Callable[[ast.AST], Iterator[ast.AST]]
COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
REVERSED: dict[type[ast.cmpop], type[ast.cmpop]] = {ast.Lt: ast.GtE, ast.LtE: ast.Gt, ast.Gt: ast.LtE, ast.GtE: ast.Lt}
COMPUTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}
NAMED = {"min": "max", "max": "min", "any": "all", "all": "any"}
TEXTLESS = (ast.JoinedStr, ast.FormattedValue)
"""What is said to people is no decision: nothing inside a text is changed."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One fault: in `function` of `module`, in line `line`, `old` becomes `new`."""

    module: str
    function: str
    line: int
    old: str
    new: str
    sound: ast.Module
    place: ast.AST
    instead: ast.AST

    def tree(self) -> ast.Module:
        """Return the whole damaged module."""
        fresh = _Exchange(self.place, self.instead).visit(self.sound)
        assert isinstance(fresh, ast.Module)
        return ast.fix_missing_locations(fresh)

    @property
    def name(self) -> str:
        """What it is called in lists: without the line, which changes with every edit above it."""
        return f"{self.module}.{self.function}: {self.old} -> {self.new}"


def mutants(module: str, source: str) -> list[Mutant]:
    """Return every fault of a module, in the order of the text."""
    tree = ast.parse(source)
    return [mutant for path, function in _functions(tree) for mutant in _of(module, tree, path, function)]


def _functions(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef]]:
    """Functions and methods by their qualified names; one within another belongs to the outer one."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield node.name, node
        elif isinstance(node, ast.ClassDef):
            yield from ((f"{node.name}.{one.name}", one) for one in node.body if isinstance(one, ast.FunctionDef))


def _of(module: str, tree: ast.Module, path: str, function: ast.FunctionDef) -> Iterator[Mutant]:
    for place in _places(function):
        for fresh in _changes(place):
            old, new = ast.unparse(place), ast.unparse(fresh)
            if old != new:
                line = getattr(place, "lineno", function.lineno)
                yield Mutant(module, path, line, _short(old), _short(new), tree, place, fresh)


def _places(function: ast.FunctionDef) -> Iterator[ast.AST]:
    """Every node of the body that may be changed. What guards against bugs that are not there stays: asserts, and that
    what goes in pairs is equally long."""
    waiting: list[ast.AST] = [
        node
        for node in reversed(function.body)
        if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
    ]
    while waiting:
        node = waiting.pop()
        if isinstance(node, (*TEXTLESS, ast.Assert, ast.Raise)) or _is_docstring(node) or _is_strict(node):
            continue
        yield node
        children = [child for name, child in _fields(node) if name not in {"annotation", "returns"}]
        waiting += reversed(children)


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_strict(node: ast.AST) -> bool:
    return isinstance(node, ast.keyword) and node.arg == "strict"


def _fields(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    for name, value in ast.iter_fields(node):
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, ast.AST):
                yield name, one


def _changes(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what may stand instead of a node."""
    match node:
        case ast.Compare(ops=[op]):
            for table in (COMPARED, REVERSED):
                if type(op) in table:
                    yield ast.Compare(node.left, [table[type(op)]()], node.comparators)
        case ast.BoolOp(op=op, values=values):
            yield ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values)
            yield from (_without(node, at) for at in range(len(values)))
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield operand
        case ast.BinOp(op=op) if type(op) in COMPUTED:
            yield ast.BinOp(node.left, COMPUTED[type(op)](), node.right)
        case ast.IfExp():
            yield node.body
            yield node.orelse
        case ast.If() | ast.While() if not isinstance(node.test, ast.Compare | ast.BoolOp | ast.UnaryOp):
            fresh = copy.copy(node)
            fresh.test = ast.UnaryOp(ast.Not(), node.test)
            yield fresh
        case ast.Constant(value=bool()):
            yield ast.Constant(not node.value)
        case ast.Constant(value=int() | float()):
            yield ast.Constant(node.value + 1)
        case ast.Call(func=ast.Name(id=name)) if name in NAMED:
            yield ast.Call(ast.Name(NAMED[name], ast.Load()), node.args, node.keywords)
        case ast.comprehension(ifs=ifs) if ifs:
            yield ast.comprehension(node.target, node.iter, ifs[1:], node.is_async)


def _without(node: ast.BoolOp, at: int) -> ast.AST:
    left = [value for number, value in enumerate(node.values) if number != at]
    return left[0] if len(left) == 1 else ast.BoolOp(node.op, left)


class _Exchange(ast.NodeTransformer):
    """Puts one node in the place of another."""

    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self._old, self._new = old, new

    def visit(self, node: ast.AST) -> ast.AST:
        if node is self._old:
            return ast.copy_location(self._new, node) if hasattr(node, "lineno") else self._new
        fresh = copy.copy(node)
        return self.generic_visit(fresh)

    def generic_visit(self, node: ast.AST) -> ast.AST:
        for name, value in ast.iter_fields(node):
            if isinstance(value, list):
                setattr(node, name, [self.visit(one) if isinstance(one, ast.AST) else one for one in value])
            elif isinstance(value, ast.AST):
                setattr(node, name, self.visit(value))
        return node


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 110 else f"{line[:107]}..."
