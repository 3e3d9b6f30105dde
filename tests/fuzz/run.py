"""Fuzz the decoders: `python -m tests.fuzz.run [--seconds N] [--engine mutate] [TARGET ...]`.

With atheris, if it is installed, each target runs in a process of its own and coverage leads the
way; without, `mutate` does what it can. A finding is kept under .dev/fuzz and ends with status 1;
`--repeat FILE TARGET` shows it again.
"""

import argparse
import hashlib
import importlib
import importlib.util
import secrets
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

FINDINGS = Path(".dev") / "fuzz"
DEFAULT_SECONDS = 30


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    if options.one:
        return _atheris_here(options.one, options.seconds)
    from tests.fuzz.targets import TARGETS

    unknown = set(options.targets) - TARGETS.keys()
    if unknown:
        print(f"no such target: {', '.join(sorted(unknown))}; there are: {', '.join(TARGETS)}")
        return 2
    names = options.targets or list(TARGETS)
    if options.repeat:
        return _repeat(options.repeat, names)
    if options.engine == "atheris":
        return max(_atheris(name, options.seconds) for name in names)
    return max(_mutate(name, options.seconds, options.seed) for name in names)


def _parser() -> argparse.ArgumentParser:
    has_atheris = importlib.util.find_spec("atheris") is not None
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.run", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    parser.add_argument("--seconds", type=int, default=DEFAULT_SECONDS, help="for each target")
    parser.add_argument("--seed", type=int, default=secrets.randbits(32))
    parser.add_argument(
        "--engine", choices=("atheris", "mutate"), default="atheris" if has_atheris else "mutate"
    )
    parser.add_argument("--repeat", type=Path, metavar="FILE")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    return parser


def _mutate(name: str, seconds: int, seed: int) -> int:
    from tests.fuzz import mutate
    from tests.fuzz.targets import TARGETS

    tried, finding = mutate.run(TARGETS[name], seconds=seconds, seed=seed)
    print(f"{name}: {tried} inputs, seed {seed}", flush=True)
    if finding is None:
        return 0
    FINDINGS.mkdir(parents=True, exist_ok=True)
    file = FINDINGS / f"{name}-{hashlib.sha256(finding.data).hexdigest()[:16]}"
    file.write_bytes(finding.data)
    print(f"  {finding.what}\n  python -m tests.fuzz.run --repeat {file} {name}", flush=True)
    return 1


def _repeat(file: Path, names: list[str]) -> int:
    from tests.fuzz import mutate
    from tests.fuzz.targets import TARGETS

    for name in names:
        try:
            print(f"{name}: {mutate.outcome(TARGETS[name], file.read_bytes())}")
        except Exception:  # noqa: BLE001 - shown whole, whatever it is
            traceback.print_exc()
            return 1
    return 0


def _atheris(name: str, seconds: int) -> int:
    # libFuzzer ends its process when it is done.
    command = (sys.executable, "-m", "tests.fuzz.run", "--one", name, "--seconds", str(seconds))
    status = subprocess.run(command, check=False).returncode
    print(f"{name}: {'a finding' if status else 'nothing found'}, {seconds} s", flush=True)
    return 1 if status else 0


def _atheris_here(name: str, seconds: int) -> int:
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["keyholm.wire"]):
        from tests.fuzz import mutate
        from tests.fuzz.targets import TARGETS

    target = TARGETS[name]
    corpus = FINDINGS / "corpus" / name
    corpus.mkdir(parents=True, exist_ok=True)
    for seed in target.seeds:
        (corpus / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)

    def one_input(data: bytes) -> None:
        mutate.outcome(target, data)

    flags = [f"-max_total_time={seconds}", f"-timeout={mutate.PATIENCE_SECONDS:.0f}"]
    prefix = f"-artifact_prefix={FINDINGS / name}-"
    atheris.Setup([sys.argv[0], *flags, "-verbosity=0", prefix, str(corpus)], one_input)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
