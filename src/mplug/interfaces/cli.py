"""The command `mplug`: the tree of commands, each one's code imported only when it runs."""

import io
import json
import os
import sys
import warnings
from importlib import import_module
from typing import Annotated, Any, NamedTuple, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

import mplug
from mplug.errors import MPlugError


class Entry(NamedTuple):
    """Where a command lives (`module:function` or `module:group`), and its line in the help."""

    target: str
    summary: str


COMMANDS = {
    "demo": Entry("demo.command:demo", "Learn from scratch on real pictures in minutes; show it."),
    "train": Entry("commands_train:train", "Train a recipe; the same command again continues it."),
    "evaluate": Entry("commands_evaluate:evaluate", "Measure a run or a model."),
    "bench": Entry("commands_bench:bench", "Measure how fast parts are on this machine."),
    "experiment": Entry("commands_experiment:experiment", "Repeat a comparison, cell by cell."),
    "recipes": Entry("commands_train:recipes", "List, show or copy the recipes."),
    "data": Entry("commands_data:data", "Check your records, or make some to try."),
    "weights": Entry("commands_weights:weights", "Bring in the weights of other projects."),
    "metrics": Entry("commands_metrics:metrics", "Score captions or answers in official files."),
    "regions": Entry("commands_regions:regions", "Describe pictures region by region."),
    "caption": Entry("commands_use:caption", "Describe pictures and clips."),
    "answer": Entry("commands_ask:answer", "Answer a question about a picture or a clip."),
    "ground": Entry("commands_ask:ground", "Find what a phrase names in a picture; draw the box."),
    "compare": Entry("commands_ask:compare", "Judge a statement about two pictures."),
    "entail": Entry("commands_ask:entail", "Judge whether a picture entails a hypothesis."),
    "search": Entry("commands_use:search", "Find a folder's pictures that fit a text."),
    "rank": Entry("commands_use:rank", "Order texts by how well they fit a picture."),
    "classify": Entry("commands_classify:classify", "Name what a picture shows, of given labels."),
    "probe": Entry("commands_classify:probe", "Read labels off a frozen model's vectors."),
    "doctor": Entry("doctor:doctor", "Say what this machine has, and what is missing."),
}


class LazyGroup(TyperGroup):
    """Lists every command from `COMMANDS`; imports one when it is called."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = {
            name: TyperCommand(name, help=entry.summary) for name, entry in COMMANDS.items()
        }

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The command that `args` call, imported now."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, _import_command(name) if name in COMMANDS else command, rest


def _import_command(name: str) -> Any:
    module, _, attribute = COMMANDS[name].target.partition(":")
    found = getattr(import_module(f"mplug.interfaces.{module}"), attribute)
    if not isinstance(found, typer.Typer):
        alone = typer.Typer(add_completion=False, rich_markup_mode=None)
        alone.command(name, help=found.__doc__ or COMMANDS[name].summary)(found)
        found = alone
    return typer.main.get_command(found)


app = typer.Typer(
    cls=LazyGroup,
    invoke_without_command=True,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: quick, and its brackets are shown
)


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """mPLUG: pretrain, fine-tune and use a vision-language model.

    Every command takes --json and --help. Try `mplug demo` first, then `mplug recipes`.
    """
    if version:
        print(mplug.__version__)
        raise typer.Exit


def main() -> None:
    """Run a command; a failure that a user can act on is one red message and its exit code."""
    warnings.showwarning = _show_warning
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A file name may hold bytes that are no text.
            stream.reconfigure(errors="backslashreplace")
    try:
        app(prog_name="mplug")
    except MPlugError as error:
        _report(error)
        _leave(error.exit_code)
    except SystemExit as end:  # how typer ends every command
        _leave(end.code)


def _leave(code: str | int | None) -> NoReturn:
    """End this process; one of several skips the interpreter's own tidying up.

    A thread of the process group that wakes during it ends a finished run with an abort.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not isinstance(code, str):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code or 0)
    sys.exit(code)


def _report(error: MPlugError) -> None:
    if "--json" in sys.argv[1:]:
        kind = type(error).__name__
        fields = {"kind": kind, "message": str(error), "exit_code": error.exit_code}
        print(json.dumps({"error": fields}))
    else:
        typer.secho(f"error: {error}", fg="red", err=True)


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """A warning is a sentence to the user; the line of code that found it is not."""
    typer.secho(f"warning: {message}", fg="yellow", err=True)
