"""All of these tests once more, on a build that watches its memory and its arithmetic."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from native import build

SANITIZED = ("-O1", "-g", "-fno-omit-frame-pointer", "-fsanitize=address,undefined",
             "-fno-sanitize-recover=all")  # fmt: skip
HERE = Path(__file__).parent
# Those build something of their own, or load nothing.
NOT_AGAIN = ("test_sanitizers.py", "test_fuzz_answers.py", "test_generated.py", "test_symbols.py")
OTHERS = sorted(str(path) for path in HERE.glob("test_*.py") if path.name not in NOT_AGAIN)


def runtime(name: str, compiler: list[str]) -> Path:
    done = subprocess.run(
        [*compiler, f"-print-file-name={name}"], capture_output=True, text=True, check=True
    )
    path = Path(done.stdout.strip())
    if not path.is_absolute():
        pytest.skip(f"{compiler[0]} comes without {name}")
    return path


@pytest.mark.skipif("KEYHOLM_TEST_MODULE" in os.environ, reason="contract only: inside of itself")
@pytest.mark.timeout(600)
def test_no_test_makes_the_sanitizers_speak(tmp_path: Path) -> None:
    compiler = build.system_compiler()
    if compiler is None or "clang" in compiler[0]:
        pytest.skip("no gcc, whose sanitizers can be loaded into Python")
    asan = runtime("libasan.so", compiler)
    module = build.build(tmp_path / "sanitized.so", more=SANITIZED)
    environment = {
        **os.environ,
        "LD_PRELOAD": f"{asan}:{runtime('libstdc++.so.6', compiler)}",
        # Python itself leaves memory lying at its end.
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "KEYHOLM_TEST_MODULE": str(module),
        "PYTHONMALLOC": "malloc",
    }
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *OTHERS]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
