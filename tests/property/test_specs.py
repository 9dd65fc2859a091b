"""What may stand after ``-a``: allocators that are resolved, or a refusal in one line; nothing else."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from memtool.allocators.own import brought as own
from memtool.allocators.own import shared_library
from memtool.allocators.registry import Registry, Unavailable
from memtool.allocators.spec import parse_allocators
from memtool.errors import InputError

WORDS = (
    *("pool", "tlsf", "buddy", "arena", "glibc", "jemalloc", "null", "new-delete", "pmr-monotonic-buffer", "Pool", "x"),
    *("@pools", "@all", "@", "@x", "lock", "redzone", "virtual", "guard", "block", "bytes", "subdivisions", "env.X"),
    *("./gone.so", "./text.so", "mine.py", "mine.py:Heap", "gone.py:Heap", "./folder", "./loop.so", "/dev/null", "."),
    *("64", "0", "-1", "4KiB", "1e9", "99999999999999999999", "0x10", "²", "٣", "nan", "loose", "LIFO", "true"),
    *("", " ", "\t", "\n", "\x00", "\u202e", "\U0001f600", "\udcff", "$\\frac$", "a|b", "%s", "{0}", "é", "n" * 300),
)
VALID = (
    *("tlsf", "pool:block=64", "@real-time", "buddy+lock", "glibc,tlsf", "pool:block=32|64+redzone:bytes=32+lock"),
    *("null", "first-fit , tlsf", "virtual-free=1,pool:block=64,chunk=4KiB", "tlsf:subdivisions=16|32"),
)
SIGNS = (":", "=", "+", ",", "|", "/", ".", "@", "*", ";", "\\", "'", '"', "::", "==", ":=", "+,", "|=|")
FORMS = ("{}", "{}:{}={}", "{}:{}={}|{}", "{}+{}", "{}:{}={}+{}:{}={}", "{},{}", "{},{}={}", "{}={}", "{}:{}")


def spec(draw: random.Random) -> str:
    """Return something that may be an allocator, or once was."""
    if draw.random() < 0.3:
        return "".join(draw.choice((*WORDS, *SIGNS)) for _ in range(draw.randrange(1, 9)))
    form = draw.choice(FORMS)
    text = form.format(*(draw.choice(WORDS) for _ in range(form.count("{}"))))
    if draw.random() < 0.4:
        text = draw.choice(VALID)
    if draw.random() < 0.3 and text:
        at = draw.randrange(len(text))
        text = text[:at] + draw.choice(SIGNS) + text[at + draw.randrange(3) :]
    return text


@pytest.mark.timeout(3600)
def test_any_text_names_allocators_or_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, documents: int
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(own, "TRIAL_SECONDS", 5)
    monkeypatch.setattr(shared_library, "_PROBE_SECONDS", 5)
    Path("text.so").write_text("not a library", encoding="ascii")
    Path("mine.py").write_text("class Heap:\n    pass\n", encoding="ascii")
    Path("folder").mkdir()
    Path("loop.so").symlink_to("loop.so")
    known = Registry()
    resolved = refused = 0
    for seed in range(documents):
        text = spec(random.Random(seed))
        try:
            for allocator in parse_allocators(text, known.groups)[:20]:
                assert allocator.label, (seed, text)
                known.resolve(allocator)
            resolved += 1
        except (InputError, Unavailable) as problem:
            refused += 1
            words = str(problem)
            assert len(words.splitlines()) == 1 or not text.isprintable(), (seed, text)
            assert "Traceback" not in words, (seed, text)
        except Exception as problem:
            raise AssertionError(f"seed {seed}: {text!r}: {problem!r}") from problem
    assert min(resolved, refused) > documents / 20
