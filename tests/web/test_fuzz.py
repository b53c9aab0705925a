"""The API under requests that nobody would write: made from its own document, against the real server."""

from __future__ import annotations

from collections.abc import Iterator

import hypothesis
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.config import SchemathesisConfig

from tests.web.box import TITLES
from tests.web.running import Running

EXAMPLES = 12
APART = ("/api/stream", "/api/cameras/{camera}/picture.jpg", "/api/cameras/{camera}/live")
"""Asked for elsewhere: the first never ends, the second waits for a frame, the third is a WebSocket."""
MAY_REFUSE = ("/api/cameras/{camera}/thresholds/{setting}", "/api/cameras/{camera}/areas")
"""What these take depends on the camera, which the document cannot say."""
NOT_OURS = ("ignored_auth",)
"""It wants a 401 for many wrong tokens, and gets a 429; tests/web/test_guard.py asks every route without one."""

CONFIG = {"seed": 1, "checks": {"negative_data_rejection": {"expected-statuses": ["4xx"]}}}


@pytest.fixture(scope="module")
def operations(shared: Running) -> list[schemathesis.APIOperation]:
    load_all_checks()
    document = shared.get("/api/openapi.json").json()
    for path in document["paths"].values():
        for operation in path.values():
            for parameter in operation.get("parameters", ()):
                if (parameter["name"], parameter["in"]) == ("camera", "path"):  # beyond the 404
                    parameter["schema"] = {"enum": list(TITLES)}
    schema = schemathesis.openapi.from_dict(document, config=SchemathesisConfig.from_dict(CONFIG))
    schema.config.update(base_url=shared.url)
    return [found.ok() for found in schema.get_all_operations() if found.ok().path not in APART]


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as found:
        found.trust_env = False
        yield found


@pytest.mark.parametrize("good", [True, False], ids=["as the document says", "otherwise"])
def test_no_request_makes_the_server_fail_or_answer_what_its_document_does_not_say(
    shared: Running, session: requests.Session, operations: list[schemathesis.APIOperation], good: bool
) -> None:
    asked = sum(ask(operation, good, shared, session) for operation in operations)
    assert asked > 60


def ask(operation: schemathesis.APIOperation, good: bool, site: Running, session: requests.Session) -> int:
    """Send many requests for one operation, check the answers, and return how many they were."""
    takes = any([*operation.path_parameters, *operation.query, *operation.body])
    if not good and not takes:
        return 0
    mode = schemathesis.GenerationMode.POSITIVE if good else schemathesis.GenerationMode.NEGATIVE
    excluded = CHECKS.get_by_names([*NOT_OURS, *(["positive_data_acceptance"] * (operation.path in MAY_REFUSE))])
    count = 0

    @hypothesis.settings(
        max_examples=EXAMPLES if takes else 1, deadline=None, derandomize=True, database=None,
        phases=[Phase.generate], suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
    def one(case: schemathesis.Case) -> None:
        nonlocal count
        count += 1
        case.call_and_validate(headers=site.bearer, session=session, excluded_checks=excluded)

    one()
    return count
