"""What schemathesis has to know beside the contract: values that a schema cannot describe, and findings that are none.

Each finding that is not one is in `EXPLAINED`, with its reason. A run says at its end how often each was met.
"""

import atexit
import datetime
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import requests
import schemathesis
from hypothesis import strategies

YEAR = datetime.timedelta(days=366)

# A time in a request is one in the future, to the second.
schemathesis.openapi.format(
    "date-time",
    strategies.datetimes(
        datetime.datetime.now() + YEAR, datetime.datetime(9998, 1, 1), timezones=strategies.just(datetime.UTC)
    ).map(lambda time: time.isoformat(timespec="seconds").replace("+00:00", "Z")),
)


@dataclass(frozen=True)
class Explained:
    """A finding that is a defect neither of the service nor of the contract."""

    name: str
    reason: str
    applies: Callable[[str, Any, dict[str, Any]], bool]


def rejected(code: str, detail: str = "") -> Callable[[str, Any, dict[str, Any]], bool]:
    """A request that fits the schema was rejected with this code, and with a detail that contains this text."""
    return lambda finding, case, problem: (
        finding == "RejectedPositiveData" and problem.get("code") == code and detail in problem.get("detail", "")
    )


RECORD = "/collections/{collection}/records/{id}"

# The records that a PUT has created under an id of the client's choice, by collection and id.
created_by_put: set[tuple[str, str]] = set()


@schemathesis.hook
def after_call(context, case, response) -> None:
    """Notes which records a PUT creates, until they are deleted. A replayed response to a DELETE deletes nothing."""
    if case.operation.path != RECORD:
        return
    record = (case.path_parameters["collection"], case.path_parameters["id"])
    if case.method == "PUT" and response.status_code == 201:
        created_by_put.add(record)
    elif case.method == "DELETE" and response.status_code == 204 and "idempotent-replayed" not in response.headers:
        created_by_put.discard(record)


EXPLAINED = [
    Explained(
        "created again",
        "A PUT may create a record again under the id of a deleted one. A retry of the DELETE with its idempotency key then "
        "gets the first response, and the record remains.",
        lambda finding, case, problem: (
            finding == "UseAfterFree" and (problem.get("collection"), problem.get("id")) in created_by_put
        ),
    ),
    Explained(
        "cursor",
        "A cursor is opaque and of one list: only one that a page gave is accepted, which no pattern says.",
        rejected("invalid_cursor"),
    ),
    Explained(
        "plan",
        "The plans are those of the stack, so the contract does not list them.",
        rejected("unknown_plan"),
    ),
    Explained(
        "month to come",
        "A month of usage has begun, which no pattern says.",
        rejected("invalid_parameter", "`period` must be this month or an earlier one."),
    ),
    Explained(
        "key used before",
        "An idempotency key is of one request. Generated keys are short, and meet again.",
        rejected("idempotency_key_reused"),
    ),
    Explained(
        "time gone by",
        "An expiry is in the future. Times are also taken from responses, and those have passed.",
        rejected("invalid_body", "`expiresAt` must be in the future."),
    ),
    Explained(
        "backstop",
        "A tenant's own quota is at most the backstop of its plan, which is a parameter of the stack.",
        rejected("invalid_body", "which is the plan's backstop"),
    ),
    Explained(
        "entity tags",
        "`0` is sent as an ETag, which does not fit the pattern: what generates it does not hold itself to that.",
        lambda finding, case, problem: (
            finding == "RejectedPositiveData"
            and problem.get("code") == "invalid_parameter"
            and "0" in ((case.headers or {}).get("If-Match"), (case.headers or {}).get("If-None-Match"))
        ),
    ),
    Explained(
        "issuer",
        "An issuer is an HTTPS address with an audience or a client, which takes more than a schema that generators like.",
        rejected("invalid_issuer"),
    ),
    Explained(
        "one record twice",
        "Each operation of a transaction is on a record of its own, which no schema says.",
        rejected("invalid_body", "is for the same record as"),
    ),
    Explained(
        "tombstone",
        "An offboarded tenant stays readable for operators, with its status: its id never comes back.",
        lambda finding, case, problem: finding in ("UseAfterFree", "EnsureResourceAvailability")
        and case.operation.path.startswith("/admin/tenants"),
    ),
    Explained(
        "method not allowed",
        "API Gateway has no 405: a method that a path does not take is a 404 `route_not_found`.",
        lambda finding, case, problem: finding == "UnsupportedMethodResponse" and problem.get("code") == "route_not_found",
    ),
]

met: Counter[str] = Counter()


def problem_of(response: Any) -> Any:
    """The problem document of a response, if it has one.

    A response to HEAD has no body, so the same request is made with GET, whose response says why (RFC 9110, 9.3.2).
    """
    request = response.request
    if request.method == "HEAD":
        response = requests.get(request.url, headers=request.headers, timeout=60)
    try:
        return response.json()
    except ValueError:
        return None


@schemathesis.hook
def filter_failure(context, failure, case, response) -> bool:
    problem = problem_of(response)
    for explained in EXPLAINED:
        if explained.applies(type(failure).__name__, case, problem if isinstance(problem, dict) else {}):
            met[explained.name] += 1
            return False
    return True


@atexit.register
def tell() -> None:
    print("explained findings:", json.dumps(met))
