# The key that seals the central account's refresh token; protected in its module.
module "key" {
  source     = "./key"
  location   = var.region
  depends_on = [time_sleep.services]
}
