from urllib.parse import unquote_plus

import boto3

s3 = boto3.client("s3")


def handler(event, context):
    record = event["Records"][0]["s3"]
    # Keys in S3 notifications are form-encoded: a plus sign is a space.
    key = unquote_plus(record["object"]["key"])

    text = s3.get_object(Bucket=record["bucket"]["name"], Key=key)["Body"].read().decode()

    s3.put_object(
        Bucket="results",
        Key=key,
        Body=text.upper().encode(),
        ContentType="text/plain; charset=utf-8",
    )
    print(f"upper-cased {len(text)} characters of {key}")
    return {"bucket": "results", "key": key}
