# The key that seals the central account's refresh token. OAuth may only encrypt, the
# workers only decrypt (../iam.tf). A module of its own, because what may never be
# destroyed cannot be made by a test, which destroys what it made.
terraform {
  required_providers {
    google = {
      source = "hashicorp/google"
    }
    random = {
      source = "hashicorp/random"
    }
  }
}

variable "location" {
  description = "Region of the key."
  type        = string
}

resource "random_id" "key_ring" {
  # Key rings cannot be deleted: a second installation in the project needs a new name.
  byte_length = 4
}

resource "google_kms_key_ring" "tokens" {
  name     = "erp-calendar-${random_id.key_ring.hex}"
  location = var.location
}

resource "google_kms_crypto_key" "tokens" {
  name            = "refresh-token"
  key_ring        = google_kms_key_ring.tokens.id
  purpose         = "ENCRYPT_DECRYPT"
  rotation_period = "7776000s" # 90 days; older versions go on decrypting
  # 30 days to change one's mind, the least harm a wrong `destroy` can do.
  destroy_scheduled_duration = "2592000s"

  lifecycle {
    prevent_destroy = true
  }
}

output "id" {
  description = "Full name of the key: projects/P/locations/L/keyRings/R/cryptoKeys/K."
  value       = google_kms_crypto_key.tokens.id
}

output "ring" {
  description = "Name of the key ring."
  value       = google_kms_key_ring.tokens.name
}

output "rotation_period" {
  description = "How often a new version of the key begins to encrypt."
  value       = google_kms_crypto_key.tokens.rotation_period
}
