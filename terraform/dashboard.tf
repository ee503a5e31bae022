# One page that answers: is it up, is it in time, is something stuck.
locals {
  charts = [
    {
      title  = "Answers by function and class"
      filter = "resource.type=\"cloud_run_revision\" AND metric.type=\"run.googleapis.com/request_count\""
      by     = ["resource.label.service_name", "metric.label.response_code_class"], aligner = "ALIGN_RATE", reducer = "REDUCE_SUM"
    },
    {
      title  = "Answer time, 95th percentile (ms)"
      filter = "resource.type=\"cloud_run_revision\" AND metric.type=\"run.googleapis.com/request_latencies\""
      by     = ["resource.label.service_name"], aligner = "ALIGN_DELTA", reducer = "REDUCE_PERCENTILE_95"
    },
    {
      title  = "Oldest waiting message (s)"
      filter = "resource.type=\"pubsub_subscription\" AND metric.type=\"pubsub.googleapis.com/subscription/oldest_unacked_message_age\""
      by     = ["resource.label.subscription_id"], aligner = "ALIGN_MAX", reducer = "REDUCE_MAX"
    },
    {
      title  = "Waiting messages"
      filter = "resource.type=\"pubsub_subscription\" AND metric.type=\"pubsub.googleapis.com/subscription/num_undelivered_messages\""
      by     = ["resource.label.subscription_id"], aligner = "ALIGN_MAX", reducer = "REDUCE_MAX"
    },
    {
      title  = "Messages that gave up"
      filter = "resource.type=\"pubsub_subscription\" AND metric.type=\"pubsub.googleapis.com/subscription/dead_letter_message_count\""
      by     = ["resource.label.subscription_id"], aligner = "ALIGN_DELTA", reducer = "REDUCE_SUM"
    },
    {
      title  = "Instances"
      filter = "resource.type=\"cloud_run_revision\" AND metric.type=\"run.googleapis.com/container/instance_count\""
      by     = ["resource.label.service_name"], aligner = "ALIGN_MAX", reducer = "REDUCE_SUM"
    },
  ]

  # The API leaves zeros out: with one in it every plan would show a change.
  at = [for i in range(length(local.charts)) : { for name, at in { xPos = i % 2 * 6, yPos = floor(i / 2) * 4 } : name => at if at != 0 }]
}

resource "google_monitoring_dashboard" "this" {
  dashboard_json = jsonencode({
    displayName = "erp-calendar"
    mosaicLayout = {
      columns = 12
      tiles = concat(
        [for i, c in local.charts : merge(local.at[i], {
          width = 6, height = 4
          widget = {
            title = c.title
            xyChart = {
              dataSets = [{
                plotType = "LINE"
                timeSeriesQuery = {
                  timeSeriesFilter = {
                    filter = c.filter
                    aggregation = {
                      alignmentPeriod = "60s", perSeriesAligner = c.aligner, crossSeriesReducer = c.reducer, groupByFields = c.by
                    }
                  }
                }
              }]
            }
          }
        })],
        [{
          yPos = ceil(length(local.charts) / 2) * 4, width = 12, height = 4
          widget = {
            title = "Errors and alarms"
            logsPanel = {
              filter        = "resource.type=\"cloud_run_revision\" severity>=ERROR"
              resourceNames = ["projects/${var.project_id}"]
            }
          }
        }],
      )
    }
  })
  depends_on = [time_sleep.services]
}
