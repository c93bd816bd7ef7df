#!/usr/bin/env python3
"""Runs the fuzz targets of tests/fuzz for a limited time.

    fuzz.py [--minutes 5] [--keep FOLDER] [TARGET...]

With clang and its libFuzzer (Debian: libclang-rt-dev) they run guided by coverage, else with their own plain driver,
both under AddressSanitizer and UndefinedBehaviorSanitizer. The time is shared between the targets. What libFuzzer finds
interesting stays in build-fuzz/corpus for the next run. Ends at the first input that crashes, hangs or grows without
bound, with status 1, and says which file holds it.
"""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
SEEDS = ROOT / "tests" / "fuzz" / "corpus"
MEMORY_MB = 1024
LONGEST = 1 << 20


def has_libfuzzer():
    if not shutil.which("clang"):
        return False
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder) / "t.c"
        source.write_text("int LLVMFuzzerTestOneInput(const char *d, unsigned long n) { return d == 0 && n; }\n")
        command = ["clang", "-fsanitize=fuzzer,address", str(source), "-o", str(source.with_suffix(""))]
        return subprocess.run(command, capture_output=True).returncode == 0


def build(libfuzzer):
    folder = ROOT / ("build-fuzz" if libfuzzer else "build-asan")
    options = ["-Dwerror=false", "-Db_sanitize=address,undefined", "-Db_lundef=false"]
    environment = os.environ | ({"CC": "clang"} if libfuzzer else {})
    if libfuzzer:
        options += ["-Dlibfuzzer=true", "-Dbuildtype=debugoptimized"]
    if not (folder / "build.ninja").exists():
        subprocess.run(["meson", "setup", folder, *options], cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["ninja", "-C", folder, "--quiet", "fuzz"], check=True)
    return folder / "tests" / "fuzz"


def command_of(program, name, seconds, libfuzzer, keep):
    seeds = SEEDS / name
    if not libfuzzer:
        return [program, "--seconds", str(seconds), "--keep", keep / f"{name}.input", seeds]
    corpus = program.parent.parent.parent / "corpus" / name
    corpus.mkdir(parents=True, exist_ok=True)
    limits = [f"-max_total_time={seconds}", f"-rss_limit_mb={MEMORY_MB}", f"-malloc_limit_mb={MEMORY_MB // 2}"]
    limits += ["-timeout=20", f"-max_len={LONGEST}", "-print_final_stats=1", "-verbosity=0"]
    return [program, *limits, f"-artifact_prefix={keep}/{name}-", corpus, seeds]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    parser.add_argument("--minutes", type=float, default=5, help="for all targets together (default: 5)")
    parser.add_argument("--keep", type=pathlib.Path, help="where inputs that fail are put (default: build-fuzz/found)")
    options = parser.parse_args()
    libfuzzer = has_libfuzzer()
    programs = build(libfuzzer)
    names = options.targets or sorted(p.name.removeprefix("fuzz_") for p in programs.glob("fuzz_*") if p.is_file())
    keep = options.keep or programs.parents[1] / "found"
    keep.mkdir(parents=True, exist_ok=True)
    seconds = max(1, int(options.minutes * 60 / len(names)))
    environment = os.environ | {
        "ASAN_OPTIONS": "detect_leaks=1:allocator_may_return_null=1:detect_stack_use_after_return=1",
        "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
    }
    for name in names:
        print(f"fuzz {name}: {seconds} s with {'libFuzzer' if libfuzzer else 'the plain driver'}", flush=True)
        command = command_of(programs / f"fuzz_{name}", name, seconds, libfuzzer, keep)
        result = subprocess.run([str(c) for c in command], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        said = result.stdout.decode(errors="replace")
        if result.returncode != 0:
            print(said[-8000:])
            sys.exit(f"fuzz {name}: failed; the input is in {keep}")
        print("  " + next((line for line in said.splitlines() if "number_of_executed" in line or "mutations" in line), ""))
    print(f"{len(names)} targets, nothing found")


if __name__ == "__main__":
    main()
