# The key that seals the central account's refresh token. OAuth may only encrypt, the
# workers only decrypt (iam.tf).
resource "random_id" "key_ring" {
  # Key rings cannot be deleted: a second installation in the project needs a new name.
  byte_length = 4
}

resource "google_kms_key_ring" "tokens" {
  name       = "erp-calendar-${random_id.key_ring.hex}"
  location   = var.region
  depends_on = [time_sleep.services]
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
