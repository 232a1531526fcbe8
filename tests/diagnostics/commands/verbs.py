"""Verbs of the one command, called as a person calls them."""

from collections.abc import Callable, Sequence
from typing import Any

from diagnostics.__main__ import app, main


def calling(verb: str) -> Callable[[Sequence[str]], int]:
    """``main`` with the verb put before the arguments."""
    return lambda arguments: main([verb, *arguments])


def request_of(verb: str, *arguments: str) -> Any:
    """What a verb is asked for, without doing it."""
    _, bound, _ = app().parse_args([verb, *arguments], print_error=False, exit_on_error=False)
    return bound.kwargs["request"]


def with_changes(usual: Sequence[str], more: Sequence[str]) -> list[str]:
    """The usual arguments and some others, which stand for usual ones of the same name: lists would else be joined."""
    kept: list[str] = []
    dropping = False
    for word in usual:
        if word.startswith("--"):
            dropping = word in more
        if not dropping:
            kept.append(word)
    return [*kept, *more]
