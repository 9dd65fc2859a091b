"""The key ``program`` of a workload file (docs/programs.md)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StrictBool, StrictFloat, StrictInt, StrictStr

from memtool.workload.language.schema import Name
from memtool.workload.language.values import Strict

Command = Annotated[StrictStr, Field(min_length=1)]
Status = Annotated[StrictInt, Field(ge=1, le=255)]
Value = StrictStr | StrictInt | StrictFloat
Values = Annotated[list[Value], Field(min_length=1, max_length=1000)]
Parameter = Annotated[StrictStr, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_-]{0,63}$")]


class Program(Strict):
    """A program that is run as a whole under each allocator."""

    command: Command = Field(description="Command line of the program.", examples=["./app --its --arguments"])
    shell: Command = Field(
        "auto",
        description="auto: a shell if the command needs one; none; or a shell with its options.",
        examples=["auto", "none", "bash --norc"],
    )
    input: Command | None = Field(None, description="File for standard input.", examples=["orders.sql"])
    output: Command = Field(
        "null",
        description="Destination of standard output: null, pipe, inherit, or a file.",
        examples=["null", "pipe"],
    )
    setup: Command | None = Field(
        None, description="Command that runs once, before everything else.", examples=["make app"]
    )
    prepare: Command | None = Field(None, description="Command that runs before each run, untimed.", examples=["sync"])
    conclude: Command | None = Field(
        None, description="Command that runs after each run, untimed.", examples=["rm -f out"]
    )
    cleanup: Command | None = Field(
        None, description="Command that runs once, after everything else.", examples=["make clean"]
    )
    warmup: Annotated[StrictInt, Field(ge=0, le=1000)] = Field(
        0, description="Number of preceding runs under each allocator that are not measured.", examples=[0, 1]
    )
    ready: Command | None = Field(
        None,
        description="For a server: a port that accepts connections, or a command that succeeds, once it is ready.",
        examples=["8080"],
    )
    load: Command | None = Field(
        None,
        description="For a server: the timed command, after which the server is asked to end.",
        examples=["ab -n 1000 http://localhost:8080/"],
    )
    expect_same_output: StrictBool = Field(
        False, description="Standard output must be the same under every allocator.", examples=[True]
    )
    ignore_failure: Literal["all-non-zero"] | Annotated[list[Status], Field(max_length=255)] = Field(
        default_factory=list,
        description="Exit statuses other than 0 that are no failure: a list, or all-non-zero.",
        examples=[[1, 2], "all-non-zero"],
    )
    time_limit: Annotated[StrictInt, Field(ge=1, le=86_400)] = Field(
        600, description="Seconds after which a run is ended.", examples=[600]
    )
    parameters: Annotated[
        dict[Parameter, Values], Field(max_length=16, json_schema_extra={"additionalProperties": False})
    ] = Field(
        default_factory=dict,
        description="A workload for each value, in place of {name}; of several, for each combination.",
        examples=[{"threads": [1, 2, 4]}],
    )


class Workload(Strict):
    """A workload file about a whole program."""

    name: Name = Field(description="Name in tables and files.", examples=["orders"])
    description: StrictStr = Field("", description="One sentence that describes the workload to a reader.")
    program: Program = Field(description="The program.")
