"""Make a bucket in an S3-compatible store that may still be starting: `make_bucket.py ENDPOINT BUCKET`."""

from __future__ import annotations

import sys
import time

import boto3
from botocore.exceptions import BotoCoreError, ClientError

SECONDS_TO_START = 120


def make_bucket(endpoint: str, bucket: str) -> None:
    """Make the bucket unless it is there.

    Raises:
        ClientError: the store refuses the key.
        BotoCoreError: it does not answer within two minutes.
    """
    client = boto3.client("s3", endpoint_url=endpoint)
    deadline = time.monotonic() + SECONDS_TO_START
    while True:
        try:
            if bucket not in {known["Name"] for known in client.list_buckets()["Buckets"]}:
                client.create_bucket(Bucket=bucket)
            return
        except (BotoCoreError, ClientError) as error:
            refused = isinstance(error, ClientError) and error.response["ResponseMetadata"]["HTTPStatusCode"] < 500
            if refused or time.monotonic() > deadline:
                raise
            time.sleep(2)


if __name__ == "__main__":
    make_bucket(*sys.argv[1:])
