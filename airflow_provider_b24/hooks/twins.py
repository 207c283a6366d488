"""The asynchronous half of the hook's methods: what takes the same parameters as the synchronous half."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_Async = Callable[P, Coroutine[Any, Any, T]]


def takes_the_same_as(twin: Callable[P, T]) -> Callable[[Callable[..., Coroutine[Any, Any, T]]], _Async[P, T]]:
    """Give a method that passes its parameters on the signature of another one: for people, for mypy, and for Python.

    So a parameter that there is not is an error that names the method which was called, and not what it leads to.

    :param twin: the synchronous method.
    """

    def decorate(method: Callable[..., Coroutine[Any, Any, T]]) -> _Async[P, T]:
        signature = inspect.signature(twin)

        @wraps(method)
        async def checked(*args: P.args, **kwargs: P.kwargs) -> T:
            _check(method, signature, args, kwargs)
            return await method(*args, **kwargs)

        # What inspect, help() and editors look at.
        checked.__signature__ = signature  # type: ignore[attr-defined]
        return checked

    return decorate


def yields_for(twin: Callable[P, Any]) -> Callable[[Callable[..., T]], Callable[P, T]]:
    """The same for a method that returns what can be gone through, asynchronously or not."""

    def decorate(method: Callable[..., T]) -> Callable[P, T]:
        signature = inspect.signature(twin)

        @wraps(method)
        def checked(*args: P.args, **kwargs: P.kwargs) -> T:
            _check(method, signature, args, kwargs)
            return method(*args, **kwargs)

        checked.__signature__ = signature  # type: ignore[attr-defined]
        return checked

    return decorate


def _check(method: Callable[..., Any], signature: inspect.Signature, args: Any, kwargs: Any) -> None:
    problem: TypeError | None = None
    try:
        signature.bind(*args, **kwargs)
    except TypeError as caught:
        problem = caught
    if problem is not None:
        raise TypeError(f"{method.__name__}() {problem}")
