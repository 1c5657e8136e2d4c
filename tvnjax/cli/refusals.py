"""Options that are refused: one line, from what the parser met and not from what it would print."""

import difflib
import importlib
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from tvnjax.core.errors import InvalidInputError, did_you_mean
from tvnjax.core.printable import NAME, on_one_line, printable


class RefusedOptionError(InvalidInputError):
    """An option that there is not, or whose value is of the wrong kind.

    Attributes:
        option: as it is typed, such as ``--search.steps``; ``None`` where several are missing, or a rule about several
            is broken.
        reason: what follows the option's name in the message, without what to ask for help.
    """

    def __init__(self, message: str, *, option: str | None = None, reason: str = ""):
        super().__init__(message)
        self.option, self.reason = option, reason or message


def refusing(
    prog: str, known: Callable[[], Iterable[str]], told: Sequence[str], helping: str
) -> AbstractContextManager[Any]:
    """While it is entered, options that tyro refuses raise ``RefusedOptionError``.

    tyro hands over what it met in a module that it does not promise to keep; where that is gone, or names something
    that is not known here, tyro prints its own message and exits with status 2.

    Args:
        prog: the command, for messages.
        known: gives the options there are, as they are typed; called for one that there is not.
        told: reasons that our own rules gave for the value they met last.
        helping: what lists the options.
    """
    try:
        events = importlib.import_module("tyro._errors")
        entered = events.on_parse_error
    except (ImportError, AttributeError):
        return nullcontext()

    def refuse(event: Any) -> None:
        kind = type(event).__name__
        try:
            read = _READERS.get(kind)
            message, option, reason = (None, None, "") if read is None else read(event, prog, known, told)
        except (AttributeError, TypeError):
            return
        if message is not None:
            if kind != "InstantiationFailure" or option is not None:
                message = f"{message}; '{helping}' lists the options"
            raise RefusedOptionError(message, option=option, reason=reason)

    return entered(refuse)


Refusal = tuple[str | None, str | None, str]
"""The whole message, the option, and the reason alone."""


def _unknown(event: Any, prog: str, known: Callable[[], Iterable[str]], told: Sequence[str]) -> Refusal:
    names = [token for token in event.tokens if token.startswith("-")]
    if not names:
        return f"unexpected argument {printable(event.tokens[0], NAME)!r}", None, ""
    name = names[0].partition("=")[0]
    near = nearest_option(name, known())
    return f"there is no option {printable(name, NAME)}{near}", name, f" is no option{near}"


def nearest_option(name: str, known: Iterable[str]) -> str:
    """`` (did you mean --search.steps?)``: the option that is nearly the same, those that end in the same word, or what
    is nearest by the whole name or by the last word; an empty text where none is near."""
    name, known = name[:NAME], list(known)
    last = _last(name)
    whole, word = _nearest(name, known), _nearest(last, map(_last, known))
    alike = 0.0 if whole is None else _alike(name, whole)
    if whole and (alike >= 0.8 or word is None or alike > _alike(last, word)):
        found = [whole]
    else:
        found = [option for option in known if _last(option) == word][:4]
    return f" (did you mean {' or '.join(found)}?)" if found else ""


def _nearest(word: str, known: Iterable[str]) -> str | None:
    return next(iter(difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)), None)


def _alike(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, other, one).ratio()


def _last(option: str) -> str:
    return option.rpartition(".")[2].lstrip("-").replace("_", "-")


def _choice(event: Any, prog: str, known: Callable[[], Iterable[str]], told: Sequence[str]) -> Refusal:
    name, value = _name(event.argument), printable(event.value, NAME)
    reason = f" is one of {', '.join(event.choices)}; got {value!r}{did_you_mean(event.value, event.choices)}"
    return f"{name}{reason}", name, reason


def _value(event: Any, prog: str, known: Callable[[], Iterable[str]], told: Sequence[str]) -> Refusal:
    name = _name(event.argument)
    if event.reason != "too_few_values":
        return None, None, ""
    does = _does(event.argument)
    reason = " needs a value" + (f": {does}" if does else "")
    return f"{name}{reason}", name, reason


def _made(event: Any, prog: str, known: Callable[[], Iterable[str]], told: Sequence[str]) -> Refusal:
    if event.argument is None:
        return on_one_line(event.message), None, ""
    name = _name(event.argument)
    reason = f": {told[-1] if told else on_one_line(event.message)}"
    return f"{name}{reason}", name, reason


def _missing(event: Any, prog: str, known: Callable[[], Iterable[str]], told: Sequence[str]) -> Refusal:
    needed = []
    for found in event.missing_arguments:
        argument, does = found.arg, _does(found.arg)
        if argument.is_positional():
            needed.append(does or str(argument.lowered.metavar))
        else:
            needed.append(f"{_name(argument)} {argument.lowered.metavar}" + (f" ({does})" if does else ""))
    return f"{prog} needs {'; and '.join(needed)}", None, ""


def _name(argument: Any) -> str:
    """As it is typed; of an argument without a name, what stands for it in the help."""
    return str(argument.lowered.metavar) if argument.is_positional() else argument.lowered.name_or_flags[-1]


def _does(argument: Any) -> str:
    """An argument's help as part of a sentence."""
    text = argument.field.helptext
    text = on_one_line((text() if callable(text) else text) or "")
    text = text if text.endswith("...") else text.removesuffix(".")
    return re.sub(r"^[A-Z](?=[a-z ])", lambda first: first[0].lower(), text)


_READERS: dict[str, Callable[..., Refusal]] = {
    "UnrecognizedArgs": _unknown,
    "InvalidChoice": _choice,
    "BadValue": _value,
    "InstantiationFailure": _made,
    "MissingArgs": _missing,
}
"""By the name of what tyro met; the others are of subcommands and groups, which no command here has."""
