"""The argument parser of the Trainer's verbs, which reports each error in one sentence."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from pytorch_lightning.cli import LightningArgumentParser

from zoo.cli.arguments import did_you_mean
from zoo.cli.hints import exact_place_of, own_optimizer, place_of
from zoo.cli.sub_configs import checked_reading
from zoo.cli.value_types import whole_numbers_kept
from zoo.utils.class_paths import import_class, parameters_of, where_it_was_looked_for
from zoo.utils.errors import UsageError

# Lines that jsonargparse prints around the reason when a class's arguments are invalid.
_NOISE = re.compile(
    r"Does not validate against any|Subtypes:|Errors:$|Expected a <class 'NoneType'>|Given value|"
    r"Parser key \"(model|data)\":$|Expected a path but|Not a valid subclass of|Subclass types expect|"
    r"a class path \(str\)$|a dict (with|without) "
)
# The lines about a value that is of none of several plain types and is none of several values.
_ALTERNATIVES = re.compile(
    r"Does not validate against any of the Union subtypes\n *Subtypes: \[(?P<types>.*)\]\n *Errors:\n"
    r"(?P<errors>(?: *- Expected a (?:<class '[\w.]+'>|typing\.Literal\[).*\n)+)"
    r" *Given value type: .*\n *Given value: (?P<value>.*)"
)
# A type that would have been valid, too, without a value that is not.
_TYPE_ALONE = re.compile(r"Expected a <class '[\w.]+'>$")
_TYPES = {"NoneType": ["null"], "bool": ["true", "false"]}

NAME_THE_NETWORK = "Name the network: --config configs/NAME.yaml, or --model and a class such as MLP, no base class."


class ZooArgumentParser(LightningArgumentParser):
    """A `LightningArgumentParser` that reports an error in one sentence, without jsonargparse's usage text."""

    def parse_args(self, *arguments: Any, **options: Any) -> Any:
        """Parse arguments as jsonargparse does, but with `checked_reading`, and 1 stays whole."""
        with checked_reading(), whole_numbers_kept():
            return super().parse_args(*arguments, **options)

    def validate(self, *arguments: Any, **options: Any) -> None:
        """Validate a config as jsonargparse does, but with `checked_reading`."""
        with checked_reading(), whole_numbers_kept():
            super().validate(*arguments, **options)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Report an error.

        Args:
            message: jsonargparse's message, of one line or several.
            ex: The exception that caused the error.

        Raises:
            UsageError: Always, except in an inner parser. Its message is a single line.
        """
        if not self.exit_on_error:
            # An inner parser tries one of the types of a union. Its caller catches the error and tries the next type.
            super().error(message, ex)
        raise find_usage_error(ex) or UsageError(self._explain(message)) from ex

    def _explain(self, message: str) -> str:
        """Return the sentence that tells the user what to change."""
        if "arguments are required" in message and "model" in message:
            return "Say what to run: --config NAME (`zoo list` names all) or FILE.yaml, or --model and a class."
        if "Not a valid subclass of ZooModule" in message and "class_path" not in message.partition("Given value")[2]:
            return NAME_THE_NETWORK
        if "is abstract" in message and 'key "model"' in message:
            return NAME_THE_NETWORK
        if found := re.fullmatch(r"argument --(model|data|trainer): expected one argument", message):
            return f"--{found[1]}, or a flag that begins with --{found[1]}., has no value: write one after it."
        flags = {flag.removeprefix("--") for action in self._actions for flag in action.option_strings}
        if unknown := re.search(r"unrecognized arguments: --([\w.-]+)", message):
            place = place_of(unknown[1], flags)
            hint = f": did you mean --{place}?" if place else "; `zoo COMMAND --help` lists them all."
            return own_optimizer(unknown[1]) or f"Unknown flag --{unknown[1]}{hint}"
        if unknown := re.search(r"Subcommand '\w+' does not accept option '([\w.-]+)'", message):
            if unknown[1].startswith(("trainer.class_path", "trainer.init_args")):
                return "trainer holds the Trainer's settings themselves, max_epochs: 15 for example, and no class_path."
            place = place_of(unknown[1], flags)
            hint = f": did you mean {place}?" if place else ", which has model, data, trainer and seed_everything."
            return own_optimizer(unknown[1]) or f"There is no setting {unknown[1]} in a config{hint}"
        return where_it_was_looked_for(one_sentence(message))


def find_usage_error(error: BaseException | None) -> UsageError | None:
    """Return the first `UsageError` in an exception's chain of causes, or None."""
    while error is not None and not isinstance(error, UsageError):
        error = error.__cause__ or error.__context__
    return error


