"""Calls the management API with whatever its document allows, and with what it forbids (schemathesis).

usage: contract.py <schemathesis> <url> <access token> <directory> <phases> <requests for each operation>
"""

import json
import pathlib
import re
import subprocess
import sys
import urllib.error
import urllib.request

program, url, token, directory, phases, requests = sys.argv[1:]

CONFIG = """
headers = {{ Authorization = "Bearer {token}" }}
[checks]
# Much that the document allows names objects that there are not.
positive_data_acceptance.enabled = false
# Null is taken for the default of a field that has one; an old ETag is told before the body is looked at.
negative_data_rejection.enabled = false
# Events of a stream are text to OpenAPI 3.1.
[[operations]]
include-path-regex = "stream$"
checks.response_schema_conformance.enabled = false
# What senders sent is given as what they called it.
[[operations]]
include-path-regex = "^/v1/events/.*/(body|files/.*)$"
checks.content_type_conformance.enabled = false
"""


def get(path):
    request = urllib.request.Request(url + path, headers={"authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)
    except urllib.error.HTTPError:
        return {}


first = {}


def first_of(collection):
    """What names the first object of a list, if it has one."""
    if collection not in first:
        found = (get(collection + "?limit=1").get("data") or [{}])[0]
        first[collection] = found.get("id") or found.get("name") or found.get("key")
    return first[collection]


def parameters(template):
    """The parameters of a path with which it leads to an object, as far as there is one."""
    path, found = "", {}
    for part in template.split("/")[1:]:
        name = re.fullmatch(r"\{(\w+)\}", part)
        value = first_of(path) if name else part
        if value is None:
            break
        if name:
            found[name[1]] = value
        path += "/" + value
    return found


config = [CONFIG.format(token=token)]
for path, item in get("/openapi.json")["paths"].items():
    for method, operation in item.items():
        # What is deleted would be missing for the rest.
        found = parameters(path) if method != "delete" and "{" in path else {}
        if found:
            given = ", ".join(f'"path.{name}" = {json.dumps(value)}' for name, value in found.items())
            config.append(
                f'[[operations]]\ninclude-operation-id = "{operation["operationId"]}"\nparameters = {{ {given} }}\n'
            )
path = pathlib.Path(directory) / "schemathesis.toml"
path.write_text("\n".join(config))
run = [program, "--config-file", path, "run", f"{url}/openapi.json", "--phases", phases]
run += ["--max-examples", requests, "--seed", "1", "--continue-on-failure", "--no-color", "--request-timeout", "20"]
# The people's own: an account that is deleted or logged out ends the rest.
run += ["--exclude-path-regex", "^/v1/(auth|me)"]
sys.exit(subprocess.run(run, cwd=directory).returncode)
