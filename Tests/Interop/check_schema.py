"""Checks init.yaml files against a JSON Schema: a line for each, `ok` or `wrong` and why.

    check_schema.py SCHEMA FILE…
"""

import json
import sys

import jsonschema
import yaml

with open(sys.argv[1], encoding="utf-8") as file:
    schema = json.load(file)
jsonschema.Draft7Validator.check_schema(schema)
validator = jsonschema.Draft7Validator(schema)
for path in sys.argv[2:]:
    with open(path, encoding="utf-8") as file:
        error = jsonschema.exceptions.best_match(validator.iter_errors(yaml.safe_load(file)))
    print("ok" if error is None else "wrong at %s: %s" % (error.json_path, error.message.splitlines()[0][:300]))
