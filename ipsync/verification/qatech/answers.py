"""What QA.tech answers. Fields that aren't named here are fine; one that is named and missing is an error."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from ipsync.core.addresses import canonical, parse
from ipsync.verification.qatech.ids import run_id

RunId = Annotated[str, AfterValidator(run_id)]
Address = Annotated[str, AfterValidator(lambda text: canonical(parse(text)))]


class Unreadable(ValueError):
    """The answer has another shape than was asked for."""


class Answer(BaseModel):
    """Types as they are: the text "3" is no number."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", alias_generator=to_camel)


class OutboundIps(Answer):
    """The addresses that QA.tech's runners connect from, as networks."""

    ip_addresses: tuple[Address, ...] = Field(strict=False)  # JSON has lists; what is in it stays strict


class TestPlan(Answer):
    """The test plan that was run."""

    name: str
    short_id: str


class Run(Answer):
    """A run that was started, or started again: then it is a new run with an id of its own."""

    id: str
    short_id: RunId
    url: str
    test_count: int


class PlannedRun(Run):
    """A run of a test plan."""

    test_plan: TestPlan


class RunTestCase(Answer):
    """A test case of a run."""

    id: str
    short_id: str
    name: str
    status: str
    result: str | None
    result_title: str | None
    evaluation_thought: str | None
    prompt_goal: str | None
    prompt_examples: str | None


class RunState(Answer):
    """How a run is doing. `url` isn't promised."""

    id: str
    short_id: RunId
    status: str
    result: str | None
    run_test_cases: tuple[RunTestCase, ...] = Field(strict=False)
    url: str | None = None


class TestCase(Answer):
    """A test case that was made."""

    id: str
    name: str
    url: str


A = TypeVar("A", bound=Answer)


def read(kind: type[A], document: object) -> A:
    """Read an answer. Raises Unreadable."""
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        raise Unreadable(_told(error.errors(include_url=False, include_input=False)[0])) from None


def read_done(kind: type[A], key: str, document: object) -> A:
    """Read the answer to a request that changes something: it says that it was carried out, and what came of it."""
    held = document if isinstance(document, dict) else {}
    if held.get("success") is not True:
        raise Unreadable("it doesn't say `success: true`")
    if key not in held:
        raise Unreadable(f"`{key}` is missing")
    return read(kind, held[key])


def _told(error: Any) -> str:
    where = ".".join(str(part) for part in error["loc"]) or "the answer"
    return f"`{where}` is missing" if error["type"] == "missing" else f"`{where}` is of another kind ({error['msg']})"
