"""Makes queues at moto and what leads to them, and looks into them.

moto_queues.py ENDPOINT make BUCKET ROUTE [MAX_RECEIVES]
    A queue that the bucket's notifications reach: directly (sqs), through a topic (sns) or through
    EventBridge (eventbridge). With MAX_RECEIVES it has a dead-letter queue. Prints
    {"url": …, "dead": …}.
moto_queues.py ENDPOINT send URL [BODY…]
    Sends messages.
moto_queues.py ENDPOINT put BUCKET KEY BODY [KEY BODY…]
    Puts objects beside Daybook.
moto_queues.py ENDPOINT look URL
    Prints how many messages are in the queue, waiting or hidden.
moto_queues.py ENDPOINT drain URL
    Prints the bodies of the messages that wait, and deletes them.
"""

import json
import sys

import boto3

endpoint, what, *arguments = sys.argv[1:]
session = boto3.Session("AKTEST", "a-secret-of-the-tests", region_name="us-east-1")


def client(service):
    return session.client(service, endpoint_url=endpoint)


def arn(url):
    attributes = client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    return attributes["Attributes"]["QueueArn"]


def make(bucket, route, max_receives=None):
    sqs = client("sqs")
    made = {"dead": None}
    attributes = {}
    if max_receives:
        made["dead"] = sqs.create_queue(QueueName=f"{bucket}-dead")["QueueUrl"]
        redrive = {"deadLetterTargetArn": arn(made["dead"]), "maxReceiveCount": max_receives}
        attributes["RedrivePolicy"] = json.dumps(redrive)
    made["url"] = sqs.create_queue(QueueName=f"{bucket}-arrivals", Attributes=attributes)["QueueUrl"]
    queue = arn(made["url"])
    events = ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]
    if route == "sqs":
        config = {"QueueConfigurations": [{"QueueArn": queue, "Events": events}]}
    elif route == "sns":
        sns = client("sns")
        topic = sns.create_topic(Name=f"{bucket}-topic")["TopicArn"]
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue)
        config = {"TopicConfigurations": [{"TopicArn": topic, "Events": events}]}
        made["topic"] = topic
    else:
        bus = client("events")
        bus.put_rule(Name="objects", EventPattern=json.dumps({"source": ["aws.s3"]}))
        bus.put_targets(Rule="objects", Targets=[{"Id": "queue", "Arn": queue}])
        config = {"EventBridgeConfiguration": {}}
    client("s3").put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration=config
    )
    print(json.dumps(made))


def send(url, *bodies):
    for body in bodies:
        client("sqs").send_message(QueueUrl=url, MessageBody=body)


def put(bucket, *pairs):
    s3 = client("s3")
    for key, body in zip(pairs[::2], pairs[1::2]):
        s3.put_object(Bucket=bucket, Key=key, Body=body.encode())


def look(url):
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    attributes = client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)
    print(sum(int(attributes["Attributes"][name]) for name in names))


def drain(url):
    sqs, bodies = client("sqs"), []
    while True:
        answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)
        messages = answer.get("Messages", [])
        if not messages:
            break
        for message in messages:
            bodies.append(message["Body"])
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    print(json.dumps(bodies))


globals()[what](*arguments)
