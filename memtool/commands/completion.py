"""``memtool completion``: the script that lets a shell complete what is typed."""

from __future__ import annotations

import click


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the script that completes memtool's commands, options, allocators, parameters, workloads and metrics.

    \b
    bash:  eval "$(memtool completion bash)"  in ~/.bashrc
    zsh:   memtool completion zsh > ~/.zfunc/_memtool
           fpath+=~/.zfunc  in ~/.zshrc, before compinit
    fish:  memtool completion fish > ~/.config/fish/completions/memtool.fish
    """  # noqa: D301  # Click's sign for lines that stay as they are
    from click.shell_completion import get_completion_class

    from memtool.commands import completing

    completing.register()
    maker = get_completion_class(shell)
    assert maker is not None
    script = maker(click.get_current_context().find_root().command, {}, "memtool", completing.VARIABLE).source()
    if shell == "zsh":
        # As a file of fpath it is run at the first completion, and must also answer that one.
        script = script.lstrip("\n")
    click.echo(script)
