"""``memtool cluster``: a simple way to start the hosts on which ``bench --cluster`` measures."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from memtool.commands.options import UserPath


@click.group("cluster")
def command() -> None:
    """Start or join a cluster for `memtool bench --cluster`: a Dask scheduler here, a quiet worker on each host."""


@command.command("up")
@click.option("--hosts", type=UserPath(), required=True, help="File with one host in each line, as ssh takes them.")
@click.option(
    "--file",
    type=UserPath(),
    default=Path("cluster.json"),
    show_default=True,
    help="File to which the address is written, for --cluster.",
)
@click.option("--port", type=click.IntRange(0, 65535), default=8786, show_default=True, help="Port of the scheduler.")
@click.option("--memtool", default="memtool", show_default=True, help="Name of memtool's command on the hosts.")
@click.option(
    "--ssh", default="ssh -o BatchMode=yes", show_default=True, help="Command that runs another one on a host."
)
def up(hosts: Path, file: Path, port: int, memtool: str, ssh: str) -> None:
    """Start a scheduler here and a worker on each host over SSH; both end with this command (Ctrl-C)."""
    from memtool.cluster import launch
    from memtool.errors import InputError

    try:
        shlex.split(ssh)
    except ValueError as problem:
        raise InputError(f"--ssh: {problem}, is '{ssh}'") from None
    cluster = launch.Cluster(file, ssh, memtool, port)
    cluster.up(launch.hosts_in(hosts), lambda words: click.echo(words, err=True))


@command.command("join")
@click.argument("cluster", metavar="ADDRESS|FILE")
def join(cluster: str) -> None:
    """Add this machine to the cluster at ADDRESS as a host, until interrupted."""
    from memtool.cluster import launch

    launch.join(cluster, lambda words: click.echo(words, err=True))
