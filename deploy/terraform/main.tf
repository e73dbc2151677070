# Daybook's intake as AWS Lambda, in the same three ways as deploy/sam/template.yaml:
#
#   trigger = "sqs"          bucket ─> queue (with a dead-letter queue) ─> function
#   trigger = "s3"           bucket ─> function
#   trigger = "eventbridge"  bucket ─> EventBridge ─> function
#
# The bucket exists already, and this sets its notifications; a bucket has one such setting, so that
# whatever was set before is replaced. `deploy/README.md` says how to build the zip file.

terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

data "aws_caller_identity" "this" {}
data "aws_partition" "this" {}

locals {
  by_queue   = var.trigger == "sqs"
  by_bucket  = var.trigger == "s3"
  by_bus     = var.trigger == "eventbridge"
  in_vpc     = length(var.subnet_ids) > 0
  bucket_arn = "arn:${data.aws_partition.this.partition}:s3:::${var.bucket}"
}

# --- the function -------------------------------------------------------------------------------------

resource "aws_lambda_function" "intake" {
  function_name    = var.name
  filename         = var.package
  source_code_hash = filebase64sha256(var.package)
  handler          = "bootstrap"
  runtime          = "provided.al2023"
  architectures    = [var.architecture]
  memory_size      = var.memory_size
  timeout          = var.timeout
  role             = aws_iam_role.intake.arn

  reserved_concurrent_executions = var.concurrency

  environment {
    variables = {
      DAYBOOK_STORE_URL = var.store_url
      RUST_LOG          = "info"
    }
  }

  dynamic "vpc_config" {
    for_each = local.in_vpc ? [true] : []
    content {
      subnet_ids         = var.subnet_ids
      security_group_ids = var.security_group_ids
    }
  }

  logging_config {
    log_format = "Text"
    log_group  = aws_cloudwatch_log_group.intake.name
  }
}

resource "aws_cloudwatch_log_group" "intake" {
  name              = "/aws/lambda/${var.name}"
  retention_in_days = var.log_retention_days
}

# --- its rights: it writes its log and takes messages from its own queue; it needs none to the bucket ---

data "aws_iam_policy_document" "assume" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["lambda.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "intake" {
  statement {
    sid       = "Logs"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.intake.arn}:*"]
  }

  dynamic "statement" {
    for_each = aws_sqs_queue.notifications
    content {
      sid       = "Queue"
      actions   = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]
      resources = [statement.value.arn]
    }
  }

  dynamic "statement" {
    for_each = local.by_queue ? [] : [aws_sqs_queue.dead_letters.arn]
    content {
      sid       = "Failures"
      actions   = ["sqs:SendMessage"]
      resources = [statement.value]
    }
  }
}

resource "aws_iam_role" "intake" {
  name               = var.name
  assume_role_policy = data.aws_iam_policy_document.assume.json
}

resource "aws_iam_role_policy" "intake" {
  name   = "intake"
  role   = aws_iam_role.intake.id
  policy = data.aws_iam_policy_document.intake.json
}

resource "aws_iam_role_policy_attachment" "vpc" {
  count      = local.in_vpc ? 1 : 0
  role       = aws_iam_role.intake.name
  policy_arn = "arn:${data.aws_partition.this.partition}:iam::aws:policy/service-role/AWSLambdaENIManagementAccess"
}

# --- what could not be taken in -------------------------------------------------------------------------

resource "aws_sqs_queue" "dead_letters" {
  name                      = "${var.name}-dead-letters"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true
}

resource "aws_cloudwatch_metric_alarm" "dead_letters" {
  alarm_name          = "${var.name}-dead-letters"
  alarm_description   = "Notifications that Daybook could not take in"
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = aws_sqs_queue.dead_letters.name }
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 1
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_actions
}

# --- sqs: bucket, queue, function -----------------------------------------------------------------------

resource "aws_sqs_queue" "notifications" {
  count                      = local.by_queue ? 1 : 0
  name                       = var.name
  message_retention_seconds  = 1209600
  sqs_managed_sse_enabled    = true
  visibility_timeout_seconds = 6 * var.timeout

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead_letters.arn
    maxReceiveCount     = var.max_receive_count
  })
}

data "aws_iam_policy_document" "queue" {
  count = local.by_queue ? 1 : 0
  statement {
    actions   = ["sqs:SendMessage"]
    resources = [aws_sqs_queue.notifications[0].arn]
    principals {
      type        = "Service"
      identifiers = ["s3.amazonaws.com"]
    }
    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [local.bucket_arn]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.this.account_id]
    }
  }
}

