"""Puts the code of a damaged function into the running process, in the place of the sound one."""

import functools
import importlib
from types import CodeType, FunctionType
from typing import Any

from tests.mutation.damage import Mutant


def patch(mutant: Mutant) -> None:
    """Make the mutant's function the one that everybody calls who imported it. For a process that ends afterwards.

    Raises:
        LookupError: the function cannot be found, or not be exchanged: it is a closure of another shape.
    """
    found = function_of(mutant.module, mutant.function)
    code = code_of(compile(mutant.tree(), found.__code__.co_filename, "exec"), mutant.function)
    if code.co_freevars != found.__code__.co_freevars:
        raise LookupError(f"{mutant.name}: its variables changed")
    found.__code__ = code


def function_of(module: str, path: str) -> FunctionType:
    """Return a function or method, without what is wrapped around it. Raises LookupError."""
    owner: Any = importlib.import_module(module)
    *classes, name = path.split(".")
    for one in classes:
        owner = getattr(owner, one)
    found = vars(owner).get(name)
    if isinstance(found, property):
        found = found.fget
    if isinstance(found, functools.cached_property):
        found = found.func
    if isinstance(found, classmethod | staticmethod):
        found = found.__func__
    while hasattr(found, "__wrapped__"):
        found = found.__wrapped__
    if not isinstance(found, FunctionType):
        raise LookupError(f"{module}.{path} is no function that can be exchanged")  # noqa: TRY004
    return found


def code_of(code: CodeType, path: str) -> CodeType:
    """Return the code of a function by that of its module."""
    for name in path.split("."):
        code = next(one for one in code.co_consts if isinstance(one, CodeType) and one.co_name == name)
    return code
