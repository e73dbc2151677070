"""Makes a Lambda function at moto, which is told not to run it in Docker: it answers with the event
that it was given. Prints the function's ARN and the digest of its code."""

import io
import json
import sys
import urllib.request
import zipfile

import boto3

endpoint, access_key, secret_key = sys.argv[1:]
config = urllib.request.Request(
    f"{endpoint}/moto-api/config",
    data=json.dumps({"lambda": {"use_docker": False}}).encode(),
    headers={"Content-Type": "application/json"},
)
urllib.request.urlopen(config).read()

session = boto3.Session(access_key, secret_key, region_name="eu-central-1")
role = session.client("iam", endpoint_url=endpoint).create_role(
    RoleName="role", AssumeRolePolicyDocument="{}"
)
package = io.BytesIO()
with zipfile.ZipFile(package, "w") as archive:
    archive.writestr("index.py", "def handler(event, context):\n    return event\n")
function = session.client("lambda", endpoint_url=endpoint).create_function(
    FunctionName="thumbs",
    Runtime="python3.12",
    Role=role["Role"]["Arn"],
    Handler="index.handler",
    Code={"ZipFile": package.getvalue()},
)
print(json.dumps({"arn": function["FunctionArn"], "sha256": function["CodeSha256"]}))
