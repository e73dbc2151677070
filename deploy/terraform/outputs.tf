output "function_arn" {
  description = "The function."
  value       = aws_lambda_function.intake.arn
}

output "queue_url" {
  description = "The queue of notifications; null where there is none."
  value       = one(aws_sqs_queue.notifications[*].url)
}

output "dead_letter_queue_url" {
  description = "The queue of what could not be taken in."
  value       = aws_sqs_queue.dead_letters.url
}
