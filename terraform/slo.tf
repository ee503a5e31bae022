# Freshness: in 99 % of all five-minute windows of 28 days the oldest task change that
# waits in the queue is younger than a minute. It sees what waits, not what was
# recorded on a key as failed: those the console shows.
resource "google_monitoring_custom_service" "this" {
  service_id   = "erp-calendar"
  display_name = "erp-calendar"
  depends_on   = [time_sleep.services]
}

resource "google_monitoring_slo" "freshness" {
  service             = google_monitoring_custom_service.this.service_id
  slo_id              = "freshness"
  display_name        = "Changes of tasks leave the queue within a minute (99 % of 5-minute windows)"
  goal                = 0.99
  rolling_period_days = 28

  windows_based_sli {
    window_period = "300s"
    metric_mean_in_range {
      time_series = "resource.type=\"pubsub_subscription\" AND resource.labels.subscription_id=\"${google_pubsub_subscription.worker["sync-task"].name}\" AND metric.type=\"pubsub.googleapis.com/subscription/oldest_unacked_message_age\""
      range {
        min = 0
        max = 60
      }
    }
  }
}