def one_sentence(message: str) -> str:
    """Reduce an error message of several lines from jsonargparse to the reason, at most 500 characters."""
    lines = [line.strip().removeprefix("- ") for line in _ALTERNATIVES.sub(_joined_types, message).strip().splitlines()]
    lines = [line for line in lines if line and not _NOISE.match(line)]
    class_path = next(
        (found[1] for line in lines if (found := re.match(r"Problem with given class_path '(.+)'", line))), ""
    )
    lines = [line for line in dict.fromkeys(lines) if not line.startswith("Problem with given class_path")]
    classes = dict.fromkeys(re.findall(r"Not a valid subclass of (\w+)", message))
    has_reason = any(_is_reason(line) for line in lines)
    if has_reason or classes:
        lines = [line for line in lines if not _TYPE_ALONE.match(line)]
    if classes and not has_reason:
        value = re.findall(r"(?:Got|Given) value: (.+)", message)[0]
        lines.append(
            f"{value} is no {' or '.join(classes)}: give its class_path and, where it needs them, its init_args"
        )
    text = " ".join(lines)
    text = re.sub(
        r"Expected an instantiatable class, but ([\w.]+) is abstract", r"\1 is a base class: name another.", text
    )
    if class_path:
        needed = rf"{class_path.rpartition('.')[2]} needs values for these arguments:"
        text = text.replace("the following arguments are required:", needed)
    text = re.sub(r"<class '(?:[\w.]+\.)?(\w+)'>", r"\1", text)
    text = re.sub(r'Parser key "([\w.]+)":', r"\1:", text)
    otherwise = "; one of your own is named with its module, as in my_networks.MyNetwork"
    text = re.sub(
        r"Expected a dot import path string: (\S+)",
        lambda found: f"There is no class of the name {found[1]}{did_you_mean(found[1], _class_names(), otherwise)}",
        text,
    ).replace("Got value:", "Got")
    text = re.sub(
        r"(?:Import path|([\w.]+)) does not correspond to a subclass of ZooModule",
        lambda found: f"{found[1] or 'The class'} is no network of the zoo: derive it from zoo.models.Classifier",
        text,
    )
    text = re.sub(r"Expected (?:a )?(?:Sequence|list)\b", 'Expected a list such as "[1, 2]"', text)
    if option := re.search(r"Option '(\w+)' is not accepted", text):
        names = _argument_names(class_path)
        handed_on = "; let its __init__ take **training and hand them on by super().__init__(**training)."
        place = exact_place_of(option[1])
        if place and place.rpartition(".")[2] not in names:  # of another part of the config
            hint = f": did you mean {place}?"
        else:
            hint = handed_on if option[1] in names else did_you_mean(option[1], names, ".")
        text = f"{class_path.rpartition('.')[2]} has no argument {option[1]!r}{hint}"
    return text[:500] or message


def _joined_types(alternatives: re.Match[str]) -> str:
    """Return one line with what a value may be, and the value, in place of a line for each type."""
    names: list[str] = []
    # Of values by name, the errors name the type alone; of lists, only the errors have a name that is short.
    source = alternatives["types" if "Literal" in alternatives["types"] else "errors"]
    for one_type, values in re.findall(r"<class '(?:[\w.]+\.)?(\w+)'>|typing\.Literal\[(.*?)\]", source):
        names += _TYPES.get(one_type, [one_type]) if one_type else values.replace("'", "").split(", ")
    *first, last = dict.fromkeys(names)
    value = "null" if alternatives["value"] == "None" else alternatives["value"]
    return f"Expected {', '.join(first)} or {last}. Got {value}"


def _is_reason(line: str) -> bool:
    """Whether a line states the reason, and not only which other type would have been valid."""
    return not line.startswith("Parser key") and not _TYPE_ALONE.match(line)


def _class_names() -> set[str]:
    """Return the names of classes that a config may use without their modules."""
    import pytorch_lightning.callbacks
    import pytorch_lightning.loggers

    import zoo.data
    import zoo.models

    modules = (zoo.models, zoo.data, pytorch_lightning.callbacks, pytorch_lightning.loggers)
    return {name for module in modules for name in module.__all__ if isinstance(getattr(module, name), type)}


def _argument_names(class_path: str) -> set[str]:
    # Safe to import: the class is named by the config, not by a checkpoint.
    return set(parameters_of(import_class(class_path))) if class_path else set()


def check_no_null_arguments(class_path: str, arguments: Mapping[str, Any]) -> None:
    """Check that no argument is null unless its annotation or its default allows None.

    Args:
        class_path: The class that the config names.
        arguments: The arguments that the config gives it.

    Raises:
        UsageError: An argument is null, but its type does not include None.
    """
    known = parameters_of(import_class(class_path))
    for name in (name for name, value in arguments.items() if value is None and name in known):
        accepted = inspect.formatannotation(known[name].annotation).strip("'")
        annotated = known[name].annotation is not inspect.Parameter.empty
        if annotated and known[name].default is not None and not re.search("None|Optional|Any", accepted):
            raise UsageError(f"{name} is null, but it must be a value of the type {accepted}.")


def find_values(arguments: list[str], *flags: str) -> list[tuple[int, str]]:
    """Find the values of flags among command-line arguments, as ``--flag value`` or ``--flag=value``.

    Args:
        arguments: The command-line arguments.
        *flags: The flags to look for, for example ``"--config", "-c"``.

    Returns:
        Pairs (index of the argument that holds the value, value).
    """
    found: list[tuple[int, str]] = []
    for position, argument in enumerate(arguments):
        if argument in flags and position + 1 < len(arguments):
            found.append((position + 1, arguments[position + 1]))
        elif any(argument.startswith(f"{flag}=") for flag in flags):
            found.append((position, argument.partition("=")[2]))
    return found


def replace_value(arguments: list[str], position: int, value: object) -> None:
    """Replace a flag's value in place.

    Args:
        arguments: The command-line arguments.
        position: The index that `find_values` returned.
        value: The new value.
    """
    flag, equals, _ = arguments[position].partition("=")
    arguments[position] = f"{flag}={value}" if equals and flag.startswith("-") else str(value)
