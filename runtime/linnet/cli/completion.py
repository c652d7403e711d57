"""linnet completion: what a shell needs to complete the command line, made from the parsers."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from linnet.cli.arguments import Parsers

DESCRIPTION = """\
bash   eval "$(linnet completion bash)" in ~/.bashrc
zsh    eval "$(linnet completion zsh)" in ~/.zshrc, after compinit
fish   linnet completion fish > ~/.config/fish/completions/linnet.fish"""


class Words(NamedTuple):
    """What may follow the words of a command."""

    command: tuple[str, ...]  # such as ("bench", "matvec")
    words: list[str]  # its modes and options
    choices: dict[str, list[str]]  # the values of an option


def add(parsers: Parsers) -> None:
    parser = parsers.add_parser(
        "completion",
        help="print a script that completes this command line in a shell",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("shell", choices=["bash", "zsh", "fish"])
    commands = parsers.choices
    parser.set_defaults(run=lambda options: print(script(options.shell, commands)))


def script(shell: str, commands: Mapping[str, argparse.ArgumentParser]) -> str:
    """The text for one shell."""
    found = [Words((), list(commands), {})]
    for name, parser in commands.items():
        found += _words((name,), parser)
    if shell == "fish":
        return "\n".join(_fish(found))
    before = ["autoload -U +X bashcompinit && bashcompinit"] if shell == "zsh" else []
    return "\n".join([*before, *_bash(found)])


def _words(command: tuple[str, ...], parser: argparse.ArgumentParser) -> Iterator[Words]:
    words: list[str] = []
    choices: dict[str, list[str]] = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            words += action.choices
            for name, mode in action.choices.items():
                yield from _words((*command, name), mode)
            continue
        words += action.option_strings
        if action.choices:
            known = [str(choice) for choice in action.choices]
            choices |= {option: known for option in action.option_strings}
            words += [] if action.option_strings else known
    yield Words(command, words, choices)


def _bash(found: list[Words]) -> Iterator[str]:
    yield "_linnet() {"
    yield '  local words="" current="${COMP_WORDS[COMP_CWORD]}"'
    yield '  local typed="${COMP_WORDS[*]:1:$((COMP_CWORD - 1))}"'
    yield '  local before="${COMP_WORDS[COMP_CWORD-1]}"'
    yield '  case "$typed " in'
    for one in sorted(found, key=lambda words: -len(words.command)):
        pattern = f'"{" ".join(one.command)} "*' if one.command else '" "'
        yield f'    {pattern}) words="{" ".join(one.words)}"'
        if one.choices:
            yield '      case "$before" in'
            for option, values in one.choices.items():
                yield f'        {option}) words="{" ".join(values)}" ;;'
            yield "      esac"
        yield "      ;;"
    yield "  esac"
    yield '  COMPREPLY=($(compgen -W "$words" -- "$current"))'
    yield "}"
    yield "complete -o default -F _linnet linnet"


def _fish(found: list[Words]) -> Iterator[str]:
    for one in found:
        seen = [f"__fish_seen_subcommand_from {word}" for word in one.command]
        when = "; and ".join(seen) or "__fish_use_subcommand"
        modes = [
            other.command[-1]
            for other in found
            if one.command and other.command[:-1] == one.command
        ]
        if modes:
            when += f"; and not __fish_seen_subcommand_from {' '.join(modes)}"
        for word in one.words:
            values = " ".join(one.choices.get(word, []))
            if word.startswith("--"):
                told = f" -xa '{values}'" if values else ""
                yield f"complete -c linnet -n '{when}' -l {word[2:]}{told}"
            elif word.startswith("-"):
                yield f"complete -c linnet -n '{when}' -s {word[1:]}"
            else:
                yield f"complete -c linnet -n '{when}' -fa {word}"