resource "aws_sqs_queue_policy" "notifications" {
  count     = local.by_queue ? 1 : 0
  queue_url = aws_sqs_queue.notifications[0].url
  policy    = data.aws_iam_policy_document.queue[0].json
}

resource "aws_lambda_event_source_mapping" "queue" {
  count            = local.by_queue ? 1 : 0
  event_source_arn = aws_sqs_queue.notifications[0].arn
  function_name    = aws_lambda_function.intake.arn
  batch_size       = 10
  # The function says which messages of a batch it could not take in; the others are deleted.
  function_response_types = ["ReportBatchItemFailures"]

  scaling_config {
    maximum_concurrency = var.concurrency
  }

  depends_on = [aws_iam_role_policy.intake]
}

# --- sqs and s3: the bucket's notifications -------------------------------------------------------------

resource "aws_lambda_permission" "bucket" {
  count          = local.by_bucket ? 1 : 0
  action         = "lambda:InvokeFunction"
  function_name  = aws_lambda_function.intake.function_name
  principal      = "s3.amazonaws.com"
  source_arn     = local.bucket_arn
  source_account = data.aws_caller_identity.this.account_id
}

resource "aws_s3_bucket_notification" "bucket" {
  bucket      = var.bucket
  eventbridge = local.by_bus

  dynamic "queue" {
    for_each = aws_sqs_queue.notifications
    content {
      queue_arn     = queue.value.arn
      events        = ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]
      filter_prefix = var.prefix
      filter_suffix = var.suffix
    }
  }

  dynamic "lambda_function" {
    for_each = local.by_bucket ? [aws_lambda_function.intake.arn] : []
    content {
      lambda_function_arn = lambda_function.value
      events              = ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]
      filter_prefix       = var.prefix
      filter_suffix       = var.suffix
    }
  }

  depends_on = [aws_sqs_queue_policy.notifications, aws_lambda_permission.bucket]
}

# --- eventbridge: bus, function -------------------------------------------------------------------------

resource "aws_cloudwatch_event_rule" "objects" {
  count       = local.by_bus ? 1 : 0
  name        = var.name
  description = "Objects of the bucket that Daybook watches"
  event_pattern = jsonencode({
    source        = ["aws.s3"]
    "detail-type" = ["Object Created", "Object Deleted"]
    detail = {
      bucket = { name = [var.bucket] }
      object = { key = [{ prefix = var.prefix }] }
    }
  })
}

resource "aws_cloudwatch_event_target" "intake" {
  count = local.by_bus ? 1 : 0
  rule  = aws_cloudwatch_event_rule.objects[0].name
  arn   = aws_lambda_function.intake.arn

  dead_letter_config {
    arn = aws_sqs_queue.dead_letters.arn
  }

  retry_policy {
    maximum_event_age_in_seconds = 86400
    maximum_retry_attempts       = 185
  }
}

resource "aws_lambda_permission" "rule" {
  count         = local.by_bus ? 1 : 0
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.intake.function_name
  principal     = "events.amazonaws.com"
  source_arn    = aws_cloudwatch_event_rule.objects[0].arn
}

data "aws_iam_policy_document" "dead_letters" {
  count = local.by_bus ? 1 : 0
  statement {
    actions   = ["sqs:SendMessage"]
    resources = [aws_sqs_queue.dead_letters.arn]
    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com"]
    }
    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [aws_cloudwatch_event_rule.objects[0].arn]
    }
  }
}

resource "aws_sqs_queue_policy" "dead_letters" {
  count     = local.by_bus ? 1 : 0
  queue_url = aws_sqs_queue.dead_letters.url
  policy    = data.aws_iam_policy_document.dead_letters[0].json
}

# --- s3 and eventbridge: AWS invokes again, and keeps what fails -----------------------------------------

resource "aws_lambda_function_event_invoke_config" "direct" {
  count                        = local.by_queue ? 0 : 1
  function_name                = aws_lambda_function.intake.function_name
  maximum_retry_attempts       = 2
  maximum_event_age_in_seconds = 21600

  destination_config {
    on_failure {
      destination = aws_sqs_queue.dead_letters.arn
    }
  }

  depends_on = [aws_iam_role_policy.intake]
}
