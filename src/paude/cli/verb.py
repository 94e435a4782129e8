"""How the help of a verb looks, whatever version of typer draws it."""

from __future__ import annotations

from typing import Any, ClassVar

from typer.core import TyperCommand

# Of other programs: understood, and not shown.
_SECOND_SPELLINGS = {"--openshift-context": "--context", "--openshift-namespace": "--namespace"}


class Verb(TyperCommand):
    """A verb whose arguments bear the words of the documentation, and whose options stand under their headings."""

    passes_on: ClassVar[str] = ""
    """What may follow `--`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take the words, those in a second spelling too."""
        return super().parse_args(ctx, [_respelled(word) for word in args])

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The words behind the verb's name."""
        arguments = [_in_usage(one) for one in self.get_params(ctx) if one.param_type_name == "argument"]
        return ["[OPTIONS]", *arguments, *([self.passes_on] if self.passes_on else [])]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Arguments, the options without a heading, then each heading where it first comes."""
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        for one in self.get_params(ctx):
            row = one.get_help_record(ctx)
            if row is None:
                continue
            words = row[1].replace("\\[", "[")  # some versions escape for rich, which does not draw this
            if one.param_type_name == "argument":
                sections["Arguments"].append((_word(one), words))
            else:
                heading = getattr(one, "rich_help_panel", None) or "Options"
                sections.setdefault(heading, []).append((row[0], words))
        for heading, rows in sections.items():
            if rows:
                with formatter.section(heading):
                    formatter.write_dl(rows)


def _respelled(word: str) -> str:
    option, *value = word.split("=", 1)
    return "=".join([_SECOND_SPELLINGS.get(option, option), *value])


def _word(argument: Any) -> str:
    return str(argument.metavar or argument.name.upper())


def _in_usage(argument: Any) -> str:
    word = _word(argument)  # one with brackets says by itself what may be left out
    return word if argument.required or "[" in word else f"[{word}]"
