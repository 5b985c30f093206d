#!/usr/bin/env python3
"""Runs the public JSON-Schema-Test-Suite against the compiler of schemas, and reads what is drawn from it by another validator.

    git clone https://github.com/json-schema-org/JSON-Schema-Test-Suite SUITE
    pip install jsonschema
    Tools/schema_suite.py SUITE/tests/draft2020-12 [--skip-build]

Of every schema that is compiled, twenty finished texts are drawn at random. Each must be JSON and valid under the schema
by the package jsonschema, formats included. Schemas that are refused are counted by the keyword that the refusal names.
The suite is never part of this repository.
"""
import collections
import json
import os
import subprocess
import sys
import tempfile

from jsonschema import Draft202012Validator, FormatChecker

# Without further packages the validator's own `time` is that of draft 3, which knows no offset from UTC.
FORMATS = FormatChecker(formats=[name for name in FormatChecker.checkers if name != "time"])


def texts(folder, options):
    """The texts that the test draws, and what it says."""
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "texts.jsonl")
        environment = dict(os.environ, MARTLET_SCHEMA_SUITE=os.path.abspath(folder), MARTLET_SCHEMA_TEXTS=path)
        command = ["swift", "test", "-c", "release", "--filter", "SchemaSuiteTests", *options]
        run = subprocess.run(command, env=environment, capture_output=True, text=True)
        for line in run.stdout.splitlines():
            if line.startswith(("schemas ", "refused by ", "✘")):
                print(line)
        if run.returncode != 0:
            sys.exit(run.returncode)
        with open(path, encoding="utf-8") as file:
            return [json.loads(line) for line in file]


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    drawn = texts(sys.argv[1], sys.argv[2:])
    wrong = collections.Counter()
    for entry in drawn:
        try:
            value = json.loads(entry["text"])
            Draft202012Validator(entry["schema"], format_checker=FORMATS).validate(value)
        except Exception as error:  # Whatever is wrong with a text is counted.
            wrong[entry["title"]] += 1
            print(f"{entry['title']}: {entry['text'][:200]}: {str(error).splitlines()[0][:200]}")
    print(f"{len(drawn)} texts drawn, {len(drawn) - sum(wrong.values())} valid, of {len(wrong)} schemas some are not")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
