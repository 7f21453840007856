"""A prefix list keeps what every kind of target promises, on the strict AWS."""

from __future__ import annotations

import pytest
from factory import list_target

from ipsync.testing.contract import Contract


@pytest.fixture(autouse=True)
def _fast(fast_aws):
    pass


@pytest.mark.usefixtures("impatient")
class TestAwsPrefixList(Contract):
    """Two lists, one a family."""

    remedy = '"Effect": "Allow"'
    room = 205  # three calls, three pages

    @pytest.fixture
    def target(self, aws):
        self.cloud = aws
        self.lists = {4: aws.make_list(4, size=300), 6: aws.make_list(6)}
        aws.reset_calls()
        names = {"prefix_list": self.lists[4], "prefix_list_v6": self.lists[6]}
        return list_target(where={**names, "endpoint_url": aws.endpoint_url})

    def held(self):
        return sorted(cidr for name in self.lists.values() for cidr in self.cloud.entries(name))

    def writes(self):
        return self.cloud.calls_made.writes

    def put_foreign(self, cidr):
        self.cloud.put_entry(self.lists[4], cidr, "by hand")
        self.cloud.reset_calls()

    def break_reading(self):
        self.cloud.deny("ec2:GetManagedPrefixListEntries")

    def fail_writing(self, fault):
        self.cloud.faults.plan("ModifyManagedPrefixList", *[fault] * (5 if fault == "500" else 1))

    def deny_writing(self):
        self.cloud.deny("ec2:ModifyManagedPrefixList")
