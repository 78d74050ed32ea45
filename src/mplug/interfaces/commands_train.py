"""`mplug train` and `mplug recipes`: what to train, and training it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from mplug.errors import ConfigError
from mplug.interfaces.json_output import only_json

Device = Literal["cpu", "cuda", "mps"]
Words = Annotated[
    list[str] | None,
    typer.Argument(metavar="PATH=VALUE", help="Fields to change, such as optim.lr=1e-4."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

recipes = typer.Typer(
    help="List, show or copy the recipes.",
    invoke_without_command=True,
    add_completion=False,
    rich_markup_mode=None,
)


def train(
    recipe: Annotated[str, typer.Argument(help="A recipe's name, or a YAML or JSON file.")],
    words: Words = None,
    *,
    run: Annotated[Path | None, typer.Option(help="The run's folder; otherwise runs/NAME.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start over, not continue.")] = False,
    device: Annotated[Device | None, typer.Option(help="Otherwise the best there is.")] = None,
    processes: Annotated[int, typer.Option(min=1, help="Processes on this machine.")] = 1,
    overfit: Annotated[
        bool, typer.Option("--overfit", help="Learn one batch by heart, to test the set-up.")
    ] = False,
    diff_from_paper: Annotated[
        bool,
        typer.Option(
            "--diff-from-paper",
            help="Train nothing; list what differs from the paper's run. RECIPE may be a run.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Train RECIPE into a run's folder; the same command again continues an interrupted run."""
    if diff_from_paper:
        print_differences(recipe, words or (), as_json=as_json)
        return
    from mplug.config.load import load_run
    from mplug.config.ready import require_ready

    config = load_run(recipe, words or ())
    require_ready(config, processes=processes)
    run_dir = run or Path("runs") / (f"{config.name}-overfit" if overfit else config.name)

    from mplug.interfaces.training import run_training

    with only_json(as_json):
        run_training(
            config,
            run_dir=run_dir,
            device=device,
            processes=processes,
            fresh=fresh,
            overfit=overfit,
        )
    if as_json:
        print(json.dumps({"run": str(run_dir), "model": str(run_dir / "model")}))


def print_differences(source: str, words: Sequence[str], *, as_json: bool) -> None:
    """Print what differs between a run and the paper's run of that task and size."""
    from mplug.interfaces import recipe_text

    config = recipe_text.load_run_or_recipe(source, words)
    if as_json:
        found = recipe_text.differences_from_paper(config)
        print(json.dumps({"run": config.name, "paper": found}))
        return
    for line in recipe_text.difference_lines(config):
        print(line)


@recipes.callback()
def _recipes(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        list_recipes()


@recipes.command("list")
def list_recipes(as_json: Json = False) -> None:
    """List the recipes, a line each."""
    from mplug.config.recipes import ALL, summary

    if as_json:
        from mplug.config.paper import aims

        rows = [
            {"name": name, "summary": summary(name), "aims": [aim._asdict() for aim in aims(name)]}
            for name in ALL
        ]
        print(json.dumps(rows))
        return
    width = max(map(len, ALL))
    for name in ALL:
        print(f"{name:{width}}  {summary(name)}")


@recipes.command("show")
def show_recipe(
    name: Annotated[str, typer.Argument(help="A recipe's name, or a YAML or JSON file.")],
    words: Words = None,
    as_json: Json = False,
) -> None:
    """Print every field of a recipe, and the published figures that it aims at.

    With words, as `mplug train` would use it with the same words.
    """
    from mplug.config.load import dump_json, dump_yaml, load_run
    from mplug.config.recipes import ALL

    config = load_run(name, words or ())
    if name in ALL and not as_json:
        from mplug.interfaces.recipe_text import heading

        for line in heading(name):
            print(f"# {line}".rstrip())
    print(dump_json(config) if as_json else dump_yaml(config), end="")


@recipes.command("copy")
def copy_recipe(
    name: Annotated[str, typer.Argument(help="A recipe's name, or a YAML or JSON file.")],
    file: Annotated[Path, typer.Argument(help="The .yaml or .json file to write.")],
    as_json: Json = False,
) -> None:
    """Write a recipe to a file of your own.

    Change it, and `mplug train FILE` runs it.
    """
    from mplug.config.load import FILE_SUFFIXES, dump_json, dump_yaml, load_run

    config = load_run(name)
    if file.suffix not in FILE_SUFFIXES:
        raise ConfigError(f"{file} must end in one of {', '.join(FILE_SUFFIXES)}")
    if file.exists():
        raise ConfigError(f"{file} exists already; name another file or remove it first")
    file.parent.mkdir(parents=True, exist_ok=True)
    text = dump_json(config) if file.suffix == ".json" else dump_yaml(config)
    file.write_text(text, encoding="utf-8")
    print(json.dumps({"file": str(file)}) if as_json else f"{file}: now `mplug train {file}`")
