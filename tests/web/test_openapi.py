"""The API's document: it says what the routes do, since both come from one table."""

from __future__ import annotations

import re

from soteirad.web.openapi import document
from soteirad.web.table import API
from tests.web.running import Running

KINDS = {"get", "put", "post", "delete"}


def test_it_lists_every_route_and_nothing_else() -> None:
    paths = document(API)["paths"]
    listed = {(method, path) for path, operations in paths.items() for method in operations}
    assert listed == {(route.method.lower(), route.path) for route in API}
    assert {method for method, _ in listed} == KINDS


def test_what_it_refers_to_is_there() -> None:
    made = document(API)
    for name in re.findall(r"#/components/schemas/(\w+)", str(made)):
        assert name in made["components"]["schemas"]
    names = [operation["operationId"] for operations in made["paths"].values() for operation in operations.values()]
    assert len(names) == len(set(names))


def test_every_part_of_a_path_is_described() -> None:
    for route in API:
        assert set(re.findall(r"{(\w+)}", route.path)) == set(route.parameters), route.path


def test_what_needs_no_secret_says_so() -> None:
    made = document(API)
    free = {path for path, ops in made["paths"].items() for op in ops.values() if op.get("security") == []}
    assert free == {"/healthz", "/readyz", "/api/login"} and made["security"] == [{"session": []}, {"bearer": []}]
    assert "401" in made["paths"]["/api/cameras"]["get"]["responses"]
    assert "401" not in made["paths"]["/healthz"]["get"]["responses"]


def test_parameters_of_a_query_are_never_null_and_may_be_repeated() -> None:
    parameters = {p["name"]: p for p in document(API)["paths"]["/api/events"]["get"]["parameters"]}
    assert parameters["camera"]["schema"]["type"] == "array" and not parameters["camera"]["required"]
    assert parameters["before"]["schema"] == {"type": "integer", "minimum": 0, "maximum": 2**53 - 1}
    assert parameters["since"]["schema"]["format"] == "date-time" and parameters["limit"]["schema"]["default"] == 50


def test_it_is_served_as_it_is_made(shared: Running) -> None:
    assert shared.get("/api/openapi.json").json() == document(API)
