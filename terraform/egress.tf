# Optional: one fixed address for calls to the ERP. The functions that call it go out
# through a subnet of this network (Direct VPC egress) and its NAT.
#
# Cloud Run holds its addresses in the subnet for one to two hours after the last
# function has left it, and as long nothing of the network can be deleted: removal takes
# two steps, of which keep_egress_network is the first.
locals {
  egress = var.fixed_egress_address || var.keep_egress_network ? 1 : 0
}

resource "google_compute_network" "egress" {
  count                   = local.egress
  name                    = "erp-calendar-egress"
  auto_create_subnetworks = false
  depends_on              = [time_sleep.services]
}

resource "google_compute_subnetwork" "egress" {
  count                    = local.egress
  name                     = "erp-calendar-egress"
  network                  = google_compute_network.egress[0].id
  region                   = var.region
  ip_cidr_range            = "10.118.0.0/24" # Cloud Run takes two addresses per instance, and /26 at least
  private_ip_google_access = true            # Google's APIs go past the NAT
}

resource "google_compute_address" "egress" {
  count      = local.egress
  name       = "erp-calendar-egress"
  region     = var.region
  depends_on = [time_sleep.services]
}

resource "google_compute_router" "egress" {
  count   = local.egress
  name    = "erp-calendar-egress"
  network = google_compute_network.egress[0].id
  region  = var.region
}

resource "google_compute_router_nat" "egress" {
  count                              = local.egress
  name                               = "erp-calendar-egress"
  router                             = google_compute_router.egress[0].name
  region                             = var.region
  nat_ip_allocate_option             = "MANUAL_ONLY"
  nat_ips                            = [google_compute_address.egress[0].self_link]
  source_subnetwork_ip_ranges_to_nat = "LIST_OF_SUBNETWORKS"
  subnetwork {
    name                    = google_compute_subnetwork.egress[0].id
    source_ip_ranges_to_nat = ["ALL_IP_RANGES"]
  }
  log_config {
    enable = true
    filter = "ERRORS_ONLY"
  }
}
