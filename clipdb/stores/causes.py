"""What pyarrow, Lance and DuckDB say when a store refuses or fails, and what that means."""

from __future__ import annotations

import re

from clipdb.errors import Kind

REFUSED = r"Access_?Denied|AllAccessDisabled|Forbidden|AuthorizationPermissionMismatch|PermissionDenied|\b40[13]\b"

# In the order in which it is looked for; the reason of a refusal comes before the refusal. {bucket}, {doing} and {who}
# are filled in.
CAUSES: tuple[tuple[str, str, Kind], ...] = (
    (
        r"Expired_?Token|TokenRefreshRequired|InvalidToken|INVALID_TOKEN",
        "the credentials for bucket {bucket} have expired: get new ones, and run the same command again",
        "invalid",
    ),
    (
        r"Request_?Time_?Too_?Skewed|RequestExpired|REQUEST_EXPIRED|AuthenticationFailed.*not within the valid time",
        "this machine's clock is wrong by more than the store of bucket {bucket} allows (15 minutes): set it, and run "
        "the same command again",
        "invalid",
    ),
    (
        r"Invalid_?Access_?Key_?Id|Signature_?Does_?Not_?Match|INVALID_SIGNATURE|UNRECOGNIZED_CLIENT|InvalidClientTokenId",
        "the store of bucket {bucket} doesn't know these credentials: check the key and its secret, and the endpoint",
        "invalid",
    ),
    (
        r"PermanentRedirect|AuthorizationHeaderMalformed|IllegalLocationConstraint|HTTP status 301|301 Moved|"
        r"Received redirect",
        "bucket {bucket} is in another region: name it, with AWS_REGION or --storage-option region=REGION",
        "invalid",
    ),
    (
        r"NoSuchBucket|NO_SUCH_BUCKET|ContainerNotFound|bucket does not exist",
        "there is no bucket {bucket}: check its name, and the endpoint",
        "absent",
    ),
    (
        r"Failed to get AWS credentials|CredentialsNotLoaded|No AWS Credentials|CredentialsProvider|"
        r"Could not find credentials|google.*credentials|DefaultAzureCredential|OAuth2 access token|"
        r"performing token request",
        "no credentials for bucket {bucket} were found: {who}",
        "invalid",
    ),
    (
        REFUSED,
        "bucket {bucket} refuses access ({doing}): {who}",
        "invalid",
    ),
    (
        r"Slow_?Down|Service_?Unavailable|Internal_?(Failure|Error|Server)|Throttl|TooManyRequests|\b(429|50\d)\b",
        "the store of bucket {bucket} is overloaded or broken, also when asked again: run the same command again later",
        "busy",
    ),
    (
        r"NETWORK_CONNECTION|REQUEST_TIMEOUT|[Tt]imed? ?out|[Tt]imeout|[Cc]ould not connect|[Cc]onnection|resolve host|"
        r"error sending request|error decoding response|dns error|HTTP error|curlCode|incomplete|partial file",
        "the store of bucket {bucket} can't be reached, or breaks off: check the network and the endpoint, and run the "
        "same command again",
        "busy",
    ),
    (
        r"Failed to resolve region",
        "the region of bucket {bucket} can't be found: check the bucket's name, or name the region, with AWS_REGION or "
        "--storage-option region=REGION",
        "invalid",
    ),
)
NAMED = re.compile("|".join(pattern for pattern, _, _ in CAUSES[:6]), re.IGNORECASE)
