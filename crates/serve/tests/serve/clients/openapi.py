"""Validates the server's OpenAPI document, then compares real answers, good and bad, with its schemas."""

import json
import sys
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

BASE = sys.argv[1]
DOCUMENT = json.load(urlopen(f"{BASE}/openapi.json"))
validate(DOCUMENT)
REGISTRY = Registry().with_resource("urn:api", Resource.from_contents(DOCUMENT, default_specification=DRAFT202012))
seen = set()


def resolved(part):
    while "$ref" in part:
        target = DOCUMENT
        for name in part["$ref"].removeprefix("#/").split("/"):
            target = target[name]
        part = target
    return part


def absolute(part):
    if isinstance(part, dict):
        return {k: "urn:api" + v if k == "$ref" else absolute(v) for k, v in part.items()}
    return [absolute(item) for item in part] if isinstance(part, list) else part


def call(method, template, status, body=None, raw=None, **names):
    """Sends a request of the document and checks status, body and answer against it."""
    operation = DOCUMENT["paths"][template][method.lower()]
    path = template.format(**names)
    data = raw if raw is not None else None if body is None else json.dumps(body).encode()
    try:
        with urlopen(Request(BASE + path, data, method=method)) as answer:
            got, content = answer.status, answer.read()
    except HTTPError as error:
        got, content = error.code, error.read()
    assert got == status, (method, path, got, content)
    if body is not None and got < 300:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        OAS31Validator(absolute(schema), registry=REGISTRY).validate(body)
    response = resolved(operation["responses"][str(got)])
    seen.add(operation["operationId"])
    media = response.get("content", {})
    if "application/json" in media:
        value = json.loads(content)
        OAS31Validator(absolute(media["application/json"]["schema"]), registry=REGISTRY).validate(value)
        return value
    assert bool(media) == bool(content), (method, path)
    return content


def cell(id, code, **more):
    return call("POST", "/v1/sandboxes/{id}/execute", 200, {"code": code, **more}, id=id)


call("GET", "/healthz", 200)
call("GET", "/openapi.json", 200)
call("GET", "/", 200)
upload = call("POST", "/v1/files", 201, raw=b"id,y\n1,a\n")
call("GET", "/v1/files", 200)
limits = {"cell_seconds": 20.5, "memory_mib": 512, "output_bytes": 1000}
id = call("POST", "/v1/sandboxes", 201, {"seed": 3, "limits": limits, "files": [{"path": "t.csv", "blake3": upload["blake3"]}]})["id"]
call("POST", "/v1/sandboxes", 422, {"limits": {"memory_mib": 0}})
call("GET", "/v1/sandboxes", 200)
call("GET", "/v1/sandboxes/{id}", 200, id=id)
call("GET", "/v1/sandboxes/{id}", 404, id="sbx_0")
assert cell(id, "6 * 7")["value"] == "42"
assert cell(id, "1 / 0")["outcome"] == "error"
assert cell(id, "import time; time.sleep(9)", timeout=0.5)["outcome"] == "timeout"
assert cell(id, "import os; os._exit(1)")["outcome"] == "died"
assert cell(id, "print('x' * 9999)")["truncated"]
cell(id, "from IPython.display import display, HTML; display(HTML('<b>x</b>'))")
call("POST", "/v1/sandboxes/{id}/execute", 422, {"kode": ""}, id=id)
call("POST", "/v1/sandboxes/{id}/interrupt", 204, id=id)
call("PUT", "/v1/sandboxes/{id}/files/{path}", 204, raw=b"x", id=id, path="a/b")
call("GET", "/v1/sandboxes/{id}/files/{path}", 200, id=id, path="a/b")
call("GET", "/v1/sandboxes/{id}/files/{path}", 404, id=id, path="c")
call("GET", "/v1/sandboxes/{id}/files", 200, id=id)
call("POST", "/v1/sandboxes/{id}/collect", 200, {"paths": ["a/b", "c"]}, id=id)
keyed = {"type": "keyed", "expected": [{"name": "m", "value": "1"}], "abs_tolerance": 0.0, "rel_tolerance": 0.0}
call("POST", "/v1/score", 200, {"verifier": keyed, "answer": "@m[1]"})
table = {
    "type": "predictions", "file": "p.csv", "truth": {"path": "t", **upload}, "keys": ["id"], "targets": ["y"], "reward": {"by": "value"},
    "metric": "macro_f1", "success": 0.5,
}
call("POST", "/v1/score", 200, {"verifier": table, "sandbox": id})
call("POST", "/v1/score", 422, {"verifier": {"type": "keyed"}})
call("GET", "/metrics", 200)
call("DELETE", "/v1/files/{blake3}", 204, blake3=upload["blake3"])
call("DELETE", "/v1/sandboxes/{id}", 204, id=id)
call("DELETE", "/v1/sandboxes/{id}", 404, id=id)
every = {operation["operationId"] for item in DOCUMENT["paths"].values() for key, operation in item.items() if key != "parameters"}
assert seen == every, every - seen
