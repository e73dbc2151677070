variable "name" {
  description = "The name of the function, its role and its queues."
  type        = string
  default     = "daybook-intake"
}

variable "trigger" {
  description = "How notifications reach the function: sqs, s3 or eventbridge."
  type        = string
  default     = "sqs"
  validation {
    condition     = contains(["sqs", "s3", "eventbridge"], var.trigger)
    error_message = "The trigger is sqs, s3 or eventbridge."
  }
}

variable "bucket" {
  description = "The bucket that is watched."
  type        = string
}

variable "prefix" {
  description = "Only keys that begin with this."
  type        = string
  default     = ""
}

variable "suffix" {
  description = "Only keys that end with this. Not used with eventbridge."
  type        = string
  default     = ""
}

variable "store_url" {
  description = "The ledger: postgres://USER:PASSWORD@HOST/DATABASE?sslmode=verify-full, or esdb://HOST:2113."
  type        = string
  sensitive   = true
}

variable "package" {
  description = "The zip file that holds the executable bootstrap."
  type        = string
  default     = "../build/daybook-intake.zip"
}

variable "architecture" {
  description = "What it was built for: arm64 or x86_64."
  type        = string
  default     = "arm64"
}

variable "memory_size" {
  description = "The function's memory in MB."
  type        = number
  default     = 256
}

variable "timeout" {
  description = "How long one invocation may take, in seconds. The queue hides messages for six times as long."
  type        = number
  default     = 30
}

variable "concurrency" {
  description = "How many copies may run at once, at least 2; each holds connections to the database."
  type        = number
  default     = 10
}

variable "max_receive_count" {
  description = "How often a message is tried before it goes to the dead-letter queue."
  type        = number
  default     = 5
}

variable "subnet_ids" {
  description = "The private subnets from which the database can be reached; none where it is public."
  type        = list(string)
  default     = []
}

variable "security_group_ids" {
  description = "The security groups of the function in those subnets."
  type        = list(string)
  default     = []
}

variable "log_retention_days" {
  description = "How long the function's log is kept."
  type        = number
  default     = 30
}

variable "alarm_actions" {
  description = "What is told (topics, by ARN) when something reaches the dead-letter queue."
  type        = list(string)
  default     = []
}
