"""AWS's error codes, by what they mean to us, and what helps against some."""

from __future__ import annotations

THROTTLES = {
    *("RequestLimitExceeded", "Throttling", "ThrottlingException", "TooManyRequestsException", "SlowDown"),
    *("EC2ThrottledException", "RequestThrottled", "RequestThrottledException", "ThrottledException"),
}
DENIALS = {
    *("UnauthorizedOperation", "AccessDenied", "AccessDeniedException", "AuthFailure", "InvalidClientTokenId"),
    *("ExpiredToken", "ExpiredTokenException", "RequestExpired", "SignatureDoesNotMatch", "OptInRequired"),
    *("UnrecognizedClientException", "MissingAuthenticationToken", "InvalidSignatureException", "RequestTimeTooSkewed"),
}
STALES = {
    *("InvalidPermission.Duplicate", "InvalidPermission.NotFound", "InvalidSecurityGroupRuleId.NotFound"),
    *("PrefixListVersionMismatch", "InvalidPrefixListModification"),
}
BUSY = {"IncorrectState", "ConcurrentMutationLimitExceeded"}
"""Another change of the same resource is under way: nothing was done, and a moment later it may be."""
SPENT = {
    **dict.fromkeys(
        ("ExpiredToken", "ExpiredTokenException"),
        "the credentials have expired: renew them, or look at the service that should renew them, and at this machine's clock",
    ),
    **dict.fromkeys(
        ("RequestExpired", "RequestTimeTooSkewed"),
        "the credentials have expired: renew them; or this machine's clock is wrong (timedatectl, chronyc tracking)",
    ),
    **dict.fromkeys(
        ("SignatureDoesNotMatch", "InvalidSignatureException"),
        "the secret access key doesn't belong to the access key id (set both anew), or this machine's clock is wrong "
        "(timedatectl, chronyc tracking)",
    ),
    **dict.fromkeys(
        ("InvalidClientTokenId", "UnrecognizedClientException"),
        "AWS knows no such access key: it was deleted or deactivated, or is of another partition; take another one",
    ),
}
"""What says that the credentials themselves are of no use: whoever renews them heals it."""
ADVICE = {
    **SPENT,
    "AuthFailure": "the credentials aren't valid in this region: AWS says so too of a region that the account hasn't "
    "enabled (aws account list-regions)",
    "OptInRequired": "the account hasn't enabled this region (aws account list-regions)",
}
