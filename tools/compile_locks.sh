#!/bin/sh
# Compile locks/*.txt from pyproject.toml: one lock for every platform and Python, with hashes, without addresses.
# Arguments go to uv, e.g. `--upgrade` or `--upgrade-package NAME`.
set -eu
cd "$(dirname "$0")/.."
for extra in server client desktop build dev; do
    .venv/bin/python -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-emit-find-links --no-header --no-annotate \
        --extra "$extra" --output-file "locks/$extra.txt" "$@" pyproject.toml
done
# Installed beside what the development environment has, and so never in another version of it.
.venv/bin/python -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
    --no-emit-index-url --no-emit-find-links --no-header --no-annotate --constraint locks/dev.txt \
    --extra mutation --output-file locks/mutation.txt "$@" pyproject.toml
