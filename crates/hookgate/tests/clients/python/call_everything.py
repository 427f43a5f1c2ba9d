"""Drives the management API with the client that was generated from its document:
call_everything.py <directory> <openapi.json> <plan.json> <URL> <URL of a receiver>.

It registers a person and works as them. Each step of the plan is an operation with its arguments, or a request to a public URL. Every answer must have a status that
the document tells of (a success, unless the step says otherwise), and must read as what the document says that it is. Prints
the operations that were called, one on each line."""

import enum
import importlib
import inspect
import json
import re
import sys
import time
import typing
import uuid

import httpx

directory, document_path, plan_path, base_url, receiver = sys.argv[1:]
sys.path.insert(0, directory)

from management.client import AuthenticatedClient  # noqa: E402

PATIENCE = 30
POLL = 0.05

document = json.load(open(document_path))
operations = {
    operation["operationId"]: operation for path in document["paths"].values() for operation in path.values()
}
known = {"receiver": receiver, "email": f"grace-{uuid.uuid4()}@example.com"}


def snake(name):
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).replace(" ", "_").lower()


def filled(value):
    """A value with what `$name` stands for."""
    if isinstance(value, str):
        return known[value[1:]] if value.startswith("$") else value
    if isinstance(value, list):
        return [filled(item) for item in value]
    if isinstance(value, dict):
        return {name: filled(item) for name, item in value.items()}
    return value


def at(value, pointer):
    for part in pointer.split("/")[1:]:
        try:
            value = value[int(part) if isinstance(value, list) else part]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def enumerated(value, hint):
    """A value as its enumeration, if the parameter is one."""
    for candidate in typing.get_args(hint) or (hint,):
        if inspect.isclass(candidate) and issubclass(candidate, enum.Enum):
            return candidate(value)
    return value


def model_of(function):
    """The type of the body that an operation takes."""
    hint = typing.get_type_hints(function)["body"]
    for candidate in typing.get_args(hint) or (hint,):
        if hasattr(candidate, "from_dict"):
            return candidate
    raise TypeError(f"no model for the body: {hint}")


def call(client, step):
    name = step["operation"]
    operation = operations[name]
    module = importlib.import_module(f"management.api.{snake(operation['tags'][0])}.{snake(name)}")
    function = module.sync_detailed
    names = {parameter.rstrip("_"): parameter for parameter in inspect.signature(function).parameters}
    given = {**step.get("path", {}), **step.get("query", {})}
    hints = typing.get_type_hints(function)
    arguments = {}
    for argument, value in given.items():
        parameter = names[snake(argument)]
        arguments[parameter] = enumerated(filled(value), hints[parameter])
    if "body" in step:
        arguments["body"] = model_of(function).from_dict(filled(step["body"]))
    answer = function(client=client, **arguments)
    status = int(answer.status_code)
    if str(status) not in operation["responses"]:
        raise AssertionError(f"{name} was answered {status}, which is not in the document: {answer.content!r}")
    wanted = step.get("status")
    if status != wanted if wanted else not 200 <= status < 300:
        raise AssertionError(f"{name} was answered {status}: {answer.content!r}")
    content = operation["responses"][str(status)].get("content", {})
    if "application/json" in content and answer.parsed is None:
        raise AssertionError(f"{name}: the client made nothing of {answer.content!r}")
    # What the client reads and writes again is what came.
    if hasattr(answer.parsed, "to_dict") and any(media.endswith("json") for media in content):
        came, read = normal(json.loads(answer.content)), normal(answer.parsed.to_dict())
        if came != read:
            raise AssertionError(f"{name}{difference(came, read)}")
    try:
        return json.loads(answer.content) if answer.content else None
    except ValueError:
        return None


def normal(value):
    """Times are equal however they are written, to the microsecond that Python keeps."""
    if isinstance(value, dict):
        return {name: normal(item) for name, item in value.items()}
    if isinstance(value, list):
        return [normal(item) for item in value]
    time_of_day = re.fullmatch(r"(\d{4}-\d\d-\d\dT[\d:]{8})(\.\d+)?(Z|\+00:00)", value) if isinstance(value, str) else None
    if time_of_day:
        return time_of_day[1] + (time_of_day[2] or "")[:7].rstrip("0.")
    return value


def difference(came, read, where=""):
    """Where two values differ first."""
    if isinstance(came, dict) and isinstance(read, dict):
        for name in {**came, **read}:
            if came.get(name) != read.get(name) or (name in came) != (name in read):
                return difference(came.get(name), read.get(name), f"{where}/{name}")
    if isinstance(came, list) and isinstance(read, list):
        for place, (one, other) in enumerate(zip(came, read)):
            if one != other:
                return difference(one, other, f"{where}/{place}")
    return f"{where}: {came!r} came, {read!r} was read"


def send(step):
    request = filled(step["send"])
    answer = httpx.request(request["method"], request["url"].replace("{order_id}", "42"), json=request.get("json"),
                           headers=request.get("headers"), timeout=PATIENCE)
    if answer.status_code != step["status"]:
        raise AssertionError(f"{request['url']} was answered {answer.status_code}: {answer.text}")
    for name, place in step.get("save", {}).items():
        known[name] = answer.headers[place.removeprefix("header:")]


def client_of(token):
    return AuthenticatedClient(base_url=base_url, token=token, timeout=httpx.Timeout(PATIENCE), raise_on_unexpected_status=False)


client = client_of("none yet")
for step in json.load(open(plan_path)):
    if "use" in step:
        client = client_of(filled(step["use"]))
    elif "segment" in step:
        segment = step["segment"]
        known[segment["save"]] = filled(segment["of"]).split("/")[segment["at"]]
    elif "send" in step:
        send(step)
    else:
        deadline = time.monotonic() + PATIENCE
        while True:
            value = call(client, step)
            until = step.get("until")
            found = at(value, until["pointer"]) if until else True
            if found is not None and (not until or "equals" not in until or found == until["equals"]):
                break
            if time.monotonic() > deadline:
                raise AssertionError(f"{step['operation']}: {until} did not come: {value}")
            time.sleep(POLL)
        for name, pointer in step.get("save", {}).items():
            known[name] = at(value, pointer)
            assert known[name] is not None, f"{step['operation']}: no {pointer} in {value}"
        print(step["operation"])
