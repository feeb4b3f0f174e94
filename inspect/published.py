#!/usr/bin/env python3
"""Writes docs/inspected.md: which allocator the published binaries of well-known Rust projects carry.

    cargo build --release --package alloc-inspect
    inspect/published.py target/release/alloc-inspect > docs/inspected.md

It downloads about 1 GB from PyPI and npm with pip and npm, the newest version of each, into a folder
that it removes again, and runs none of it.
"""

import datetime
import json
import pathlib
import subprocess
import sys
import tarfile
import tempfile
import zipfile

PLATFORMS = {
    "Linux x86-64": (["manylinux_2_17_x86_64", "manylinux2014_x86_64", "manylinux_2_28_x86_64"],
                     "linux-x64"),
    "Linux arm64": (["manylinux_2_17_aarch64", "manylinux2014_aarch64", "manylinux_2_28_aarch64"],
                    "linux-arm64"),
    "macOS arm64": (["macosx_11_0_arm64", "macosx_12_0_arm64"], "darwin-arm64"),
    "Windows x86-64": (["win_amd64"], "win32-x64"),
}
PYPI = ["ruff", "uv", "ty", "pyrefly", "polars-runtime-32", "deltalake", "granian",
        "cryptography", "orjson", "tokenizers", "pydantic-core"]
# Before the platform, and behind it on Linux and on Windows.
NPM = {"@biomejs/cli": ("@biomejs/cli-", "", ""),
       "@swc/core": ("@swc/core-", "-gnu", "-msvc"),
       "@rspack/binding": ("@rspack/binding-", "-gnu", "-msvc")}


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def wheel(name, tags, folder):
    platforms = [word for tag in tags for word in ("--platform", tag)]
    run(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
        "--only-binary", ":all:", "--python-version", "3.12", *platforms, "--dest", folder, name)
    [file] = folder.glob("*.whl")
    with zipfile.ZipFile(file) as archive:
        archive.extractall(folder / "files")
    return file.name.split("-")[1]


def tarball(name, folder):
    [pack] = json.loads(run("npm", "pack", "--json", "--pack-destination", str(folder), name))
    [file] = folder.glob("*.tgz")
    with tarfile.open(file) as archive:
        archive.extractall(folder / "files", filter="data")
    return pack["version"]


def cell(report):
    """Such as `jemalloc 5.3.1 prefixed`."""
    jemalloc = report["jemalloc"]
    words = []
    for found in report["allocators"]:
        if found["allocator"] not in report["verdict"]:
            continue  # the C library's own, beside one that was chosen
        probably = "probably " if found["sureness"] == "likely" else ""
        version = f" {found['version']}" if found["version"] else ""
        words.append(probably + found["allocator"] + version)
        if jemalloc and found["allocator"] == "jemalloc":
            words[-1] += " prefixed" if jemalloc["prefixed"] else " unprefixed"
    # What comes with a C library inside: musl's, in a static program.
    inside = [found["allocator"] for found in report["allocators"]]
    text = " and ".join(words) or " ".join(report["verdict"] + [f"({name})" for name in inside])
    if jemalloc:
        if jemalloc["page_size"]:
            text += f", pages of up to {jemalloc['page_size'] >> 10} KiB"
        if jemalloc["built_in_options"] not in (None, "", "background_thread:false"):
            text += f", built with `{jemalloc['built_in_options']}`"
    if report["can_be_dlopened"] is False:
        text += ", cannot be dlopened"
    return text


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    inspector = str(pathlib.Path(sys.argv[1]).resolve())
    rows = {}
    for platform, (tags, npm) in PLATFORMS.items():
        packages = [(name, lambda folder, name=name: wheel(name, tags, folder)) for name in PYPI]
        for name, (start, linux, windows) in NPM.items():
            end = linux if npm.startswith("linux") else windows if npm.startswith("win32") else ""
            packages.append((name, lambda folder, full=start + npm + end: tarball(full, folder)))
        for name, download in packages:
            print(f"{platform}: {name}", file=sys.stderr)
            with tempfile.TemporaryDirectory() as folder:
                folder = pathlib.Path(folder)
                version = download(folder)
                lines = run(inspector, "--json", str(folder / "files")).splitlines()
                for report in map(json.loads, lines):
                    file = pathlib.Path(report["path"]).name.removesuffix(".exe")
                    kind = "program" if report["kind"] == "executable" else "library"
                    # One project's library has a name of its own on each platform.
                    key = (name, version, file if kind == "program" else "library")
                    rows.setdefault(key, {})[platform] = cell(report)
    print("# What published binaries carry\n")
    print("The programs and libraries inside Python wheels and npm packages of well-known projects, as")
    print(f"PyPI and npm had them on {datetime.date.today()}, and the allocator that `alloc-inspect`")
    print("finds in each.")
    print("`system` says that none of the known allocators is inside and that `malloc` is imported, or,")
    print("with a name, that the C library's own is inside; `unknown`, that it imports `malloc` but not what")
    print("Rust's system allocator imports with it. (orjson takes its memory from Python, which its files for")
    print("macOS and Windows do not show.)\n")
    print("The command that makes this page, from the root of the repository:\n")
    print("```text\ncargo build --release --package alloc-inspect")
    print("inspect/published.py target/release/alloc-inspect > docs/inspected.md\n```\n")
    print("| package | version | file | " + " | ".join(PLATFORMS) + " |")
    print("| --- | --- | --- |" + " --- |" * len(PLATFORMS))
    for (name, version, file), cells in rows.items():
        found = [cells.get(platform, "no such file") for platform in PLATFORMS]
        print(f"| {name} | {version} | {file} | " + " | ".join(found) + " |")


main()
