"""Reading one account's region: every call counted, every page demanded, and no call that could write."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ipsync.core.errors import CloudError, Denied, Unreachable
from ipsync.targets.aws import answers as aws_answers
from ipsync.targets.aws import client as aws_client
from ipsync.targets.aws import errors as aws_errors
from ipsync.targets.aws.calls import READS
from ipsync.targets.aws.policy import barrier, remedy
from ipsync.targets.aws.rules import Filters, Rule
from ipsync.targets.aws.where import AwsRegion
from ipsync.targets.base import Finding

ALLOWED = frozenset().union(*READS.values())
LISTS_PAGE = 100
"""The most prefix lists, or entries of one, that EC2 gives in one page."""
ASSOCIATIONS_PAGE = 255


class Reads:
    """Its clients refuse every call but those of calls.READS, and DryRun ones."""

    def __init__(self, where: AwsRegion, *, page: int = LISTS_PAGE, needs: str = "read") -> None:
        """`needs` names the statement (policy.py) that a refusal asks for."""
        self.where, self._page, self._needs = where, page, needs
        self.calls: list[tuple[str, str]] = []
        self.quota: int | None = None  # once asked for; 0: it could not be read
        self.ec2 = self.client("ec2")

    def client(self, service: str) -> Any:
        """Return a client that can't write."""
        made = reading_client(service, self.where)
        made.meta.events.register("after-call.*.*", self._count)
        return made

    def _count(self, *, model: Any, http_response: Any, **_: object) -> None:
        ok = http_response is not None and http_response.status_code < 300  # noqa: PLR2004 - HTTP's successes
        self.calls.append((model.name, "ok" if ok else "error"))

    def rules(self, filters: Filters) -> Iterator[Rule]:
        """Yield the rules that these filters let through, page by page."""
        return self._pages(
            self.ec2.describe_security_group_rules, "SecurityGroupRules", size=self._page, Filters=filters
        )

    def groups(self, filter_sets: Iterable[Filters]) -> Iterator[Rule]:
        """Yield the groups that each of these sets of filters lets through."""
        for filters in filter_sets:
            yield from self._pages(
                self.ec2.describe_security_groups, "SecurityGroups", size=self._page, Filters=filters
            )

    def prefix_lists(self, filters: Filters) -> Iterator[Rule]:
        """Yield the prefix lists that these filters let through."""
        return self._pages(self.ec2.describe_managed_prefix_lists, "PrefixLists", size=LISTS_PAGE, Filters=filters)

    def list_entries(self, prefix_list: str, version: int) -> Iterator[Rule]:
        """Yield a prefix list's entries as one version has them: no change can come between two pages."""
        ask = self.ec2.get_managed_prefix_list_entries
        return self._pages(ask, "Entries", size=LISTS_PAGE, PrefixListId=prefix_list, TargetVersion=version)

    def list_associations(self, prefix_list: str) -> Iterator[Rule]:
        """Yield what refers to a prefix list."""
        ask = self.ec2.get_managed_prefix_list_associations
        return self._pages(ask, "PrefixListAssociations", size=ASSOCIATIONS_PAGE, PrefixListId=prefix_list)

    def read(self, operation: Callable[[], dict[str, Any]], subject: str) -> dict[str, Any]:
        """Make one call that reads; a refusal says which statement is missing."""
        try:
            return aws_errors.call(operation, subject=subject, writes=False)
        except Denied as error:
            raise with_remedy(error, self._needs, owner="", region=self.where.region) from None
        except Unreachable as error:
            hint = aws_client.unknown_region(self.where)
            raise Unreachable(f"{error}{hint}", code=error.code, request_id=error.request_id) from None

    def _pages(
        self, operation: Callable[..., dict[str, Any]], key: str, *, size: int, **asked: object
    ) -> Iterator[Rule]:
        token: dict[str, str] = {}

        def page() -> dict[str, Any]:
            answer = operation(MaxResults=size, **asked, **token)
            aws_answers.check_page(answer, key, token.get("NextToken"))
            return answer

        while True:
            answer = self.read(page, f"reading {key} in {self.where.region}")
            yield from answer[key]
            if not answer.get("NextToken"):
                return
            token = {"NextToken": answer["NextToken"]}


def reading_client(service: str, where: AwsRegion) -> Any:
    """Return a client for the account and region that refuses every call but those of calls.READS, and DryRun ones."""
    made = aws_client.client(service, where)
    made.meta.events.register("provide-client-params.*.*", _refuse_writes)
    return made


def with_remedy(error: Denied, what: str, *, owner: str, region: str) -> Denied:
    """Add to a refusal what would help, in one line: a message is one line of a report."""
    needed = remedy(error, what, owner=owner, region=region).replace("\n", ", ")
    if not needed:
        return error
    said = needed if barrier(str(error)) else f"The role needs: {needed}"
    return Denied(f"{str(error).rstrip('.')}. {said}", code=error.code, request_id=error.request_id)


def unread(subject: str, error: CloudError, what: str, *, owner: str, region: str) -> Finding:
    """Return what `check` says of a list that can't be read: what would help stands once, in lines of its own."""
    needed = remedy(error, what, owner=owner, region=region)
    flat, said = needed.replace("\n", ", "), str(error)
    for end in (f". The role needs: {flat}", f". {flat}") if needed else ():
        said = said.removesuffix(end)
    return Finding(subject, ok=False, detail=said, remedy=needed)


def _refuse_writes(*, params: Mapping[str, Any], model: Any, **_: object) -> None:
    if model.name not in ALLOWED and params.get("DryRun") is not True:
        raise Denied(f"a fault in ipsync: {model.name} was called where only reading is allowed; nothing was sent")
