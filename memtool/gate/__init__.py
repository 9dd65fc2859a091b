"""Decides verdicts from comparisons and limits, the exit code, and the next step."""

from memtool.gate.judge import confirm, family_of, judge, screen
from memtool.gate.next_step import NextStep, in_words, with_next_steps
from memtool.gate.outcome import FailOn, TooFewBlocks, exit_code, too_few_blocks, unjudged
from memtool.gate.policy import DEFAULT_MARGIN, Limit, Policy, default_metrics, parse_limit, parse_margin, policy

__all__ = [
    "DEFAULT_MARGIN",
    "FailOn",
    "Limit",
    "NextStep",
    "Policy",
    "TooFewBlocks",
    "confirm",
    "default_metrics",
    "exit_code",
    "family_of",
    "in_words",
    "judge",
    "parse_limit",
    "parse_margin",
    "policy",
    "screen",
    "too_few_blocks",
    "unjudged",
    "with_next_steps",
]
